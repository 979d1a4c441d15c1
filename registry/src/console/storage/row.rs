//! One pool, dataset or disk in a line.

use pulse_proto::model::{
    Dataset, Disk, IngestRecord, Pool, ResourceType, Scan as ScanFact, StorageTopology, UnixMillis, Zfs,
};

use crate::console::address::segment;
use crate::console::figure::{Bar, When, span, whole_percent};
use crate::console::infrastructure::{Heat, Used};
use crate::console::look::Look;
use crate::context::redundancy;
use crate::state::document::Document;
use crate::state::view::{Found, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pool,
    Dataset,
    Disk,
    Other,
}

impl Kind {
    pub fn of(document: &Document) -> Self {
        match (document.resource_type, document.topology()) {
            (_, Some(StorageTopology::Pool)) => Self::Pool,
            (_, Some(StorageTopology::Dataset)) => Self::Dataset,
            (ResourceType::PhysicalDisk, _) => Self::Disk,
            _ => Self::Other,
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Pool => "Pool",
            Self::Dataset => "Dataset",
            Self::Disk => "Disk",
            Self::Other => "Storage",
        }
    }
}

#[derive(Debug)]
pub struct Row {
    /// For the page's script.
    pub key: String,
    pub href: String,
    pub kind: Kind,
    pub depth: usize,
    pub name: String,
    /// The system, where the row does not stand below it.
    pub system: String,
    /// What it is, in short.
    pub about: String,
    /// The source's own word.
    pub state: String,
    pub look: Look,
    /// Why it is not healthy.
    pub why: String,
    pub used: Option<Used>,
    /// Where nothing is known of its use.
    pub size: Option<u64>,
    pub redundancy: Option<Redundancy>,
    pub scan: Option<Scan>,
    pub heat: Option<Heat>,
    pub toggle: Option<Toggle>,
    /// Where there was no room for all that is in it.
    pub more: Option<More>,
}

/// Opens or closes what is in a pool.
#[derive(Debug)]
pub struct Toggle {
    pub href: String,
    pub open: bool,
    pub datasets: usize,
    pub disks: usize,
}

/// All of it, in one list.
#[derive(Debug)]
pub struct More {
    pub count: usize,
    pub href: String,
}

/// How much a pool can still lose.
#[derive(Debug)]
pub struct Redundancy {
    pub text: String,
    pub tone: &'static str,
}

/// A scrub or resilver.
#[derive(Debug)]
pub struct Scan {
    pub text: String,
    /// While it runs.
    pub bar: Option<Bar>,
    pub at: Option<When>,
}

impl Row {
    pub fn of(found: &Found, view: &View, depth: usize, names_system: bool, now: UnixMillis) -> Self {
        let resource = &found.resource;
        let record = resource.document.record().ok();
        let storage = record.as_ref().and_then(|record| record.facets.storage.as_deref());
        let zfs = storage.and_then(|storage| storage.zfs.as_ref());
        let pool = if let Some(Zfs::Pool(pool)) = zfs { Some(pool) } else { None };
        let dataset = if let Some(Zfs::Dataset(dataset)) = zfs { Some(dataset) } else { None };
        let disk = record.as_ref().and_then(|record| record.facets.physical_disk.as_deref());
        let capacity = resource.document.capacity().unwrap_or_default();
        let about = match (pool, dataset, disk) {
            (Some(pool), ..) => pool.vdev_layout.clone(),
            (_, Some(dataset), _) => about_dataset(dataset),
            (.., Some(disk)) => about_disk(disk),
            _ => String::new(),
        };
        let used = match dataset {
            // A dataset's share of what it could have.
            Some(dataset) => Used::of(
                dataset.used_bytes,
                dataset.used_bytes.zip(dataset.available_bytes).map(|(u, a)| u + a),
            ),
            None if disk.is_some() => None,
            None => Used::of(capacity.used_bytes, capacity.total_bytes),
        };
        Self {
            key: resource.id.to_string(),
            href: format!("/console/resources/{}", segment(&resource.id.text())),
            kind: Kind::of(&resource.document),
            depth,
            name: resource.display_name().to_owned(),
            system: if names_system { resource.connection_name.to_string() } else { String::new() },
            about,
            state: record.as_ref().map(state).unwrap_or_default(),
            look: Look::of(found, view, now),
            why: resource
                .reasons()
                .iter()
                .max_by_key(|reason| reason.severity)
                .map_or(String::new(), |reason| reason.summary.clone()),
            size: if used.is_some() {
                None
            } else {
                disk.and_then(|disk| disk.size_bytes).or(capacity.total_bytes)
            },
            used,
            redundancy: pool.and_then(Redundancy::of),
            scan: pool.and_then(|pool| pool.scan.as_ref()).map(|scan| Scan::of(scan, now)),
            heat: disk.and_then(|disk| disk.temperature_celsius).map(Heat::of),
            toggle: None,
            more: None,
        }
    }
}

/// A disk says in its pool how it is.
fn state(record: &IngestRecord) -> String {
    let disk = record.facets.physical_disk.as_ref().map(|disk| disk.vdev_state.clone());
    disk.filter(|state| !state.is_empty()).unwrap_or_else(|| record.state.clone())
}

fn about_dataset(dataset: &Dataset) -> String {
    let mut words = Vec::new();
    if dataset.kind == "VOLUME" {
        words.push("volume".to_owned());
    }
    for (is_so, word) in [
        (dataset.locked == Some(true), "locked"),
        (dataset.encrypted == Some(true) && dataset.locked != Some(true), "encrypted"),
        (dataset.readonly == Some(true), "read-only"),
        (dataset.replication_target, "replica"),
    ] {
        if is_so {
            words.push(word.to_owned());
        }
    }
    match dataset.snapshot_count {
        Some(1) => words.push("1 snapshot".to_owned()),
        Some(count) if count > 0 => words.push(format!("{count} snapshots")),
        _ => {}
    }
    words.join(" · ")
}

fn about_disk(disk: &Disk) -> String {
    let role =
        if disk.pool_role.is_empty() || disk.pool_role == "data" { "" } else { disk.pool_role.as_str() };
    let kind = match disk.rpm {
        Some(rpm) if rpm > 0 => format!("{rpm} rpm"),
        _ => disk.disk_type.clone(),
    };
    let mut words = vec![role.to_owned(), disk.model.clone(), kind, disk.serial.clone()];
    for (count, word) in [
        (disk.read_errors, "read errors"),
        (disk.write_errors, "write errors"),
        (disk.checksum_errors, "checksum errors"),
    ] {
        words.extend(count.filter(|count| *count > 0).map(|count| format!("{count} {word}")));
    }
    words.retain(|word| !word.is_empty());
    words.join(" · ")
}

impl Redundancy {
    pub fn of(pool: &Pool) -> Option<Self> {
        let found = redundancy::of(pool)?;
        let (text, tone) = match (found.lost, found.spare, found.left) {
            (true, ..) => ("Exceeded: data is at risk".to_owned(), "bad"),
            (_, 0, _) => ("No disk: built without spare".to_owned(), "off"),
            (_, _, 0) => ("None left: the next disk takes data with it".to_owned(), "bad"),
            (_, spare, left) if left < spare => (format!("{left} of {spare} disks left"), "warn"),
            (_, 1, _) => ("Any 1 disk".to_owned(), "ok"),
            (_, _, left) => (format!("Any {left} disks"), "ok"),
        };
        Some(Self { text, tone })
    }
}

impl Scan {
    pub fn of(scan: &ScanFact, now: UnixMillis) -> Self {
        let name = match scan.function.as_str() {
            "SCRUB" => "Scrub".to_owned(),
            "RESILVER" => "Resilver".to_owned(),
            other => other.to_owned(),
        };
        let errors = match scan.errors {
            Some(0) | None => String::new(),
            Some(1) => ", 1 error".to_owned(),
            Some(count) => format!(", {count} errors"),
        };
        let when = |at: Option<UnixMillis>| at.map(|at| When { at, now });
        match scan.state.as_str() {
            "SCANNING" => {
                let percent = scan.percentage.map(whole_percent);
                let done = percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
                let left = scan.seconds_left.filter(|left| *left > 0 && scan.pause_time.is_none());
                let left = left.map(|left| format!(", {} left", span(std::time::Duration::from_secs(left))));
                let paused = if scan.pause_time.is_some() { " paused at" } else { "" };
                Self {
                    text: format!("{name}{paused}{done}{}{errors}", left.unwrap_or_default()),
                    bar: Some(Bar::plain(percent.unwrap_or(0))),
                    at: None,
                }
            }
            "FINISHED" => {
                Self { text: format!("{name} finished{errors}"), bar: None, at: when(scan.end_time) }
            }
            "CANCELED" => {
                Self { text: format!("{name} canceled{errors}"), bar: None, at: when(scan.end_time) }
            }
            other => Self { text: format!("{name} {other}{errors}"), bar: None, at: when(scan.end_time) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_says_how_far_it_is() {
        let now = UnixMillis::new(1_000_000_000);
        let scan = |state: &str, paused: bool| ScanFact {
            function: "RESILVER".to_owned(),
            state: state.to_owned(),
            percentage: Some(41.6),
            seconds_left: Some(7_300),
            errors: Some(2),
            pause_time: paused.then_some(now),
            ..ScanFact::default()
        };
        for (state, paused, text) in [
            ("SCANNING", false, "Resilver 42 %, 2 h left, 2 errors"),
            ("SCANNING", true, "Resilver paused at 42 %, 2 errors"),
            ("FINISHED", false, "Resilver finished, 2 errors"),
            ("ODD", false, "Resilver ODD, 2 errors"),
        ] {
            assert_eq!(Scan::of(&scan(state, paused), now).text, text);
        }
    }
}
