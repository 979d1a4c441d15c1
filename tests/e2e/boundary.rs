//! Connections of two customers that claim to be one machine: each customer keeps his own and reads nothing of the
//! other's, whoever comes first, and whoever brings records brings those of his customer alone.

use std::collections::BTreeMap;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{
    Batch, ConnectionRemoval, GetResourceRequest, Heartbeat, LinkResourcesRequest,
    ListResourceChangesRequest, ListResourcesRequest, RecordRef, WatchResourcesRequest,
};
use pulse_proto::pb::resource::v1::{DataSource, Resource};
use pulse_shell::client::Channel;
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{Feeder, batch, host};
use pulse_tests::harness::within;
use serde_json::json;
use tonic::{Code, Streaming};

use super::access::{Bed, as_told, fetch, post, why};

const MACHINE_ID: &str = "4c4c4544-0042-3510-8052-b4c04f564433";
const MAC: &str = "02:aa:22:33:44:55";

/// The same machine, as a connection of this customer tells it: every name holds his own.
fn claim(customer: &str, source: DataSource, sequence: u64) -> Batch {
    let connection = format!("{customer}box-{}", if source == DataSource::Agent { "agent" } else { "nas" });
    let id = if source == DataSource::Agent {
        format!("{connection}-host")
    } else {
        format!("system:{connection}")
    };
    let mut machine = host(&id, &format!("{customer}-payroll"), MAC);
    if let Some(identity) = &mut machine.identity {
        MACHINE_ID.clone_into(&mut identity.machine_id);
        identity.hostnames.push("shared".to_owned());
    }
    let mut batch = batch(&connection, 1, sequence, vec![machine]);
    batch.source = source.into();
    label(&mut batch, customer);
    batch
}

/// A customer of no name is the provider himself.
fn label(batch: &mut Batch, customer: &str) {
    let Some(status) = &mut batch.status else { return };
    let labels = BTreeMap::from([("customer".to_owned(), customer.to_owned())]);
    status.labels = if customer.starts_with("prov") { BTreeMap::new() } else { labels };
}

async fn listed(client: &mut ResourceServiceClient<Channel>) -> anyhow::Result<Vec<Resource>> {
    Ok(client.list_resources(ListResourcesRequest::default()).await?.into_inner().resources)
}

async fn until_named(
    watch: &mut Streaming<pulse_proto::pb::registry::v1::WatchResourcesResponse>,
    text: &str,
    other: &str,
) -> anyhow::Result<()> {
    loop {
        let message = watch.message().await?.context("the watch goes on")?;
        let told = format!("{:?}", message.events);
        anyhow::ensure!(!told.contains(other), "{other} in {told}");
        if told.contains(text) {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_connection_of_another_customer_takes_no_machine_over() -> anyhow::Result<()> {
    use DataSource::{Agent, Truenas};
    for (victim, has, taker, with) in [
        ("acme", Agent, "globex", Truenas),
        ("acme", Truenas, "globex", Agent),
        ("acme", Truenas, "prov", Agent),
        ("acme", Agent, "prov", Truenas),
        ("prov", Agent, "acme", Truenas),
    ] {
        let bed = Bed::new("pulse-registry")?;
        let ingest = bed.token("--role ingest").await?;
        let provider = bed.token("--role operator").await?;
        let tokens = [
            bed.token("--role viewer --label customer=acme").await?,
            bed.token("--role viewer --label customer=globex").await?,
        ];
        let registry = bed.start("[watch]\nbookmark_interval = \"1s\"\n").await?;
        let (addr, http) = (registry.grpc(), registry.process().http_addr());
        let mut feeder = Feeder::open_as(addr, Some(&ingest), "c1", &[]).await?;
        feeder.put(claim(victim, has, 1)).await?;
        let mut acme = bed.resources(addr, &tokens[0]).await?;
        let mut watch = acme.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
        feeder.put(claim(taker, with, 1)).await?;
        let other = if victim == "acme" { taker } else { victim };
        within("our machine", until_named(&mut watch, "acme-payroll", &format!("{other}-payroll"))).await?;

        let mut everybody = bed.resources(addr, &provider).await?;
        let all = listed(&mut everybody).await?;
        assert_eq!(all.len(), 2, "{victim} {taker}: {all:?}");
        for (token, own) in tokens.iter().zip(["acme", "globex"]) {
            let mut client = bed.resources(addr, token).await?;
            let ours = listed(&mut client).await?;
            let expected = usize::from([victim, taker].contains(&own));
            assert_eq!(ours.len(), expected, "{own}: {ours:?}");
            let foreign: Vec<&str> =
                ["acme", "globex", "prov"].into_iter().filter(|name| *name != own).collect();
            let changes =
                client.list_resource_changes(ListResourceChangesRequest::default()).await?.into_inner();
            let console = fetch(http, "/console", token).await?;
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params":
                {"name": "search_resources", "arguments": {"text": "payroll"}}});
            let mcp = post(http, "/mcp", token, &call.to_string()).await?;
            for (answer, what) in [(&console, "console"), (&mcp, "mcp")] {
                assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{what}: {answer}");
            }
            for name in foreign {
                for text in [&format!("{ours:?}"), &format!("{changes:?}"), &console, &mcp] {
                    assert!(!text.contains(&format!("{name}-payroll")), "{own} reads {name}: {text}");
                    assert!(!text.contains(&format!("{name}box-")), "{own} reads {name}: {text}");
                }
            }
            for resource in &all {
                let request = GetResourceRequest { id: resource.id.clone(), read_mask: None };
                let code = why(client.get_resource(request).await).0;
                let is_own = resource.connection.starts_with(own);
                assert_eq!(code, if is_own { Code::Ok } else { Code::NotFound }, "{own} {}", resource.id);
            }
            if let [machine] = &ours[..] {
                let page = fetch(http, &format!("/console/resources/{}", machine.id), token).await?;
                assert!(page.contains(" 200 ") && page.contains(&format!("{own}-payroll")), "{page}");
            }
        }

        let record = |resource: &Resource| {
            let status = resource.source_status.first().cloned().unwrap_or_default();
            Some(RecordRef { connection: status.connection, source_id: status.source_id })
        };
        let link = LinkResourcesRequest {
            left: record(&all[0]),
            right: record(&all[1]),
            who: "ops".to_owned(),
            ..Default::default()
        };
        let refused = why(everybody.link_resources(link).await);
        assert_eq!(refused, as_told(Code::FailedPrecondition, "LINK_CROSSES_BOUNDARY"));

        // It changes hands: then it is one machine, and everything of it is its customer's.
        let mut moved = claim(taker, with, 2);
        label(&mut moved, victim);
        feeder.put(moved).await?;
        assert_eq!(listed(&mut everybody).await?.len(), 1, "{victim} {taker}");
        feeder.put(claim(taker, with, 3)).await?;
        assert_eq!(listed(&mut everybody).await?.len(), 2, "{victim} {taker}");
    }
    Ok(())
}

#[tokio::test]
async fn a_credential_is_limited_by_what_keeps_things_apart_and_by_nothing_else() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let refused = bed.token("--role viewer --label rack=1").await.expect_err("rack is no boundary");
    assert!(refused.to_string().contains("merge.boundary_labels"), "{refused:#}");
    let kept = bed.token("--role viewer --label customer=acme").await?;
    let whole = bed.token("--role viewer").await?;
    let registry = bed.start("[merge]\nboundary_labels = \"tenant\"\n").await?;
    let mut client = bed.resources(registry.grpc(), &kept).await?;
    let told = why(client.list_resources(ListResourcesRequest::default()).await);
    assert_eq!(told, as_told(Code::PermissionDenied, "SCOPE_NOT_KEPT"));
    listed(&mut bed.resources(registry.grpc(), &whole).await?).await?;
    let log = registry.process().log();
    assert!(log.contains("A CREDENTIAL IS REFUSED") && log.contains("merge.boundary_labels"), "{log}");
    let audit = bed.command("audit --refused --output json").await?;
    assert!(audit.contains("SCOPE_NOT_KEPT"), "{audit}");
    // With the setting that the service has, the command knows better.
    let data = bed.data();
    let args =
        ["--data-dir", &data, "tokens", "create", "--name", "x", "--role", "viewer", "--label", "tenant=a"];
    let variable = ("PULSE_REGISTRY_MERGE_BOUNDARY_LABELS", "tenant");
    assert_eq!(run("pulse-registry", &args, &[variable], "").await?.code, 0);
    Ok(())
}

async fn refusal(feeder: &mut Feeder, message: Message) -> anyhow::Result<String> {
    feeder.send(message).await?;
    match feeder.next().await? {
        Said::Reject(reject) => Ok(reject.message),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn who_brings_for_one_customer_brings_nothing_else() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let [any, bound] =
        [bed.token("--role ingest").await?, bed.token("--role ingest --label customer=globex").await?];
    let registry = bed.start("").await?;
    let mut provider = Feeder::open_as(registry.grpc(), Some(&any), "c1", &[]).await?;
    provider.put(claim("acme", DataSource::Truenas, 1)).await?;
    let mut feeder = Feeder::open_as(registry.grpc(), Some(&bound), "c2", &[]).await?;
    let is_clear = |text: &str| text.contains("customer=globex") && text.contains("label the connection");

    // As another's, without saying whose, or what is held as another's.
    let mut unlabelled = claim("globex", DataSource::Agent, 1);
    label(&mut unlabelled, "prov");
    let mut silent = claim("globex", DataSource::Agent, 1);
    silent.status = None;
    let mut taken = claim("acme", DataSource::Truenas, 2);
    taken.epoch = 2;
    label(&mut taken, "globex");
    for batch in [claim("acme", DataSource::Agent, 1), unlabelled, silent, taken] {
        let said = refusal(&mut feeder, Message::Batch(batch)).await?;
        assert!(is_clear(&said), "{said}");
    }
    let removal =
        ConnectionRemoval { connection: "acmebox-nas".to_owned(), epoch: 9, sequence: 1, own_epoch: 0 };
    let said = refusal(&mut feeder, Message::ConnectionRemoval(removal)).await?;
    assert!(is_clear(&said), "{said}");

    let heartbeat = Heartbeat { connection: "acmebox-nas".to_owned(), epoch: 9, ..Heartbeat::default() };
    let said = refusal(&mut feeder, Message::Heartbeat(heartbeat)).await?;
    assert!(is_clear(&said), "{said}");
    let curious = Feeder::open_as(registry.grpc(), Some(&bound), "c3", &["acmebox-nas"]).await?;
    assert!(curious.welcome.cursors.is_empty(), "{:?}", curious.welcome);

    feeder.put(claim("globex", DataSource::Agent, 1)).await?;
    let mut relabelled = claim("globex", DataSource::Agent, 2);
    label(&mut relabelled, "acme");
    assert!(is_clear(&refusal(&mut feeder, Message::Batch(relabelled)).await?));
    provider.put(claim("acme", DataSource::Truenas, 2)).await?;
    Ok(())
}
