//! A ZFS pool: its state and status code, then what vdevs, scan, expansion and
//! capacity add. Never asks the source's own `healthy`, whose meaning changed
//! between releases.

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::Status::{Offline, Online, Unknown};
use pulse_proto::model::{IngestRecord, Pool, Status};

use super::status_code::CODES;
use super::table::{Table, row};
use super::unknown::UnknownKind;
use super::verdict::Verdict;
use super::{capacity, scan, vdev};

pub(super) static STATES: Table = Table {
    title: "Pool state",
    unknown: UnknownKind::PoolState,
    rows: &[
        row("ONLINE", Online, Healthy, "it works"),
        row("DEGRADED", Status::Warning, Warning, "it works with devices missing or failed"),
        row("FAULTED", Offline, Critical, "its metadata is damaged or too many devices failed"),
        row("OFFLINE", Offline, Critical, "it is exported or could not be imported"),
        row("REMOVED", Offline, Critical, "its devices were removed"),
        row("UNAVAIL", Offline, Critical, "it cannot be opened"),
        row("SUSPENDED", Offline, Critical, "its input and output stand still"),
        row("SPLIT", Offline, Critical, "its devices were split off to another pool"),
        row("UNKNOWN", Unknown, Monitor, "the system cannot tell"),
        row("", Unknown, Monitor, "the system did not tell"),
    ],
};

/// A code that means nothing on a boot pool.
pub(super) const BOOT_POOL_CODE: &str = "INCOMPATIBLE_FEAT";

pub(super) fn judge(record: &IngestRecord, pool: &Pool, verdict: &mut Verdict<'_>) {
    let name = if pool.name.is_empty() { &record.name } else { &pool.name };
    let state = if pool.state.is_empty() { &record.state } else { &pool.state };
    match verdict.look_up(&STATES, state) {
        None => verdict.status(Unknown),
        Some(row) => {
            verdict.status(row.status);
            if row.severity > Healthy {
                let shown = if row.word.is_empty() { "in a state nobody told" } else { row.word };
                verdict.reason(
                    "zfs_pool_state",
                    row.severity,
                    format!("Pool {name} is {shown}: {}.", row.meaning),
                    [("state", state.clone()), ("detail", pool.status_detail.clone())],
                );
            }
        }
    }
    // A boot pool keeps features its loader can read: that it has others is as the installer made it.
    let as_made = pool.boot_pool && pool.status_code.eq_ignore_ascii_case(BOOT_POOL_CODE);
    if !as_made && let Some(row) = verdict.look_up(&CODES, &pool.status_code) {
        verdict.status(row.status);
        if row.severity > Healthy {
            verdict.reason(
                "zfs_status_code",
                row.severity,
                format!("Pool {name} reports {}: {}.", row.word, row.meaning),
                [("status_code", pool.status_code.clone()), ("detail", pool.status_detail.clone())],
            );
        }
    }
    vdev::judge(name, &pool.groups, verdict);
    scan::judge(name, pool.scan.as_ref(), verdict);
    scan::judge_expansion(name, pool.expansion.as_ref(), verdict);
    capacity::judge_pool(name, record, pool, verdict);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Tables, example};

    /// As the API of the source publishes them.
    const PUBLISHED: [&str; 9] =
        ["ONLINE", "DEGRADED", "FAULTED", "OFFLINE", "UNAVAIL", "REMOVED", "SUSPENDED", "SPLIT", "UNKNOWN"];

    #[test]
    fn every_published_state_has_a_row() {
        for state in PUBLISHED {
            assert!(STATES.find(state).is_some(), "{state}");
        }
        assert_eq!(STATES.rows.len(), PUBLISHED.len() + 1);
    }

    #[test]
    fn every_state_is_judged_as_its_row_says() {
        for row in STATES.rows {
            let judgement = example::judge(&example::pool(|pool| pool.state = row.word.into()));
            assert_eq!((judgement.status, judgement.severity), (row.status, row.severity), "{}", row.word);
            let expected = usize::from(row.severity > Healthy);
            assert_eq!(judgement.reasons.len(), expected, "{}", row.word);
        }
    }

    #[test]
    fn a_state_nobody_knows_is_unknown_and_counted() {
        let tables = Tables::default();
        let record = example::pool(|pool| pool.state = "MELTED".into());
        let judgement = example::judge_by(&tables, &record);
        assert_eq!((judgement.status, judgement.severity), (Unknown, Monitor));
        assert_eq!(judgement.reasons[0].code, "unknown_value");
        assert_eq!(tables.unknown_values().count(UnknownKind::PoolState), 1);

        let record = example::pool(|pool| pool.status_code = "NEW_CODE".into());
        let judgement = example::judge_by(&tables, &record);
        assert_eq!((judgement.status, judgement.severity), (Online, Monitor));
        assert_eq!(tables.unknown_values().count(UnknownKind::PoolStatusCode), 1);
    }

    #[test]
    fn the_state_of_the_record_serves_when_the_facet_has_none() {
        let mut record = example::pool(|pool| pool.state.clear());
        record.state = "FAULTED".into();
        assert_eq!(example::judge(&record).status, Offline);
    }

    #[test]
    fn a_boot_pool_may_have_features_of_its_own() {
        for (boot_pool, severity) in [(true, Healthy), (false, Monitor)] {
            let record = example::pool(|pool| {
                pool.boot_pool = boot_pool;
                pool.status_code = BOOT_POOL_CODE.into();
            });
            assert_eq!(example::judge(&record).severity, severity);
        }
    }

    #[test]
    fn a_suspended_pool_that_says_online_is_offline() {
        let record = example::pool(|pool| pool.status_code = "IO_FAILURE_WAIT".into());
        let judgement = example::judge(&record);
        assert_eq!((judgement.status, judgement.severity), (Offline, Critical));
    }
}
