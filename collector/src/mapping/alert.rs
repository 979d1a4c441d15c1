//! Native alerts, as annotations on what they speak of: by their arguments
//! first, by names in their text last, else on the system.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{Incident, IngestRecord, ResourceType, SourceId, StorageTopology};
use serde_json::Value;

use super::place::Places;
use crate::api::Alert;
use crate::api::json::text;
use crate::snapshot::Snapshot;

/// Most incidents of one record; what is dismissed or mild goes first.
const INCIDENTS_MAX: usize = 64;
/// Most words of arguments looked at.
const ARGS_MAX: usize = 64;
/// Classes that speak of the boot pool without naming it.
const BOOT_POOL: [&str; 1] = ["BootPoolStatus"];

/// What can be named, and by which names.
struct Index {
    names: BTreeMap<String, SourceId>,
    boot_pool: Option<SourceId>,
}

pub(super) fn annotate(places: &Places, snapshot: &Snapshot, records: &mut BTreeMap<SourceId, IngestRecord>) {
    let Some(alerts) = snapshot.alerts() else { return };
    let index = Index::new(records);
    let mut found: BTreeMap<SourceId, Vec<Incident>> = BTreeMap::new();
    for alert in alerts.iter() {
        let target = index.target(alert).unwrap_or_else(|| places.system());
        found.entry(target).or_default().push(incident(alert));
    }
    for (target, mut incidents) in found {
        incidents
            .sort_by(|a, b| (a.dismissed, b.level, &a.native_id).cmp(&(b.dismissed, a.level, &b.native_id)));
        incidents.truncate(INCIDENTS_MAX);
        if let Some(record) = records.get_mut(&target) {
            record.incidents = incidents;
        }
    }
}

impl Index {
    /// Pools win over their root datasets, which have the same name.
    fn new(records: &BTreeMap<SourceId, IngestRecord>) -> Self {
        let mut index = Self { names: BTreeMap::new(), boot_pool: None };
        let rank = |record: &IngestRecord| match &record.facets.storage {
            Some(storage) if storage.topology == StorageTopology::Pool => 0,
            Some(_) => 1,
            None => 2,
        };
        let mut ordered: Vec<&IngestRecord> = records.values().collect();
        ordered.sort_by_key(|record| rank(record));
        for record in ordered {
            let id = &record.source_id;
            match record.resource_type {
                ResourceType::Storage => {
                    index.name(&record.name, id);
                    if record.tags.iter().any(|tag| tag == "boot-pool") {
                        index.boot_pool = Some(id.clone());
                    }
                }
                ResourceType::PhysicalDisk => {
                    let disk = record.facets.physical_disk.as_ref();
                    index.name(&record.name, id);
                    if let Some(disk) = disk {
                        index.name(&disk.dev_path, id);
                        index.name(&disk.serial, id);
                    }
                }
                _ => {}
            }
        }
        index
    }

    fn name(&mut self, name: &str, id: &SourceId) {
        if !name.is_empty() {
            self.names.entry(name.to_owned()).or_insert_with(|| id.clone());
        }
    }

    fn target(&self, alert: &Alert) -> Option<SourceId> {
        let mut words = Vec::new();
        gather(&alert.args, &mut words);
        // The longest name says the most: a dataset rather than its pool, a disk rather than both.
        let told = words.iter().filter_map(|word| self.names.get_key_value(word.as_str()));
        let by_args = told.max_by_key(|(name, _)| (name.matches('/').count(), name.len()));
        if let Some((_, id)) = by_args {
            return Some(id.clone());
        }
        if BOOT_POOL.contains(&alert.klass.as_str()) && self.boot_pool.is_some() {
            return self.boot_pool.clone();
        }
        let words: BTreeSet<&str> = alert.text.split(is_gap).map(trim).collect();
        let in_text = self.names.iter().filter(|(name, _)| words.contains(name.as_str()));
        in_text.max_by_key(|(name, _)| (name.matches('/').count(), name.len())).map(|(_, id)| id.clone())
    }
}

/// Every text in the arguments, however nested.
fn gather(args: &Value, words: &mut Vec<String>) {
    if words.len() >= ARGS_MAX {
        return;
    }
    match args {
        Value::String(word) => words.push(word.trim().to_owned()),
        Value::Array(list) => list.iter().for_each(|value| gather(value, words)),
        Value::Object(map) => map.values().for_each(|value| gather(value, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'' | '(' | ')' | '<' | '>' | '`')
}

fn trim(word: &str) -> &str {
    word.trim_end_matches(['.', ':', '!', '?'])
}

fn incident(alert: &Alert) -> Incident {
    let args = if alert.args.is_null() { String::new() } else { alert.args.to_string() };
    Incident {
        provider: "truenas".to_owned(),
        native_id: alert.uuid.clone(),
        klass: alert.klass.clone(),
        level: alert.level,
        text: alert.text.clone(),
        // Cut JSON would be no JSON.
        args_json: if args.len() > text::PROSE_BYTES_MAX { String::new() } else { args },
        node: alert.node.clone(),
        dismissed: alert.dismissed,
        one_shot: alert.one_shot,
        started_at: alert.datetime,
    }
}
