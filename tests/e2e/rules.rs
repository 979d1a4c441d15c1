//! Rules, silences and lists of alerts as a client has them: tried, made, changed by who has read them, deleted, and
//! listed in pages. Every mistake is named.

use pulse_proto::pb::registry::v1::alert_rule::Condition;
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::{
    AlertRule, AlertState, CreateAlertRuleRequest, CreateSilenceRequest, DeleteAlertRuleRequest,
    DeleteSilenceRequest, GetAlertRuleRequest, ListAlertsRequest, ListSilencesRequest, Silence,
    SummarizeAlertsRequest, UpdateAlertRuleRequest, UpdateSilenceRequest,
};
use pulse_proto::pb::resource::v1::Severity;
use pulse_tests::harness::alerts::{AlertMirror, client};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const STATES: [&str; 5] = ["FAULTED", "FAULTED", "FAULTED", "ONLINE", "ONLINE"];

/// A registry that knows five pools, of which three have failed. The stream stays open.
struct Scene {
    registry: Service,
    alerts: AlertServiceClient<Channel>,
    mirror: AlertMirror,
    feeder: Feeder,
    folder: TempDir,
}

async fn scene() -> anyhow::Result<Scene> {
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c", &["nas"]).await?;
    let pools = STATES.iter().enumerate().map(|(at, state)| pool("nas", &format!("p{at}"), state));
    feeder.put(batch("nas", 1, 1, pools.collect())).await?;
    let alerts = client(registry.grpc()).await?;
    let mut mirror = AlertMirror::open(registry.grpc(), "", "").await?;
    mirror.until("the failed pools", |m| firing(m, "pool-state") == 3).await?;
    Ok(Scene { registry, alerts, mirror, feeder, folder })
}

fn firing(mirror: &AlertMirror, rule: &str) -> usize {
    let fires = |alert: &&_| is(alert, rule, AlertState::Firing);
    mirror.alerts.values().filter(fires).count()
}

fn is(alert: &pulse_proto::pb::registry::v1::Alert, rule: &str, state: AlertState) -> bool {
    alert.rule_id == rule && alert.state() == state
}

fn mine(expression: &str) -> AlertRule {
    AlertRule {
        name: "Mine".to_owned(),
        selector: "topology = pool".to_owned(),
        severity: Severity::Warning.into(),
        raise_confirmations: 1,
        condition: Some(Condition::Expression(expression.to_owned())),
        ..AlertRule::default()
    }
}

fn create(rule: AlertRule, validate_only: bool) -> CreateAlertRuleRequest {
    CreateAlertRuleRequest { rule: Some(rule), validate_only }
}

fn update(rule: AlertRule, validate_only: bool) -> UpdateAlertRuleRequest {
    UpdateAlertRuleRequest { rule: Some(rule), update_mask: None, validate_only }
}

/// Code, and the field that is to blame where there is one.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let field =
        status.get_details_bad_request().and_then(|bad| Some(bad.field_violations.first()?.field.clone()));
    (status.code(), field.unwrap_or_default())
}

#[tokio::test]
async fn a_rule_is_tried_made_changed_and_deleted() -> anyhow::Result<()> {
    let Scene { mut alerts, mut mirror, registry: _registry, feeder: _feeder, folder: _folder } =
        scene().await?;
    let tried = alerts.create_alert_rule(create(mine("state = FAULTED"), true)).await?.into_inner();
    assert_eq!((tried.would_fire_count, tried.would_fire_resource_ids.len()), (3, 3));
    let get = || GetAlertRuleRequest { id: "mine".to_owned() };
    assert_eq!(refused(alerts.get_alert_rule(get()).await).0, Code::NotFound, "nothing was kept");

    let made = alerts.create_alert_rule(create(mine("state = FAULTED"), false)).await?.into_inner();
    let made = made.rule.expect("the rule");
    mirror.until("what was said to fire", |m| firing(m, "mine") == 3).await?;
    let fired: Vec<&String> =
        mirror.alerts.values().filter(|a| a.rule_id == "mine").map(|a| &a.resource_id).collect();
    assert!(fired.iter().all(|id| tried.would_fire_resource_ids.contains(id)));
    assert_eq!(
        refused(alerts.create_alert_rule(create(mine("state = X"), false)).await).0,
        Code::AlreadyExists
    );
    assert_eq!(
        refused(alerts.create_alert_rule(create(mine("state = X"), true)).await).0,
        Code::AlreadyExists
    );
    let bad = AlertRule { selector: "typo = 1".to_owned(), ..mine("state = X") };
    let bad = refused(alerts.create_alert_rule(create(bad, true)).await);
    assert_eq!(bad, (Code::InvalidArgument, "rule.selector".to_owned()));

    // Changed by who has read it.
    let change = |etag: &str, enabled| AlertRule {
        id: "mine".to_owned(),
        enabled: Some(enabled),
        etag: etag.to_owned(),
        ..AlertRule::default()
    };
    for validate_only in [true, false] {
        let stale = alerts.update_alert_rule(update(change("\"99\"", false), validate_only)).await;
        assert_eq!(refused(stale).0, Code::Aborted, "validate_only: {validate_only}");
    }
    let mut masked = update(change(&made.etag, false), false);
    masked.update_mask = Some(prost_types::FieldMask { paths: vec!["built_in".to_owned()] });
    assert_eq!(
        refused(alerts.update_alert_rule(masked).await),
        (Code::InvalidArgument, "update_mask".to_owned())
    );
    let off = alerts.update_alert_rule(update(change(&made.etag, false), false)).await?.into_inner();
    mirror.until("the end of what it raised", |m| firing(m, "mine") == 0).await?;
    let tried = alerts.update_alert_rule(update(change("", false), true)).await?.into_inner();
    assert_eq!((tried.would_fire_count, tried.fired_lately_count), (0, 0), "a rule that is off says nothing");
    let online = AlertRule { enabled: Some(true), ..mine("state = ONLINE") };
    let online = AlertRule { id: "mine".to_owned(), ..online };
    let tried = alerts.update_alert_rule(update(online, true)).await?.into_inner();
    assert_eq!((tried.would_fire_count, tried.fired_lately_count), (2, 3), "and those that fired are over");

    let delete = |id: &str, etag: &str| DeleteAlertRuleRequest { id: id.to_owned(), etag: etag.to_owned() };
    assert_eq!(refused(alerts.delete_alert_rule(delete("mine", &made.etag)).await).0, Code::Aborted);
    let etag = off.rule.expect("the rule").etag;
    alerts.delete_alert_rule(delete("mine", &etag)).await?;
    assert_eq!(refused(alerts.get_alert_rule(get()).await).0, Code::NotFound);
    let built_in = alerts.delete_alert_rule(delete("pool-state", "")).await;
    assert_eq!(refused(built_in).0, Code::FailedPrecondition);
    Ok(())
}

#[tokio::test]
async fn a_silence_is_made_changed_and_deleted() -> anyhow::Result<()> {
    let Scene { mut alerts, mut mirror, registry: _registry, feeder: _feeder, folder: _folder } =
        scene().await?;
    let in_hours = |hours: i64| {
        let seconds = jiff::Timestamp::now().as_second() + hours * 3_600;
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    };
    let silence = Silence {
        filter: "connection = nas".to_owned(),
        reason: "it is expected to be off".to_owned(),
        author: "ops".to_owned(),
        expires_at: in_hours(2),
        ..Silence::default()
    };
    let create = |silence: &Silence| CreateSilenceRequest { silence: Some(silence.clone()) };
    for (wrong, field) in [
        (Silence { reason: String::new(), ..silence.clone() }, "silence.reason"),
        (Silence { author: String::new(), ..silence.clone() }, "silence.author"),
        (Silence { filter: "typo = 1".to_owned(), ..silence.clone() }, "silence.filter"),
        (Silence { expires_at: in_hours(-1), ..silence.clone() }, "silence.expires_at"),
    ] {
        let answer = refused(alerts.create_silence(create(&wrong)).await);
        assert_eq!(answer, (Code::InvalidArgument, field.to_owned()));
    }
    let made = alerts.create_silence(create(&silence)).await?.into_inner().silence.expect("the silence");
    let silenced = |m: &AlertMirror| m.alerts.values().filter(|alert| alert.silenced).count();
    mirror.until("quiet", |m| silenced(m) == 3).await?;
    let sum = SummarizeAlertsRequest { filter: "state = firing".to_owned() };
    let sum = alerts.summarize_alerts(sum).await?.into_inner();
    assert_eq!((sum.silenced, sum.notifying), (3, 0));

    let change = |etag: &str| Silence {
        id: made.id.clone(),
        filter: "resource_name = p0".to_owned(),
        etag: etag.to_owned(),
        ..Silence::default()
    };
    let update = |silence| UpdateSilenceRequest { silence: Some(silence), update_mask: None };
    assert_eq!(refused(alerts.update_silence(update(change("\"9\""))).await).0, Code::Aborted);
    let changed = alerts.update_silence(update(change(&made.etag))).await?.into_inner().silence;
    assert_eq!(changed.map(|silence| silence.reason), Some(silence.reason), "what was not said stays");
    mirror.until("one quiet", |m| silenced(m) == 1).await?;
    let delete = |etag: &str| DeleteSilenceRequest { id: made.id.clone(), etag: etag.to_owned() };
    assert_eq!(refused(alerts.delete_silence(delete(&made.etag)).await).0, Code::Aborted);
    alerts.delete_silence(delete("")).await?;
    mirror.until("none quiet", |m| silenced(m) == 0).await?;
    let listed = alerts.list_silences(ListSilencesRequest::default()).await?.into_inner();
    assert!(listed.silences.is_empty(), "{listed:?}");
    Ok(())
}

#[tokio::test]
async fn alerts_are_listed_in_order_by_pages_and_watched_from_a_token() -> anyhow::Result<()> {
    let Scene { registry, mut alerts, mirror, mut feeder, folder: _folder } = scene().await?;
    let ask = |page_token: &str, order: &str| ListAlertsRequest {
        page_size: 2,
        page_token: page_token.to_owned(),
        filter: "rule = pool-state AND state = firing".to_owned(),
        order_by: order.to_owned(),
    };
    let first = alerts.list_alerts(ask("", "resource_name desc")).await?.into_inner();
    let second = alerts.list_alerts(ask(&first.next_page_token, "resource_name desc")).await?.into_inner();
    let names = first.alerts.iter().chain(&second.alerts).map(|alert| alert.resource_name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["p2", "p1", "p0"]);
    assert!(second.next_page_token.is_empty() && second.revision == first.revision);
    let other = alerts.list_alerts(ask(&first.next_page_token, "resource_name")).await;
    assert_eq!(refused(other).0, Code::InvalidArgument, "a page is of its question");
    for (filter, order, field) in
        [("typo = 1", "", "filter"), ("state = burning", "", "filter"), ("", "typo", "order_by")]
    {
        let wrong =
            ListAlertsRequest { filter: filter.to_owned(), order_by: order.to_owned(), ..ask("", "") };
        assert_eq!(refused(alerts.list_alerts(wrong).await), (Code::InvalidArgument, field.to_owned()));
    }

    // Who comes with a token hears what changed since, and nothing else.
    let mut later = AlertMirror::open(registry.grpc(), "", &mirror.resume_token).await?;
    let over = later.until("the end of the one that healed", |m| {
        m.state("pool-state", "p0") == Some(AlertState::Resolved)
    });
    // Read twice, so that it is believed.
    let reading = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
        for sequence in 2.. {
            ticks.tick().await;
            feeder.put(batch("nas", 1, sequence, vec![pool("nas", "p0", "ONLINE")])).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        over = over => over?,
        ended = reading => ended?,
    }
    assert!(later.alerts.values().all(|alert| alert.resource_name == "p0"), "{:?}", later.alerts);
    Ok(())
}
