//! Pages under somebody's hands: nothing turns into something else there, and
//! a connection that died without a word is noticed.

use std::net::SocketAddr;
use std::sync::Arc;

use pulse_proto::pb::registry::v1::Batch;
use pulse_tests::harness::browser::{Browser, Look};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

struct Bed {
    _folder: TempDir,
    registry: Service,
    feeder: Feeder,
}

impl Bed {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry = Service::start("pulse-registry", folder.path(), "").await?;
        let feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
        Ok(Self { _folder: folder, registry, feeder })
    }

    async fn put(&mut self, sequence: u64, state: &str) -> anyhow::Result<()> {
        let told: Batch = batch("nas", 1, sequence, vec![pool("nas", "tank", state)]);
        self.feeder.put(told).await.map(drop)
    }
}

/// Passes everything on, until connections are told to freeze: those that are there then stay open and silent.
async fn passage(to: SocketAddr, freeze: Arc<Notify>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let freeze = Arc::clone(&freeze);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await?;
                let frozen = tokio::select! {
                    passed = tokio::io::copy_bidirectional(&mut client, &mut server) => passed.is_err(),
                    () = freeze.notified() => true,
                };
                if frozen {
                    std::future::pending::<()>().await;
                }
                std::io::Result::Ok(())
            });
        }
    });
    Ok(addr)
}

#[tokio::test]
async fn a_connection_that_dies_in_silence_is_noticed_and_replaced() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    bed.put(1, "ONLINE").await?;
    let freeze = Arc::new(Notify::new());
    let mut browser = Browser::start(passage(bed.registry.http(), Arc::clone(&freeze)).await?).await?;
    browser.go("/console/storage").await?;
    browser.sees("#pulse >> text=Live").await?;
    browser.sees("tr.pool >> text=ONLINE").await?;
    // Every connection that there is now.
    freeze.notify_waiters();
    bed.put(2, "FAULTED").await?;
    browser.sees("tr.pool >> text=FAULTED").await?;
    browser.sees("#pulse >> text=Live").await?;
    Ok(())
}

#[tokio::test]
async fn a_button_does_not_become_its_opposite_under_a_finger() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    bed.put(1, "FAULTED").await?;
    bed.put(2, "FAULTED").await?;
    let mut browser = Browser::start(bed.registry.http()).await?;
    browser.go("/console/alerts?state=firing").await?;
    browser.sees(".case >> button:has-text('Acknowledge')").await?;
    browser.value("document.querySelector('.case form button').focus()").await?;
    browser.value("window.button = document.querySelector('.case form button')").await?;
    // Somebody else acts.
    browser
        .value("fetch(button.form.action, {method: 'POST', body: new URLSearchParams(new FormData(button.form))})")
        .await?;
    browser.sees(".case >> button:has-text('Not seen')").await?;
    assert_eq!(browser.value("button.isConnected").await?, false, "another form has another button");
    Ok(())
}

#[tokio::test]
async fn what_is_being_written_stays_when_somebody_else_acts() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    bed.put(1, "FAULTED").await?;
    bed.put(2, "FAULTED").await?;
    let mut browser = Browser::start(bed.registry.http()).await?;
    browser.go("/console/alerts?state=firing").await?;
    browser.click(".case .what").await?;
    browser.sees("#pulse >> text=Live").await?;
    browser.fill("input[name=comment]", "disk ordered").await?;
    let other = "document.querySelector('form[action$=acknowledge]')";
    let act = format!(
        "fetch({other}.action, {{method: 'POST', body: new URLSearchParams({{csrf: {other}.csrf.value, severity: 'critical'}})}})"
    );
    browser.value(&act).await?;
    browser.sees("text=has seen it").await?;
    let text = browser.value("document.querySelector('input[name=comment]').value").await?;
    assert_eq!(text, "disk ordered");
    assert_eq!(browser.value("document.activeElement.name").await?, "comment");
    Ok(())
}

#[tokio::test]
async fn choices_are_passed_over_by_keys_and_applied_by_the_button() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    bed.put(1, "ONLINE").await?;
    let mut browser = Browser::start(bed.registry.http()).await?;
    browser.go("/console/storage?group=none").await?;
    browser.value("document.querySelector('select[name=kind]').focus()").await?;
    browser.value("window.sameDocument = true").await?;
    for chosen in ["pool", "dataset"] {
        browser.press("ArrowDown").await?;
        browser.until(&format!("document.querySelector('select[name=kind]').value === '{chosen}'")).await?;
    }
    assert_eq!(browser.value("window.sameDocument === true").await?, true, "nothing was sent");
    browser.press("ArrowUp").await?;
    browser.click("button:has-text('Apply')").await?;
    browser.until("location.search.includes('kind=pool')").await?;
    // By pointer a choice acts at once.
    browser.value("document.querySelector('select[name=kind]').dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))").await?;
    browser.select("select[name=kind]", "disk").await?;
    browser.until("location.search.includes('kind=disk')").await?;
    Ok(())
}

#[tokio::test]
async fn units_change_after_a_restart_and_keep_what_is_folded() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    bed.put(1, "ONLINE").await?;
    let mut browser = Browser::start(bed.registry.http()).await?;
    browser.go("/console/storage").await?;
    browser.sees("#pulse >> text=Live").await?;
    let back = "document.querySelector('.who input[name=back]').value";
    let token = "document.querySelector('.who input[name=csrf]').value";
    let before = browser.value(token).await?;
    bed.registry.terminate().await?;
    bed.registry.up().await?;
    browser.until(&format!("{token} !== {before}")).await?;
    browser.value("history.replaceState(null, '', '/console/storage?group=none')").await?;
    bed.feeder = Feeder::open(bed.registry.grpc(), "c1", &[]).await?;
    bed.put(2, "DEGRADED").await?;
    browser.until(&format!("{back}.includes('group=none')")).await?;
    browser.click("text=TiB").await?;
    browser.until("location.search.includes('group=none')").await?;
    browser.sees(".who >> text=TB").await?;
    Ok(())
}

#[tokio::test]
async fn a_choice_that_nobody_offers_is_told_and_a_long_name_breaks_no_page() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    let long = "p".repeat(210);
    bed.feeder.put(batch("nas", 1, 1, vec![pool("nas", &long, "FAULTED")])).await?;
    let mut browser = Browser::start(bed.registry.http()).await?;
    for (page, choice) in [
        ("infrastructure", "status=bogus"),
        ("infrastructure", "severity=bogus"),
        ("infrastructure", "sort=bogus"),
        ("storage", "source=bogus"),
        ("storage", "health=bogus"),
        ("alerts", "state=bogus"),
        ("connections", "state=bogus"),
    ] {
        browser.go(&format!("/console/{page}?{choice}")).await?;
        browser.sees("[role=alert] >> text=bogus").await?;
    }
    let (status, _) = browser.go(&format!("/console/storage?q={}", "x".repeat(4_200))).await?;
    assert_eq!(status, 414);
    browser.open(Look::PHONE).await?;
    browser.go("/console/storage").await?;
    browser.sees("tr.pool").await?;
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").await?, true);
    Ok(())
}
