//! What one connection claims of another's, and names that imitate something else.

use std::collections::BTreeSet;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{ListResourcesRequest, ingest_request};
use pulse_proto::pb::resource::v1::{IngestRecord, Resource};
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{Feeder, batch, disk, host, pool};

use super::Besieged;

/// Right-to-left override, a zero-width space, a tag, an escape of terminals.
const ODD: [&str; 6] = [
    "tank\u{202e}gnp.exe",
    "ta\u{200b}nk",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "'; DROP TABLE resources; --",
];
/// What no name may hold.
const FORBIDDEN: [&str; 4] = ["ta\u{1b}[31mnk", "ta\nnk", "ta\u{0}nk", "ta\u{85}nk"];

async fn all(siege: &Besieged) -> anyhow::Result<Vec<Resource>> {
    let mut client = ResourceServiceClient::connect(format!("http://{}", siege.registry.grpc())).await?;
    Ok(client.list_resources(ListResourcesRequest::default()).await?.into_inner().resources)
}

/// Fields for which records of the last batch were refused; the rest of it is applied.
async fn refused(feeder: &mut Feeder) -> anyhow::Result<Vec<String>> {
    let Said::Reject(reject) = feeder.next().await? else { anyhow::bail!("a refusal comes first") };
    anyhow::ensure!(matches!(feeder.next().await?, Said::Ack(_)), "the rest is applied");
    Ok(reject.records.into_iter().map(|record| record.field).collect())
}

#[tokio::test]
async fn one_connection_cannot_take_what_is_anothers() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let mut feeder = Feeder::open(siege.registry.grpc(), "c1", &[]).await?;
    let of = |connection: &str| {
        vec![
            host(&format!("system:{connection}"), connection, "02:00:5e:00:53:01"),
            pool(connection, "tank", "ONLINE"),
            disk(&format!("system:{connection}/disk:sda"), &format!("system:{connection}"), "WD-7711223344"),
        ]
    };
    feeder.put(batch("victim", 1, 1, of("victim"))).await?;
    let before = all(&siege).await?;
    let pool_of = |resources: &[Resource]| {
        resources
            .iter()
            .find(|r| r.connection == "victim" && r.name == "tank")
            .cloned()
            .context("the victim's pool")
    };
    let mine = pool_of(&before)?;

    // Records under the other's names are refused one by one, with the field.
    let mut stolen = of("victim");
    for record in &mut stolen {
        record.state = "FAULTED".to_owned();
    }
    let count = stolen.len();
    let message = ingest_request::Message::Batch(batch("evil", 1, 1, stolen));
    feeder.send(message).await?;
    assert_eq!(refused(&mut feeder).await?, vec!["source_id"; count]);
    assert_eq!(pool_of(&all(&siege).await?)?, mine, "nothing of it was touched");

    // The same serial, the same machine address: two things, each with its own words.
    feeder.put(batch("evil", 1, 2, of("evil"))).await?;
    let after = all(&siege).await?;
    assert_eq!(pool_of(&after)?, mine);
    let ids: BTreeSet<&str> = after.iter().map(|resource| resource.id.as_str()).collect();
    assert_eq!((after.len(), ids.len()), (6, 6), "{after:?}");
    for connection in ["victim", "evil"] {
        let disks = after.iter().filter(|r| r.connection == connection && r.physical_disk.is_some());
        assert_eq!(disks.count(), 1, "{connection}: {after:?}");
    }
    // And gone again: the victim's is as it was.
    let mut empty = batch("evil", 1, 3, Vec::new());
    empty.removals = of("evil").into_iter().map(|record| record.source_id).collect();
    feeder.put(empty).await?;
    let names = |resources: &[Resource]| -> BTreeSet<(String, String)> {
        resources.iter().map(|r| (r.id.clone(), r.name.clone())).collect()
    };
    assert_eq!(names(&all(&siege).await?), names(&before));
    siege.holds("claims").await
}

#[tokio::test]
async fn names_that_imitate_something_else_are_shown_as_what_they_are() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let mut feeder = Feeder::open(siege.registry.grpc(), "c1", &[]).await?;
    let named = |at: usize, name: &str| IngestRecord {
        source_id: format!("system:nas/pool:p{at}"),
        name: name.to_owned(),
        ..pool("nas", "p", "ONLINE")
    };
    let records = ODD.iter().enumerate().map(|(at, name)| named(at, name));
    feeder.put(batch("nas", 1, 1, records.collect())).await?;
    let forbidden = FORBIDDEN.iter().enumerate().map(|(at, name)| named(100 + at, name));
    feeder.send(ingest_request::Message::Batch(batch("nas", 1, 2, forbidden.collect()))).await?;
    assert_eq!(refused(&mut feeder).await?, vec!["name"; FORBIDDEN.len()]);
    assert_eq!(all(&siege).await?.len(), ODD.len());

    // On a terminal and to a model nothing of it has an effect.
    let address = format!("http://{}", siege.registry.grpc());
    for line in ["resources list", "context", "resources list --output json"] {
        let mut args: Vec<&str> = line.split(' ').collect();
        args.extend(["--address", &address]);
        let ran = run("pulse-registry", &args, &[], "").await?;
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        if !line.ends_with("json") {
            let acts = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
            assert!(!ran.stdout.contains(acts), "{line}: {:?}", ran.stdout);
        }
        if line == "context" {
            assert!(!ran.stdout.contains('<'), "{}", ran.stdout);
        }
    }
    siege.holds("odd names").await
}
