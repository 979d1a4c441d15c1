//! What a scrub, a resilver or an expansion means for its pool.

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::{Expansion, Scan, Severity};

use super::unknown::UnknownKind;
use super::verdict::Verdict;

/// What one function in one state means.
pub(super) struct ScanRow {
    pub(super) function: &'static str,
    pub(super) state: &'static str,
    pub(super) paused: bool,
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    /// Continues the sentence "Pool X: ...".
    pub(super) meaning: &'static str,
}

const fn row(
    function: &'static str,
    state: &'static str,
    paused: bool,
    severity: Severity,
    code: &'static str,
    meaning: &'static str,
) -> ScanRow {
    ScanRow { function, state, paused, severity, code, meaning }
}

pub(super) static SCANS: &[ScanRow] = &[
    row("SCRUB", "SCANNING", false, Monitor, "zfs_scrub_active", "a scrub is running"),
    row("SCRUB", "SCANNING", true, Monitor, "zfs_scrub_paused", "a scrub is paused"),
    row("SCRUB", "FINISHED", false, Healthy, "", "the last scrub ended"),
    row("SCRUB", "CANCELED", false, Monitor, "zfs_scrub_canceled", "the last scrub did not end"),
    row("SCRUB", "FAILED", false, Critical, "zfs_scan_failed", "the last scrub failed"),
    row("RESILVER", "SCANNING", false, Warning, "zfs_resilver_active", "a resilver is running"),
    row("RESILVER", "SCANNING", true, Warning, "zfs_resilver_paused", "a resilver is paused"),
    row("RESILVER", "FINISHED", false, Healthy, "", "the last resilver ended"),
    row("RESILVER", "CANCELED", false, Warning, "zfs_resilver_canceled", "the last resilver did not end"),
    row("RESILVER", "FAILED", false, Critical, "zfs_scan_failed", "the last resilver failed"),
];

/// States of a raidz expansion, in the words of a scan.
pub(super) static EXPANSIONS: &[ScanRow] = &[
    row("", "SCANNING", false, Monitor, "zfs_expansion_active", "an expansion is running"),
    row("", "FINISHED", false, Healthy, "", "the last expansion ended"),
    row("", "CANCELED", false, Monitor, "zfs_expansion_canceled", "the last expansion did not end"),
    row("", "FAILED", false, Critical, "zfs_expansion_failed", "the last expansion failed"),
];

/// Words that stand for nothing at all: no scan ever ran.
pub(super) const NOTHING: [&str; 2] = ["", "NONE"];

fn is_nothing(word: &str) -> bool {
    NOTHING.iter().any(|nothing| nothing.eq_ignore_ascii_case(word))
}

fn find(rows: &'static [ScanRow], function: &str, state: &str, paused: bool) -> Option<&'static ScanRow> {
    let fits =
        |row: &&ScanRow| row.function.eq_ignore_ascii_case(function) && row.state.eq_ignore_ascii_case(state);
    // Only a running scan can be paused; a pause time left behind elsewhere means nothing.
    rows.iter().filter(fits).find(|row| row.paused == paused).or_else(|| rows.iter().find(fits))
}

pub(super) fn judge(pool: &str, scan: Option<&Scan>, verdict: &mut Verdict<'_>) {
    let Some(scan) = scan else { return };
    if let Some(errors @ 1..) = scan.errors {
        verdict.reason(
            "zfs_scan_errors",
            Critical,
            format!("The last scan of pool {pool} found {errors} errors that it could not repair."),
            [("errors", errors.to_string()), ("function", scan.function.clone())],
        );
    }
    if is_nothing(&scan.function) || is_nothing(&scan.state) {
        return;
    }
    let Some(row) = find(SCANS, &scan.function, &scan.state, scan.pause_time.is_some()) else {
        if SCANS.iter().any(|row| row.function.eq_ignore_ascii_case(&scan.function)) {
            verdict.unknown_word(UnknownKind::ScanState, &scan.state);
        } else {
            verdict.unknown_word(UnknownKind::ScanFunction, &scan.function);
        }
        return;
    };
    if row.severity > Healthy {
        verdict.reason(
            row.code,
            row.severity,
            format!("Pool {pool}: {}.", row.meaning),
            [("function", scan.function.clone()), ("state", scan.state.clone())],
        );
    }
}

pub(super) fn judge_expansion(pool: &str, expansion: Option<&Expansion>, verdict: &mut Verdict<'_>) {
    let Some(expansion) = expansion else { return };
    if is_nothing(&expansion.state) {
        return;
    }
    let Some(row) = find(EXPANSIONS, "", &expansion.state, false) else {
        verdict.unknown_word(UnknownKind::ExpansionState, &expansion.state);
        return;
    };
    if row.severity > Healthy {
        let waits = if expansion.waiting_for_resilver { "true" } else { "" };
        verdict.reason(
            row.code,
            row.severity,
            format!("Pool {pool}: {}.", row.meaning),
            [("state", expansion.state.clone()), ("waiting_for_resilver", waits.into())],
        );
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::UnixMillis;

    use super::*;
    use crate::health::{Tables, example};

    fn judged(scan: Option<Scan>, expansion: Option<Expansion>) -> Vec<(&'static str, Severity)> {
        let record = example::pool(|pool| {
            pool.scan = scan;
            pool.expansion = expansion;
        });
        example::judge(&record).reasons.into_iter().map(|reason| (reason.code, reason.severity)).collect()
    }

    fn scan(function: &str, state: &str, paused: bool) -> Scan {
        let pause_time = paused.then_some(UnixMillis::new(1));
        Scan { function: function.into(), state: state.into(), pause_time, ..Scan::default() }
    }

    fn expected(row: &ScanRow) -> Vec<(&'static str, Severity)> {
        if row.severity == Healthy { vec![] } else { vec![(row.code, row.severity)] }
    }

    #[test]
    fn every_published_function_and_state_has_a_row() {
        for function in ["SCRUB", "RESILVER"] {
            for (state, paused) in
                [("SCANNING", false), ("SCANNING", true), ("FINISHED", false), ("CANCELED", false)]
            {
                let row = find(SCANS, function, state, paused);
                assert!(row.is_some_and(|row| row.paused == paused), "{function} {state} {paused}");
            }
        }
    }

    #[test]
    fn every_scan_is_judged_as_its_row_says() {
        for row in SCANS {
            let got = judged(Some(scan(row.function, row.state, row.paused)), None);
            assert_eq!(got, expected(row), "{} {}", row.function, row.state);
        }
        assert_eq!(judged(Some(scan("SCRUB", "FINISHED", true)), None), []);
    }

    #[test]
    fn every_expansion_is_judged_as_its_row_says() {
        for row in EXPANSIONS {
            let expansion = Expansion { state: row.state.into(), ..Expansion::default() };
            assert_eq!(judged(None, Some(expansion)), expected(row), "{}", row.state);
        }
    }

    #[test]
    fn no_scan_is_no_reason() {
        for nothing in NOTHING {
            assert_eq!(judged(Some(scan(nothing, nothing, false)), None), []);
            assert_eq!(judged(Some(scan("SCRUB", nothing, false)), None), []);
        }
        assert_eq!(judged(None, None), []);
    }

    #[test]
    fn errors_of_a_scan_are_critical_in_every_state() {
        for row in SCANS {
            let scan = Scan { errors: Some(2), ..scan(row.function, row.state, row.paused) };
            let got = judged(Some(scan), None);
            assert!(got.contains(&("zfs_scan_errors", Critical)), "{} {}", row.function, row.state);
        }
        let clean = Scan { errors: Some(0), ..scan("SCRUB", "FINISHED", false) };
        assert_eq!(judged(Some(clean), None), []);
    }

    #[test]
    fn words_nobody_knows_are_counted() {
        let tables = Tables::default();
        for (function, state) in [("POLISH", "SCANNING"), ("SCRUB", "DREAMING")] {
            let record = example::pool(|pool| {
                pool.scan = Some(scan(function, state, false));
                pool.expansion = Some(Expansion { state: state.into(), ..Expansion::default() });
            });
            assert_eq!(example::judge_by(&tables, &record).severity, Monitor);
        }
        let values = tables.unknown_values();
        for kind in [UnknownKind::ScanFunction, UnknownKind::ScanState, UnknownKind::ExpansionState] {
            assert_eq!(values.count(kind), 1, "{kind:?}");
        }
    }
}
