//! What a native alert is about: by its class and arguments first, by its text
//! last. The system when nothing more precise is certain.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{IngestRecord, SourceId, Zfs};
use serde_json::Value;

use super::ids::Ids;
use crate::api::Alert;
use crate::api::disk::whole_disk;

/// Most arguments of one alert that are looked at.
const ARGS_MAX: usize = 64;
/// Shorter serials are too easily a word of the text.
const SERIAL_BYTES_MIN: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pool,
    Dataset,
    Disk,
    Task,
    App,
}

/// What a class speaks of. Of other classes only what names itself is believed.
enum About {
    Boot,
    System,
    /// In this order.
    Kinds(&'static [Kind]),
}

/// Classes by how they begin, the longer beginning first.
const CLASSES: [(&str, About); 24] = [
    ("BootPool", About::Boot),
    ("VolumeStatus", About::Kinds(&[Kind::Pool])),
    ("Volume", About::Kinds(&[Kind::Pool])),
    ("Zpool", About::Kinds(&[Kind::Pool])),
    ("Pool", About::Kinds(&[Kind::Pool])),
    ("Scrub", About::Kinds(&[Kind::Pool])),
    ("Resilver", About::Kinds(&[Kind::Pool])),
    ("Dedup", About::Kinds(&[Kind::Pool])),
    ("Quota", About::Kinds(&[Kind::Dataset, Kind::Pool])),
    ("SnapshotTotal", About::System),
    ("Snapshot", About::Kinds(&[Kind::Dataset, Kind::Pool])),
    ("EncryptedDataset", About::Kinds(&[Kind::Dataset, Kind::Pool])),
    ("Dataset", About::Kinds(&[Kind::Dataset, Kind::Pool])),
    ("Replication", About::Kinds(&[Kind::Task, Kind::Dataset])),
    ("CloudSync", About::Kinds(&[Kind::Task, Kind::Dataset])),
    ("CloudBackup", About::Kinds(&[Kind::Task, Kind::Dataset])),
    ("Rsync", About::Kinds(&[Kind::Task, Kind::Dataset])),
    ("App", About::Kinds(&[Kind::App])),
    ("FailedToStartApp", About::Kinds(&[Kind::App])),
    ("Disk", About::Kinds(&[Kind::Disk, Kind::Pool])),
    ("SMART", About::Kinds(&[Kind::Disk])),
    ("Smart", About::Kinds(&[Kind::Disk])),
    ("SED", About::Kinds(&[Kind::Disk, Kind::Pool])),
    ("Sed", About::Kinds(&[Kind::Disk, Kind::Pool])),
];

/// Names of arguments that tell what their value is.
const KEYS: [(Kind, &[&str]); 5] = [
    (Kind::Disk, &["device", "disk", "disk_name", "dev", "devname", "serial", "devices", "disks"]),
    (Kind::Dataset, &["dataset", "datasets", "dataset_name", "target_dataset"]),
    (Kind::Pool, &["volume", "pool", "pool_name", "zpool"]),
    (Kind::Task, &["name", "task", "task_name"]),
    (Kind::App, &["app", "name", "app_name"]),
];

/// Without a class to go by, the most precise first.
const ANY: [Kind; 3] = [Kind::Disk, Kind::Dataset, Kind::Pool];

/// Everything an alert can be about, by name.
pub(super) struct Targets {
    system: SourceId,
    boot: Option<SourceId>,
    pools: BTreeMap<String, SourceId>,
    /// With the pool it is in.
    datasets: BTreeMap<String, (SourceId, String)>,
    disks: BTreeMap<String, SourceId>,
    /// `None` when several disks tell the same.
    serials: BTreeMap<String, Option<SourceId>>,
    /// `None` when several have the same name.
    tasks: BTreeMap<String, Option<SourceId>>,
    apps: BTreeMap<String, SourceId>,
}

impl Targets {
    pub(super) fn of<'r>(ids: &Ids, records: impl Iterator<Item = &'r IngestRecord>) -> Self {
        let mut targets = Self {
            system: ids.system(),
            boot: None,
            pools: BTreeMap::new(),
            datasets: BTreeMap::new(),
            disks: BTreeMap::new(),
            serials: BTreeMap::new(),
            tasks: BTreeMap::new(),
            apps: BTreeMap::new(),
        };
        for record in records {
            targets.learn(record);
        }
        targets
    }

    fn learn(&mut self, record: &IngestRecord) {
        let id = || record.source_id.clone();
        if let Some(disk) = &record.facets.physical_disk {
            self.disks.insert(record.name.clone(), id());
            if disk.serial.len() >= SERIAL_BYTES_MIN {
                let alone = !self.serials.contains_key(&disk.serial);
                self.serials.insert(disk.serial.clone(), alone.then(id));
            }
        }
        if record.facets.protection_task.is_some() {
            let alone = !self.tasks.contains_key(&record.name);
            self.tasks.insert(record.name.clone(), alone.then(id));
        }
        if record.facets.app.is_some() {
            self.apps.insert(record.name.clone(), id());
        }
        match record.facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref()) {
            Some(Zfs::Pool(pool)) => {
                self.pools.insert(record.name.clone(), id());
                if pool.boot_pool {
                    self.boot = Some(id());
                }
            }
            Some(Zfs::Dataset(dataset)) => {
                self.datasets.insert(record.name.clone(), (id(), dataset.pool.clone()));
            }
            None => {}
        }
    }

    pub(super) fn find(&self, alert: &Alert) -> SourceId {
        let about = CLASSES.iter().find(|(start, _)| alert.klass.starts_with(start));
        let (kinds, sure): (&[Kind], bool) = match about.map(|(_, about)| about) {
            Some(About::System) => return self.system.clone(),
            Some(About::Boot) => return self.boot.clone().unwrap_or_else(|| self.system.clone()),
            Some(About::Kinds(kinds)) => (kinds, true),
            None => (&ANY, false),
        };
        let mut args = Vec::new();
        collect("", &alert.args, &mut args);
        self.by_args(kinds, &args, sure)
            .or_else(|| {
                if sure {
                    kinds.iter().find_map(|kind| self.in_text(*kind, &alert.text)).map(|(_, id)| id)
                } else {
                    kinds.iter().filter_map(|kind| self.in_text(*kind, &alert.text)).min().map(|(_, id)| id)
                }
            })
            .unwrap_or_else(|| self.system.clone())
    }

    /// What a key names first; any argument only when the class is known.
    fn by_args(&self, kinds: &[Kind], args: &[(&str, &str)], sure: bool) -> Option<SourceId> {
        kinds.iter().find_map(|kind| {
            let keys = KEYS.iter().find(|(known, _)| known == kind).map_or(&[][..], |(_, keys)| keys);
            let named = args.iter().filter(|(key, _)| keys.contains(key)).map(|(_, value)| *value);
            let any = args.iter().filter(|_| sure).map(|(_, value)| *value);
            self.all(*kind, named).or_else(|| self.all(*kind, any))
        })
    }

    /// One, or what several have in common.
    fn all<'v>(&self, kind: Kind, values: impl Iterator<Item = &'v str>) -> Option<SourceId> {
        let found: BTreeMap<SourceId, String> =
            values.filter_map(|value| self.named(kind, value.trim())).collect();
        if found.len() <= 1 {
            return found.into_keys().next();
        }
        let pools: BTreeSet<&String> = found.values().collect();
        match pools.into_iter().collect::<Vec<_>>().as_slice() {
            [pool] if !pool.is_empty() => Some(self.pools.get(*pool).unwrap_or(&self.system).clone()),
            _ => Some(self.system.clone()),
        }
    }

    /// The thing of that name, with its pool where it has one.
    fn named(&self, kind: Kind, name: &str) -> Option<(SourceId, String)> {
        match kind {
            Kind::Pool => self.pools.get(name).map(|id| (id.clone(), name.to_owned())),
            Kind::Dataset => {
                self.datasets.get(name).or_else(|| self.datasets.get(name.strip_prefix("/mnt/")?)).cloned()
            }
            Kind::Disk => {
                // smartd says `/dev/sda [SAT]`.
                let word = name.split_whitespace().next()?;
                let device = word.strip_prefix("/dev/").unwrap_or(word);
                let disk = self.disks.get(device).or_else(|| self.disks.get(whole_disk(device)));
                let id = disk.or_else(|| self.serials.get(word)?.as_ref())?;
                Some((id.clone(), String::new()))
            }
            Kind::Task => Some((self.tasks.get(name)?.clone()?, String::new())),
            Kind::App => Some((self.apps.get(name)?.clone(), String::new())),
        }
    }

    /// The first thing of that kind the text names, and where.
    fn in_text(&self, kind: Kind, words: &str) -> Option<(usize, SourceId)> {
        match kind {
            Kind::Pool => text::pool(words, self.pools.keys().map(String::as_str))
                .and_then(|(at, name)| Some((at, self.pools.get(name)?.clone()))),
            Kind::Dataset => text::words(words)
                .filter(|word| word.text.contains('/') || word.follows("dataset"))
                .find_map(|word| Some((word.at, self.named(kind, word.text)?.0))),
            Kind::Disk => text::words(words)
                .filter(|word| {
                    word.text.starts_with("/dev/")
                        || word.follows("disk")
                        || word.follows("device")
                        || self.serials.contains_key(word.text)
                })
                .find_map(|word| Some((word.at, self.named(kind, word.text)?.0))),
            Kind::Task | Kind::App => None,
        }
    }
}

/// All text among the arguments, with the key it stands under.
fn collect<'v>(key: &'v str, value: &'v Value, into: &mut Vec<(&'v str, &'v str)>) {
    if into.len() >= ARGS_MAX {
        return;
    }
    match value {
        Value::String(text) => into.push((key, text)),
        Value::Array(list) => list.iter().for_each(|value| collect(key, value, into)),
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(key, value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
