//! Alerts as contexts tell them: cases that are open, and whose they are.

use std::cmp::Reverse;

use pulse_proto::model::{ResourceId, ResourceType};

use super::fact::{Fact, Origin};
use super::fleet::{Scope, Told, gone};
use super::piece::{Kind, Piece, Statement, say, told};
use super::words::{self, Own};
use crate::alert::{Book, Case, CaseState};
use crate::query::filter::field::{EnumField, Field};
use crate::query::sight::Sight;
use crate::state::resource::Resource;
use crate::state::view::{Found, View};

/// Cases at hand; more fit into no budget.
pub(super) const CASES_MAX: usize = 500;
/// Steps of one case that are told of its history.
const STEPS_MAX: usize = 3;

/// Open cases that the scope selects, the worst first, then those that began first. A case that another one tells
/// already is not told.
pub(super) fn open(book: &Book, view: &View, scope: &Scope) -> Told {
    let most = scope.facts_max().min(CASES_MAX);
    let selection = Selection::of(scope, view);
    if selection.is_all() {
        let facts = book.urgent().take(most).map(|case| fact(case, view)).collect();
        return Told { facts, total: book.open_len() as u64 };
    }
    let mut told = Told::default();
    for case in book.urgent().filter(|case| selection.selects(case)) {
        told.total += 1;
        if told.facts.len() < most {
            told.facts.push(fact(case, view));
        }
    }
    told
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    pub(super) all: u64,
    /// Known or not.
    pub(super) firing: u64,
}

pub(super) fn count(book: &Book, view: &View, scope: &Scope) -> Open {
    let selection = Selection::of(scope, view);
    let mut open = Open::default();
    for case in book.open().filter(|case| selection.selects(case)) {
        open.all += 1;
        open.firing += u64::from(case.state == CaseState::Firing);
    }
    open
}

/// Which cases a scope selects: those of what matches its filter, with the severity that the case has itself. What it is
/// about may be well: the rule that fires says how bad it is.
struct Selection<'a> {
    scope: &'a Scope,
    view: &'a View,
    asks_severity: bool,
}

impl<'a> Selection<'a> {
    fn of(scope: &'a Scope, view: &'a View) -> Self {
        let severity = Field::Enum(EnumField::Severity);
        let asks_severity = scope.filter.any(|field, _| *field == severity);
        Self { scope, view, asks_severity }
    }

    fn is_all(&self) -> bool {
        !self.scope.is_filtered() && self.scope.sight.is_whole()
    }

    fn selects(&self, case: &Case) -> bool {
        self.scope.sight.sees(&case.subject.connection) && (!self.scope.is_filtered() || self.matches(case))
    }

    fn matches(&self, case: &Case) -> bool {
        let Some(Found { resource, observed_at }) = self.view.get(&case.subject.id) else {
            return gone::matches(&self.scope.filter, case);
        };
        if self.asks_severity {
            let as_told = Resource { severity: case.severity, ..Resource::clone(&resource) };
            self.scope.filter.matches(&as_told, observed_at)
        } else {
            self.scope.filter.matches(&resource, observed_at)
        }
    }
}

/// All cases of one resource, open ones first, then the newest.
pub(super) fn of_resource(book: &Book, view: &View, id: &ResourceId, sight: &Sight) -> Vec<Fact> {
    let is_seen = |case: &&Case| sight.sees(&case.subject.connection);
    let mut cases: Vec<&Case> = book.of(id).map(|case| &**case).filter(is_seen).collect();
    cases.sort_by_key(|case| (case.state == CaseState::Resolved, Reverse(case.first_seen_at), case.id));
    cases.into_iter().take(CASES_MAX).map(|case| fact(case, view)).collect()
}

pub(super) fn fact(case: &Case, view: &View) -> Fact {
    let mut statement = say![
        Own::from(case.severity.token()).capital(),
        ": alert ",
        told(Kind::Word, case.origin.name()),
        " on ",
    ];
    statement.append(subject(case));
    let state = match case.state {
        CaseState::Pending => " is not confirmed yet",
        CaseState::Firing => " fires",
        CaseState::Resolved => " is over",
    };
    statement.add(state).add(", first seen ").add(Piece::Ago(case.first_seen_at));
    if let Some(at) = case.resolved_at.filter(|_| case.state == CaseState::Resolved) {
        statement.add(", resolved ").add(Piece::Ago(at));
    }
    if let Some(known) = &case.acknowledged {
        statement.add(", acknowledged by ").add(told(Kind::User, known.who.as_str()));
        if !known.comment.is_empty() {
            statement.add(" who says ").add(told(Kind::Text, known.comment.as_str()));
        }
    }
    if !case.silenced_by.is_empty() {
        statement.add(", silenced");
    }
    if case.is_dismissed() {
        statement.add(", dismissed at the system");
    }
    if case.is_flapping() {
        statement.add(", comes and goes");
    }
    if !case.summary.is_empty() {
        let kind =
            if matches!(case.origin, crate::alert::Origin::Native(_)) { Kind::Text } else { Kind::Sentence };
        statement.add(", it says ").add(told(kind, case.summary.as_str()));
    }
    if case.transitions.len() > STEPS_MAX {
        statement.add(", changed ").add(words::digits(case.transitions.len() as u64)).add(" times");
    }
    statement.add(".");
    let mut fact = Fact::derived("alert", statement).with_value(case.severity.token().into(), "severity");
    fact.origin = view.get(&case.subject.id).map(|found| Origin::of(&found.resource));
    fact
}

/// What it is about, also when that is gone.
fn subject(case: &Case) -> Statement {
    let subject = &case.subject;
    let is_dataset = &*subject.technology == "zfs-dataset";
    let (noun, kind) = match subject.resource_type {
        ResourceType::Host => ("system ", Kind::System),
        ResourceType::Storage if is_dataset => ("dataset ", Kind::Path),
        ResourceType::Storage => ("pool ", Kind::Pool),
        ResourceType::PhysicalDisk => ("disk ", Kind::Word),
        ResourceType::NetworkShare => ("share ", Kind::Share),
        ResourceType::ProtectionTask => ("protection task ", Kind::Label),
        ResourceType::AppContainer => ("app ", Kind::Workload),
        ResourceType::Vm => ("virtual machine ", Kind::Workload),
        _ => ("", Kind::System),
    };
    let mut statement = say![noun, told(kind, &*subject.name)];
    if subject.resource_type != ResourceType::Host {
        statement.add(" on ").add(told(Kind::System, &*subject.connection_name));
    }
    statement
}
