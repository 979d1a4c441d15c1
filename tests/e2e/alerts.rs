//! Alerts from the appliance's disk to an operator's watch: they fire, are
//! seen, silenced and explained, outlive a kill -9, and resolve.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::alert_transition::Kind;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, AlertState, ExplainAlertRequest, GetAlertRequest, ListAlertsRequest,
    SummarizeAlertsRequest,
};
use pulse_proto::pb::resource::v1::{ConnectionState, Severity};
use pulse_tests::harness::alerts::{AlertMirror, client};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::http_get;

const LINE: ApiLine = ApiLine::V25_10;
/// What did not change is told to be so soon, so that confirmation needs no patience.
const QUICK: &str = "[ingest]\nheartbeat_interval = \"1s\"";

async fn scene() -> anyhow::Result<(Appliance, Pair, AlertMirror)> {
    let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
    let pair = Pair::start_with(QUICK, "").await?;
    let mirror = AlertMirror::open(pair.registry.grpc(), "", "").await?;
    let id = pair.add("nas", &appliance).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    Ok((appliance, pair, mirror))
}

#[tokio::test]
async fn a_degraded_pool_is_one_loud_alert_that_outlives_a_kill_and_resolves() -> anyhow::Result<()> {
    let (appliance, mut pair, mut mirror) = scene().await?;
    appliance.mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    mirror
        .until("the pool's case, quiet beside the native one", |m| {
            m.state("VolumeStatus", "tank") == Some(AlertState::Firing)
                && m.of("pool-state", "tank").is_some_and(|a| a.state() == AlertState::Firing && a.suppressed)
        })
        .await?;
    let native = mirror.of("VolumeStatus", "tank").expect("the native alert").clone();
    assert_eq!(mirror.of("pool-state", "tank").map(|a| a.suppressed_by.as_str()), Some(native.id.as_str()));
    assert!(
        !native.suppressed && !native.native_ids.is_empty() && native.severity() == Severity::Critical,
        "{native:?}"
    );

    let mut alerts = client(pair.registry.grpc()).await?;
    let seen = AcknowledgeAlertRequest {
        id: native.id.clone(),
        comment: "disk ordered".to_owned(),
        etag: native.etag.clone(),
        who: "ops".to_owned(),
    };
    let seen = alerts.acknowledge_alert(seen).await?.into_inner().alert.expect("the alert");
    assert!(seen.acknowledged && seen.acknowledged_by == "ops", "{seen:?}");
    let stale = AcknowledgeAlertRequest {
        id: native.id.clone(),
        comment: String::new(),
        etag: native.etag.clone(),
        who: "somebody".to_owned(),
    };
    let refused = alerts.acknowledge_alert(stale).await.expect_err("an old etag");
    assert_eq!(refused.code(), tonic::Code::Aborted);
    told_in_audit_log(&pair, &native.id)?;

    pair.registry.kill9().await?;
    pair.registry.up().await?;
    let mut alerts = client(pair.registry.grpc()).await?;
    let again = alerts.get_alert(GetAlertRequest { id: native.id.clone() }).await?.into_inner();
    let again = again.alert.expect("the alert");
    assert_eq!(
        (again.first_seen_at, again.acknowledged, again.acknowledge_comment.as_str()),
        (native.first_seen_at, true, "disk ordered")
    );
    let told = alerts.explain_alert(ExplainAlertRequest { id: native.id.clone() }).await?.into_inner();
    let told: Vec<String> = told.explanations.into_iter().map(|told| told.text).collect();
    for part in ["ops has seen it: disk ordered", "It keeps quiet"] {
        assert!(told.iter().any(|text| text.contains(part)), "{part:?} in {told:#?}");
    }
    let firing =
        ListAlertsRequest { filter: "state = firing AND rule:*".to_owned(), ..ListAlertsRequest::default() };
    let listed = alerts.list_alerts(firing).await?.into_inner().alerts;
    assert!(listed.iter().all(|alert| !alert.rule_id.is_empty()), "{listed:?}");

    let mut mirror = AlertMirror::open(pair.registry.grpc(), "", &mirror.resume_token).await?;
    appliance.mutate(|world, now| world.online_pool(LINE, "tank", now));
    mirror
        .until("both resolved", |m| {
            m.state("VolumeStatus", "tank") == Some(AlertState::Resolved)
                && m.state("pool-state", "tank") == Some(AlertState::Resolved)
        })
        .await?;
    assert_eq!(mirror.of("VolumeStatus", "tank").map(|a| a.first_seen_at), Some(native.first_seen_at));
    let sum = SummarizeAlertsRequest { filter: "resource_name = tank".to_owned() };
    let sum = alerts.summarize_alerts(sum).await?.into_inner();
    assert_eq!(sum.notifying, 0, "{sum:?}");
    let (_, metrics) = http_get(pair.registry.process().http_addr(), "/metrics").await?;
    for figure in [
        "alerts{state=\"resolved\",severity=\"critical\"}",
        "alert_transitions_total{step=\"resolved\"}",
        "alert_evaluations_total{why=\"change\"}",
        "alert_evaluation_seconds_count{why=\"pass\"}",
        "alert_pass_seconds",
    ] {
        let value = |line: &str| line.strip_prefix(&format!("pulse_registry_{figure} "))?.parse::<f64>().ok();
        assert!(metrics.lines().find_map(value).is_some_and(|value| value > 0.0), "{figure} in {metrics}");
    }
    assert!(metrics.contains("pulse_registry_alert_lag_revisions 0\n"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_pool_that_is_suspended_after_its_degradation_was_acknowledged_is_told_again() -> anyhow::Result<()>
{
    let (appliance, pair, mut mirror) = scene().await?;
    appliance.mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    let loud = |m: &AlertMirror, origin: &str| {
        m.of(origin, "tank").is_some_and(|a| {
            a.state() == AlertState::Firing && !(a.acknowledged || a.suppressed || a.dismissed || a.silenced)
        })
    };
    mirror.until("the native alert", |m| loud(m, "VolumeStatus")).await?;
    mirror.until("the pool's case", |m| m.of("pool-state", "tank").is_some_and(|a| a.suppressed)).await?;
    let id = mirror.of("VolumeStatus", "tank").expect("the alert").id.clone();
    let mut alerts = client(pair.registry.grpc()).await?;
    let seen = AcknowledgeAlertRequest {
        id: id.clone(),
        who: "ops".to_owned(),
        ..AcknowledgeAlertRequest::default()
    };
    alerts.acknowledge_alert(seen).await?;
    mirror.until("it is quiet", |m| m.of("VolumeStatus", "tank").is_some_and(|a| a.acknowledged)).await?;
    let told = mirror.told.len();
    appliance.mutate(|world, now| world.suspend_pool(LINE, "tank", now));
    mirror
        .until("it is told again, with the reason", |m| {
            loud(m, "VolumeStatus")
                && m.of("VolumeStatus", "tank").is_some_and(|a| {
                    a.transitions
                        .iter()
                        .any(|step| step.kind() == Kind::Withdrawn && step.text.contains("ops"))
                })
        })
        .await?;
    let quiet = |a: &pulse_proto::pb::registry::v1::Alert| a.acknowledged || a.suppressed;
    let worse = mirror.told[told..].iter().filter(|a| a.severity() == Severity::Critical && !quiet(a));
    assert!(worse.count() > 0, "somebody is told");
    let told = alerts.explain_alert(ExplainAlertRequest { id }).await?.into_inner().explanations;
    assert!(told.iter().any(|told| told.text.contains("ops has not seen")), "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn a_faulted_pool_that_is_exported_is_gone_and_not_well() -> anyhow::Result<()> {
    let (appliance, pair, mut mirror) = scene().await?;
    appliance.mutate(|world, now| world.fault_pool(LINE, "tank", now));
    mirror.until("the pool's case", |m| m.state("pool-state", "tank") == Some(AlertState::Firing)).await?;
    let before = mirror.of("pool-state", "tank").expect("the alert").clone();
    appliance.mutate(|world, now| world.remove_pool(LINE, "tank", now));
    mirror.until("its end", |m| m.state("pool-state", "tank") == Some(AlertState::Resolved)).await?;
    let after = mirror.of("pool-state", "tank").expect("the alert");
    let end = after.transitions.last().expect("a step");
    assert_eq!((after.evidence["resolution"].as_str(), end.evidence["section"].as_str()), ("gone", "pools"));
    assert!(end.text.contains("gone") && after.resource_revision > before.resource_revision, "{after:?}");
    drop(pair);
    Ok(())
}

/// Who acknowledged which alert, and who came too late.
fn told_in_audit_log(pair: &Pair, id: &str) -> anyhow::Result<()> {
    let log = std::fs::read_to_string(pair.registry.data().join("audit.jsonl"))?;
    let lines: Vec<serde_json::Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<[&str; 2]> = lines
        .iter()
        .filter(|line| line["action"] == "/pulse.registry.v1.AlertService/AcknowledgeAlert")
        .map(|line| ["subject", "result"].map(|field| line[field].as_str().unwrap_or("?")))
        .collect();
    let [seen, late] = ["ops", "somebody"].map(|who| format!("{id} VolumeStatus of tank on nas, by {who}"));
    assert_eq!(told, [[seen.as_str(), "done"], [late.as_str(), "Aborted"]]);
    Ok(())
}
