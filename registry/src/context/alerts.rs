//! Alerts as contexts tell them: cases that are open, and whose they are.

use std::cmp::Reverse;
use std::sync::Arc;

use pulse_proto::model::{ResourceId, ResourceType};

use super::fact::{Fact, Origin};
use super::fleet::{Scope, Told};
use super::piece::{Kind, Piece, Statement, say, told};
use super::words::{self, Own};
use crate::alert::{Book, Case, CaseState};
use crate::query::sight::Sight;
use crate::state::view::View;

/// Cases at hand; more fit into no budget.
const CASES_MAX: usize = 500;
/// Steps of one case that are told of its history.
const STEPS_MAX: usize = 3;

/// Open cases of what the scope selects, the worst first, then those that began first. A case that another one tells
/// already is not told.
pub(super) fn open(book: &Book, view: &View, scope: &Scope) -> Told {
    let most = scope.facts_max().min(CASES_MAX);
    if !scope.is_filtered() && scope.sight.is_whole() {
        let facts = book.urgent().take(most).map(|case| fact(case, view)).collect();
        return Told { facts, total: book.open_len() as u64 };
    }
    let mut told = Told::default();
    for case in book.urgent().filter(|case| selects(scope, view, case)) {
        told.total += 1;
        if told.facts.len() < most {
            told.facts.push(fact(case, view));
        }
    }
    told
}

/// How many of them fire, known or not.
pub(super) fn firing(book: &Book, view: &View, scope: &Scope) -> u64 {
    let fires = |case: &&Arc<Case>| case.state == CaseState::Firing && selects(scope, view, case);
    book.open().filter(fires).count() as u64
}

/// What is gone matches no filter.
fn selects(scope: &Scope, view: &View, case: &Case) -> bool {
    let matches = || {
        let found = view.get(&case.subject.id);
        found.is_some_and(|found| scope.filter.matches(&found.resource, found.observed_at))
    };
    scope.sight.sees(&case.subject.connection) && (!scope.is_filtered() || matches())
}

/// All cases of one resource, open ones first, then the newest.
pub(super) fn of_resource(book: &Book, view: &View, id: &ResourceId, sight: &Sight) -> Vec<Fact> {
    let is_seen = |case: &&Case| sight.sees(&case.subject.connection);
    let mut cases: Vec<&Case> = book.of(id).map(|case| &**case).filter(is_seen).collect();
    cases.sort_by_key(|case| (case.state == CaseState::Resolved, Reverse(case.first_seen_at), case.id));
    cases.into_iter().take(CASES_MAX).map(|case| fact(case, view)).collect()
}

fn fact(case: &Case, view: &View) -> Fact {
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
        statement.add(", it says ").add(told(Kind::Text, case.summary.as_str()));
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
