//! Whatever two records differ in, documents that are judged alike are judged the same.

use proptest::prelude::*;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;
use pulse_proto::model::{Freshness, ResourceType};
use pulse_proto::pb::resource::v1 as wire;

use super::free::{Fields, of_record};
use super::*;
use crate::health::Tables;
use crate::state::document::difference;
use crate::state::judge::{Judge as _, Subject};
use crate::state::{Document, Upsert};

fn told(record: &wire::IngestRecord) -> Document {
    let bytes = record.encode_to_vec();
    let upsert = Upsert::told(record.clone(), Print::of(&bytes)).unwrap();
    upsert.document
}

fn taken(held: &Document, record: &[u8]) -> Option<Document> {
    Some(match held.alike(record, Print::of(record))? {
        Alike::Equal => held.clone(),
        Alike::Numbers(document, difference) => {
            if let Some(difference) = difference {
                let (check, splices) = difference::split(difference.as_bytes()).unwrap();
                let mut body = held.body().to_vec();
                difference::patch(&mut body, 0, splices).unwrap();
                assert_eq!(body, document.body());
                let parent = held.parent_source_id.as_ref().map_or("", |id| id.as_str());
                assert_eq!(check, difference::check_of(parent, held.section.as_str(), &body));
                assert!(2 * difference.as_bytes().len() <= body.len());
            }
            document
        }
    })
}

fn of_kind(kind: wire::ResourceType, name: &str) -> wire::IngestRecord {
    wire::IngestRecord {
        source_id: format!("system:c/{name}"),
        parent_source_id: "system:c".to_owned(),
        r#type: kind.into(),
        name: name.to_owned(),
        section: "things".to_owned(),
        state: "ONLINE".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        ..wire::IngestRecord::default()
    }
}

/// Numbers and a text of a record, whatever kind it is.
#[derive(Clone, Debug)]
struct Numbers {
    bytes: [u64; 4],
    small: u32,
    flag: bool,
    flags: u8,
    quota: bool,
    double: f64,
    seconds: i64,
    text: String,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let double = prop_oneof![4 => 0.0..100.0, 1 => Just(f64::NAN), 1 => Just(1e9), 1 => Just(-0.0)];
    let seconds = prop_oneof![4 => 0_i64..4_000_000_000, 1 => any::<i64>()];
    let text = prop_oneof![4 => Just("same".to_owned()), 1 => Just("other".to_owned()), 1 => Just("\u{7}".to_owned())];
    let bytes = prop::array::uniform4(prop_oneof![0_u64..2_000, any::<u64>()]);
    let flags = (any::<bool>(), 0_u8..4, any::<bool>());
    (bytes, any::<u32>(), flags, double, seconds, text).prop_map(
        |(bytes, small, (flag, flags, quota), double, seconds, text)| Numbers {
            bytes,
            small,
            flag,
            flags,
            quota,
            double,
            seconds,
            text,
        },
    )
}

impl Numbers {
    fn time(&self) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds: self.seconds, nanos: 5 }
    }

    fn records(&self) -> Vec<wire::IngestRecord> {
        let [a, b, c, d] = self.bytes.map(Some);
        let capacity =
            Some(wire::Capacity { total_bytes: a, used_bytes: b, raw_free_bytes: c, ..Default::default() });
        let leaf = wire::Vdev { name: "sda".to_owned(), read_errors: d, size_bytes: a, ..Default::default() };
        let mirror = wire::Vdev { checksum_errors: b, children: vec![leaf; 2], ..Default::default() };
        let pool = wire::ZfsPool {
            name: "tank".to_owned(),
            status_detail: self.text.clone(),
            size_bytes: a,
            fragmentation_percent: Some(self.small),
            scan: Some(wire::ZfsScan {
                start_time: Some(self.time()),
                percentage: Some(self.double),
                errors: b,
                ..Default::default()
            }),
            expansion: Some(wire::ZfsExpansion { seconds_left: d, ..Default::default() }),
            groups: vec![wire::VdevGroup { role: "data".to_owned(), vdevs: vec![mirror; 2] }],
            ..Default::default()
        };
        let dataset = wire::ZfsDataset {
            name: "tank/a".to_owned(),
            mounted: Some(self.flag),
            readonly: Some(self.flags & 1 != 0),
            locked: Some(self.flags & 2 != 0),
            used_bytes: a,
            available_bytes: b,
            quota_bytes: self.quota.then_some(1_000),
            used_by_dataset_bytes: c,
            compress_ratio: Some(self.double),
            comments: self.text.clone(),
            newest_snapshot_at: Some(self.time()),
            ..Default::default()
        };
        let storage = |topology: wire::StorageTopology, zfs| wire::StorageFacet {
            topology: topology.into(),
            r#type: "zfs".to_owned(),
            zfs: Some(zfs),
            ..Default::default()
        };
        let (pool, dataset) =
            (wire::storage_facet::Zfs::ZfsPool(pool), wire::storage_facet::Zfs::ZfsDataset(dataset));
        vec![
            wire::IngestRecord {
                capacity,
                storage: Some(storage(wire::StorageTopology::Pool, pool)),
                ..of_kind(wire::ResourceType::Storage, "pool:tank")
            },
            wire::IngestRecord {
                capacity,
                storage: Some(storage(wire::StorageTopology::Dataset, dataset)),
                ..of_kind(wire::ResourceType::Storage, "dataset:tank/a")
            },
            wire::IngestRecord {
                physical_disk: Some(wire::PhysicalDiskFacet {
                    serial: self.text.clone(),
                    size_bytes: a,
                    rpm: Some(self.small),
                    read_errors: b.map(|errors| errors % 2),
                    temperature_celsius: Some(self.double),
                    spare_in_use: Some(self.flag),
                    ..Default::default()
                }),
                ..of_kind(wire::ResourceType::PhysicalDisk, "disk:sda")
            },
            wire::IngestRecord {
                agent: Some(wire::AgentFacet {
                    cpu_count: Some(self.small),
                    memory_total_bytes: a,
                    boot_time: Some(self.time()),
                    ..Default::default()
                }),
                metrics: Some(wire::Metrics {
                    observed_at: Some(self.time()),
                    cpu_percent: Some(self.double),
                    memory_used_bytes: c,
                    ..Default::default()
                }),
                parent_source_id: String::new(),
                ..of_kind(wire::ResourceType::Host, "host")
            },
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_alike_is_what_a_decoding_makes(held in numbers(), now in numbers()) {
        for (held, record) in held.records().into_iter().zip(now.records()) {
            if Upsert::told(held.clone(), Print::of(&[])).is_err() {
                continue;
            }
            let bytes = record.encode_to_vec();
            let alike = taken(&told(&held), &bytes);
            match Upsert::told(record, Print::of(&bytes)) {
                Ok(decoded) => {
                    if let Some(alike) = &alike {
                        prop_assert_eq!(alike.body(), decoded.document.body());
                        prop_assert_eq!(alike, &decoded.document);
                    }
                }
                Err(_) => prop_assert!(alike.is_none()),
            }
        }
    }

    #[test]
    fn numbers_alone_are_never_decoded(held in numbers(), now in numbers()) {
        for (held, record) in held.records().into_iter().zip(now.records()) {
            let is_good = |record: &wire::IngestRecord| Upsert::told(record.clone(), Print::of(&[])).is_ok();
            let mut record = record;
            same_texts(&mut record, &held);
            if is_good(&held) && is_good(&record) {
                let bytes = record.encode_to_vec();
                prop_assert!(told(&held).alike(&bytes, Print::of(&bytes)).is_some(), "{:?}", record);
            }
        }
    }

    #[test]
    fn what_is_judged_alike_is_judged_the_same(held in numbers(), now in numbers(), which in any::<u16>()) {
        let takes = |bit: u16| which & 1 << bit != 0;
        let mut next = Numbers { text: held.text.clone(), quota: held.quota, ..now };
        for (at, bytes) in (0_u16..).zip(&mut next.bytes) {
            *bytes = if takes(at) { *bytes } else { held.bytes[usize::from(at)] };
        }
        next.flag = if takes(4) { next.flag } else { held.flag };
        next.flags = if takes(5) { next.flags } else { held.flags };
        next.double = if takes(6) { next.double } else { held.double };
        for (held, record) in held.records().into_iter().zip(next.records()) {
            if [&held, &record].iter().any(|record| Upsert::told((*record).clone(), Print::of(&[])).is_err()) {
                continue;
            }
            let held = told(&held);
            let bytes = record.encode_to_vec();
            let document = taken(&held, &bytes).unwrap();
            let judged = |document: &Document| {
                let record = document.record().unwrap();
                let (freshness, connection, worst_child) = (Freshness::Fresh, None, None);
                Tables::default().judge(&Subject { record: &record, freshness, connection, worst_child })
            };
            if document.is_judged_like(&held) {
                prop_assert_eq!(judged(&document), judged(&held));
            }
            if held.resource_type == ResourceType::PhysicalDisk && ![1, 4, 6].into_iter().any(takes) {
                prop_assert!(document.is_judged_like(&held), "sizes of disks are not judged");
            }
        }
    }

    #[test]
    fn damaged_bytes_are_never_taken_for_more_than_a_decoding_takes(
        numbers in numbers(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        for record in numbers.records() {
            if Upsert::told(record.clone(), Print::of(&[])).is_err() {
                continue;
            }
            let held = told(&record);
            let good = record.encode_to_vec();
            let mut replaced = good.clone();
            replaced[at.index(good.len())] = with;
            let mut doubled = good.clone();
            doubled.extend_from_slice(&good[cut.index(good.len())..]);
            for bytes in [replaced, doubled, good[..cut.index(good.len())].to_vec()] {
                let Some(alike) = taken(&held, &bytes) else { continue };
                let decoded = wire::IngestRecord::decode(&*bytes).unwrap();
                let decoded = Upsert::told(decoded, Print::of(&bytes)).unwrap();
                prop_assert_eq!(alike.body(), decoded.document.body());
                prop_assert_eq!(&alike, &decoded.document);
            }
        }
    }
}

/// Texts of the held record in the place of the record's own, and nothing that only one of them has.
fn same_texts(record: &mut wire::IngestRecord, held: &wire::IngestRecord) {
    use wire::storage_facet::Zfs;
    if let (Some(disk), Some(held)) = (&mut record.physical_disk, &held.physical_disk) {
        disk.serial.clone_from(&held.serial);
    }
    let zfs = |record: &wire::IngestRecord| record.storage.as_ref().and_then(|storage| storage.zfs.clone());
    match (record.storage.as_mut().and_then(|storage| storage.zfs.as_mut()), zfs(held)) {
        (Some(Zfs::ZfsPool(pool)), Some(Zfs::ZfsPool(held))) => pool.status_detail = held.status_detail,
        (Some(Zfs::ZfsDataset(dataset)), Some(Zfs::ZfsDataset(held))) => {
            dataset.comments = held.comments;
            dataset.quota_bytes = held.quota_bytes;
        }
        _ => {}
    }
}

#[test]
fn the_table_is_of_the_contract() {
    let set = FileDescriptorSet::decode(pulse_proto::DESCRIPTOR_SET).unwrap();
    let message = |name: &str| {
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        messages.into_iter().find(|message| name.ends_with(&format!(".{}", message.name()))).unwrap()
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut open: Vec<(String, &'static Fields)> = Vec::new();
    let resource = message(".Resource");
    for field in &message(".IngestRecord").field {
        let number = u32::try_from(field.number()).unwrap();
        let Some((place, free)) = of_record(number) else {
            assert!(matches!(number, 1 | 2 | 3 | 5), "{} is not known", field.name());
            continue;
        };
        let beside = resource.field.iter().find(|beside| beside.name() == field.name()).unwrap();
        assert_eq!(u32::try_from(beside.number()), Ok(place), "{}", field.name());
        if let Free::Message(fields) = free {
            open.push((field.type_name().to_owned(), fields));
        }
    }
    while let Some((name, fields)) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        for (number, free) in fields {
            let field =
                message(&name).field.iter().find(|f| u32::try_from(f.number()) == Ok(*number)).unwrap();
            let what = format!("{name}.{}", field.name());
            let mut free = free;
            while let Free::Judged(inner) | Free::JudgedBeside(_, inner) = free {
                free = inner;
            }
            let (kind, presence) = match free {
                Free::Judged(_) | Free::JudgedBeside(..) => unreachable!(),
                Free::Fixed => panic!("{what} need not be named"),
                Free::Unsigned => (Type::Uint64, true),
                Free::Unsigned32 => (Type::Uint32, true),
                Free::Flag => (Type::Bool, true),
                Free::Finite | Free::Percent => (Type::Double, true),
                Free::Time => {
                    assert_eq!(field.type_name(), ".google.protobuf.Timestamp", "{what}");
                    continue;
                }
                Free::Message(fields) => {
                    assert_eq!(field.r#type(), Type::Message, "{what}");
                    open.push((field.type_name().to_owned(), fields));
                    continue;
                }
            };
            // One without presence is not written when it is zero.
            assert_eq!((field.r#type(), field.proto3_optional()), (kind, presence), "{what}");
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
}

#[test]
fn numbers_that_a_judge_reads_are_marked() {
    let message = |free: &'static Free, at: u32| {
        let Free::Message(fields) = free else { panic!("a message") };
        fields.iter().find(|(number, _)| *number == at).map(|(_, free)| free)
    };
    let [storage, disk] = [13, 14].map(|field| of_record(field).unwrap().1);
    for ((name, read, _), free) in
        super::super::judged::READ.into_iter().zip([message(storage, 6).unwrap(), disk])
    {
        let Free::Message(fields) = free else { panic!("a message") };
        for (number, free) in *fields {
            let is_read = read.split_whitespace().any(|field| field.ends_with(&format!("={number}")));
            let is_marked = matches!(free, Free::Judged(_) | Free::JudgedBeside(..));
            assert_eq!(is_marked, is_read, "{name} {number}");
        }
    }
}
