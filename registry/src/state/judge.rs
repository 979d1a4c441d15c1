//! The seam to health: state asks, health answers, app.rs joins the two. State
//! stays ignorant of what a FAULTED pool means.

use pulse_proto::model::{
    ConnectionState, Freshness, HealthReason, IngestRecord, SectionReport, Severity, Status, UnixMillis,
};

/// What a judgement may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub record: &'a IngestRecord,
    pub freshness: Freshness,
    /// What the collector says of the record's connection, when it has spoken.
    pub connection: Option<ConnectionState>,
    /// For a host: its worst pool or disk.
    pub worst_child: Option<WorstChild<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstChild<'a> {
    pub name: &'a str,
    pub severity: Severity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub severity: Severity,
    /// Worst first, then by code: equal input gives equal output.
    pub reasons: Vec<HealthReason>,
    pub status: Status,
}

/// Pure: the same subject gets the same judgement.
pub trait Judge: Send + Sync + 'static {
    fn judge(&self, subject: &Subject<'_>) -> Judgement;

    /// Freshness of what a section brought. `None`: the section was never reported.
    fn freshness(&self, report: Option<&SectionReport>, now: UnixMillis) -> Freshness;

    /// When `freshness` will next differ from what it is at `now`, if nothing is heard.
    fn next_transition(&self, report: &SectionReport, now: UnixMillis) -> Option<UnixMillis>;
}
