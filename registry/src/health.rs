//! What a state means: severity with reasons, freshness, and the one-word
//! status. Owns the tables, printed in `docs/health.md`. Refuses to know IO,
//! clocks and where records come from; the same subject gets the same answer.

mod capacity;
pub mod code;
mod dataset;
mod disk;
pub mod document;
mod freshness;
mod host;
mod native;
mod pool;
mod scan;
mod status_code;
mod table;
mod unknown;
mod vdev;
mod vdev_kind;
mod verdict;
mod workload;

pub use unknown::{UnknownKind, UnknownValues};

use pulse_proto::model::{Freshness, ResourceType, SectionReport, UnixMillis, Zfs};

use crate::state::judge::{Judge, Judgement, Subject};
use verdict::Verdict;

/// The tables of health as a judge, with a count of the words they do not hold.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    unknown: UnknownValues,
}

impl Tables {
    /// Words met so far that no table holds. The clone shares the counters.
    pub fn unknown_values(&self) -> UnknownValues {
        self.unknown.clone()
    }
}

impl Judge for Tables {
    fn judge(&self, subject: &Subject<'_>) -> Judgement {
        let mut verdict = Verdict::new(&self.unknown);
        let record = subject.record;
        let zfs = record.facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref());
        match (record.resource_type, zfs, &record.facets.physical_disk) {
            (ResourceType::Storage, Some(Zfs::Pool(pool)), _) => pool::judge(record, pool, &mut verdict),
            (ResourceType::Storage, Some(Zfs::Dataset(dataset)), _) => {
                dataset::judge(record, dataset, &mut verdict);
            }
            (ResourceType::PhysicalDisk, _, Some(disk)) => disk::judge(record, disk, &mut verdict),
            (ResourceType::Host, ..) => host::judge(subject, &mut verdict),
            _ => workload::judge(record, &mut verdict),
        }
        native::judge(&record.incidents, &mut verdict);
        verdict.close(subject.freshness)
    }

    fn freshness(&self, report: Option<&SectionReport>, now: UnixMillis) -> Freshness {
        freshness::of(report, now)
    }

    fn next_transition(&self, report: &SectionReport, now: UnixMillis) -> Option<UnixMillis> {
        freshness::next_transition(report, now)
    }
}

#[cfg(test)]
mod example;
#[cfg(test)]
mod properties;
