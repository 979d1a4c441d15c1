//! The ingest stream as an independent collector would speak it.

use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::reject::Reason;
use pulse_proto::pb::registry::v1::{
    ConnectionRemoval, GetResourceRequest, Heartbeat, Hello, ListResourcesRequest,
};
use pulse_proto::pb::resource::v1::{Freshness, SectionOutcome, Severity, Status};
use pulse_tests::harness::feeder::{self, Feeder, batch, pool, section};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::http_get;
use pulse_tests::harness::view::{Mirror, client};
use tempfile::TempDir;
use tonic::Code;

async fn registry() -> anyhow::Result<(Service, TempDir)> {
    let folder = tempfile::tempdir()?;
    let service = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    Ok((service, folder))
}

#[tokio::test]
async fn an_acked_record_is_there_after_kill_9() -> anyhow::Result<()> {
    let (mut registry, _folder) = registry().await?;
    for round in 1..=5_u64 {
        let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
        let told: u64 = feeder.welcome.cursors.iter().map(|cursor| cursor.sequence).sum();
        assert_eq!(told, round - 1, "the cursor of what was acked survives");
        let name = format!("pool{round}");
        let ack = feeder.put(batch("nas", 7, round, vec![pool("nas", &name, "ONLINE")])).await?;
        registry.kill9().await?;
        registry.up().await?;
        let list = client(registry.grpc())
            .await?
            .list_resources(ListResourcesRequest::default())
            .await?
            .into_inner();
        let names: Vec<_> = list.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(list.total_size, i32::try_from(round)?, "{names:?}");
        assert!(list.revision >= ack.revision, "revisions do not go back");
        assert!(names.contains(&name.as_str()), "{names:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_record_is_refused_alone_with_its_field() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let mut nameless = pool("nas", "two", "ONLINE");
    nameless.name.clear();
    let mut foreign = pool("other", "three", "ONLINE");
    foreign.name = "three".to_owned();
    let records = vec![pool("nas", "one", "ONLINE"), nameless, foreign];
    feeder.send(Message::Batch(batch("nas", 1, 1, records))).await?;
    let Said::Reject(reject) = feeder.next().await? else { panic!("a refusal comes first") };
    assert_eq!(reject.reason(), Reason::Records);
    let refused: Vec<_> = reject.records.iter().map(|r| (r.source_id.as_str(), r.field.as_str())).collect();
    assert_eq!(refused, [("system:nas/pool:two", "name"), ("system:other/pool:three", "source_id")]);
    assert!(matches!(feeder.next().await?, Said::Ack(ack) if ack.sequence == 1), "the rest is applied");
    let request = GetResourceRequest { id: "storage-b6d1a4f1b4b6e0b7".to_owned(), read_mask: None };
    let missing = client(registry.grpc()).await?.get_resource(request).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let list =
        client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?.into_inner();
    assert_eq!(list.resources.len(), 1);
    assert_eq!(list.resources[0].name, "one");
    Ok(())
}

#[tokio::test]
async fn replays_are_acked_and_not_applied_gaps_are_refused_old_epochs_fenced() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let first = feeder.put(batch("nas", 5, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    let again = feeder.put(batch("nas", 5, 1, vec![pool("nas", "tank", "FAULTED")])).await?;
    assert_eq!((again.sequence, again.revision), (1, first.revision), "a replay changes nothing");

    feeder.send(Message::Batch(batch("nas", 5, 3, vec![pool("nas", "tank", "FAULTED")]))).await?;
    assert!(matches!(feeder.next().await?, Said::Reject(r) if r.reason() == Reason::OutOfSequence));
    assert!(matches!(feeder.next().await?, Said::Resync(r) if r.connection == "nas"));

    feeder.send(Message::Batch(batch("nas", 4, 2, vec![pool("nas", "tank", "FAULTED")]))).await?;
    let Said::Reject(fenced) = feeder.next().await? else { panic!("an older epoch is refused") };
    assert_eq!((fenced.reason(), fenced.current_epoch), (Reason::Fenced, 5));

    let list =
        client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?.into_inner();
    assert_eq!(list.resources[0].state, "ONLINE");

    let newer = feeder.put(batch("nas", 6, 1, vec![pool("nas", "tank", "DEGRADED")])).await?;
    assert_eq!(newer.revision, first.revision + 1);
    feeder.send(removal(6, 2, 0)).await?;
    assert!(matches!(feeder.next().await?, Said::Ack(ack) if ack.sequence == 2));
    feeder.send(Message::Batch(batch("nas", 5, 9, vec![pool("nas", "tank", "ONLINE")]))).await?;
    assert!(
        matches!(feeder.next().await?, Said::Reject(r) if r.reason() == Reason::Fenced),
        "removal does not unfence"
    );
    let list =
        client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?.into_inner();
    assert_eq!(list.total_size, 0);
    Ok(())
}

#[tokio::test]
async fn only_a_complete_section_removes() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let two = vec![pool("nas", "one", "ONLINE"), pool("nas", "two", "ONLINE")];
    feeder.put(batch("nas", 1, 1, two)).await?;

    let mut partial = batch("nas", 1, 2, vec![pool("nas", "one", "ONLINE")]);
    (partial.snapshot_begin, partial.snapshot_end) = (true, true);
    partial.sections = vec![section("pools", SectionOutcome::Failed, 0)];
    feeder.put(partial.clone()).await?;
    let mut registry_client = client(registry.grpc()).await?;
    let list = registry_client.list_resources(ListResourcesRequest::default()).await?.into_inner();
    assert_eq!(list.total_size, 2, "a failed section removes nothing");

    let mut removal = batch("nas", 1, 3, Vec::new());
    removal.sections.clear();
    removal.removals = vec!["system:nas/pool:two".to_owned()];
    feeder.send(Message::Batch(removal)).await?;
    assert!(matches!(feeder.next().await?, Said::Reject(r) if r.records[0].field == "removals"));
    assert!(matches!(feeder.next().await?, Said::Ack(_)));

    partial.sequence = 4;
    partial.sections = vec![section("pools", SectionOutcome::Fresh, 0)];
    feeder.put(partial).await?;
    let list = registry_client.list_resources(ListResourcesRequest::default()).await?.into_inner();
    assert_eq!(list.total_size, 1, "a complete one removes what it does not name");
    Ok(())
}

#[tokio::test]
async fn silence_makes_stale_on_time_and_hearing_again_makes_fresh() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let mut mirror = Mirror::open(registry.grpc(), "type = storage", "").await?;
    // The limit is 120 seconds; this was read 117 seconds ago.
    let mut old = batch("nas", 1, 1, vec![pool("nas", "tank", "DEGRADED")]);
    old.sections = vec![section("pools", SectionOutcome::Fresh, 117)];
    feeder.put(old).await?;
    mirror.until("the pool", |m| m.resources.len() == 1).await?;
    let tank = |m: &Mirror| m.named("zfs-pool", "tank").cloned().expect("the pool");
    assert_eq!(tank(&mirror).freshness(), Freshness::Fresh);
    mirror.until("staleness", |m| tank(m).freshness() == Freshness::Stale).await?;
    let stale = tank(&mirror);
    assert_eq!(stale.status(), Status::Warning, "never offline because nobody could look");
    assert_eq!(stale.state, "DEGRADED", "the last known state stays");
    assert_eq!(stale.severity(), Severity::Warning, "and so does its severity");

    let mut seen = batch("nas", 1, 2, Vec::new());
    seen.sections = vec![section("pools", SectionOutcome::Fresh, 0)];
    feeder.put(seen).await?;
    mirror.until("recovery", |m| tank(m).freshness() == Freshness::Fresh).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_ingest_stream_is_refused_and_the_registry_goes_on() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let hello = |collector: &str, version| {
        Message::Hello(Hello {
            collector_id: collector.to_owned(),
            protocol_version: version,
            ..Hello::default()
        })
    };
    let not_hello = Message::Batch(batch("nas", 1, 1, Vec::new()));
    for (first, what) in [
        (not_hello, "no Hello"),
        (hello("c", 2), "version"),
        (hello("", 1), "no name"),
        (hello("a/b", 1), "bad name"),
    ] {
        let (_outbox, mut inbound) = feeder::raw(registry.grpc(), first).await?;
        let status = inbound.message().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    }
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let mut malformed = batch("na s", 1, 1, Vec::new());
    feeder.send(Message::Batch(malformed.clone())).await?;
    assert!(
        matches!(feeder.next().await?, Said::Reject(r) if r.reason() == Reason::Invalid && r.message.contains("connection"))
    );
    malformed.connection = "nas".to_owned();
    malformed.source = 77;
    feeder.send(Message::Batch(malformed)).await?;
    assert!(
        matches!(feeder.next().await?, Said::Reject(r) if r.reason() == Reason::Invalid && r.message.contains("source"))
    );
    let many = (0..2_001).map(|n| pool("nas", &format!("p{n}"), "ONLINE")).collect();
    feeder.send(Message::Batch(batch("nas", 1, 1, many))).await?;
    assert!(matches!(feeder.next().await?, Said::Reject(r) if r.reason() == Reason::TooLarge));
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_stream_of_a_collector_takes_the_place_of_the_old_one() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut old = Feeder::open(registry.grpc(), "c1", &[]).await?;
    old.put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    let mut new = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    old.send(Message::Batch(batch("nas", 1, 2, vec![pool("nas", "tank", "FAULTED")]))).await?;
    let ended = old.next().await.unwrap_err();
    assert!(ended.to_string().contains("another stream"), "{ended}");
    let ack = new.put(batch("nas", 1, 2, vec![pool("nas", "tank", "DEGRADED")])).await?;
    assert_eq!(ack.sequence, 2);
    Ok(())
}

#[tokio::test]
async fn a_message_that_cannot_be_read_ends_the_stream_with_the_reason() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "one", "ONLINE")])).await?;
    let mut huge = pool("nas", "two", "ONLINE");
    huge.state = "x".repeat(9 << 20);
    feeder.send(Message::Batch(batch("nas", 1, 2, vec![huge]))).await?;
    let ended = feeder.next().await.expect_err("the stream ends");
    let status = ended.downcast_ref::<tonic::Status>().expect("with a status");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(registry.process().log().contains("a message cannot be read"));
    Ok(())
}

#[tokio::test]
async fn what_is_refused_before_the_writer_is_counted_too() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    let many = (0..2_001).map(|n| pool("nas", &format!("p{n}"), "ONLINE")).collect();
    feeder.send(Message::Batch(batch("nas", 1, 1, many))).await?;
    assert!(matches!(feeder.next().await?, Said::Reject(reject) if reject.reason() == Reason::TooLarge));
    let (_, metrics) = http_get(registry.process().http_addr(), "/metrics").await?;
    let counted = metrics.lines().find(|line| line.contains("batches_refused") && line.contains("too_large"));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_way_up_always_ends() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    let below = |name: &str, parent: &str| {
        let mut record = pool("nas", name, "ONLINE");
        record.parent_source_id = format!("system:nas/pool:{parent}");
        record
    };
    let records = vec![below("self", "self"), below("a", "b"), below("b", "c"), below("c", "a")];
    feeder.send(Message::Batch(batch("nas", 1, 1, records))).await?;
    let Said::Reject(reject) = feeder.next().await? else { panic!("a refusal comes first") };
    let refused: Vec<_> = reject.records.iter().map(|r| (r.source_id.as_str(), r.field.as_str())).collect();
    let expected = [("system:nas/pool:self", "parent_source_id"), ("system:nas/pool:c", "parent_source_id")];
    assert_eq!(refused, expected);
    Ok(())
}

#[tokio::test]
async fn a_connection_begins_at_its_beginning() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    let refused = |said: Said| match said {
        Said::Reject(reject) => reject.reason() == Reason::OutOfSequence,
        _ => false,
    };
    feeder.send(Message::Batch(batch("nas", 1, 9, vec![pool("nas", "one", "ONLINE")]))).await?;
    assert!(refused(feeder.next().await?) && matches!(feeder.next().await?, Said::Resync(_)));
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "one", "ONLINE")])).await?;
    feeder.send(removal(1, 2, 0)).await?;
    assert!(matches!(feeder.next().await?, Said::Ack(_)));
    feeder.send(Message::Batch(batch("nas", 1, 3, vec![pool("nas", "one", "ONLINE")]))).await?;
    assert!(refused(feeder.next().await?) && matches!(feeder.next().await?, Said::Resync(_)));
    let mut back = batch("nas", 1, 3, vec![pool("nas", "one", "ONLINE")]);
    (back.snapshot_begin, back.snapshot_end) = (true, true);
    feeder.put(back).await?;
    Ok(())
}

async fn count(registry: &Service) -> anyhow::Result<i32> {
    let list = client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?;
    Ok(list.into_inner().total_size)
}

fn removal(epoch: u64, sequence: u64, own_epoch: u64) -> Message {
    let connection = "nas".to_owned();
    Message::ConnectionRemoval(ConnectionRemoval { connection, epoch, sequence, own_epoch })
}

#[tokio::test]
async fn who_deletes_what_another_collector_brings_removes_nothing() -> anyhow::Result<()> {
    let (registry, _folder) = registry().await?;
    let mut first = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    let mut second = Feeder::open(registry.grpc(), "c2", &["nas"]).await?;
    let mut held = batch("nas", 1, 1, vec![pool("nas", "one", "ONLINE")]);
    (held.snapshot_begin, held.snapshot_end, held.digest) = (true, true, vec![7; 32].into());
    first.put(held.clone()).await?;
    // A newer one takes it over, without bringing anything.
    for digest in [7, 8] {
        let (connection, digest) = ("nas".to_owned(), vec![digest; 32].into());
        let beat = Heartbeat { connection, epoch: 2, digest, ..Heartbeat::default() };
        second.send(Message::Heartbeat(beat)).await?;
    }
    assert!(matches!(second.next().await?, Said::Resync(_)), "only the other digest is answered");
    // The first comes with an epoch that is newer still, as after a restart, or with one that it made up.
    for (epoch, sequence, own_epoch) in [(3, 1, 0), (3, 2, 1), (2, 3, 2)] {
        first.send(removal(epoch, sequence, own_epoch)).await?;
        let Said::Reject(refused) = first.next().await? else { panic!("told as removed, and still there") };
        assert_eq!((refused.reason(), refused.current_epoch), (Reason::Fenced, 2));
        assert_eq!((refused.epoch, refused.sequence), (epoch, sequence));
    }
    assert_eq!(count(&registry).await?, 1);
    second.put(batch("nas", 2, 1, vec![pool("nas", "two", "ONLINE")])).await?;
    assert_eq!(count(&registry).await?, 2, "who holds it goes on");

    second.send(removal(2, 2, 0)).await?;
    assert!(matches!(second.next().await?, Said::Ack(_)));
    assert_eq!(count(&registry).await?, 0, "who holds it removes it");
    // Then nobody holds it: one that started before may have it.
    let mut first = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    assert_eq!(first.welcome.cursors, []);
    let second = Feeder::open(registry.grpc(), "c2", &["nas"]).await?;
    assert_eq!(second.welcome.cursors[0].epoch, 2, "who removed it goes on counting");
    held.sequence = 4;
    first.put(held).await?;
    assert_eq!(count(&registry).await?, 1);

    // It has another name after its next start, and knows the epoch under which it brought it.
    let mut renamed = Feeder::open(registry.grpc(), "c3", &["nas"]).await?;
    renamed.send(removal(4, 1, renamed.welcome.cursors[0].epoch)).await?;
    assert!(matches!(renamed.next().await?, Said::Ack(ack) if (ack.epoch, ack.sequence) == (4, 1)));
    assert_eq!(count(&registry).await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_switched_off_cannot_be_removed_unseen() -> anyhow::Result<()> {
    let (mut registry, _folder) = registry().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "one", "ONLINE")])).await?;
    registry.terminate().await?;
    registry.set("enable_truenas = false");
    registry.up().await?;
    let removal = removal(1, 2, 0);
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    feeder.send(removal.clone()).await?;
    assert!(matches!(feeder.next().await?, Said::Reject(reject) if reject.reason() == Reason::Disabled));
    registry.terminate().await?;
    registry.set("");
    registry.up().await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    feeder.send(removal).await?;
    assert!(matches!(feeder.next().await?, Said::Ack(_)));
    let list = client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?;
    assert_eq!(list.into_inner().total_size, 0);
    Ok(())
}
