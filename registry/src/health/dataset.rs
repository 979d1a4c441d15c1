//! A ZFS dataset: locked, unmounted, read-only, and its quotas. What the
//! source did not tell is no fault: a dataset without a word on `mounted` is
//! not an unmounted one.

use pulse_proto::model::Severity::{Healthy, Warning};
use pulse_proto::model::Status::{Offline, Online};
use pulse_proto::model::{Dataset, IngestRecord, Severity, Status};

use super::capacity;
use super::unknown::UnknownKind;
use super::verdict::Verdict;

/// What a dataset can be, and what that means. The first that fits decides.
pub(super) struct DatasetRow {
    pub(super) condition: &'static str,
    pub(super) status: Status,
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    /// Continues the sentence "Dataset X is ...".
    meaning: &'static str,
    fits: fn(&Dataset) -> bool,
}

pub(super) static CONDITIONS: &[DatasetRow] = &[
    DatasetRow {
        condition: "encrypted and its key is not loaded",
        status: Offline,
        severity: Warning,
        code: "zfs_dataset_locked",
        meaning: "locked: its encryption key is not loaded",
        fits: is_locked,
    },
    DatasetRow {
        condition: "a filesystem with a mountpoint, told to be not mounted",
        status: Offline,
        severity: Warning,
        code: "zfs_dataset_unmounted",
        meaning: "not mounted",
        fits: is_unmounted,
    },
    DatasetRow {
        condition: "read-only and written by a replication task",
        status: Online,
        severity: Healthy,
        code: "",
        meaning: "a replication target",
        fits: |dataset| dataset.readonly == Some(true) && dataset.replication_target,
    },
    DatasetRow {
        condition: "read-only",
        status: Status::Warning,
        severity: Warning,
        code: "zfs_dataset_readonly",
        meaning: "read-only and no replication task explains it",
        fits: |dataset| dataset.readonly == Some(true),
    },
    DatasetRow {
        condition: "anything else",
        status: Online,
        severity: Healthy,
        code: "",
        meaning: "in order",
        fits: |_| true,
    },
];

/// Mountpoints that say "do not mount".
const NEVER_MOUNTED: [&str; 3] = ["", "none", "legacy"];

const KINDS: [&str; 3] = ["FILESYSTEM", "VOLUME", ""];

pub(super) fn judge(record: &IngestRecord, dataset: &Dataset, verdict: &mut Verdict<'_>) {
    let name = if dataset.name.is_empty() { &record.name } else { &dataset.name };
    if !KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(&dataset.kind)) {
        verdict.unknown_word(UnknownKind::DatasetKind, &dataset.kind);
    }
    if let Some(row) = CONDITIONS.iter().find(|row| (row.fits)(dataset)) {
        verdict.status(row.status);
        if row.severity > Healthy {
            let summary = format!("Dataset {name} is {}.", row.meaning);
            verdict.reason(row.code, row.severity, summary, [("pool", dataset.pool.clone())]);
        }
    }
    capacity::judge_dataset(name, dataset, verdict);
}

fn is_locked(dataset: &Dataset) -> bool {
    let keyless = dataset.encrypted == Some(true) && dataset.key_loaded == Some(false);
    dataset.locked.unwrap_or(keyless)
}

fn is_unmounted(dataset: &Dataset) -> bool {
    let mountable = !dataset.kind.eq_ignore_ascii_case("VOLUME")
        && !NEVER_MOUNTED.iter().any(|word| word.eq_ignore_ascii_case(&dataset.mountpoint));
    mountable && dataset.mounted == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Tables, example};

    fn judged(change: impl FnOnce(&mut Dataset)) -> (Status, Option<&'static str>) {
        let judgement = example::judge(&example::dataset(change));
        let worst = judgement.reasons.first();
        assert!(worst.is_none_or(|reason| reason.severity == Warning));
        (judgement.status, worst.map(|reason| reason.code))
    }

    #[test]
    fn every_condition_is_judged_as_its_row_says() {
        type Change = fn(&mut Dataset);
        let changes: [Change; 5] = [
            |d| d.locked = Some(true),
            |d| d.mounted = Some(false),
            |d| (d.readonly, d.replication_target) = (Some(true), true),
            |d| d.readonly = Some(true),
            |_| {},
        ];
        assert_eq!(changes.len(), CONDITIONS.len());
        for (change, row) in changes.into_iter().zip(CONDITIONS) {
            let expected = (row.status, (!row.code.is_empty()).then_some(row.code));
            assert_eq!(judged(change), expected, "{}", row.condition);
        }
    }

    #[test]
    fn what_was_not_told_is_no_fault() {
        let silent = |d: &mut Dataset| *d = Dataset { name: "tank/a".into(), ..Dataset::default() };
        assert_eq!(judged(silent), (Online, None));
    }

    #[test]
    fn what_cannot_be_mounted_is_not_unmounted() {
        for mountpoint in NEVER_MOUNTED {
            let unmounted = |d: &mut Dataset| (d.mounted, d.mountpoint) = (Some(false), mountpoint.into());
            assert_eq!(judged(unmounted), (Online, None), "{mountpoint}");
        }
        let volume = |d: &mut Dataset| (d.mounted, d.kind) = (Some(false), "VOLUME".into());
        assert_eq!(judged(volume), (Online, None));
    }

    #[test]
    fn a_missing_key_locks_only_what_is_encrypted() {
        let keyless = |encrypted| {
            move |d: &mut Dataset| (d.encrypted, d.key_loaded, d.locked) = (encrypted, Some(false), None)
        };
        assert_eq!(judged(keyless(Some(true))), (Offline, Some("zfs_dataset_locked")));
        assert_eq!(judged(keyless(Some(false))), (Online, None));
        assert_eq!(judged(keyless(None)), (Online, None));
        let told =
            |d: &mut Dataset| (d.encrypted, d.key_loaded, d.locked) = (Some(true), Some(false), Some(false));
        assert_eq!(judged(told), (Online, None));
    }

    #[test]
    fn a_kind_nobody_knows_is_counted() {
        let tables = Tables::default();
        let record = example::dataset(|dataset| dataset.kind = "BOOKMARK".into());
        assert_eq!(example::judge_by(&tables, &record).status, Online);
        assert_eq!(tables.unknown_values().count(UnknownKind::DatasetKind), 1);
    }
}
