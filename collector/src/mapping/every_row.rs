//! No row of any sample is lost on the way in.

use serde_json::Value;

use super::samples::{LINES, METHODS, path, sample};
use crate::api::event::decode_event;
use crate::api::pool::decode_pools;
use crate::api::section::assemble;
use crate::api::{CallFailure, Section, Tag};

fn reply(line: &str, method: &str) -> Value {
    serde_json::from_str(&sample(line, method)).expect("samples are JSON")
}

fn rows(line: &str, method: &str) -> usize {
    reply(line, method).as_array().map_or(1, Vec::len)
}

#[test]
fn every_row_of_every_section_is_read() {
    for line in LINES {
        for section in Section::ALL {
            let own: Vec<(Tag, Result<String, CallFailure>)> = METHODS
                .iter()
                .filter(|(of, _, method)| *of == section && path(line, method).exists())
                .map(|(_, tag, method)| (*tag, Ok(sample(line, method))))
                .collect();
            let Some((tag, _)) = own.first() else { continue };
            let read = assemble(section, &own).expect("the samples are whole");
            assert_eq!((&read.skipped, &read.notes), (&Vec::new(), &Vec::new()), "{line} {section:?}");
            let (_, _, method) =
                METHODS.iter().find(|(of, known, _)| (*of, *known) == (section, *tag)).expect("known");
            if let (Some(found), Value::Array(rows)) = (read.data.count(), reply(line, method)) {
                assert_eq!(found, rows.len(), "{line} {method}");
            }
        }
    }
}

#[test]
fn the_cheap_pool_rows_have_the_tree_of_the_full_ones() {
    let read = decode_pools(sample("v26_0_0", "zpool.query").as_bytes()).expect("a list");
    assert_eq!((read.rows.len(), read.skipped.len()), (rows("v26_0_0", "zpool.query"), 0));
    let pool = &read.rows[0];
    assert_eq!((pool.status.as_str(), pool.status_code.as_str()), ("DEGRADED", "MISSING_DEV_R"));
    assert_eq!((pool.guid.as_str(), pool.size), ("18446744073709551557", Some(60_917_940_576_256)));
    let leaf = &pool.groups[0].vdevs[0].children[0];
    assert_eq!((leaf.kind.as_str(), leaf.status.as_str(), leaf.disk.as_str()), ("DISK", "ONLINE", "sda"));
}

#[test]
fn every_event_is_understood() {
    for line in LINES {
        let events: Vec<Value> = serde_json::from_str(&sample(line, "_events")).expect("a list");
        let updates: Vec<&Value> =
            events.iter().filter(|event| event["method"] == "collection_update").collect();
        assert!(updates.len() > 10, "{line}");
        for event in updates {
            let told = decode_event(&event["params"]).unwrap_or_else(|| panic!("{line}: {event}"));
            let expected = match told.collection.as_str() {
                "pool.query" | "zfs.pool.scan" | "pool.scan" => Some(Section::Pools),
                "pool.dataset.query" => Some(Section::Datasets),
                "replication.query" => Some(Section::Replications),
                "pool.snapshottask.query" => Some(Section::SnapshotTasks),
                "service.query" => Some(Section::Services),
                "app.query" => Some(Section::Apps),
                "vm.query" => Some(Section::Vms),
                "container.query" => Some(Section::Instances),
                "disk.query" => Some(Section::Disks),
                "alert.list" => Some(Section::Alerts),
                "system.ready" | "failover.status" => Some(Section::System),
                _ => None,
            };
            assert_eq!(told.section(), expected, "{}", told.collection);
        }
    }
}
