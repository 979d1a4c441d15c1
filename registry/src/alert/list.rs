//! Questions to a book: which cases, in which order, how many of which kind.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ResourceId, Severity, UnixMillis};

use super::book::Book;
use super::case::{Case, CaseState, Origin};
use crate::query::filter::field::{AlertField, EnumField, TextField, TimeField};
use crate::query::filter::{AlertFacts, AlertFilter, AlertOrder};
use crate::query::sight::Sight;
use crate::query::value::Text;

impl AlertFacts for Case {
    fn word(&self, field: AlertField) -> &str {
        const fn said(so: bool) -> &'static str {
            if so { "true" } else { "false" }
        }
        match field {
            AlertField::State => self.state.token(),
            AlertField::Rule => self.origin.rule().map_or("", |rule| rule.as_str()),
            AlertField::Klass => match &self.origin {
                Origin::Native(klass) => klass,
                Origin::Rule(_) => "",
            },
            AlertField::Summary => &self.summary,
            AlertField::Acknowledged => said(self.acknowledged.is_some()),
            AlertField::Silenced => said(!self.silenced_by.is_empty()),
            AlertField::Suppressed => said(self.suppressed_by.is_some()),
            AlertField::Flapping => said(self.is_flapping()),
            AlertField::Dismissed => said(self.is_dismissed()),
        }
    }

    fn text(&self, field: TextField) -> Text<'_> {
        Text::Told(match field {
            TextField::Id => return Text::Id(self.subject.id.text()),
            TextField::Name | TextField::DisplayName => &self.subject.name,
            TextField::Technology => &self.subject.technology,
            TextField::Pool => &self.subject.pool,
            TextField::Connection => self.subject.connection.as_str(),
            TextField::ConnectionName => &self.subject.connection_name,
            TextField::State
            | TextField::ParentId
            | TextField::Dataset
            | TextField::Serial
            | TextField::Model
            | TextField::Version
            | TextField::Bus => "",
        })
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.subject.labels.get(key).map(String::as_str)
    }

    fn any_label(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.subject.labels.keys().any(|key| test(key))
    }

    fn number_of(&self, field: EnumField) -> Option<i32> {
        match field {
            EnumField::Type => Some(self.subject.resource_type.to_wire()),
            EnumField::Severity => Some(self.severity.to_wire()),
            EnumField::IncidentLevel => self.native.as_ref().map(|native| native.level.to_wire()),
            EnumField::Topology | EnumField::Status | EnumField::Freshness | EnumField::Source => None,
        }
    }

    fn time(&self, field: TimeField) -> Option<UnixMillis> {
        match field {
            TimeField::Created => Some(self.first_seen_at),
            TimeField::Observed => self.fired_at,
            TimeField::Updated => self.resolved_at,
        }
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}

/// What is asked for, of what may be seen.
#[derive(Clone, Debug)]
pub struct Scope {
    pub filter: AlertFilter,
    pub sight: Sight,
}

impl Scope {
    pub fn holds(&self, case: &Case) -> bool {
        self.sight.sees(&case.subject.connection) && self.filter.matches(case)
    }
}

/// All that match, in order: the worst that fires and nobody knows of first, unless told otherwise.
pub fn list(book: &Book, scope: &Scope, order: &AlertOrder) -> Vec<Arc<Case>> {
    let mut cases: Vec<Arc<Case>> = book.cases().filter(|case| scope.holds(case)).cloned().collect();
    sort(&mut cases, order);
    cases
}

/// In this order; among equals, what needs somebody most first.
fn sort(cases: &mut [Arc<Case>], order: &AlertOrder) {
    cases.sort_by(|a, b| {
        let told = order.compare(&**a, &**b);
        told.then_with(|| urgency(a).cmp(&urgency(b))).then_with(|| a.id.cmp(&b.id))
    });
}

/// Those of one resource that are not over, in the order of lists.
pub fn open_of(book: &Book, subject: &ResourceId) -> Vec<Arc<Case>> {
    let mut cases: Vec<Arc<Case>> = book.of(subject).filter(|case| case.is_open()).cloned().collect();
    sort(&mut cases, &AlertOrder::default());
    cases
}

type Urgency = (u8, bool, Reverse<Severity>, Reverse<UnixMillis>);

fn urgency(case: &Case) -> Urgency {
    let state = match case.state {
        CaseState::Firing => 0,
        CaseState::Pending => 1,
        CaseState::Resolved => 2,
    };
    (state, case.is_quiet(), Reverse(case.severity), Reverse(case.resolved_at.unwrap_or(case.first_seen_at)))
}

/// How many of which kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub by_state: BTreeMap<CaseState, u64>,
    /// Firing ones.
    pub by_severity: BTreeMap<Severity, u64>,
    /// Firing ones.
    pub by_origin: BTreeMap<Origin, u64>,
    pub notifying: u64,
    pub acknowledged: u64,
    pub silenced: u64,
    pub suppressed: u64,
    pub flapping: u64,
    pub revision: u64,
}

pub fn summarize(book: &Book, scope: &Scope) -> Summary {
    let mut summary = Summary { revision: book.revision, ..Summary::default() };
    for case in book.cases().filter(|case| scope.holds(case)) {
        *summary.by_state.entry(case.state).or_default() += 1;
        if case.state != CaseState::Firing {
            continue;
        }
        *summary.by_severity.entry(case.severity).or_default() += 1;
        *summary.by_origin.entry(case.origin.clone()).or_default() += 1;
        for (count, so) in [
            (&mut summary.notifying, case.notifies()),
            (&mut summary.acknowledged, case.acknowledged.is_some()),
            (&mut summary.silenced, !case.silenced_by.is_empty()),
            (&mut summary.suppressed, case.suppressed_by.is_some()),
            (&mut summary.flapping, case.is_flapping()),
        ] {
            *count += u64::from(so);
        }
    }
    summary
}
