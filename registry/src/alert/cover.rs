//! Which cases are told by another one already: a table of who tells what of
//! whom. A covered case lives on and is shown; it only notifies nobody.

use super::case::{Case, CaseState, Origin};

/// How the subject of the covering case stands to that of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same resource.
    Same,
    /// Above it: its pool, its parent dataset, its system.
    Above,
}

enum Who {
    Rule(&'static str),
    /// Native classes that begin so.
    Native(&'static str),
}

enum What {
    Everything,
    /// Rules that begin so.
    Rules(&'static [&'static str]),
}

pub(super) struct Cover {
    who: Who,
    relation: Relation,
    what: What,
    /// Also where the other is worse.
    regardless: bool,
}

const fn native(class: &'static str, relation: Relation, rules: &'static [&'static str]) -> Cover {
    Cover { who: Who::Native(class), relation, what: What::Rules(rules), regardless: false }
}

const fn rule(id: &'static str, relation: Relation, rules: &'static [&'static str]) -> Cover {
    Cover { who: Who::Rule(id), relation, what: What::Rules(rules), regardless: false }
}

use Relation::{Above, Same};

/// Native first: what the source itself says comes before what was concluded.
static COVERS: &[Cover] = &[
    Cover { who: Who::Rule("system-unreachable"), relation: Above, what: What::Everything, regardless: true },
    Cover { who: Who::Rule("system-unreachable"), relation: Same, what: What::Everything, regardless: true },
    native("VolumeStatus", Same, &["pool-state", "pool-device"]),
    native("VolumeStatus", Above, &["disk-state"]),
    native("BootPoolStatus", Same, &["pool-state", "pool-device"]),
    native("BootPoolStatus", Above, &["disk-state"]),
    native("ZpoolCapacity", Same, &["pool-usage"]),
    native("Scrub", Same, &["pool-scan", "pool-scrub-age"]),
    native("Quota", Same, &["dataset-quota", "dataset-refquota"]),
    native("EncryptedDataset", Same, &["dataset-locked"]),
    native("SnapshotFailed", Same, &["task-failed"]),
    native("Replication", Same, &["task-failed"]),
    native("CloudSync", Same, &["task-failed"]),
    native("CloudBackup", Same, &["task-failed"]),
    native("Rsync", Same, &["task-failed"]),
    native("DiskTemperature", Same, &["disk-temperature"]),
    native("UPS", Same, &["system-ups"]),
    native("Certificate", Same, &["system-certificate"]),
    native("HasUpdate", Same, &["system-update"]),
    native("FailedToStartApp", Same, &["app-"]),
    rule("pool-state", Same, &["pool-device", "pool-resilver"]),
    rule("pool-state", Above, &["disk-state", "dataset-", "share-"]),
    rule("pool-device", Above, &["disk-state"]),
    rule("pool-errors-growing", Same, &["pool-errors"]),
    rule("pool-errors-growing", Above, &["disk-errors"]),
    rule("pool-errors", Above, &["disk-errors"]),
    rule("disk-errors-growing", Same, &["disk-errors"]),
    rule("pool-usage", Same, &["pool-forecast"]),
    rule("pool-usage", Above, &["volume-overcommit"]),
    rule("dataset-locked", Above, &["dataset-locked", "dataset-unmounted", "share-"]),
    rule("dataset-locked", Same, &["dataset-unmounted"]),
    rule("task-failed", Same, &["task-age"]),
];

/// Whether `by` tells `case` already.
pub(super) fn covers(by: &Case, relation: Relation, case: &Case) -> bool {
    by.state == CaseState::Firing
        && by.id != case.id
        && COVERS.iter().any(|cover| {
            cover.relation == relation
                && (cover.regardless || by.severity >= case.severity)
                && cover.is_by(&by.origin)
                && cover.is_of(&case.origin)
        })
}

impl Cover {
    fn is_by(&self, origin: &Origin) -> bool {
        match (&self.who, origin) {
            (Who::Rule(id), Origin::Rule(rule)) => rule.as_str() == *id,
            (Who::Native(class), Origin::Native(klass)) => klass.starts_with(class),
            _ => false,
        }
    }

    fn is_of(&self, origin: &Origin) -> bool {
        match (&self.what, origin) {
            (What::Everything, origin) => origin.name() != "system-unreachable",
            (What::Rules(rules), Origin::Rule(rule)) => {
                rules.iter().any(|start| rule.as_str() == *start || (rule.as_str().starts_with(start)))
            }
            (What::Rules(_), Origin::Native(_)) => false,
        }
    }
}

/// For people: who, how it stands, what.
pub(super) fn table() -> impl Iterator<Item = (String, &'static str, String)> {
    COVERS.iter().map(|cover| {
        let who = match cover.who {
            Who::Rule(id) => format!("rule `{id}`"),
            Who::Native(class) => format!("native `{class}*`"),
        };
        let what = match cover.what {
            What::Everything => "everything".to_owned(),
            What::Rules(rules) => {
                rules.iter().map(|rule| format!("`{rule}*`")).collect::<Vec<_>>().join(", ")
            }
        };
        let relation = match cover.relation {
            Same => "of the same resource",
            Above => "of what lies below",
        };
        (who, relation, what)
    })
}
