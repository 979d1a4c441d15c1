//! Decoding never panics, whatever arrives, and what was decoded survives the
//! way back to the wire.

use proptest::prelude::*;
use prost::Message as _;
use pulse_proto::convert::{record_from_fields, record_to_fields, told_to_fields};
use pulse_proto::model::IngestRecord;
use pulse_proto::pb::resource::v1 as wire;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 /:._-]{0,24}",
        1 => any::<String>(),
        1 => Just("ONLINE".to_owned()),
        1 => Just("x".repeat(5_000)),
    ]
}

fn time() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
    prop_oneof![
        1 => Just(None),
        3 => (0_i64..4_000_000_000, 0_i32..1_000_000_000)
            .prop_map(|(seconds, nanos)| Some(prost_types::Timestamp { seconds, nanos })),
        1 => (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Some(prost_types::Timestamp { seconds, nanos })),
    ]
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![Just(None), any::<f64>().prop_map(Some), (0.0_f64..=100.0).prop_map(Some)]
}

fn vdev() -> impl Strategy<Value = wire::Vdev> {
    let leaf =
        (text(), text(), any::<Option<u64>>(), any::<bool>()).prop_map(|(name, state, errors, missing)| {
            wire::Vdev { name, state, read_errors: errors, missing, ..Default::default() }
        });
    leaf.prop_recursive(10, 32, 3, |inner| {
        (text(), prop::collection::vec(inner, 0..3)).prop_map(|(name, children)| wire::Vdev {
            name,
            children,
            ..Default::default()
        })
    })
}

fn storage() -> impl Strategy<Value = wire::StorageFacet> {
    let pool = (text(), text(), prop::collection::vec(vdev(), 0..3), number(), time(), any::<Option<u64>>())
        .prop_map(|(name, state, vdevs, percentage, start_time, size_bytes)| {
            wire::storage_facet::Zfs::ZfsPool(wire::ZfsPool {
                name,
                state,
                size_bytes,
                scan: Some(wire::ZfsScan { percentage, start_time, ..Default::default() }),
                groups: vec![wire::VdevGroup { role: "data".into(), vdevs }],
                ..Default::default()
            })
        });
    let dataset = (text(), any::<Option<bool>>(), number()).prop_map(|(name, mounted, compress_ratio)| {
        wire::storage_facet::Zfs::ZfsDataset(wire::ZfsDataset {
            name,
            mounted,
            compress_ratio,
            ..Default::default()
        })
    });
    (any::<i32>(), 0_i32..6, any::<bool>(), prop_oneof![pool, dataset]).prop_map(|(wild, tame, pick, zfs)| {
        wire::StorageFacet { topology: if pick { wild } else { tame }, zfs: Some(zfs), ..Default::default() }
    })
}

prop_compose! {
    fn record()(
        ids in (text(), text(), text(), text()),
        r#type in prop_oneof![any::<i32>(), 0_i32..20],
        section in prop_oneof![Just("pools".to_owned()), text()],
        tags in prop::collection::vec(text(), 0..4),
        storage in prop::option::of(storage()),
        temperature in number(),
        boot in time(),
        level in prop_oneof![any::<i32>(), 0_i32..9],
        facets in any::<(bool, bool, bool)>(),
        others in any::<[bool; 8]>(),
    ) -> wire::IngestRecord {
        let (source_id, parent_source_id, name, state) = ids;
        let [identity, capacity, truenas, app, vm, network_share, protection_task, metrics] = others;
        let hostnames = || vec!["nas".to_owned(); usize::from(facets.0)];
        wire::IngestRecord {
            identity: identity.then(|| wire::Identity { hostnames: hostnames(), ..Default::default() }),
            capacity: capacity.then(|| wire::Capacity { total_bytes: Some(0), ..Default::default() }),
            truenas: truenas.then(wire::TrueNasFacet::default),
            app: app.then(|| wire::AppFacet { id: "a".to_owned(), ..Default::default() }),
            vm: vm.then(|| wire::VmFacet { vcpus: Some(3), ..Default::default() }),
            network_share: network_share.then(wire::NetworkShareFacet::default),
            protection_task: protection_task.then(wire::ProtectionTaskFacet::default),
            metrics: metrics.then(|| wire::Metrics { observed_at: boot, ..Default::default() }),
            source_id, parent_source_id, r#type, name, section, state, tags, storage,
            incidents: if facets.0 { vec![wire::Incident { level, ..Default::default() }] } else { vec![] },
            agent: facets.1.then(|| wire::AgentFacet { boot_time: boot, ..Default::default() }),
            physical_disk: facets.2.then(|| wire::PhysicalDiskFacet { temperature_celsius: temperature, ..Default::default() }),
        }
    }
}

proptest! {
    #[test]
    fn a_decoded_record_survives_the_way_back(message in record()) {
        if let Ok(decoded) = IngestRecord::try_from(message) {
            let again = IngestRecord::try_from(wire::IngestRecord::from(&decoded));
            prop_assert_eq!(again, Ok(decoded));
        }
    }

    #[test]
    fn what_is_kept_of_a_record_as_it_was_told_is_the_record(message in record()) {
        if let Ok(decoded) = IngestRecord::try_from(message.clone()) {
            let fields = wire::Resource::decode(&*told_to_fields(&message, "zfs-pool")).expect("a resource");
            let (parent, section) = (decoded.parent_source_id.as_ref(), &decoded.section);
            prop_assert_eq!(&fields.technology, "zfs-pool");
            let kept = record_from_fields(&decoded.source_id, parent, section, fields);
            prop_assert_eq!(kept.as_ref(), Ok(&decoded));
            let again = told_to_fields(&wire::IngestRecord::from(&decoded), "x");
            prop_assert_eq!(again, record_to_fields(&decoded, "x".to_owned()).encode_to_vec());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(message) = wire::IngestRecord::decode(bytes.as_slice()) {
            let _ = IngestRecord::try_from(message);
        }
        if let Ok(message) = wire::SectionReport::decode(bytes.as_slice()) {
            let _ = pulse_proto::model::SectionReport::try_from(message);
        }
        if let Ok(message) = wire::ConnectionStatus::decode(bytes.as_slice()) {
            let _ = pulse_proto::model::ConnectionStatus::try_from(message);
        }
    }
}

#[test]
fn the_bad_field_is_named() {
    let good = wire::IngestRecord {
        source_id: "system:c/pool:tank".into(),
        name: "tank".into(),
        section: "pools".into(),
        r#type: wire::ResourceType::Storage as i32,
        ..Default::default()
    };
    assert!(IngestRecord::try_from(good.clone()).is_ok());
    let with_scan = |percentage| wire::IngestRecord {
        storage: Some(wire::StorageFacet {
            topology: wire::StorageTopology::Pool as i32,
            zfs: Some(wire::storage_facet::Zfs::ZfsPool(wire::ZfsPool {
                scan: Some(wire::ZfsScan { percentage: Some(percentage), ..Default::default() }),
                ..Default::default()
            })),
            ..Default::default()
        }),
        ..good.clone()
    };
    assert!(IngestRecord::try_from(with_scan(50.0)).is_ok());
    let cases = vec![
        (wire::IngestRecord { name: String::new(), ..good.clone() }, "name"),
        (wire::IngestRecord { source_id: String::new(), ..good.clone() }, "source_id"),
        (wire::IngestRecord { r#type: 0, ..good.clone() }, "type"),
        (wire::IngestRecord { r#type: 999, ..good.clone() }, "type"),
        (wire::IngestRecord { name: "a\u{1b}[31m".into(), ..good.clone() }, "name"),
        (with_scan(f64::NAN), "storage.zfs_pool.scan.percentage"),
    ];
    for (message, field) in cases {
        let error = IngestRecord::try_from(message).expect_err(field);
        assert_eq!(error.field, field);
    }
}

#[test]
fn a_vdev_tree_without_end_is_refused() {
    let mut vdev = wire::Vdev::default();
    for _ in 0..20 {
        vdev = wire::Vdev { children: vec![vdev], ..Default::default() };
    }
    let record = wire::IngestRecord {
        source_id: "s".into(),
        name: "n".into(),
        section: "pools".into(),
        r#type: wire::ResourceType::Storage as i32,
        storage: Some(wire::StorageFacet {
            topology: wire::StorageTopology::Pool as i32,
            zfs: Some(wire::storage_facet::Zfs::ZfsPool(wire::ZfsPool {
                groups: vec![wire::VdevGroup { role: "data".into(), vdevs: vec![vdev] }],
                ..Default::default()
            })),
            ..Default::default()
        }),
        ..Default::default()
    };
    let error = IngestRecord::try_from(record).expect_err("too deep");
    assert!(error.to_string().contains("nested deeper"), "{error}");
}
