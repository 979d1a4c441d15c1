//! Which open cases are quiet: silenced by an operator, or told by another case
//! already. Found anew where something moved, and below it.

use std::collections::BTreeSet;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::Engine;
use crate::alert::case::{Case, CaseId, CaseState};
use crate::alert::cover::{Relation, covers};
use crate::alert::silence::SilenceId;
use crate::state::{Resource, View};

/// Deepest place of a resource; datasets nest.
const DEPTH_MAX: usize = 64;
/// Longest chain of cases that tell each other.
const CHAIN_MAX: usize = 8;

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
        for id in &concerned {
            self.silence(id, now);
        }
        // A case may be told by one that is told by another: until nothing moves any more.
        for _ in 0..CHAIN_MAX {
            let moved = concerned.iter().map(|id| self.cover(id)).fold(false, |moved, one| moved | one);
            if !moved {
                break;
            }
        }
    }

    /// Finds which silences are on the cases of a subject, and since when nobody is told of each for its own sake.
    fn silence(&mut self, id: &ResourceId, now: UnixMillis) {
        let Some(cases) = self.cases.get(id) else { return };
        let found: Vec<(CaseId, Vec<SilenceId>)> = cases
            .values()
            .filter(|case| case.is_open())
            .map(|case| (case.id, self.silencing(case, now)))
            .collect();
        for (id, silenced_by) in found {
            let Some(case) = self.case_mut(id) else { continue };
            let moved = case.silenced_by != silenced_by;
            case.silenced_by = silenced_by;
            let quiet_since = quiet_since(case, now);
            if moved || case.progress.quiet_since != quiet_since {
                case.progress.quiet_since = quiet_since;
                self.news.cases.insert(id);
            }
        }
    }

    /// Finds which cases of a subject are told by another one; whether that changed.
    fn cover(&mut self, id: &ResourceId) -> bool {
        let Some(cases) = self.cases.get(id) else { return false };
        let open = cases.values().filter(|case| case.is_open());
        let found: Vec<(CaseId, Option<CaseId>)> =
            open.map(|case| (case.id, self.covering(id, case))).collect();
        let mut moved = false;
        for (id, suppressed_by) in found {
            let Some(case) = self.case_mut(id) else { continue };
            if case.suppressed_by != suppressed_by {
                case.suppressed_by = suppressed_by;
                self.news.cases.insert(id);
                moved = true;
            }
        }
        moved
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
            let tells = |by: &&Case| covers(by, relation, case) && self.is_heard(by, case);
            cases.values().find(tells).map(|by| by.id)
        };
        let above = self.above.get(id).into_iter().flatten();
        of(id, Relation::Same).or_else(|| above.into_iter().find_map(|above| of(above, Relation::Above)))
    }

    /// Whether somebody was told of `by` as long as `case` has been as bad as it is: what comes, or grows worse, after the
    /// other one fell quiet is told for itself.
    fn is_heard(&self, by: &Case, case: &Case) -> bool {
        let mut at = Some(by);
        for _ in 0..CHAIN_MAX {
            let Some(case_above) = at else { return true };
            if case_above.progress.quiet_since.is_some_and(|since| case.progress.worse_at > since) {
                return false;
            }
            at = case_above.suppressed_by.and_then(|id| self.case(id));
        }
        true
    }

    /// Looks when silences begin or end next.
    pub(super) fn turn_silences(&mut self, now: UnixMillis) {
        self.silence_turn = self.silences.values().filter_map(|silence| silence.next_turn(now)).min();
    }
}

/// Since when nobody is told of a case for its own sake; 0 where nobody ever was.
fn quiet_since(case: &Case, now: UnixMillis) -> Option<UnixMillis> {
    if !case.is_unwanted() {
        return None;
    }
    let was_told = case.state == CaseState::Firing && case.progress.worse_at < now;
    let begins = || {
        let seen_at = case.acknowledged.as_ref().map(|seen| seen.at);
        seen_at.unwrap_or(if was_told { now } else { UnixMillis::new(0) })
    };
    Some(case.progress.quiet_since.unwrap_or_else(begins))
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
