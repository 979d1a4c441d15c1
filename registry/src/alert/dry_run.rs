//! What a rule would make of what is held, before it is kept. Pure; the same
//! question that the core asks, with the same memory, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::book::Book;
use super::case::{Case, Origin};
use super::condition::{Condition, Grown, Memory, Open, Question, ask};
use super::life::Said;
use super::measure::Lens;
use super::rule::{Choice, Effective, Rule};
use crate::state::View;

/// Resources that are named.
pub const NAMED_MAX: usize = 1_000;
/// How far back one looks for what is over.
pub const LATELY: Duration = Duration::from_hours(7 * 24);

/// What the core remembers of resources at a moment, for conditions that look back.
#[derive(Clone, Debug, Default)]
pub struct Remembered(pub(super) Arc<BTreeMap<ResourceId, Memory>>);

/// Of resources, those that are named and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Ascending.
    pub named: Vec<ResourceId>,
    pub total: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// The condition holds for them now: they fire as soon as that is confirmed.
    pub now: Found,
    /// It does not, and did within [`LATELY`]: as far as cases of this rule and counters tell.
    pub lately: Found,
}

pub fn dry_run(rule: &Rule, view: &View, book: &Book, remembered: &Remembered, now: UnixMillis) -> Trial {
    let own = Origin::Rule(rule.id.clone());
    let mut open = BTreeMap::new();
    let mut over = BTreeSet::new();
    for case in book.cases().filter(|case| case.origin == own) {
        if case.is_open() {
            open.insert(&case.subject.id, Open::of(case));
        } else if ended_lately(case, now) {
            over.insert(&case.subject.id);
        }
    }
    let mut trial = Trial::default();
    for (shard, resource) in view.iter() {
        let lens = Lens::new(resource, Some(shard));
        let memory = remembered.0.get(&resource.id);
        let open = open.get(&resource.id).copied();
        let effective = match rule.of(&lens, now) {
            Choice::Chosen(effective) => effective,
            // What fires goes on while nothing is known.
            Choice::Unknown if open.is_some_and(|open| open.firing) => {
                trial.now.add(&resource.id);
                continue;
            }
            Choice::Unknown | Choice::NotChosen => continue,
        };
        let question = Question { lens: &lens, memory, open, now };
        match ask(&effective, &question).said {
            Said::Holds(_) => trial.now.add(&resource.id),
            Said::Unknown if open.is_some_and(|open| open.firing) => trial.now.add(&resource.id),
            Said::Clear(_) | Said::Unknown | Said::Gone(_) | Said::Over(_) => {
                if over.contains(&resource.id) || grew_lately(&effective, memory, now) {
                    trial.lately.add(&resource.id);
                }
            }
        }
    }
    trial.now.named.sort();
    trial.lately.named.sort();
    trial
}

impl Found {
    fn add(&mut self, id: &ResourceId) {
        self.total += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(*id);
        }
    }
}

fn ended_lately(case: &Case, now: UnixMillis) -> bool {
    case.has_fired() && case.resolved_at.is_some_and(|at| now.since(at) <= LATELY)
}

/// The counter grew enough, and has stood still since for longer than the rule waits.
fn grew_lately(effective: &Effective<'_>, memory: Option<&Memory>, now: UnixMillis) -> bool {
    let Condition::Growth { counter, by, .. } = *effective.condition else { return false };
    let is_young = |at: UnixMillis| now.since(at) <= LATELY;
    let grown = memory.and_then(|memory| memory.counted.grown(counter, is_young));
    grown.is_some_and(|Grown { from, to, .. }| to.saturating_sub(from) >= by)
}

#[cfg(test)]
mod tests;
