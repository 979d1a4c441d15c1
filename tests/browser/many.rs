//! A thousand systems on one page.

use pulse_proto::pb::registry::v1::Batch;
use pulse_proto::pb::resource::v1::{ConnectionState, IngestRecord, SectionOutcome};
use pulse_tests::harness::browser::{Browser, Look};
use pulse_tests::harness::feeder::{Feeder, batch, disk, host, pool, section};
use pulse_tests::harness::fleet::Service;

use super::looks::SHIFT;

const SYSTEMS: usize = 1_000;

/// A system as one of a large fleet: few are bad, a few more are not well, some cannot be reached, some are switched off.
fn system(number: usize) -> Batch {
    let connection = format!("c{number:04}");
    let name = format!("{}-nas-{number:04}", ["fra1", "ams2", "waw1", "lon3"][number % 4]);
    let state = match number {
        _ if number % 97 == 1 => "FAULTED",
        _ if number % 31 == 2 => "DEGRADED",
        _ => "ONLINE",
    };
    let system =
        IngestRecord { state: "READY".to_owned(), ..host(&format!("system:{connection}"), &name, "") };
    let mut batch = batch(&connection, 1, 1, vec![system, pool(&connection, "tank", state)]);
    let is_away = number % 53 == 3;
    if is_away {
        batch.sections = vec![section("pools", SectionOutcome::Fresh, 3_600)];
    }
    if let Some(status) = &mut batch.status {
        status.name = name;
        status.state = match number {
            _ if is_away => ConnectionState::BackingOff.into(),
            _ if number % 89 == 4 => ConnectionState::Disabled.into(),
            _ => ConnectionState::Live.into(),
        };
    }
    batch
}

#[tokio::test]
async fn a_thousand_systems_are_one_page_that_says_which_ones_need_somebody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    for number in 0..SYSTEMS {
        feeder.put(system(number)).await?;
    }
    let mut browser = Browser::start(registry.http()).await?;
    for (word, look) in [("", Look::DESKTOP), ("-dark", Look::DARK), ("-phone", Look::PHONE)] {
        browser.open(look).await?;
        browser.go("/console").await?;
        let page = format!("a thousand systems{word}");
        browser.is_sound(&page).await?;
        let shift = browser.value(SHIFT).await?;
        assert!(shift.as_f64().is_some_and(|shift| shift < 0.02), "{page} moves by {shift}");
        browser.long_shot(&format!("thousand{word}")).await?;
        assert_eq!(browser.count(".cells a").await?, SYSTEMS as u64, "each has a place");
    }
    browser.sees(".figure:has-text('1000 systems') >> text=19 not seen lately").await?;
    let bytes = browser.value("performance.getEntriesByType('navigation')[0].decodedBodySize").await?;
    assert!(bytes.as_u64().is_some_and(|bytes| bytes < 100_000), "{bytes} bytes");
    // What needs somebody stands there by name, the rest says its name when asked, and the keyboard need not pass it.
    let named =
        "[...document.querySelectorAll('.cells.bad a')].every((one) => one.textContent.includes('-nas-'))";
    assert_eq!(browser.value(named).await?, true);
    assert!(browser.count(".cells.dense.ok a[title*='-nas-']").await? > 500);
    browser.value("document.querySelector('a[href=\"#lately\"]').focus()").await?;
    browser.press("Enter").await?;
    assert_eq!(browser.value("document.activeElement.id").await?, "lately");
    browser.fill(".find input", "waw1-nas-0042").await?;
    browser.press("Enter").await?;
    browser.sees("tbody tr >> text=waw1-nas-0042").await?;
    assert_eq!(browser.count("tbody tr").await?, 1);
    browser.go("/console/infrastructure").await?;
    browser.is_sound("the first fifty systems").await?;
    browser.long_shot("thousand-infrastructure").await?;
    browser.go("/console/storage").await?;
    browser.is_sound("the first pools").await?;
    browser.long_shot("thousand-storage").await?;
    Ok(())
}

#[tokio::test]
async fn a_pool_of_many_disks_shows_what_a_page_holds_and_leads_to_all() -> anyhow::Result<()> {
    const DISKS: usize = 150;
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let mut records = vec![pool("shelf", "tank", "ONLINE")];
    for number in 0..DISKS {
        let id = format!("system:shelf/disk:sd{number:03}");
        let mut disk = disk(&id, "system:shelf/pool:tank", &format!("S{number:06}"));
        disk.name = format!("sd{number:03}");
        disk.physical_disk.get_or_insert_default().pool = "tank".to_owned();
        records.push(disk);
    }
    feeder.put(batch("shelf", 1, 1, records)).await?;
    let mut browser = Browser::start(registry.http()).await?;
    browser.go("/console/storage").await?;
    assert_eq!(browser.count("tr.disk").await?, 0, "a large pool is closed");
    browser.click("a.toggle").await?;
    browser.sees("tr.disk").await?;
    assert_eq!(browser.count("tr.disk").await?, 80);
    browser.is_sound("a part of a large pool").await?;
    browser.click(&format!("text=All {DISKS} in one list")).await?;
    browser.sees(&format!("text=of {} things", DISKS + 1)).await?;
    // What is looked for is shown as far as there is room, too.
    browser.go("/console/storage?kind=disk&q=sd").await?;
    assert_eq!(browser.count("tr.disk").await?, 80);
    browser.click(&format!("text=All {DISKS} in one list")).await?;
    browser.sees(&format!("text=of {DISKS} things")).await?;
    Ok(())
}
