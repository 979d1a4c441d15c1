//! Which section brings what of a resource, and whether it was read lately enough
//! to be believed. Pure. One read of a section is one observation of all that it brings.

use pulse_proto::model::{
    Freshness, ResourceType, SectionName, SectionOutcome, SectionReport, StorageTopology, UnixMillis,
};

use crate::query::filter::field::{EnumField, Field, NumberField, TextField, TextsField};
use crate::state::{Resource, Shard};

/// A part of what is known of a resource, that is read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Read with the resource.
    Own,
    /// What a pool can hold: the datasets tell.
    Usable,
    /// How a disk does in its pool: the pool tells.
    Place,
    /// Of a section of this name.
    Of(&'static str),
}

pub(super) const ALERTS: Part = Part::Of("alerts");

/// When what was read.
pub(super) struct Sources<'a> {
    pub(super) resource: &'a Resource,
    pub(super) shard: Option<&'a Shard>,
    pub(super) now: UnixMillis,
}

impl Sources<'_> {
    /// When a part was read; `None` when that is too long ago.
    pub(super) fn read_at(&self, part: Part) -> Option<UnixMillis> {
        if self.resource.freshness != Freshness::Fresh {
            return None;
        }
        let own = match self.own() {
            Some(report) => fresh(report, self.now)?,
            None => self.resource.updated_at,
        };
        match self.report(part) {
            Some(report) if !is_never_read(report) => fresh(report, self.now),
            // Another source may bring what this one cannot.
            _ => Some(own),
        }
    }

    fn own(&self) -> Option<&SectionReport> {
        self.shard?.sections.get(&self.resource.document.section)
    }

    /// The report of the section that brings a part; `None` where that is the resource's own.
    fn report(&self, part: Part) -> Option<&SectionReport> {
        let shard = self.shard?;
        match part {
            Part::Own => None,
            Part::Usable => {
                let is_pool = self.resource.document.topology() == Some(StorageTopology::Pool);
                is_pool.then(|| section(shard, "datasets"))?
            }
            Part::Place => {
                let pool = &self.resource.parent.as_ref()?.id;
                let at = shard.resources.binary_search_by(|row| row.id.cmp(pool)).ok()?;
                let pool = shard.resources.get(at)?;
                let is_pool = pool.document.topology() == Some(StorageTopology::Pool);
                is_pool.then(|| shard.sections.get(&pool.document.section))?
            }
            Part::Of(name) => section(shard, name),
        }
    }

    /// Whether what a pool can hold will be told by nobody, so that what its devices hold must do.
    pub(super) fn is_usable_untold(&self) -> bool {
        self.report(Part::Usable).is_none_or(is_never_read)
    }
}

/// It cannot be read here, and never was.
fn is_never_read(report: &SectionReport) -> bool {
    use SectionOutcome::{Disabled, Failed, Forbidden, Fresh, Partial, Unchanged, Unsupported};
    report.observed_at.is_none()
        && match report.outcome {
            Forbidden | Unsupported | Disabled => true,
            Fresh | Unchanged | Failed | Partial => false,
        }
}

/// When it was read, unless that is too long ago.
pub(super) fn fresh(report: &SectionReport, now: UnixMillis) -> Option<UnixMillis> {
    report.observed_at.filter(|at| now.since(*at) <= report.stale_after())
}

pub(super) fn section<'a>(shard: &'a Shard, name: &str) -> Option<&'a SectionReport> {
    shard.sections.get(name)
}

/// What is known of whether a subject that the view does not hold is still there.
pub(super) enum Absence {
    /// Its section was read whole then, without it.
    Read(UnixMillis),
    /// The section failed, or is stale.
    Unread,
    /// Nobody reads there any more.
    Unwatched(&'static str),
}

/// `section`: what would bring it; `None` where that is not known any more.
pub(super) fn absence(shard: Option<&Shard>, section: Option<&SectionName>, now: UnixMillis) -> Absence {
    let Some(shard) = shard else { return Absence::Unwatched("Its connection was removed.") };
    let reports: Vec<&SectionReport> = match section {
        Some(section) => shard.sections.get(section).into_iter().collect(),
        None => shard.sections.values().collect(),
    };
    if let [report] = reports[..]
        && report.outcome == SectionOutcome::Disabled
    {
        return Absence::Unwatched("Its section is switched off.");
    }
    let read = reports.into_iter().filter(|report| report.outcome.is_complete());
    read.filter_map(|report| fresh(report, now)).max().map_or(Absence::Unread, Absence::Read)
}

/// What brings a reason of health.
pub(super) fn of_reason(code: &str, resource: &Resource) -> Part {
    match code {
        "zfs_pool_capacity" => Part::Usable,
        "disk_temperature" => Part::Of("temperatures"),
        "service_stopped" => Part::Of("services"),
        "certificate_expired" => Part::Of("certificates"),
        _ if code.starts_with("truenas_") => ALERTS,
        _ if code.starts_with("zfs_") => of_state(resource),
        _ => Part::Own,
    }
}

/// What brings the state of a resource.
pub(super) fn of_state(resource: &Resource) -> Part {
    if resource.resource_type() == ResourceType::PhysicalDisk { Part::Place } else { Part::Own }
}

/// What brings the value of a field; `None`: it is no value that is read, but what the thing is.
/// `word` is the one that a comparison is satisfied by.
pub(super) fn of_field(field: &Field, word: Option<&str>, resource: &Resource) -> Option<Part> {
    Some(match field {
        Field::Text(TextField::State) | Field::Enum(EnumField::Status | EnumField::Severity) => {
            of_state(resource)
        }
        Field::Enum(EnumField::IncidentLevel) | Field::Texts(TextsField::IncidentKlass) => ALERTS,
        Field::Texts(TextsField::ReasonCode) => {
            word.map_or_else(|| of_state(resource), |code| of_reason(code, resource))
        }
        Field::UsedRatio
        | Field::Number(NumberField::TotalBytes | NumberField::UsedBytes | NumberField::AvailableBytes) => {
            Part::Usable
        }
        Field::Number(NumberField::Temperature) => Part::Of("temperatures"),
        Field::Number(NumberField::CpuPercent | NumberField::MemoryUsedPercent) => Part::Of("metrics"),
        Field::Number(NumberField::SnapshotCount) => Part::Of("snapshots"),
        Field::Number(NumberField::Revision)
        | Field::Text(_)
        | Field::Texts(TextsField::SourceId | TextsField::Tags)
        | Field::Enum(EnumField::Type | EnumField::Topology | EnumField::Source | EnumField::Freshness)
        | Field::Time(_)
        | Field::Labels
        | Field::Label(_)
        | Field::Entry(_)
        | Field::Alert(_) => return None,
    })
}

/// Whether a field has a value that is read, whatever the resource.
pub(super) const fn is_read(field: &Field) -> bool {
    match field {
        Field::Text(TextField::State)
        | Field::Enum(EnumField::Status | EnumField::Severity | EnumField::IncidentLevel)
        | Field::Texts(TextsField::IncidentKlass | TextsField::ReasonCode)
        | Field::UsedRatio => true,
        Field::Number(number) => !matches!(number, NumberField::Revision),
        Field::Text(_)
        | Field::Enum(_)
        | Field::Texts(_)
        | Field::Time(_)
        | Field::Labels
        | Field::Label(_)
        | Field::Entry(_)
        | Field::Alert(_) => false,
    }
}

/// Whether a field tells how old knowledge is.
pub(super) const fn is_freshness(field: &Field) -> bool {
    use crate::query::filter::field::TimeField;
    matches!(field, Field::Enum(EnumField::Freshness) | Field::Time(TimeField::Observed))
}
