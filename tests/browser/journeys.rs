//! What somebody who runs these systems does on a day when something breaks.

use pulse_tests::harness::browser::{Browser, Look};

use super::scene::{LINE, Scene};

/// Every word of the page is one of the page as the registry has it now, in whatever order, ages apart.
async fn is_as_if_fetched_now(browser: &mut Browser) -> anyhow::Result<()> {
    let same = "(async () => {
        const words = (page) => {
            const main = page.querySelector('main').cloneNode(true);
            main.querySelectorAll('time').forEach((time) => time.remove());
            return main.textContent.split(/\\s+/).sort().join(' ');
        };
        const answer = await fetch(location.href);
        return words(new DOMParser().parseFromString(await answer.text(), 'text/html')) === words(document);
    })()";
    // What comes in between the two is put in place soon.
    for _ in 0..20 {
        if browser.value(same).await? == true {
            return Ok(());
        }
        browser.value("new Promise((heard) => new MutationObserver(heard).observe(document, { subtree: true, childList: true, characterData: true }))").await?;
    }
    anyhow::bail!("the page is not what the registry says")
}

#[tokio::test]
async fn a_degraded_pool_is_found_at_a_glance_and_seen_to_recover() -> anyhow::Result<()> {
    let mut scene = Scene::start(2).await?;
    let browser = &mut scene.browser;
    browser.go("/console").await?;
    browser.sees("text=Live").await?;
    browser.value("window.sameDocument = true").await?;
    scene.appliances[0].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    // It comes to the open page by itself.
    browser.sees(".case:has-text('tank') >> text=nas-1").await?;
    browser.sees(".cells.bad >> text=nas-1").await?;
    is_as_if_fetched_now(browser).await?;
    browser.is_sound("the overview").await?;
    // As somebody sees it who comes now: in order.
    browser.go("/console").await?;
    browser.sees("#pulse >> text=Live").await?;
    browser.shot("overview").await?;

    browser.click(".case >> text=tank").await?;
    browser.sees("h1").await?;
    browser.go("/console/storage?health=attention").await?;
    browser.sees("tr.pool:has-text('tank') >> text=DEGRADED").await?;
    browser.is_sound("storage in trouble").await?;
    browser.shot("storage-attention").await?;
    browser.click("tr.pool >> text=tank").await?;
    browser.sees(".leaf.bad").await?;
    assert_eq!(browser.count(".leaf.bad").await?, 1, "the bad disk and no other");
    browser.sees("text=None left").await?;
    browser.is_sound("a degraded pool").await?;
    browser.long_shot("pool-degraded").await?;

    browser.value("window.sameDocument = true").await?;
    scene.appliances[0].mutate(|world, now| world.start_resilver(LINE, "tank", now));
    browser.sees("text=Resilver").await?;
    scene.appliances[0].mutate(|world, now| {
        let mut events = world.finish_resilver(LINE, "tank", now);
        events.extend(world.online_pool(LINE, "tank", now));
        events
    });
    browser.misses(".leaf.bad").await?;
    browser.sees(".head >> text=Healthy").await?;
    assert_eq!(browser.value("window.sameDocument === true").await?, true, "without a reload");
    is_as_if_fetched_now(browser).await?;
    browser.is_quiet("a pool that recovers").await?;
    browser.shot("pool-recovered").await?;
    Ok(())
}

#[tokio::test]
async fn filters_stand_in_the_address_and_work_without_a_script() -> anyhow::Result<()> {
    let mut scene = Scene::start(2).await?;
    let browser = &mut scene.browser;
    browser.go("/console/infrastructure").await?;
    browser.select("select[name=source]", "truenas").await?;
    browser.until("location.search === '?source=truenas'").await?;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await?;
    browser.select("select[name=source]", "proxmox").await?;
    browser.sees("text=Nothing matches").await?;
    browser.is_sound("an empty list").await?;
    browser.go("/console/infrastructure?label=site%3Doffice").await?;
    assert_eq!((browser.count("tbody tr").await?, browser.count("tr >> text=nas-2").await?), (1, 1));

    browser.open(Look::NO_SCRIPT).await?;
    browser.go("/console/infrastructure").await?;
    browser.fill("input[name=q]", "NAS-1").await?;
    browser.click("text=Apply").await?;
    browser.sees("tr >> text=nas-1").await?;
    assert_eq!(browser.count("tbody tr").await?, 1);
    assert!(browser.address().await?.contains("q=NAS-1"));
    browser.go("/console/infrastructure?filter=nonsense+%3D+1").await?;
    browser.sees("[role=alert] >> text=nonsense").await?;
    browser.go("/console/storage").await?;
    let rows = browser.count("tr.disk").await?;
    assert!(rows > 0, "a small fleet is shown whole");
    browser.click("tr.pool:has-text('tank') >> a.toggle").await?;
    browser.until("document.querySelectorAll('[aria-expanded=false]').length === 1").await?;
    assert!(browser.count("tr.disk").await? < rows);
    browser.click("text=TiB").await?;
    browser.sees(".of >> text=TB").await?;
    Ok(())
}

#[tokio::test]
async fn an_alert_is_acknowledged_silenced_and_explained() -> anyhow::Result<()> {
    let mut scene = Scene::start(1).await?;
    // One alert that no other one tells, and that lasts.
    scene.appliances[0].mutate(|world, _| {
        world.scrubbed("tank", 86_400_000);
        Vec::new()
    });
    let browser = &mut scene.browser;
    browser.go("/console/alerts").await?;
    browser.sees(".case:has-text('tank')").await?;
    browser.is_sound("alerts").await?;
    browser.shot("alerts").await?;
    // This very one: others still come while they are confirmed.
    let first = "[...document.querySelectorAll('.case')].find((one) => one.textContent.includes('tank'))";
    let link = browser.value(&format!("{first}.querySelector('.what').getAttribute('href')")).await?;
    let link = format!("a[href='{}']", link.as_str().unwrap_or_default());
    browser.click(&format!(".case:has({link}) >> text=Acknowledge")).await?;
    browser.until(&format!("document.querySelector({link:?}) === null")).await?;
    browser.go("/console/alerts?state=seen").await?;
    browser.sees(".case >> text=seen by anyone").await?;
    browser.click(".case .what").await?;
    browser.sees("text=It stays quiet unless it grows worse").await?;
    browser.sees("text=anyone has seen it").await?;
    browser.click("text=Nobody has seen it after all").await?;
    browser.fill("input[name=comment]", "disk ordered").await?;
    browser.fill("input[name=reason]", "maintenance").await?;
    browser.is_sound("one alert").await?;
    browser.click("button:has-text('Silence')").await?;
    browser.sees("text=silenced by anyone").await?;
    browser.long_shot("alert").await?;
    browser.go("/console/alerts").await?;
    browser.sees("td >> text=maintenance").await?;
    browser.is_sound("silences").await?;
    browser.click("text=End it").await?;
    browser.misses("td >> text=maintenance").await?;
    let log = scene.pair.registry.process().log();
    assert!(log.contains("/acknowledge") && log.contains("/silence"), "written down: {log}");
    Ok(())
}

#[tokio::test]
async fn an_unreachable_system_looks_unreachable_and_not_stopped() -> anyhow::Result<()> {
    let mut scene = Scene::start(2).await?;
    let browser = &mut scene.browser;
    browser.go("/console/connections").await?;
    browser.sees("tr:has-text('nas-1') >> text=Live").await?;
    scene.appliances[0].stop().await;
    browser.sees("tr:has-text('nas-1') >> text=Unreachable").await?;
    browser.is_sound("connections").await?;
    browser.shot("connections").await?;
    browser.go(&format!("/console/connections/{}", scene.ids[0])).await?;
    browser.sees("text=What helps").await?;
    browser.is_sound("one connection").await?;
    browser.long_shot("connection").await?;
    Ok(())
}

#[tokio::test]
async fn a_page_says_that_it_lost_its_registry_and_finds_it_again() -> anyhow::Result<()> {
    let mut scene = Scene::start(1).await?;
    scene.browser.go("/console/storage").await?;
    scene.browser.sees("#pulse >> text=Live").await?;
    scene.browser.value("window.sameDocument = true").await?;
    scene.pair.registry.terminate().await?;
    scene.browser.sees("#pulse >> text=Connection lost").await?;
    scene.browser.shot("lost").await?;
    scene.pair.registry.up().await?;
    scene.browser.sees("#pulse >> text=Live").await?;
    scene.appliances[0].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    scene.browser.sees("tr.pool:has-text('tank') >> text=DEGRADED").await?;
    assert_eq!(scene.browser.value("window.sameDocument === true").await?, true, "without a reload");
    Ok(())
}

#[tokio::test]
async fn what_is_read_stays_where_it_is_while_it_changes() -> anyhow::Result<()> {
    let mut scene = Scene::start(3).await?;
    let browser = &mut scene.browser;
    browser.go("/console/storage").await?;
    browser.sees("text=Live").await?;
    let order = "[...document.querySelectorAll('[data-row]')].map((row) => row.dataset.row).join()";
    let before = browser.value(order).await?;
    browser.value("scrollTo(0, 400)").await?;
    browser.value("document.querySelector('tr.disk a').focus({ preventScroll: true })").await?;
    // The last system comes first in an order made anew.
    scene.appliances[2].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    browser.sees("tr.pool >> text=DEGRADED").await?;
    assert_eq!(browser.value(order).await?, before, "nothing has moved");
    assert_eq!(browser.value("scrollY").await?, 400);
    assert_eq!(browser.value("document.activeElement.matches('tr.disk a')").await?, true, "focus is kept");
    browser.sees("text=The order has changed").await?;
    browser.is_sound("a page that changes").await?;
    browser.click("text=Sort again").await?;
    browser.until("document.querySelector('tr.pool .state').textContent === 'DEGRADED'").await?;
    Ok(())
}

#[tokio::test]
async fn however_many_tabs_are_open_each_one_is_true_when_it_is_looked_at() -> anyhow::Result<()> {
    /// As many connections as a browser keeps to one address without TLS.
    const CONNECTIONS_MAX: usize = 6;
    let mut scene = Scene::start(1).await?;
    let browser = &mut scene.browser;
    browser.go("/console/storage").await?;
    browser.sees("#pulse >> text=Live").await?;
    for _ in 0..CONNECTIONS_MAX {
        browser.tab("/console/infrastructure").await?;
        browser.sees("#pulse >> text=Live").await?;
    }
    scene.appliances[0].mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    browser.sees("tbody tr >> text=inside").await?;
    browser.first_tab().await?;
    browser.sees("tr.pool:has-text('tank') >> text=DEGRADED").await?;
    browser.sees("#pulse >> text=Live").await?;
    Ok(())
}
