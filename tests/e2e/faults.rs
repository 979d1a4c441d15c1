//! A NAS that refuses, hangs, lies or goes away: what its connection says, and
//! that nobody else notices.

use std::time::Duration;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Effect, Target};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::Access;
use pulse_proto::pb::collector::v1::{Connection, RefreshConnectionRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, SectionOutcome, SectionReport, Status};
use pulse_tests::harness::fleet::{Pair, connection_to};
use pulse_tests::harness::view::Mirror;
use serde_json::json;

async fn appliance(line: ApiLine) -> anyhow::Result<Appliance> {
    Appliance::start(ApplianceConfig::of(line)).await
}

fn outcome(connection: &Connection, section: &str) -> Option<SectionOutcome> {
    let status = connection.status.as_ref()?;
    status.sections.iter().find(|report| report.section == section).map(SectionReport::outcome)
}

async fn refresh(pair: &Pair, id: &str) -> anyhow::Result<()> {
    let request = RefreshConnectionRequest { id: id.to_owned() };
    pair.connections().await?.refresh_connection(request).await?;
    Ok(())
}

#[tokio::test]
async fn refused_connections_back_off_and_recover() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V25_10).await?;
    nas.faults().refuse_connections().await;
    let pair = Pair::start().await?;
    let created = pair.add("nas", &nas).await?;
    let waiting = pair.until_state(&created.id, ConnectionState::BackingOff).await?;
    let status = waiting.status.expect("its status");
    assert!(
        status.next_attempt_at.is_some() && !status.reason.is_empty() && !status.remedy.is_empty(),
        "{status:?}"
    );
    nas.faults().accept_connections().await;
    refresh(&pair, &created.id).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_is_refused_once_and_not_hammered() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V25_10).await?;
    nas.revoke_key();
    let pair = Pair::start().await?;
    let created = pair.add("nas", &nas).await?;
    let refused = pair.until_state(&created.id, ConnectionState::Refused).await?;
    let status = refused.status.expect("its status");
    assert!(!status.remedy.is_empty(), "{status:?}");
    assert_eq!(nas.stats().logins_refused, 1, "one login, then it stops");
    nas.restore_key();
    refresh(&pair, &created.id).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    Ok(())
}

#[tokio::test]
async fn a_forbidden_section_says_which_role_is_missing_and_costs_only_itself() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V25_10).await?;
    nas.set_access(Access::roles(["SYSTEM_GENERAL_READ", "POOL_READ", "DATASET_READ", "ALERT_LIST_READ"]));
    let pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let created = pair.add("nas", &nas).await?;
    let degraded = pair
        .until(&created.id, "disks forbidden", |c| outcome(c, "disks") == Some(SectionOutcome::Forbidden))
        .await?;
    let reports = degraded.status.expect("its status").sections;
    let disks = reports.iter().find(|report| report.section == "disks").expect("its report");
    assert!(disks.error.contains("DISK_READ"), "names what is missing: {disks:?}");
    mirror.until("the pool", |m| m.named("zfs-pool", "tank").is_some()).await?;
    Ok(())
}

#[tokio::test]
async fn hang_garbage_and_wrong_types_cost_one_section_of_one_nas() -> anyhow::Result<()> {
    for effect in [Effect::Hang, Effect::TruncateJson, Effect::Answer(json!({"not": "a list"}))] {
        let (bad, good) = (appliance(ApiLine::V25_10).await?, appliance(ApiLine::V26_0).await?);
        bad.faults().on_method("disk.query", effect.clone());
        let pair = Pair::start_with("", "[poll]\ncall_timeout = \"2s\"\n").await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        let first = pair.add("bad", &bad).await?;
        let second = pair.add("good", &good).await?;
        pair.until_state(&second.id, ConnectionState::Live).await?;
        let pools = |m: &Mirror| {
            m.resources.values().filter(|r| r.technology == "zfs-pool" && r.name == "tank").count()
        };
        mirror.until("both pools", |m| pools(m) == 2).await?;
        pair.until(&first.id, "a failed section", |c| outcome(c, "disks") == Some(SectionOutcome::Failed))
            .await?;
        bad.faults().clear_all();
        refresh(&pair, &first.id).await?;
        // Read again and the same as before is complete, too.
        let complete = [Some(SectionOutcome::Fresh), Some(SectionOutcome::Unchanged)];
        pair.until(&first.id, "recovery", |c| complete.contains(&outcome(c, "disks"))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_certificate_is_refused_and_nothing_is_sent() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V25_10).await?;
    let pair = Pair::start().await?;
    let created = pair.add("nas", &nas).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    let logins = nas.stats().logins;
    nas.rotate_certificate()?;
    nas.drop_connections();
    let refused = pair.until_state(&created.id, ConnectionState::Refused).await?;
    let status = refused.status.expect("its status");
    let seen = status.transport.expect("its transport").observed_fingerprint;
    assert_eq!(seen, nas.fingerprint_sha256(), "the new certificate is shown, to be pinned");
    assert_eq!(nas.stats().logins, logins, "no credential went to the unknown certificate");
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_secret() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V24_10).await?;
    nas.faults().set(
        Target::Route("/api".to_owned()),
        Effect::Redirect { status: 302, location: "https://evil.invalid/api".to_owned() },
    );
    let pair = Pair::start().await?;
    let created = pair.add("nas", &nas).await?;
    let failed = pair
        .until(&created.id, "a failure", |c| {
            c.status.as_ref().is_some_and(|s| {
                matches!(s.state(), ConnectionState::BackingOff | ConnectionState::Refused)
                    && !s.reason.is_empty()
            })
        })
        .await?;
    assert_eq!(nas.stats().logins, 0, "{failed:?}");
    Ok(())
}

#[tokio::test]
async fn a_nas_that_goes_away_warns_and_is_never_offline() -> anyhow::Result<()> {
    let nas = appliance(ApiLine::V25_10).await?;
    let pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let created = pair.add("nas", &nas).await?;
    mirror.until("the pool", |m| m.named("zfs-pool", "tank").is_some()).await?;
    nas.stop().await;
    pair.until_state(&created.id, ConnectionState::BackingOff).await?;
    mirror
        .until("a warning on the host", |m| {
            m.resources.values().any(|r| r.technology == "truenas" && r.status() == Status::Warning)
        })
        .await?;
    assert_eq!(
        mirror.named("zfs-pool", "tank").map(|r| r.state.as_str()),
        Some("ONLINE"),
        "its last word stays"
    );
    nas.start_again().await;
    refresh(&pair, &created.id).await?;
    mirror
        .until("recovery", |m| {
            m.resources.values().any(|r| r.technology == "truenas" && r.status() == Status::Online)
        })
        .await?;
    for statuses in mirror.statuses.values() {
        assert!(!statuses.contains(&Status::Offline), "{statuses:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_nas_does_not_delay_another() -> anyhow::Result<()> {
    let (slow, quick) = (appliance(ApiLine::V25_10).await?, appliance(ApiLine::V25_10).await?);
    slow.faults().set(Target::Connection, Effect::HangBeforeTls);
    let pair = Pair::start().await?;
    for n in 0..8 {
        let mut connection = connection_to(&format!("slow {n}"), &slow);
        // One address each, as far as duplicates are told apart.
        connection.host = format!("127.0.0.{}", n + 1);
        pair.create(connection).await.ok();
    }
    let created = pair.add("quick", &quick).await?;
    let began = tokio::time::Instant::now();
    pair.until_state(&created.id, ConnectionState::Live).await?;
    assert!(began.elapsed() < Duration::from_secs(30));
    Ok(())
}

#[tokio::test]
async fn a_reply_beyond_every_measure_costs_its_own_nas_at_most() -> anyhow::Result<()> {
    let (bad, good) = (appliance(ApiLine::V25_10).await?, appliance(ApiLine::V25_04).await?);
    let pair = Pair::start().await?;
    let mut mirror =
        Mirror::open(pair.registry.grpc(), "type = storage AND topology = pool AND name = tank", "").await?;
    let first = pair.add("bad", &bad).await?;
    mirror.until("its pool", |m| m.resources.len() == 1).await?;
    // More than the collector takes in one message.
    bad.faults().on_method("disk.query", Effect::Pad { bytes: 129 * 1024 * 1024 });
    let second = pair.add("good", &good).await?;
    let refresh = RefreshConnectionRequest { id: first.id.clone() };
    // Whether that round ends well is not the question.
    drop(pair.connections().await?.refresh_connection(refresh).await);
    pair.until_state(&second.id, ConnectionState::Live).await?;
    mirror.until("both pools", |m| m.resources.len() == 2).await?;
    let told = pair
        .until(&first.id, "what went wrong", |c| {
            let status = c.status.clone().unwrap_or_default();
            let lost = status.transport.is_some_and(|transport| !transport.last_error.is_empty());
            lost || outcome(c, "disks") == Some(SectionOutcome::Failed)
        })
        .await?;
    assert!(told.status.is_some());
    bad.faults().clear_all();
    pair.until(&first.id, "recovery", |c| {
        let live = c.status.as_ref().is_some_and(|status| status.state() == ConnectionState::Live);
        live && outcome(c, "disks").is_some_and(|disks| disks != SectionOutcome::Failed)
    })
    .await?;
    for statuses in mirror.statuses.values() {
        assert!(!statuses.contains(&Status::Offline), "{statuses:?}");
    }
    Ok(())
}
