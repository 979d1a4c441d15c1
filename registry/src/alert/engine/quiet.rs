//! Which open cases are quiet: silenced by an operator, or told by another case
//! already. Found anew where something moved, and below it.

use std::collections::BTreeSet;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::Engine;
use crate::alert::case::{Case, CaseId};
use crate::alert::cover::{Relation, covers};
use crate::alert::silence::SilenceId;
use crate::state::{Resource, View};

/// Deepest place of a resource; datasets nest.
const DEPTH_MAX: usize = 64;

impl Engine {
    /// Learns what stands above a resource that has open cases.
    pub(super) fn place(&mut self, resource: &Resource, view: &View) {
        let has_open = self.cases.get(&resource.id).is_some_and(|cases| cases.values().any(Case::is_open));
        if !has_open {
            self.unplace(&resource.id);
            return;
        }
        let above = lineage(resource, view);
        if self.above.get(&resource.id) == Some(&above) {
            return;
        }
        self.unplace(&resource.id);
        for id in &above {
            self.below.entry(id.clone()).or_default().insert(resource.id.clone());
        }
        self.above.insert(resource.id.clone(), above);
        self.news.stirred.insert(resource.id.clone());
    }

    pub(super) fn unplace(&mut self, id: &ResourceId) {
        for above in self.above.remove(id).unwrap_or_default() {
            if let Some(below) = self.below.get_mut(&above) {
                below.remove(id);
                if below.is_empty() {
                    self.below.remove(&above);
                }
            }
        }
    }

    /// Brings the quiet ones up to date, where something moved.
    pub(super) fn settle_quiet(&mut self, now: UnixMillis) {
        let mut concerned: BTreeSet<ResourceId> = if std::mem::take(&mut self.news.all_stirred) {
            self.cases.keys().cloned().collect()
        } else {
            self.news.stirred.clone()
        };
        for id in std::mem::take(&mut self.news.stirred) {
            concerned.extend(self.below.get(&id).into_iter().flatten().cloned());
        }
        for id in concerned {
            self.quieten(&id, now);
        }
    }

    fn quieten(&mut self, id: &ResourceId, now: UnixMillis) {
        let Some(cases) = self.cases.get(id) else { return };
        let found: Vec<(CaseId, Vec<SilenceId>, Option<CaseId>)> = cases
            .values()
            .filter(|case| case.is_open())
            .map(|case| (case.id, self.silencing(case, now), self.covering(id, case)))
            .collect();
        for (id, silenced_by, suppressed_by) in found {
            let Some(case) = self.case_mut(id) else { continue };
            if case.silenced_by != silenced_by || case.suppressed_by != suppressed_by {
                case.silenced_by = silenced_by;
                case.suppressed_by = suppressed_by;
                self.news.cases.insert(id);
            }
        }
    }

    fn silencing(&self, case: &Case, now: UnixMillis) -> Vec<SilenceId> {
        self.silences
            .values()
            .filter(|silence| silence.covers(case, now))
            .map(|silence| silence.id.clone())
            .collect()
    }

    /// The nearest open case that tells this one.
    fn covering(&self, id: &ResourceId, case: &Case) -> Option<CaseId> {
        let of = |subject: &ResourceId, relation| {
            let cases = self.cases.get(subject)?;
            cases.values().find(|by| covers(by, relation, case)).map(|by| by.id)
        };
        let above = self.above.get(id).into_iter().flatten();
        of(id, Relation::Same).or_else(|| above.into_iter().find_map(|above| of(above, Relation::Above)))
    }

    /// Looks when silences begin or end next.
    pub(super) fn turn_silences(&mut self, now: UnixMillis) {
        self.silence_turn = self.silences.values().filter_map(|silence| silence.next_turn(now)).min();
    }
}

/// What stands above a resource, nearest first.
fn lineage(resource: &Resource, view: &View) -> Vec<ResourceId> {
    let mut above = Vec::new();
    let mut next = resource.parent.as_ref().map(|parent| parent.id.clone());
    while let Some(id) = next.take()
        && above.len() < DEPTH_MAX
        && !above.contains(&id)
    {
        next = view.get(&id).and_then(|found| found.resource.parent.as_ref().map(|parent| parent.id.clone()));
        above.push(id);
    }
    above
}
