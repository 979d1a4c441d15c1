//! Gathers what the tables find about one record and closes it to a
//! judgement. Owns how findings combine; knows no table.

use pulse_proto::model::{Evidence, Freshness, HealthReason, Severity, Status};

use super::code;
use super::table::{Row, Table};
use super::unknown::{UnknownKind, UnknownValues};
use crate::state::judge::Judgement;

/// Most reasons a judgement carries; the worst are kept.
pub(super) const REASONS_MAX: usize = 64;

/// Longest piece of the source's own text inside a summary, in characters.
pub(super) const QUOTE_CHARS_MAX: usize = 240;

#[derive(Debug)]
pub(super) struct Verdict<'a> {
    unknown: &'a UnknownValues,
    status: Status,
    reasons: Vec<HealthReason>,
}

impl<'a> Verdict<'a> {
    pub(super) const fn new(unknown: &'a UnknownValues) -> Self {
        Self { unknown, status: Status::Online, reasons: Vec::new() }
    }

    /// The source's state stands for at least this status.
    pub(super) fn status(&mut self, status: Status) {
        if rank(status) > rank(self.status) {
            self.status = status;
        }
    }

    /// A reason of severity healthy informs and lifts nothing.
    pub(super) fn reason<const N: usize>(
        &mut self,
        code: &'static str,
        severity: Severity,
        mut summary: String,
        evidence: [(&'static str, String); N],
    ) {
        debug_assert!(code::is_known(code), "{code} is not among the codes that rules may name");
        let evidence = evidence.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        // It is kept as long as the trouble lasts, and what wrote it left room.
        summary.shrink_to_fit();
        self.reasons.push(HealthReason { code, severity, summary, evidence });
    }

    /// The row of a word; a word without one is counted and reported once.
    pub(super) fn look_up(&mut self, table: &Table, word: &str) -> Option<&'static Row> {
        let row = table.find(word);
        if row.is_none() {
            self.unknown_word(table.unknown, word);
        }
        row
    }

    pub(super) fn unknown_word(&mut self, kind: UnknownKind, word: &str) {
        self.unknown.add(kind);
        let evidence = Evidence::from([("kind", kind.token().to_owned()), ("value", quote(word))]);
        // A pool of a thousand odd devices has one such reason per kind.
        if self
            .reasons
            .iter()
            .any(|r| r.code == code::UNKNOWN_VALUE && r.evidence.get("kind") == evidence.get("kind"))
        {
            return;
        }
        self.reasons.push(HealthReason {
            code: code::UNKNOWN_VALUE,
            severity: Severity::Monitor,
            summary: format!("The {} \"{}\" is not known to this release.", kind.words(), quote(word)),
            evidence,
        });
    }

    pub(super) fn close(mut self, freshness: Freshness) -> Judgement {
        self.reasons.sort_by(|a, b| {
            let key = |r: &HealthReason| (std::cmp::Reverse(r.severity), r.code);
            key(a).cmp(&key(b)).then_with(|| (&a.summary, &a.evidence).cmp(&(&b.summary, &b.evidence)))
        });
        self.reasons.truncate(REASONS_MAX);
        let severity = self.reasons.first().map_or(Severity::Healthy, |worst| worst.severity);
        Judgement { severity, status: status(self.status, severity, freshness), reasons: self.reasons }
    }
}

/// The one-word status. What is not fresh may have changed: a warning, and
/// never offline, whatever was last seen.
pub(super) const fn status(told: Status, severity: Severity, freshness: Freshness) -> Status {
    match (freshness, told, severity) {
        (Freshness::Stale | Freshness::Lost, ..)
        | (Freshness::Fresh, Status::Online, Severity::Warning | Severity::Critical) => Status::Warning,
        (Freshness::Fresh, told, _) => told,
    }
}

const fn rank(status: Status) -> u8 {
    match status {
        Status::Online => 0,
        Status::Unknown => 1,
        Status::Warning => 2,
        Status::Offline => 3,
    }
}

/// First line of a text of the source, cut to what fits in a summary.
pub(super) fn quote(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_derived_row_by_row() {
        use Freshness::{Fresh, Lost, Stale};
        use Severity::{Critical, Healthy, Monitor, Warning};
        for (told, severity, expected) in [
            (Status::Online, Healthy, Status::Online),
            (Status::Online, Monitor, Status::Online),
            (Status::Online, Warning, Status::Warning),
            (Status::Online, Critical, Status::Warning),
            (Status::Warning, Healthy, Status::Warning),
            (Status::Warning, Critical, Status::Warning),
            (Status::Offline, Healthy, Status::Offline),
            (Status::Offline, Critical, Status::Offline),
            (Status::Unknown, Healthy, Status::Unknown),
            (Status::Unknown, Critical, Status::Unknown),
        ] {
            assert_eq!(status(told, severity, Fresh), expected, "{told} {severity}");
            assert_eq!(status(told, severity, Stale), Status::Warning, "{told} {severity}");
            assert_eq!(status(told, severity, Lost), Status::Warning, "{told} {severity}");
        }
    }

    #[test]
    fn reasons_stand_worst_first_then_by_code_and_are_limited() {
        let counters = UnknownValues::default();
        let mut verdict = Verdict::new(&counters);
        for _ in 0..REASONS_MAX {
            verdict.reason("zfs_scan_errors", Severity::Monitor, "b".into(), []);
            verdict.reason("child_health", Severity::Monitor, "a".into(), []);
        }
        verdict.reason("zfs_status_code", Severity::Critical, "z".into(), [("empty", String::new())]);
        let judgement = verdict.close(Freshness::Fresh);
        assert_eq!(judgement.severity, Severity::Critical);
        assert_eq!(judgement.reasons.len(), REASONS_MAX);
        assert_eq!(judgement.reasons[0].code, "zfs_status_code");
        assert!(judgement.reasons[0].evidence.is_empty());
        assert!(judgement.reasons[1..].iter().all(|reason| reason.code == "child_health"));
    }

    #[test]
    fn a_quote_is_one_bounded_line() {
        assert_eq!(quote("  first \nsecond"), "first");
        assert_eq!(quote(&"ä".repeat(1000)).chars().count(), QUOTE_CHARS_MAX + 1);
    }
}
