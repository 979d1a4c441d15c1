//! What a registry keeps: records of two appliances and an agent, something that went, and what operators said and did where the
//! release has it.

use std::net::SocketAddr;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::alert_rule::Condition;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, AlertRule, AlertState, Batch, CreateAlertRuleRequest, CreateSilenceRequest,
    LinkResourcesRequest, RecordRef, Silence, UnlinkResourcesRequest,
};
use pulse_proto::pb::resource::v1::{DataSource, IngestRecord, Severity};
use pulse_tests::harness::alerts::{self, AlertMirror};
use pulse_tests::harness::feeder::{Feeder, batch, disk, host, pool};
use pulse_tests::harness::view::client;
use pulse_tests::stores::ask::{COLLECTOR, CONNECTIONS};
use tonic::Code;

const WEEK_SECONDS: i64 = 7 * 24 * 3_600;
/// 2100: a silence of the store does not end.
const FAR_SECONDS: i64 = 4_102_444_800;

/// So long that nothing grows stale while the store is made.
fn lasting(sequence: u64, connection: &str, records: Vec<IngestRecord>) -> Batch {
    let mut batch = batch(connection, 7, sequence, records);
    for section in &mut batch.sections {
        section.interval = Some(prost_types::Duration { seconds: WEEK_SECONDS, nanos: 0 });
    }
    batch
}

pub(super) async fn feed(registry: SocketAddr) -> anyhow::Result<()> {
    let [one, two, agents] = CONNECTIONS;
    let mut feeder = Feeder::open(registry, COLLECTOR, &[]).await?;
    let system = format!("system:{one}");
    let records = vec![
        host(&system, "nas-1", "02:00:00:00:00:01"),
        pool(one, "tank", "DEGRADED"),
        pool(one, "käse", "ONLINE"),
        disk(&format!("{system}/disk:sda"), &system, "S-1"),
    ];
    feeder.put(lasting(1, one, records)).await?;
    let gone = pool(two, "gone", "ONLINE");
    let removed = gone.source_id.clone();
    feeder.put(lasting(1, two, vec![pool(two, "cold", "FAULTED"), gone])).await?;
    let hosts =
        vec![host("host-1", "nas-1", "02:00:00:00:00:03"), host("host-2", "other", "02:00:00:00:00:02")];
    feeder.put(Batch { source: DataSource::Agent.into(), ..lasting(1, agents, hosts) }).await?;
    let served = operate(registry, one, agents).await?;
    // Over: an alert that ended, a pool that went.
    let well = vec![pool(two, "cold", "ONLINE")];
    feeder.put(Batch { removals: vec![removed], ..lasting(2, two, well) }).await?;
    if served {
        let mut mirror = AlertMirror::open(registry, "", "").await?;
        let over = |m: &AlertMirror| m.state("pool-state", "cold") == Some(AlertState::Resolved);
        let mut sequence = 3;
        while !over(&mirror) {
            // As many reads as the rule asks for.
            feeder.put(lasting(sequence, two, Vec::new())).await?;
            sequence += 1;
            mirror.step().await?;
        }
    }
    Ok(())
}

/// Says whether the release has what operators do.
async fn operate(registry: SocketAddr, one: &str, agents: &str) -> anyhow::Result<bool> {
    let reference = |connection: &str, source_id: &str| {
        Some(RecordRef { connection: connection.to_owned(), source_id: source_id.to_owned() })
    };
    let mut resources = client(registry).await?;
    let system = format!("system:{one}");
    let request = UnlinkResourcesRequest {
        left: reference(one, &system),
        right: reference(agents, "host-1"),
        reason: "a clone".to_owned(),
        who: "ops".to_owned(),
    };
    match resources.unlink_resources(request).await {
        Err(status) if status.code() == Code::Unimplemented => return Ok(false),
        answered => answered.context("unlink")?,
    };
    let request = LinkResourcesRequest {
        left: reference(one, &system),
        right: reference(agents, "host-2"),
        reason: "the same box".to_owned(),
        who: "ops".to_owned(),
    };
    resources.link_resources(request).await.context("link")?;
    let mut mirror = AlertMirror::open(registry, "rule = pool-state", "").await?;
    mirror
        .until("two alerts", |m| {
            ["tank", "cold"].iter().all(|pool| m.state("pool-state", pool) == Some(AlertState::Firing))
        })
        .await?;
    let mut client = alerts::client(registry).await?;
    let request = AcknowledgeAlertRequest {
        id: mirror.of("pool-state", "tank").context("the alert")?.id.clone(),
        comment: "seen".to_owned(),
        etag: String::new(),
        who: "ops".to_owned(),
    };
    client.acknowledge_alert(request).await.context("acknowledge")?;
    let silence = Silence {
        filter: "rule = own".to_owned(),
        reason: "known since yesterday".to_owned(),
        author: "ops".to_owned(),
        expires_at: Some(prost_types::Timestamp { seconds: FAR_SECONDS, nanos: 0 }),
        ..Silence::default()
    };
    client.create_silence(CreateSilenceRequest { silence: Some(silence) }).await.context("silence")?;
    let rule = AlertRule {
        id: "own".to_owned(),
        name: "Own".to_owned(),
        selector: "topology = pool".to_owned(),
        severity: Severity::Warning.into(),
        raise_confirmations: 1,
        condition: Some(Condition::Expression("name = käse".to_owned())),
        ..AlertRule::default()
    };
    client
        .create_alert_rule(CreateAlertRuleRequest { rule: Some(rule), validate_only: false })
        .await
        .context("rule")?;
    mirror = AlertMirror::open(registry, "", "").await?;
    mirror.until("the own rule's alert", |m| m.state("own", "käse") == Some(AlertState::Firing)).await?;
    Ok(true)
}
