//! Turns what is known of one NAS into the records a registry takes. Pure: the
//! same snapshot gives the same records. Judges nothing and remembers nothing.

mod alert;
mod dataset;
mod disk;
mod ids;
mod place;
mod pool;
mod runs;
mod share;
mod system;
mod target;
mod task;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{ConnectionId, IngestRecord, RecordPart, SourceId};

use crate::api::Section;
use crate::api::json::text;
use crate::snapshot::Snapshot;
use ids::Ids;

/// Most notes about what became no record.
const SKIPPED_MAX: usize = 256;

/// The records of one connection, ascending by source id, each id once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    pub records: Vec<IngestRecord>,
    /// Parts that no section has brought yet; whoever holds the records keeps what it has of them.
    pub kept: BTreeSet<RecordPart>,
    pub skipped: Vec<Skipped>,
}

/// Something that became no record, or lost a part. It costs itself alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub section: Section,
    pub name: String,
    pub why: String,
}

impl Mapped {
    /// Adds to the system's record how it is spoken to, which the session knows.
    #[must_use]
    pub fn with_session(mut self, transport: &str, api_version: &str) -> Self {
        let facets = self.records.iter_mut().filter_map(|record| record.facets.truenas.as_mut());
        for facet in facets {
            facet.transport = text::line(transport);
            facet.api_version = text::line(api_version);
        }
        self
    }
}

/// `name` is the connection's own; it serves where the NAS has not told its.
pub fn records(connection: &ConnectionId, name: &str, snapshot: &Snapshot) -> Mapped {
    let ids = Ids::new(connection);
    let mut draft = Draft::default();
    if let Some(record) = system::record(&ids, name, snapshot) {
        draft.add(Section::System, name, Ok(record));
    }
    let places = place::Places::of(snapshot);
    pool::add(&ids, snapshot, &mut draft);
    dataset::add(&ids, snapshot, &mut draft);
    disk::add(&ids, snapshot, &places, &mut draft);
    workload::add(&ids, snapshot, &mut draft);
    share::add(&ids, snapshot, &mut draft);
    task::add(&ids, snapshot, &mut draft);
    alert::annotate(&ids, snapshot, &mut draft);
    Mapped { records: draft.records.into_values().collect(), kept: kept(snapshot), skipped: draft.skipped }
}

/// What records draw from sections that were not read whole since the start. A section that may not be read, or is not there,
/// will bring nothing, so nothing is waited for.
fn kept(snapshot: &Snapshot) -> BTreeSet<RecordPart> {
    let unknown = |section: Section| !snapshot.is_closed(section) && !snapshot.was_whole(section);
    [
        (RecordPart::Incidents, Section::Alerts),
        (RecordPart::UsableCapacity, Section::Datasets),
        (RecordPart::PoolMembership, Section::Pools),
        (RecordPart::PoolMembership, Section::Boot),
        (RecordPart::ReplicationTarget, Section::Replications),
        (RecordPart::Services, Section::Services),
        (RecordPart::Interfaces, Section::Interfaces),
        (RecordPart::Certificates, Section::Certificates),
        (RecordPart::Ups, Section::Ups),
        (RecordPart::Update, Section::Update),
        (RecordPart::Metrics, Section::Metrics),
        (RecordPart::Temperature, Section::Temperatures),
        (RecordPart::ScrubSchedule, Section::Scrubs),
        (RecordPart::Snapshots, Section::Snapshots),
        (RecordPart::Snapshots, Section::SnapshotTasks),
        (RecordPart::Snapshots, Section::Replications),
        (RecordPart::ShareDataset, Section::Datasets),
    ]
    .into_iter()
    .filter_map(|(part, section)| unknown(section).then_some(part))
    .collect()
}

/// Records in the making.
#[derive(Default)]
struct Draft {
    records: BTreeMap<SourceId, IngestRecord>,
    skipped: Vec<Skipped>,
}

impl Draft {
    /// The first of its id stays.
    fn add(&mut self, section: Section, name: &str, record: Result<IngestRecord, ProtocolError>) {
        match record {
            Ok(record) => match self.records.entry(record.source_id.clone()) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(record);
                }
                std::collections::btree_map::Entry::Occupied(_) => {
                    self.skip(section, name, "another one has the same name");
                }
            },
            Err(error) => self.skip(section, name, &error.to_string()),
        }
    }

    fn skip(&mut self, section: Section, name: &str, why: &str) {
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(Skipped { section, name: text::line(name), why: why.to_owned() });
        }
    }
}

/// Sorted, without repetition and without empty ones.
fn tags(tags: &[String]) -> Vec<String> {
    let mut tags: Vec<String> =
        tags.iter().map(|tag| text::line(tag)).filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

#[cfg(test)]
mod every_row;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
