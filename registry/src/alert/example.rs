//! Cases and books for the tests of other rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceId, ResourceType, Revision, Severity, UnixMillis};

use super::book::Book;
use super::case::{Case, CaseId, CaseState, Origin, Progress, Step, Subject};
use super::rule::RuleId;

/// A pool of that name fires since `at`.
pub(crate) fn firing(name: &str, severity: Severity, at: UnixMillis) -> Case {
    let bytes = name.bytes().fold(0_u64, |number, byte| (number << 8) | u64::from(byte));
    let id = ResourceId::parse(&format!("storage-{bytes:016x}")).expect("an id");
    let origin = Origin::Rule(RuleId::parse("pool-state").expect("an id"));
    let subject = Subject {
        id,
        resource_type: ResourceType::Storage,
        section: None,
        name: name.into(),
        technology: "zfs-pool".into(),
        pool: name.into(),
        connection: ConnectionId::parse("nas1").expect("an id"),
        connection_name: "Rack 1".into(),
        labels: Arc::new(BTreeMap::from([("site/room".to_owned(), "a".to_owned())])),
    };
    let mut case = Case {
        id: CaseId::of(&origin, &id, at),
        origin,
        subject,
        state: CaseState::Firing,
        severity,
        native: None,
        summary: format!("{name} is FAULTED"),
        remedy: "replace the disk".into(),
        evidence: BTreeMap::from([("state".to_owned(), "FAULTED".to_owned())]),
        resource_revision: Revision(7),
        first_seen_at: at,
        last_seen_at: at,
        fired_at: Some(at),
        resolved_at: None,
        acknowledged: None,
        silenced_by: Vec::new(),
        suppressed_by: None,
        transitions: Vec::new(),
        revision: 1,
        progress: Progress::default(),
    };
    case.note(Step::Firing, at, "confirmed".to_owned(), "");
    case
}

pub(crate) fn worse(mut case: Case, severity: Severity, at: UnixMillis) -> Case {
    case.severity = severity;
    case.note(Step::Severity, at, "changed".to_owned(), "");
    case
}

pub(crate) fn resolved(mut case: Case, at: UnixMillis) -> Case {
    case.state = CaseState::Resolved;
    case.resolved_at = Some(at);
    case.note(Step::Resolved, at, "is over".to_owned(), "");
    case
}

pub(crate) fn again(mut case: Case, at: UnixMillis) -> Case {
    case.state = CaseState::Firing;
    case.resolved_at = None;
    case.note(Step::Firing, at, "came back".to_owned(), "");
    case
}

pub(crate) fn book(cases: impl IntoIterator<Item = Case>) -> Book {
    let mut book = Book::default();
    for case in cases {
        book.put(Arc::new(case));
    }
    book
}
