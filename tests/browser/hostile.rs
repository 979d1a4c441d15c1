//! Names that a monitored system made up are text, wherever they are shown.

use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_tests::harness::browser::Browser;
use pulse_tests::harness::feeder::{Feeder, batch, pool};
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
    feeder.send(Message::Batch(batch("nas", 1, 1, records))).await?;
    feeder.next().await?;
    let mut browser = Browser::start(registry.http()).await?;
    let mut pages = vec![
        "/console".to_owned(),
        "/console/storage".to_owned(),
        "/console/storage?group=none".to_owned(),
        "/console/alerts?state=pending".to_owned(),
        "/console/storage?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27".to_owned(),
        "/console/infrastructure?filter=%22%3E%3Cimg+src%3Dx%3E".to_owned(),
    ];
    browser.go("/console/storage?group=none").await?;
    let links = browser
        .value("[...document.querySelectorAll('tbody th a')].map((a) => a.getAttribute('href'))")
        .await?;
    pages.extend(links.as_array().into_iter().flatten().filter_map(|link| link.as_str().map(str::to_owned)));
    assert_eq!(pages.len(), 6 + NAMES.len());
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
