//! Names that a monitored system made up are text, wherever they are shown.

use pulse_tests::harness::browser::Browser;
use pulse_tests::harness::feeder::{Feeder, batch, host, pool};
use pulse_tests::harness::fleet::Service;

const NAMES: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "\u{202e}gnp.exe & <b>bold</b>",
];

#[tokio::test]
async fn names_are_text_on_every_page() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    let mut records = Vec::new();
    for (number, name) in NAMES.iter().enumerate() {
        let mut record = pool("nas", &format!("p{number}"), "DEGRADED");
        (*name).clone_into(&mut record.name);
        if let Some(storage) = &mut record.storage {
            (*name).clone_into(&mut storage.pool);
        }
        record.state = format!("ODD {name}");
        records.push(record);
    }
    records.push(host("system:nas", NAMES[0], ""));
    let mut told = batch("nas", 1, 1, records);
    // Of a connection, too, somebody else says what it is called.
    let status = told.status.get_or_insert_default();
    NAMES[1].clone_into(&mut status.name);
    NAMES[2].clone_into(&mut status.reason);
    status.labels.insert("site".to_owned(), NAMES[0].to_owned());
    told.sections[0].error = NAMES[1].to_owned();
    feeder.put(told).await?;
    let mut browser = Browser::start(registry.http()).await?;
    let mut pages = vec![
        "/console".to_owned(),
        "/console/storage".to_owned(),
        "/console/storage?group=none".to_owned(),
        "/console/alerts?state=pending".to_owned(),
        "/console/storage?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27".to_owned(),
        "/console/infrastructure?filter=%22%3E%3Cimg+src%3Dx%3E".to_owned(),
        "/console/infrastructure".to_owned(),
        "/console/infrastructure?label=site%3D%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E".to_owned(),
        "/console/connections".to_owned(),
        "/console/connections?q=%22%3E%3Cscript%3E".to_owned(),
        "/console/connections/nas".to_owned(),
    ];
    browser.go("/console/infrastructure").await?;
    let system = browser.value("document.querySelector('tbody th a').getAttribute('href')").await?;
    pages.push(system.as_str().unwrap_or_default().to_owned());
    let fixed = pages.len();
    browser.go("/console/storage?group=none").await?;
    let links = browser
        .value("[...document.querySelectorAll('tbody th a')].map((a) => a.getAttribute('href'))")
        .await?;
    pages.extend(links.as_array().into_iter().flatten().filter_map(|link| link.as_str().map(str::to_owned)));
    assert_eq!(pages.len(), fixed + NAMES.len());
    for page in &pages {
        let (status, headers) = browser.go(page).await?;
        assert_eq!(status, 200, "{page}");
        let policy = headers["content-security-policy"].as_str().unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(browser.count("img, main script, [onmouseover], a[href^=javascript]").await?, 0, "{page}");
        browser.is_sound(page).await?;
    }
    browser.go("/console/storage?group=none").await?;
    let shown = browser.text("tbody").await?;
    for name in &NAMES[..5] {
        assert!(shown.contains(name), "{name} in {shown}");
    }
    browser.shot("hostile").await?;
    Ok(())
}
