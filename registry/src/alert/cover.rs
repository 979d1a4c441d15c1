//! Which cases are told by another one already: a table of who tells what of
//! whom. A covered case lives on and is shown; it only notifies nobody.

use pulse_proto::model::Severity;

use super::case::{Case, CaseState, Origin};
use super::native;

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
    /// Native classes.
    Native(&'static [&'static str]),
}

enum What {
    Everything,
    /// Built-in rules; what an operator wrote is never told by anything else.
    Rules(&'static [&'static str]),
}

/// What both must speak of, beside the resource.
enum Same {
    Resource,
    /// The native alert has this word among its arguments.
    Word(&'static str),
    /// It has the name that follows this in what the rule found the age of.
    Named(&'static str),
}

struct Cover {
    who: Who,
    relation: Relation,
    what: What,
    same: Same,
    /// The covering case is at least so bad.
    from: Severity,
    /// Also where the other is worse.
    regardless: bool,
}

impl Cover {
    const fn new(who: Who, relation: Relation, what: What) -> Self {
        Self { who, relation, what, same: Same::Resource, from: Severity::Monitor, regardless: false }
    }

    const fn of(mut self, same: Same) -> Self {
        self.same = same;
        self
    }

    const fn from(mut self, from: Severity) -> Self {
        self.from = from;
        self
    }

    const fn regardless(mut self) -> Self {
        self.regardless = true;
        self
    }
}

/// A native alert tells what a rule concluded, of the same resource.
const fn native(classes: &'static [&'static str], rules: &'static [&'static str]) -> Cover {
    Cover::new(Who::Native(classes), Relation::Same, What::Rules(rules))
}

const fn rule(id: &'static str, relation: Relation, rules: &'static [&'static str]) -> Cover {
    Cover::new(Who::Rule(id), relation, What::Rules(rules))
}

const UNREACHABLE: &str = "system-unreachable";
const QUOTA: &[&str] = &["QuotaWarning", "QuotaCritical"];
const CERTIFICATE: &[&str] = &["CertificateIsExpiring", "CertificateIsExpiringSoon", "CertificateExpired"];
const HEAT: &[&str] = &["disk-temperature", "disk-temperature-nvme", "disk-temperature-sas"];
const TASK: &[&str] = &["ReplicationFailed", "CloudSyncTaskFailed", "CloudBackupTaskFailed", "RsyncFailed"];

/// Native first: what the source itself says comes before what was concluded.
static COVERS: &[Cover] = &[
    Cover::new(Who::Rule(UNREACHABLE), Relation::Above, What::Everything).regardless(),
    Cover::new(Who::Rule(UNREACHABLE), Relation::Same, What::Everything).regardless(),
    native(&["VolumeStatus", "BootPoolStatus"], &["pool-state", "pool-device"]),
    native(&["ZpoolCapacityNotice", "ZpoolCapacityWarning", "ZpoolCapacityCritical"], &["pool-usage"]),
    native(QUOTA, &["dataset-quota"]).of(Same::Word("Quota")),
    native(QUOTA, &["dataset-refquota"]).of(Same::Word("Refquota")),
    native(TASK, &["task-failed"]),
    native(&["DiskTemperatureTooHot"], HEAT),
    native(&["UPSBatteryLow"], &["system-ups-charge"]),
    native(CERTIFICATE, &["system-certificate"]).of(Same::Named("certificate ")),
    native(&["HasUpdate"], &["system-update"]),
    native(&["FailedToStartApp"], &["app-failed", "app-stopped"]),
    rule("pool-state", Relation::Same, &["pool-device", "pool-resilver"]),
    // A pool that only lacks redundancy is no reason for what else is wrong in it.
    rule("pool-state", Relation::Above, &["disk-state", "dataset-unmounted", "share-unavailable"])
        .from(Severity::Critical),
    rule("pool-device", Relation::Above, &["disk-state"]),
    rule("pool-errors-growing", Relation::Same, &["pool-errors"]),
    rule("pool-errors-growing", Relation::Above, &["disk-errors", "disk-errors-growing"]),
    rule("pool-errors", Relation::Above, &["disk-errors"]),
    rule("disk-errors-growing", Relation::Same, &["disk-errors"]),
    rule("pool-usage", Relation::Same, &["pool-forecast"]),
    rule("pool-usage", Relation::Above, &["volume-overcommit"]),
    rule("dataset-locked", Relation::Above, &["dataset-locked", "dataset-unmounted", "share-unavailable"]),
    rule("dataset-locked", Relation::Same, &["dataset-unmounted"]),
    rule("task-failed", Relation::Same, &["task-age"]),
];

/// Whether `by` tells `case` already.
pub(super) fn covers(by: &Case, relation: Relation, case: &Case) -> bool {
    by.state == CaseState::Firing
        && by.id != case.id
        && COVERS.iter().any(|cover| {
            cover.relation == relation
                && by.severity >= cover.from
                && (cover.regardless || by.severity >= case.severity)
                && cover.is_by(&by.origin)
                && cover.is_of(&case.origin)
                && cover.is_same(by, case)
        })
}

impl Cover {
    fn is_by(&self, origin: &Origin) -> bool {
        match (&self.who, origin) {
            (Who::Rule(id), Origin::Rule(rule)) => rule.as_str() == *id,
            (Who::Native(classes), Origin::Native(klass)) => classes.contains(&&**klass),
            _ => false,
        }
    }

    fn is_of(&self, origin: &Origin) -> bool {
        match (&self.what, origin) {
            (What::Everything, origin) => origin.name() != UNREACHABLE,
            (What::Rules(rules), Origin::Rule(rule)) => rules.contains(&rule.as_str()),
            (What::Rules(_), Origin::Native(_)) => false,
        }
    }

    fn is_same(&self, by: &Case, case: &Case) -> bool {
        match self.same {
            Same::Resource => true,
            Same::Word(word) => names(by, word),
            Same::Named(before) => {
                let name = case.evidence.get("of").and_then(|of| of.strip_prefix(before));
                name.is_some_and(|name| names(by, name))
            }
        }
    }
}

/// Whether a native alert names something; what an earlier release kept is known by what is quoted.
fn names(by: &Case, name: &str) -> bool {
    by.progress.named.contains(name) || native::names(&by.evidence, name)
}

/// Whether words of native alerts of this class decide what they tell.
pub(super) fn goes_by_words(klass: &str) -> bool {
    let by_words = COVERS.iter().filter(|cover| !matches!(cover.same, Same::Resource));
    by_words.into_iter().any(|cover| matches!(cover.who, Who::Native(classes) if classes.contains(&klass)))
}

/// For people: who, how it stands, what.
pub(super) fn table() -> impl Iterator<Item = (String, String, String)> {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    COVERS.iter().map(move |cover| {
        let who = match cover.who {
            Who::Rule(id) => format!("rule `{id}`"),
            Who::Native(classes) => format!("native {}", words(classes)),
        };
        let from = match cover.from {
            Severity::Critical => ", critical",
            Severity::Healthy | Severity::Monitor | Severity::Warning => "",
        };
        let same = match cover.same {
            Same::Resource => String::new(),
            Same::Word(word) => format!(", said of its `{word}`"),
            Same::Named(before) => format!(", said of the same {}", before.trim_end()),
        };
        let what = match cover.what {
            What::Everything => "everything".to_owned(),
            What::Rules(rules) => words(rules),
        };
        let relation = match cover.relation {
            Relation::Same => "of the same resource",
            Relation::Above => "of what lies below",
        };
        (format!("{who}{from}"), format!("{relation}{same}"), what)
    })
}

#[cfg(test)]
mod tests {
    use super::super::rule::builtin;
    use super::*;

    #[test]
    fn what_the_table_names_are_rules_that_come_along() {
        let rules = builtin::rules();
        let known = |id: &str| rules.iter().any(|rule| rule.id.as_str() == id);
        for cover in COVERS {
            if let Who::Rule(id) = cover.who {
                assert!(known(id), "{id}");
            }
            if let What::Rules(ids) = cover.what {
                assert!(ids.iter().all(|id| known(id)), "{ids:?}");
            }
        }
    }
}
