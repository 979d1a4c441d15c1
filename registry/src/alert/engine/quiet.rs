//! Which open cases are quiet: silenced by an operator, or told by another case
//! already. Found anew where something moved, and below it.

use std::collections::{BTreeMap, BTreeSet};

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
        let above = self.lineage(resource, view);
        self.place_under(&resource.id, above);
    }

    /// What stands above it moved: so it did for everything below it.
    pub(super) fn place_below(&mut self, resource: &Resource, view: &View) {
        let Some(below) = self.below.get(&resource.id).cloned() else { return };
        let onwards = self.lineage(resource, view);
        for id in below {
            let Some(known) = self.above.get(&id) else { continue };
            let Some(at) = known.iter().position(|above| *above == resource.id) else { continue };
            let mut above = known.get(..=at).unwrap_or_default().to_vec();
            above.extend(onwards.iter().filter(|id| !known[..=at].contains(id)).copied());
            self.place_under(&id, above);
        }
    }

    fn place_under(&mut self, id: &ResourceId, above: Vec<ResourceId>) {
        let known = self.above.get(id);
        if known == Some(&above) {
            return;
        }
        if known.map(Vec::as_slice).unwrap_or_default() == above {
            self.put_under(id, above);
            return;
        }
        // It is kept with each open case: who is absent after a restart still stands where it stood.
        let open = self.cases.get(id).into_iter().flat_map(BTreeMap::values).filter(|case| case.is_open());
        self.news.cases.extend(open.map(|case| case.id));
        self.news.stirred.insert(*id);
        self.put_under(id, above);
    }

    pub(super) fn put_under(&mut self, id: &ResourceId, above: Vec<ResourceId>) {
        self.unplace(id);
        for one in &above {
            self.below.entry(*one).or_default().insert(*id);
        }
        self.above.insert(*id, above);
    }

    /// What stands above a resource, nearest first. Above what the view does not hold is what was there.
    fn lineage(&self, resource: &Resource, view: &View) -> Vec<ResourceId> {
        let known = self.above.get(&resource.id).map(Vec::as_slice).unwrap_or_default();
        let mut above = Vec::new();
        let mut next = resource.parent.as_ref().map(|parent| parent.id);
        while let Some(id) = next.take()
            && above.len() < DEPTH_MAX
            && !above.contains(&id)
        {
            next = match view.get(&id) {
                Some(found) => found.resource.parent.as_ref().map(|parent| parent.id),
                None => known.iter().skip_while(|known| **known != id).nth(1).copied(),
            };
            above.push(id);
        }
        above
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
            self.cases.keys().copied().collect()
        } else {
            self.news.stirred.clone()
        };
        for id in std::mem::take(&mut self.news.stirred) {
            concerned.extend(self.below.get(&id).into_iter().flatten().copied());
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
            let mut moved = case.silenced_by != silenced_by;
            case.silenced_by = silenced_by;
            let quiet_since = quiet_since(case, now);
            if !case.progress.loud && case.state == CaseState::Firing && !case.is_unwanted() {
                case.progress.loud = true;
                moved = true;
            }
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
    let begins = || {
        let seen_at = case.acknowledged.as_ref().map(|seen| seen.at);
        seen_at.unwrap_or(if case.progress.loud { now } else { UnixMillis::new(0) })
    };
    Some(case.progress.quiet_since.unwrap_or_else(begins))
}
