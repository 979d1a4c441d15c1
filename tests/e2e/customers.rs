//! Two customers of one provider: whatever one of them asks for, by gRPC or by MCP,
//! no word of the other's comes back, and no count that would tell of it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, Alert, AlertState, Batch, CreateSilenceRequest, ExplainAlertRequest,
    ExplainAlertResponse, GetAlertRequest, GetInfrastructureContextRequest, GetResourceContextRequest,
    ListAlertRulesRequest, ListAlertsRequest, ListReceiversRequest, ListResourceLinksRequest,
    ListSilencesRequest, RedactionPolicy, Silence, SummarizeAlertsRequest, WatchAlertsRequest,
};
use pulse_proto::pb::resource::v1::{DataSource, IngestRecord};
use pulse_shell::client::Channel;
use pulse_tests::harness::feeder::{Feeder, batch, host, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::within;
use serde_json::json;
use tonic::Code;

use super::access::{Bed, as_told, post, why};

const MAC: &str = "02:00:5e:00:53:01";

/// Every name of a customer holds his own.
fn told(customer: &str, source: DataSource, sequence: u64, records: Vec<IngestRecord>) -> Batch {
    let connection = format!("{customer}-{}", if source == DataSource::Agent { "agent" } else { "nas" });
    let mut batch = batch(&connection, 1, sequence, records);
    batch.source = source.into();
    if let Some(status) = &mut batch.status {
        status.labels = BTreeMap::from([("customer".to_owned(), customer.to_owned())]);
    }
    batch
}

fn nas(customer: &str, sequence: u64, state: &str) -> Batch {
    let connection = format!("{customer}-nas");
    let system = host(&format!("system:{connection}"), &format!("{customer}-box"), MAC);
    let mut pool = pool(&connection, &format!("{customer}-tank"), state);
    pool.parent_source_id = format!("system:{connection}");
    told(customer, DataSource::Truenas, sequence, vec![system, pool])
}

struct Scene {
    registry: Service,
    feeder: Feeder,
    viewer: Channel,
    everybody: AlertServiceClient<Channel>,
    provider: AlertServiceClient<Channel>,
    alerts: AlertServiceClient<Channel>,
    context: ContextServiceClient<Channel>,
    links: pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient<Channel>,
    acme: String,
}

impl Scene {
    /// Both customers have a broken pool, and an agent that may be on the same machine.
    async fn new() -> anyhow::Result<(Bed, Self)> {
        let bed = Bed::new("pulse-registry")?;
        let ingest = bed.token("--role ingest").await?;
        let viewer = bed.token("--role viewer").await?;
        let provider = bed.token("--role operator").await?;
        let acme = bed.token("--role operator --label customer=acme").await?;
        let settings = "[watch]\nbookmark_interval = \"1s\"\n[context]\nreveal_pseudonyms = true\n";
        let registry = bed.start(settings).await?;
        let addr = registry.grpc();
        let mut feeder = Feeder::open_as(addr, Some(&ingest), "c1", &[]).await?;
        for customer in ["acme", "globex"] {
            feeder.put(nas(customer, 1, "DEGRADED")).await?;
            let agent = host(&format!("{customer}-host"), &format!("{customer}-box"), "");
            feeder.put(told(customer, DataSource::Agent, 1, vec![agent])).await?;
        }
        let viewer = bed.channel(addr, &viewer).await?;
        let mut scene = Self {
            everybody: AlertServiceClient::new(viewer.clone()),
            viewer,
            provider: AlertServiceClient::new(bed.channel(addr, &provider).await?),
            alerts: AlertServiceClient::new(bed.channel(addr, &acme).await?),
            context: ContextServiceClient::new(bed.channel(addr, &acme).await?),
            links: bed.resources(addr, &acme).await?,
            registry,
            feeder,
            acme,
        };
        scene.firing(2).await?;
        Ok((bed, scene))
    }

    /// Waits until that many pools' alerts fire, as somebody sees them who sees everything.
    async fn firing(&mut self, wanted: usize) -> anyhow::Result<Vec<Alert>> {
        let request = WatchAlertsRequest { filter: "rule = pool-state".to_owned(), ..Default::default() };
        let mut watch = self.everybody.watch_alerts(request).await?.into_inner();
        let mut known: BTreeMap<String, Alert> = BTreeMap::new();
        let all = async {
            loop {
                let message = watch.message().await?.context("the watch goes on")?;
                known.extend(message.alerts.into_iter().map(|alert| (alert.id.clone(), alert)));
                let firing = known.values().filter(|alert| alert.state() == AlertState::Firing);
                if firing.count() == wanted {
                    return anyhow::Ok(());
                }
            }
        };
        within("alerts fire", all).await?;
        Ok(known.into_values().collect())
    }
}

/// Nothing of the other customer stands in it.
fn clean(what: &str, answer: &impl Debug, others: &[String]) {
    let text = format!("{answer:?}");
    assert!(!text.contains("globex"), "{what}: {text}");
    for id in others {
        assert!(!text.contains(id.as_str()), "{what}: {id} in {text}");
    }
}

fn split(alerts: &[Alert]) -> anyhow::Result<(Alert, Alert)> {
    let of = |customer: &str| alerts.iter().find(|alert| alert.connection.starts_with(customer)).cloned();
    Ok((of("acme").context("ours")?, of("globex").context("theirs")?))
}

#[tokio::test]
async fn alerts_of_others_do_not_exist() -> anyhow::Result<()> {
    let (_bed, mut scene) = Scene::new().await?;
    let (ours, theirs) = split(&scene.firing(2).await?)?;
    let others = [theirs.id.clone(), theirs.resource_id.clone()];

    for filter in [
        "",
        "severity >= monitor",
        "NOT labels.customer = acme OR state = firing",
        "labels.customer = globex",
    ] {
        let request = ListAlertsRequest { filter: filter.to_owned(), ..Default::default() };
        let listed = scene.alerts.list_alerts(request).await?.into_inner();
        assert!(
            listed.alerts.iter().all(|alert| alert.connection.starts_with("acme")),
            "{filter}: {listed:?}"
        );
        clean(filter, &listed.alerts, &others);
    }
    let request = ListAlertsRequest { filter: "rule = pool-state".to_owned(), ..Default::default() };
    assert_eq!(scene.alerts.list_alerts(request).await?.into_inner().alerts.len(), 1);

    // A page of somebody else's list holds what its reader may see.
    let page = ListAlertsRequest { page_size: 1, order_by: "connection".to_owned(), ..Default::default() };
    let next_page_token = scene.everybody.list_alerts(page.clone()).await?.into_inner().next_page_token;
    assert!(!next_page_token.is_empty());
    let stolen = ListAlertsRequest { page_token: next_page_token, ..page };
    if let Ok(page) = scene.alerts.list_alerts(stolen).await {
        clean("a stolen page", &page.into_inner().alerts, &others);
    }

    let get = |id: &str| GetAlertRequest { id: id.to_owned() };
    assert!(scene.alerts.get_alert(get(&ours.id)).await?.into_inner().alert.is_some());
    assert_eq!(why(scene.alerts.get_alert(get(&theirs.id)).await).0, Code::NotFound);

    let summary = scene.alerts.summarize_alerts(SummarizeAlertsRequest::default()).await?.into_inner();
    let mine = scene.alerts.list_alerts(ListAlertsRequest::default()).await?.into_inner().alerts.len();
    let counted: i64 = summary.by_state.iter().map(|count| count.count).sum();
    assert_eq!(counted, i64::try_from(mine)?, "{summary:?}");

    // Who may acknowledge may do so with what is his.
    let acknowledge = |id: &str| AcknowledgeAlertRequest {
        id: id.to_owned(),
        who: "acme".to_owned(),
        ..Default::default()
    };
    assert_eq!(why(scene.alerts.acknowledge_alert(acknowledge(&theirs.id)).await).0, Code::NotFound);
    let known = scene.alerts.acknowledge_alert(acknowledge(&ours.id)).await?.into_inner().alert;
    let known = known.context("an alert")?;
    // Who it was is who he is known to be, not who he says he is.
    assert!(known.acknowledged && known.acknowledged_by.starts_with("token:"), "{}", known.acknowledged_by);

    assert_eq!(why(scene.alerts.explain_alert(explain(&theirs.id)).await).0, Code::NotFound);

    // What is the provider's stays his.
    let scoped = as_told(Code::PermissionDenied, "CREDENTIAL_IS_SCOPED");
    assert_eq!(why(scene.alerts.list_alert_rules(ListAlertRulesRequest::default()).await), scoped);
    assert_eq!(why(scene.alerts.list_silences(ListSilencesRequest::default()).await), scoped);
    assert_eq!(why(scene.alerts.list_receivers(ListReceiversRequest::default()).await), scoped);
    Ok(())
}

fn explain(id: &str) -> ExplainAlertRequest {
    ExplainAlertRequest { id: id.to_owned() }
}

#[tokio::test]
async fn an_alert_is_explained_to_its_customer_in_words_that_name_nobody_else() -> anyhow::Result<()> {
    let (_bed, mut scene) = Scene::new().await?;
    let (ours, theirs) = split(&scene.firing(2).await?)?;
    let others = [theirs.id.clone(), theirs.resource_id.clone()];
    let told = scene.alerts.explain_alert(explain(&ours.id)).await?.into_inner();
    clean("loud", &told, &others);
    let says = |told: &ExplainAlertResponse, text: &str| {
        told.explanations.iter().any(|explanation| explanation.text.contains(text))
    };
    assert!(says(&told, "acme-tank") && says(&told, "Firing: it was confirmed."), "{told:?}");

    let in_an_hour = jiff::Timestamp::now().as_second() + 3_600;
    // One silence for both: its filter, its author and its reason name the other.
    let silence = Silence {
        filter: "connection = \"globex-nas\" OR resource_name = \"acme-tank\"".to_owned(),
        reason: "globex moves to acme's rack".to_owned(),
        author: "on call for globex".to_owned(),
        expires_at: Some(prost_types::Timestamp { seconds: in_an_hour, nanos: 0 }),
        ..Default::default()
    };
    let request = CreateSilenceRequest { silence: Some(silence) };
    let silence = scene.provider.create_silence(request).await?.into_inner().silence.context("a silence")?;
    let told = scene.alerts.explain_alert(explain(&ours.id)).await?.into_inner();
    clean("silenced", &told, &others);
    assert!(told.alert.as_ref().is_some_and(|alert| alert.silenced), "{told:?}");
    assert!(says(&told, "Quiet: silenced until "), "{told:?}");
    let whole = scene.provider.explain_alert(explain(&ours.id)).await?.into_inner();
    // Whoever says he is somebody else is who he showed to be.
    assert_ne!(silence.author, "on call for globex");
    assert!(says(&whole, &format!("silenced by {} until ", silence.author)), "{whole:?}");
    assert!(whole.explanations.iter().any(|told| told.reference == silence.id), "{whole:?}");
    Ok(())
}

#[tokio::test]
async fn a_watch_of_alerts_tells_of_ones_own_and_ends_when_that_changes() -> anyhow::Result<()> {
    let (_bed, mut scene) = Scene::new().await?;
    let (_, theirs) = split(&scene.firing(2).await?)?;
    let others = [theirs.id, theirs.resource_id];
    let mut watch = scene.alerts.watch_alerts(WatchAlertsRequest::default()).await?.into_inner();
    let mut token = String::new();
    loop {
        let message = within("the list", watch.message()).await?.context("a message")?;
        clean("the list", &message.alerts, &others);
        if message.initial_list_end {
            token.clone_from(&message.resume_token);
            break;
        }
    }
    // Theirs changes first, then ours: only ours is told of.
    scene.feeder.put(nas("globex", 2, "FAULTED")).await?;
    scene.feeder.put(nas("acme", 2, "FAULTED")).await?;
    let changed = async {
        loop {
            let message = watch.message().await?.context("the watch goes on")?;
            clean("a change", &message.alerts, &others);
            if !message.alerts.is_empty() {
                return anyhow::Ok(());
            }
        }
    };
    within("our change", changed).await?;

    // A system of theirs becomes ours: what was told is no longer all there is to see.
    let Message::Batch(mut moved) = Message::Batch(nas("globex", 3, "FAULTED")) else { unreachable!() };
    if let Some(status) = &mut moved.status {
        status.labels = BTreeMap::from([("customer".to_owned(), "acme".to_owned())]);
    }
    scene.feeder.put(moved).await?;
    let ended = async {
        loop {
            match watch.message().await {
                Ok(Some(message)) => clean("before the end", &message.alerts, &others),
                Ok(None) => anyhow::bail!("ended without a reason"),
                Err(status) => return Ok(status),
            }
        }
    };
    let listed_again = as_told(Code::OutOfRange, "HISTORY_EXPIRED");
    assert_eq!(why::<()>(Err(within("the end", ended).await?)), listed_again);
    let resume = WatchAlertsRequest { resume_token: token, ..Default::default() };
    assert_eq!(why(scene.alerts.watch_alerts(resume).await), listed_again);
    let request = ListAlertsRequest { filter: "rule = pool-state".to_owned(), ..Default::default() };
    assert_eq!(scene.alerts.list_alerts(request).await?.into_inner().alerts.len(), 2);
    Ok(())
}

#[tokio::test]
async fn contexts_and_links_tell_of_ones_own() -> anyhow::Result<()> {
    let (_bed, mut scene) = Scene::new().await?;
    let (ours, theirs) = split(&scene.firing(2).await?)?;
    let others = [theirs.id, theirs.resource_id.clone()];
    for filter in [
        "",
        "severity >= warning",
        "NOT labels.customer = acme OR type = storage",
        "labels.customer = globex",
    ] {
        for redaction in [RedactionPolicy::None, RedactionPolicy::Names, RedactionPolicy::Strict] {
            let request = GetInfrastructureContextRequest {
                filter: filter.to_owned(),
                redaction: redaction.into(),
                include_pseudonyms: redaction != RedactionPolicy::None,
                topics: (1..=11).collect(),
                max_tokens: 16_000,
                ..Default::default()
            };
            let answer = scene.context.get_infrastructure_context(request).await?.into_inner();
            clean(filter, &answer, &others);
            if filter.is_empty() {
                let total = answer.sections.first().and_then(|head| Some(head.facts.first()?.value.clone()));
                assert_eq!(total.as_deref(), Some("3"), "{answer:?}");
                let alerts = answer.sections.iter().find(|section| section.title == "Alerts");
                assert!(alerts.is_some_and(|section| !section.facts.is_empty()), "{answer:?}");
            }
        }
    }
    // What stands behind pseudonyms is not for those who only look.
    let table = GetInfrastructureContextRequest { include_pseudonyms: true, ..Default::default() };
    let mut viewer = ContextServiceClient::new(scene.viewer.clone());
    let told = why(viewer.get_infrastructure_context(table).await);
    assert_eq!(told, as_told(Code::PermissionDenied, "PSEUDONYMS_NOT_REVEALED"));
    let one = |id: &str| GetResourceContextRequest { resource_id: id.to_owned(), ..Default::default() };
    for name in [ours.resource_id.as_str(), "acme-nas/acme-tank", "acme-nas"] {
        clean(name, &scene.context.get_resource_context(one(name)).await?.into_inner(), &others);
    }
    for name in [theirs.resource_id.as_str(), "globex-nas/globex-tank", "globex-nas"] {
        assert_eq!(why(scene.context.get_resource_context(one(name)).await).0, Code::NotFound, "{name}");
    }
    let links = scene.links.list_resource_links(ListResourceLinksRequest::default()).await?.into_inner();
    assert_eq!(links.links.len(), 1, "{links:?}");
    clean("links", &links, &others);

    // An assistant with the same token, tool by tool.
    let addr = scene.registry.process().http_addr();
    for (tool, arguments) in [
        ("infrastructure_context", json!({})),
        ("infrastructure_context", json!({"filter": "labels.customer = globex OR type = storage"})),
        ("search_resources", json!({"text": "tank"})),
        ("alerts", json!({})),
        ("changes", json!({})),
        ("resource_context", json!({"resource": "acme-nas/acme-tank"})),
    ] {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let answer = post(addr, "/mcp", &scene.acme, &call.to_string()).await?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("acme"), "{tool}: {answer}");
        clean(tool, &answer, &others);
    }
    let theirs = json!({"name": "resource_context", "arguments": {"resource": theirs.resource_id}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": theirs});
    let answer = post(addr, "/mcp", &scene.acme, &call.to_string()).await?;
    assert!(answer.contains("NotFound"), "{answer}");
    let nobody = post(addr, "/mcp", "pulse_none", &call.to_string()).await?;
    assert!(nobody.starts_with("HTTP/1.1 401"), "{nobody}");
    // The record of what was given out says to whom.
    let log = scene.registry.process().log();
    let mut told =
        log.lines().filter(|line| line.contains("context was given out") && line.contains("\"via\":\"mcp\""));
    assert!(
        told.all(|line| line.contains("\"requested_by\":\"token:") && line.contains("\"policy\":\"none\"")),
        "{log}"
    );
    Ok(())
}
