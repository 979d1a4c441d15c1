//! Every page on a phone, on a wide screen, light and dark, and by keyboard.

use pulse_tests::harness::browser::{Browser, Look};

use super::scene::{LINE, Scene};

const PAGES: [(&str, &str); 6] = [
    ("overview", "/console"),
    ("infrastructure", "/console/infrastructure"),
    ("storage", "/console/storage"),
    ("storage-list", "/console/storage?group=health"),
    ("alerts", "/console/alerts?state=firing"),
    ("connections", "/console/connections"),
];

/// How much of the window moved while the page was built.
pub(crate) const SHIFT: &str = "new Promise((told) => {
    let shift = 0;
    const add = (list) => list.getEntries().forEach((entry) => { shift += entry.value; });
    new PerformanceObserver(add).observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => told(shift)));
})";

/// What a link on a page leads to.
async fn linked(browser: &mut Browser, page: &str, link: &str) -> anyhow::Result<String> {
    browser.go(page).await?;
    let found = browser.value(&format!("document.querySelector({link:?}).getAttribute('href')")).await?;
    found.as_str().map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no {link} on {page}"))
}

#[tokio::test]
async fn every_page_is_sound_in_every_look() -> anyhow::Result<()> {
    let mut scene = Scene::start(2).await?;
    scene.appliances[0].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    let browser = &mut scene.browser;
    browser.go("/console/storage").await?;
    browser.sees("text=DEGRADED").await?;
    let mut pages: Vec<(String, String)> =
        PAGES.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
    for (name, page, link) in [
        ("system", "/console/infrastructure", "tbody th a"),
        ("pool", "/console/storage?kind=pool&group=none", "tbody tr.pool th a"),
        ("dataset", "/console/storage?kind=dataset&group=none", "tbody tr.dataset th a"),
        ("disk", "/console/storage?kind=disk&group=none", "tbody tr.disk th a"),
        ("alert", "/console/alerts?state=firing", ".case .what"),
        ("connection", "/console/connections", "tbody th a"),
    ] {
        pages.push((name.to_owned(), linked(browser, page, link).await?));
    }
    for (word, look) in
        [("phone", Look::PHONE), ("dark", Look::DARK), ("wide", Look::WIDE), ("plain", Look::NO_SCRIPT)]
    {
        browser.open(look).await?;
        for (name, path) in &pages {
            let (status, _) = browser.go(path).await?;
            assert_eq!(status, 200, "{path}");
            if look.script {
                let shift = browser.value(SHIFT).await?;
                assert!(shift.as_f64().is_some_and(|shift| shift < 0.02), "{path} ({word}) moves by {shift}");
                browser.is_sound(&format!("{path} ({word})")).await?;
            }
            browser.long_shot(&format!("{name}-{word}")).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_keyboard_is_enough() -> anyhow::Result<()> {
    let mut scene = Scene::start(1).await?;
    let browser = &mut scene.browser;
    browser.go("/console/infrastructure").await?;
    browser.press("Tab").await?;
    assert_eq!(browser.value("document.activeElement.textContent").await?, "Skip to the content");
    browser.press("Enter").await?;
    assert_eq!(browser.value("document.activeElement.id").await?, "main");
    for _ in 0..40 {
        if browser.value("document.activeElement.matches('tbody th a')").await? == true {
            break;
        }
        browser.press("Tab").await?;
    }
    browser.press("Enter").await?;
    browser.sees("h1 >> text=nas-1").await?;
    Ok(())
}

#[tokio::test]
async fn paper_shows_dates_and_nothing_to_press() -> anyhow::Result<()> {
    /// What can be seen of these.
    const PRESSED: &str =
        "[...document.querySelectorAll('.top nav, button, select, input, .toggle, .raw, .skip')]
        .filter((one) => one.getClientRects().length > 0).map((one) => one.outerHTML.slice(0, 80))";
    /// Every age has its date beside it.
    const UNDATED: &str = "[...document.querySelectorAll('main time')].filter((time) => time.getClientRects().length > 0
        && !getComputedStyle(time, '::after').content.includes('UTC') && !time.parentElement.textContent.includes('UTC'))
        .map((time) => time.parentElement.textContent)";
    let mut scene = Scene::start(2).await?;
    scene.appliances[0].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    let browser = &mut scene.browser;
    browser.go("/console/storage").await?;
    browser.sees("text=DEGRADED").await?;
    browser.go("/console/alerts?state=firing").await?;
    browser.sees(".case").await?;
    let pool = linked(browser, "/console/storage?kind=pool&group=none", "tbody tr.pool th a").await?;
    let alert = linked(browser, "/console/alerts?state=firing", ".case .what").await?;
    let connection = linked(browser, "/console/connections", "tbody th a").await?;
    for (name, path) in [
        ("overview", "/console"),
        ("infrastructure", "/console/infrastructure"),
        ("storage", "/console/storage"),
        ("alerts", "/console/alerts?state=firing"),
        ("connections", "/console/connections"),
        ("pool", &pool),
        ("alert", &alert),
        ("connection", &connection),
    ] {
        // Whoever looks at a dark page prints on white paper.
        browser.open(Look::DARK).await?;
        browser.go(path).await?;
        browser.print(&format!("{name}-paper")).await?;
        browser.shot(&format!("{name}-paper")).await?;
        assert_eq!(browser.value(PRESSED).await?, serde_json::json!([]), "{path}");
        assert_eq!(browser.value(UNDATED).await?, serde_json::json!([]), "{path}");
        let ink = browser.value("getComputedStyle(document.querySelector('main')).color").await?;
        assert_eq!(ink, "rgb(0, 0, 0)", "{path}");
        let panel = "getComputedStyle(document.querySelector('.scroll, .panel, .cases')).backgroundColor";
        let ground = browser.value(panel).await?;
        assert!(ground == "rgb(255, 255, 255)" || ground == "rgba(0, 0, 0, 0)", "{path}: {ground}");
    }
    Ok(())
}
