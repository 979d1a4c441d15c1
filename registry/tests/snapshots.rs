//! A snapshot that tells what is held: known by its bytes, taken as what it is,
//! and never as more than that.
#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

#[path = "recalling/property.rs"]
mod property;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use pulse_proto::model::{CollectorId, ConnectionId, Severity, UnixMillis};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::resource::v1 as wire;
use pulse_proto::served::registry::v1 as served;
use pulse_registry::health::Tables;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::state::view::rows::Column;
use pulse_registry::state::{
    Answer, Applied, Boundary, Document, Input, Publisher, RecordRow, Remembered, Retention, State, Write,
    feed,
};

const CONNECTION: &str = "nas";
/// Field of a `Batch`.
const UPSERTS: u32 = 7;

struct Registry {
    state: State,
    publisher: Publisher,
    recall: Recall,
    sequence: u64,
}

impl Registry {
    fn new() -> Self {
        let state = State::new(Arc::new(Tables::default()), Boundary::default());
        let (publisher, feed) = feed::channel(state.view().clone());
        Self { state, publisher, recall: Recall::new(feed), sequence: 0 }
    }

    /// As it is after a restart, where nothing is known of bytes.
    fn restarted(self) -> Self {
        let (_, kept) = self.state.snapshot().rows();
        let due = UnixMillis::new(u64::MAX >> 1);
        let judge: Arc<Tables> = Arc::default();
        let revision = self.state.view().revision;
        let restored = kept.map(|(id, row, records)| {
            let anew = |row: RecordRow| RecordRow { document: anew(&row.document), ..row };
            (id, row, records.into_iter().map(anew).collect())
        });
        let past = (Remembered::default(), Retention::default());
        let state =
            State::restore((judge, Boundary::default()), revision, restored.collect(), Vec::new(), past, due);
        let (publisher, feed) = feed::channel(state.view().clone());
        Self { state, publisher, recall: Recall::new(feed), sequence: self.sequence }
    }

    /// How many records were not decoded, and what was answered, written and changed.
    fn snapshot(&mut self, records: &[wire::IngestRecord]) -> Told {
        let Input::Batch(batch) = self.decoded(records) else { panic!("a batch") };
        let known = batch.upserts.iter().filter(|upsert| !upsert.is_decoded).count();
        let applied = self.apply(Input::Batch(batch));
        Told {
            known,
            refused: applied.answers.iter().filter(|answer| !matches!(answer, Answer::Ack { .. })).count(),
            written: applied
                .writes
                .iter()
                .filter(|write| matches!(write, Write::Record(..) | Write::Row(..) | Write::Change(..)))
                .count(),
            changed: applied.changes.map_or(0, |changes| changes.items.len()),
        }
    }

    fn apply(&mut self, input: Input) -> Applied {
        let applied = self.state.apply(input, UnixMillis::new(1_000 + self.sequence));
        self.publisher.publish(Arc::new(self.state.view().clone()), applied.changes.clone());
        applied
    }

    fn decoded(&mut self, records: &[wire::IngestRecord]) -> Input {
        let batch = self.batch(records);
        self.taken(&batch.encode_to_vec())
    }

    fn taken(&mut self, batch: &[u8]) -> Input {
        let batch = served::Batch::decode(Bytes::copy_from_slice(batch)).unwrap();
        let collector = CollectorId::parse("c").unwrap();
        decode::batch(batch, &collector, Limits::default(), &mut self.recall).unwrap()
    }

    fn batch(&mut self, records: &[wire::IngestRecord]) -> pb::Batch {
        self.sequence += 1;
        pb::Batch {
            connection: CONNECTION.to_owned(),
            epoch: 1,
            sequence: self.sequence,
            source: wire::DataSource::Truenas.into(),
            snapshot_begin: true,
            snapshot_end: true,
            upserts: records.to_vec(),
            sections: vec![wire::SectionReport {
                section: "pools".to_owned(),
                outcome: wire::SectionOutcome::Fresh.into(),
                observed_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
                interval: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
                ..wire::SectionReport::default()
            }],
            ..pb::Batch::default()
        }
    }

    fn known_by_bytes(&self) -> usize {
        let view = self.state.view();
        let shard = view.shard(&ConnectionId::parse(CONNECTION).unwrap()).unwrap();
        shard.resources.iter().filter(|resource| resource.document.print().is_some()).count()
    }

    fn states(&self) -> Vec<String> {
        let view = self.state.view();
        let shard = view.shard(&ConnectionId::parse(CONNECTION).unwrap()).unwrap();
        let mut states: Vec<_> =
            shard.resources.iter().map(|resource| resource.document.state().to_owned()).collect();
        states.sort_unstable();
        states
    }
}

#[derive(Debug, PartialEq)]
struct Told {
    known: usize,
    refused: usize,
    written: usize,
    changed: usize,
}

/// Read back from its parts, as from disk.
fn anew(document: &Document) -> Document {
    let parts = (document.source_id.clone(), document.parent_source_id.clone(), document.section.clone());
    Document::restore(parts.0, parts.1, parts.2, document.body()).unwrap()
}

fn pool(number: u32, state: &str) -> wire::IngestRecord {
    wire::IngestRecord {
        source_id: format!("system:{CONNECTION}/pool:tank-{number}"),
        r#type: wire::ResourceType::Storage.into(),
        name: format!("tank-{number}"),
        section: "pools".to_owned(),
        state: state.to_owned(),
        storage: Some(wire::StorageFacet {
            topology: wire::StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            ..wire::StorageFacet::default()
        }),
        ..wire::IngestRecord::default()
    }
}

#[test]
fn what_is_told_once_more_changes_nothing_and_is_not_decoded() {
    let mut registry = Registry::new();
    let all = [pool(1, "ONLINE"), pool(2, "ONLINE"), pool(3, "ONLINE")];
    assert_eq!(registry.snapshot(&all), Told { known: 0, refused: 0, written: 3, changed: 3 });
    assert_eq!(registry.snapshot(&all), Told { known: 3, refused: 0, written: 0, changed: 0 });

    let one_differs = [pool(1, "ONLINE"), pool(2, "DEGRADED"), pool(3, "ONLINE")];
    assert_eq!(registry.snapshot(&one_differs), Told { known: 2, refused: 0, written: 1, changed: 1 });
    assert_eq!(registry.states(), ["DEGRADED", "ONLINE", "ONLINE"]);

    // What is known by its bytes is named all the same: only what is not named goes.
    assert_eq!(registry.snapshot(&one_differs[1..]), Told { known: 2, refused: 0, written: 0, changed: 1 });
    assert_eq!(registry.states(), ["DEGRADED", "ONLINE"]);
}

#[test]
fn after_a_restart_bytes_are_learnt_by_the_first_snapshot() {
    let mut registry = Registry::new();
    let all = [pool(1, "ONLINE"), pool(2, "ONLINE")];
    registry.snapshot(&all);
    let mut registry = registry.restarted();
    assert_eq!(registry.known_by_bytes(), 0);
    // Known all the same: they are compared with what is held.
    assert_eq!(registry.snapshot(&all), Told { known: 2, refused: 0, written: 0, changed: 0 });
    assert_eq!(registry.known_by_bytes(), 2);
    assert_eq!(registry.snapshot(&all), Told { known: 2, refused: 0, written: 0, changed: 0 });
}

#[test]
fn a_record_that_changed_between_reading_and_applying_is_taken_as_it_was_told() {
    let mut registry = Registry::new();
    registry.snapshot(&[pool(1, "ONLINE")]);
    // Decoded while ONLINE is held; by the time it is applied, it is FAULTED.
    registry.sequence += 1;
    let overtaken = registry.decoded(&[pool(1, "ONLINE")]);
    let Input::Batch(batch) = &overtaken else { panic!("a batch") };
    assert!(!batch.upserts[0].is_decoded);
    registry.sequence -= 2;
    assert_eq!(
        registry.snapshot(&[pool(1, "FAULTED")]),
        Told { known: 0, refused: 0, written: 1, changed: 1 }
    );
    let applied = registry.apply(overtaken);
    assert!(matches!(applied.answers[..], [Answer::Ack { .. }, ..]), "{:?}", applied.answers);
    assert_eq!(registry.states(), ["ONLINE"]);
    // And a record whose bytes say nothing else costs itself alone.
    let mut broken = pool(2, "ONLINE");
    broken.name.clear();
    registry.sequence += 1;
    let told = registry.snapshot(&[pool(1, "ONLINE"), broken]);
    assert_eq!((told.known, told.refused), (1, 1));
}

#[test]
fn a_refused_version_of_a_record_keeps_what_is_held_of_it() {
    let mut registry = Registry::new();
    let mut long = pool(1, "ONLINE");
    long.source_id = format!("system:{CONNECTION}/dataset:{}", "deep/".repeat(150));
    registry.snapshot(&[long.clone(), pool(2, "ONLINE")]);
    // Refused for its name; and the other tells its id last, as it may.
    long.name.clear();
    let mut batch = registry.batch(&[long]).encode_to_vec();
    let nameless = wire::IngestRecord { source_id: String::new(), name: String::new(), ..pool(2, "ONLINE") };
    let id = wire::IngestRecord { source_id: pool(2, "").source_id, ..wire::IngestRecord::default() };
    let record = [nameless.encode_to_vec(), id.encode_to_vec()].concat();
    prost::encoding::bytes::encode(UPSERTS, &record, &mut batch);
    let input = registry.taken(&batch);
    let applied = registry.apply(input);
    let Answer::Reject { records, .. } = &applied.answers[0] else { panic!("{:?}", applied.answers) };
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(registry.states(), ["ONLINE", "ONLINE"], "nothing is gone");
}

#[test]
fn a_snapshot_that_lost_its_beginning_is_not_taken_for_the_senders_state() {
    let mut registry = Registry::new();
    registry.snapshot(&[pool(1, "ONLINE"), pool(2, "ONLINE")]);
    let digest = vec![7; 32];
    let end = pb::Batch {
        snapshot_begin: false,
        digest: digest.clone().into(),
        ..registry.batch(&[pool(1, "ONLINE")])
    };
    let input = registry.taken(&end.encode_to_vec());
    let applied = registry.apply(input);
    assert!(
        matches!(applied.answers[..], [Answer::Ack { .. }, Answer::Resync { .. }]),
        "{:?}",
        applied.answers
    );
    let beat = pb::Heartbeat {
        connection: CONNECTION.to_owned(),
        epoch: 1,
        digest: digest.into(),
        ..Default::default()
    };
    let applied = registry.apply(decode::heartbeat(beat, &CollectorId::parse("c").unwrap()).unwrap());
    assert!(matches!(applied.answers[..], [Answer::Resync { .. }]), "{:?}", applied.answers);
}

fn machine() -> wire::IngestRecord {
    wire::IngestRecord {
        source_id: format!("system:{CONNECTION}"),
        r#type: wire::ResourceType::Host.into(),
        name: CONNECTION.to_owned(),
        section: "pools".to_owned(),
        ..wire::IngestRecord::default()
    }
}

fn disk(celsius: f64) -> wire::IngestRecord {
    wire::IngestRecord {
        source_id: format!("system:{CONNECTION}/disk:sda"),
        parent_source_id: format!("system:{CONNECTION}"),
        r#type: wire::ResourceType::PhysicalDisk.into(),
        name: "sda".to_owned(),
        section: "pools".to_owned(),
        physical_disk: Some(wire::PhysicalDiskFacet {
            name: "sda".to_owned(),
            bus: "ATA".to_owned(),
            temperature_celsius: Some(celsius),
            ..wire::PhysicalDiskFacet::default()
        }),
        ..wire::IngestRecord::default()
    }
}

#[test]
fn numbers_that_are_not_decoded_are_judged_and_so_is_the_machine_around_them() {
    let mut registry = Registry::new();
    registry.snapshot(&[machine(), disk(40.0)]);
    for (celsius, severity, changed) in [
        (41.0, Severity::Healthy, 1),
        (57.0, Severity::Warning, 2),
        (58.0, Severity::Warning, 1),
        (90.0, Severity::Critical, 2),
        (40.0, Severity::Healthy, 2),
    ] {
        let told = registry.snapshot(&[machine(), disk(celsius)]);
        assert_eq!(told, Told { known: 2, refused: 0, written: 1, changed }, "at {celsius}");
        let view = registry.state.view();
        let severities: Vec<Severity> = view.iter().map(|(_, resource)| resource.severity).collect();
        assert_eq!(severities, [severity; 2], "at {celsius}");
    }
}

#[test]
fn a_parent_that_comes_late_is_found_by_its_children_whose_numbers_changed() {
    let mut registry = Registry::new();
    registry.snapshot(&[disk(40.0)]);
    let told = registry.snapshot(&[machine(), disk(41.0)]);
    assert_eq!(told, Told { known: 1, refused: 0, written: 2, changed: 2 });
    let view = registry.state.view();
    let rows = &view.shard(&ConnectionId::parse(CONNECTION).unwrap()).unwrap().resources;
    let (row, child) = rows.iter().enumerate().find(|(_, resource)| resource.parent.is_some()).unwrap();
    let parent = child.parent.as_ref().unwrap();
    assert!(rows.with_text(Column::ParentId, &parent.id.text()).is_some_and(|found| found.contains(row)));
}

#[test]
fn siblings_that_come_together_share_the_name_of_their_parent() {
    let mut registry = Registry::new();
    let second = wire::IngestRecord { source_id: format!("system:{CONNECTION}/disk:sdb"), ..disk(41.0) };
    registry.snapshot(&[machine(), disk(40.0), second]);
    let parents: Vec<_> =
        registry.state.view().iter().filter_map(|(_, resource)| resource.parent.as_ref()).collect();
    let [one, other] = parents[..] else { panic!("two disks") };
    assert_eq!(one, other);
    assert!(Arc::ptr_eq(&one.name, &other.name));
}
