//! From what a NAS said to records, as a pure function: no clock, no IO, the
//! same snapshot gives the same records. Keeps the NAS's own words; judges nothing.

mod alert;
mod dataset;
mod disk;
mod place;
mod pool;
mod system;

use std::collections::BTreeMap;

use pulse_proto::model::{ConnectionId, IngestRecord, SourceId};

use self::place::Places;
use crate::snapshot::Snapshot;

/// Everything a snapshot says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    /// Ascending by source id, each once.
    pub records: Vec<IngestRecord>,
    /// What could not be told, and why. It costs itself only.
    pub skipped: Vec<String>,
}

/// `name` is the operator's name of the connection.
pub fn records(connection: &ConnectionId, name: &str, snapshot: &Snapshot) -> Mapped {
    let mut mapped = Mapping { places: Places::new(connection), found: BTreeMap::new(), skipped: Vec::new() };
    if let Some(record) = system::record(&mapped.places, name, snapshot) {
        mapped.add(record);
    }
    for record in pool::records(&mapped.places, snapshot) {
        mapped.add(record);
    }
    for record in dataset::records(&mapped.places, snapshot) {
        mapped.add(record);
    }
    for record in disk::records(&mapped.places, snapshot) {
        mapped.add(record);
    }
    alert::annotate(&mapped.places, snapshot, &mut mapped.found);
    Mapped { records: mapped.found.into_values().collect(), skipped: mapped.skipped }
}

struct Mapping {
    places: Places,
    found: BTreeMap<SourceId, IngestRecord>,
    skipped: Vec<String>,
}

impl Mapping {
    /// The first of two things with one id stays.
    fn add(&mut self, record: Result<IngestRecord, String>) {
        match record {
            Ok(record) if self.found.contains_key(&record.source_id) => {
                self.skipped.push(format!("{}: told twice", record.source_id));
            }
            Ok(record) => drop(self.found.insert(record.source_id.clone(), record)),
            Err(why) => self.skipped.push(why),
        }
    }
}
