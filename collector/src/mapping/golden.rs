//! What the samples of each API line become, in full.

use std::fmt::Write as _;

use pulse_proto::model::{IngestRecord, Vdev, Zfs};

use super::samples::{LINES, mapped, replies, sample, snapshot};
use super::{Mapped, records, samples};
use crate::api::Tag;

#[test]
fn samples_become_records() {
    for line in LINES {
        let mapped = mapped(&replies(line)).with_session("jsonrpc-websocket", line);
        insta::assert_snapshot!(format!("samples_{line}"), told(&mapped));
    }
}

#[test]
fn source_ids_are_those_of_pulse() {
    let mapped = mapped(&replies("v25_10_0"));
    let ids: Vec<String> = mapped
        .records
        .iter()
        .map(|record| {
            let parent = record.parent_source_id.as_ref().map_or("-", |id| id.as_str());
            format!("{} {} < {parent}", record.resource_type.token(), record.source_id)
        })
        .collect();
    insta::assert_snapshot!("source_ids", ids.join("\n"));
    assert!(ids.contains(&"agent system:conn-1 < -".to_owned()));
    assert!(ids.contains(&"storage system:conn-1/pool:tank < system:conn-1".to_owned()));
    assert!(ids.contains(&"physical_disk system:conn-1/disk:sda < system:conn-1/pool:tank".to_owned()));
}

#[test]
fn the_small_dataset_call_reads_as_the_large_one() {
    for line in LINES {
        let mut replies = replies(line);
        for (tag, reply) in &mut replies {
            if *tag == Tag::Datasets {
                *reply = sample(line, "zfs.resource.query");
            }
        }
        let mapped = records(&samples::connection(), "the nas", &snapshot(&replies));
        let root = mapped.records.iter().find(|r| r.source_id.as_str() == "system:conn-1/dataset:tank");
        let root = root.expect("the root dataset is there");
        insta::assert_snapshot!(format!("zfs_resource_{line}"), record(root));
        let pool = mapped.records.iter().find(|r| r.source_id.as_str() == "system:conn-1/pool:tank");
        let capacity = pool.and_then(|pool| pool.capacity).expect("the pool has a capacity");
        assert_eq!(capacity.total_bytes, Some(19_507_490_929_152), "used and available of the root dataset");
    }
}

fn told(mapped: &Mapped) -> String {
    let mut out = String::new();
    for one in &mapped.records {
        out.push_str(&record(one));
        out.push('\n');
    }
    for skipped in &mapped.skipped {
        let _ = writeln!(out, "skipped {skipped:?}");
    }
    out
}

/// One record, a line per topic.
fn record(record: &IngestRecord) -> String {
    let mut out = format!(
        "{} {} {:?} state={:?} section={} parent={:?}\n",
        record.source_id,
        record.resource_type,
        record.name,
        record.state,
        record.section,
        record.parent_source_id
    );
    let _ = writeln!(out, "  tags {:?}", record.tags);
    if record.identity != pulse_proto::model::Identity::default() {
        let _ = writeln!(out, "  {:?}", record.identity);
    }
    if let Some(capacity) = record.capacity {
        let _ = writeln!(out, "  {capacity:?}");
    }
    for incident in &record.incidents {
        let _ = writeln!(out, "  {incident:?}");
    }
    let facets = &record.facets;
    if let Some(agent) = &facets.agent {
        let _ = writeln!(out, "  {agent:?}");
    }
    if let Some(truenas) = &facets.truenas {
        let _ = writeln!(out, "  {truenas:?}");
    }
    if let Some(disk) = &facets.physical_disk {
        let _ = writeln!(out, "  {disk:?}");
    }
    if let Some(storage) = &facets.storage {
        let _ = writeln!(
            out,
            "  {:?} {} pool={} path={}",
            storage.topology, storage.kind, storage.pool, storage.path
        );
        match &storage.zfs {
            Some(Zfs::Pool(pool)) => {
                let mut bare = pool.clone();
                for group in std::mem::take(&mut bare.groups) {
                    let _ = writeln!(out, "  {}:", group.role);
                    for one in &group.vdevs {
                        vdev(one, 2, &mut out);
                    }
                }
                let _ = writeln!(out, "  {bare:?}");
            }
            Some(Zfs::Dataset(dataset)) => {
                let _ = writeln!(out, "  {dataset:?}");
            }
            None => {}
        }
    }
    out
}

fn vdev(one: &Vdev, depth: usize, out: &mut String) {
    let Vdev { name, guid, kind, state, path, disk, missing, size_bytes, children, .. } = one;
    let errors = [one.read_errors, one.write_errors, one.checksum_errors, one.slow_ios];
    let indent = "  ".repeat(depth);
    let _ = writeln!(
        out,
        "{indent}{kind} {state} {name} guid={guid} disk={disk:?} path={path:?} errors={errors:?} size={size_bytes:?} missing={missing}"
    );
    for child in children {
        vdev(child, depth + 1, out);
    }
}
