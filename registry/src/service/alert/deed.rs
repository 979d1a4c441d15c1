//! What a change of alerts is about, as the audit log names it: ids first, then
//! what makes them readable when the thing itself is gone.

use pulse_proto::pb::registry::v1 as pb;

use crate::alert::silence::SilenceId;
use crate::alert::{Book, CaseId};

/// `who` is the person or program that a client speaks for.
pub(super) fn on_alert(book: &Book, id: &str, who: &str) -> String {
    let Some(case) = CaseId::parse(id).and_then(|id| book.get(id)) else { return id.to_owned() };
    let (origin, subject) = (case.origin.name(), &case.subject);
    format!("{id} {origin} of {} on {}, by {who}", subject.name, subject.connection_name)
}

pub(super) fn new_silence(id: &SilenceId, silence: &pb::Silence) -> String {
    format!("{id} by {}: {}", silence.author, silence.filter)
}

pub(super) fn on_silence(book: &Book, id: &str) -> String {
    match book.silences.get(&SilenceId::new(id)) {
        Some(silence) => format!("{id} by {}: {}", silence.author, silence.filter_text),
        None => id.to_owned(),
    }
}

pub(super) fn on_rule(rule: &pb::AlertRule, validate_only: bool) -> String {
    let name = if rule.id.is_empty() { &rule.name } else { &rule.id };
    if validate_only { format!("{name} (dry run)") } else { name.clone() }
}
