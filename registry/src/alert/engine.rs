//! The core of alerts: everything open, everything remembered, and what follows
//! from a change, a command or the time. Pure: no IO, no clock, no randomness;
//! equal input gives equal output. Cost follows what changed.

mod absent;
mod command;
mod evaluate;
mod learn;
mod quiet;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Freshness, ResourceId, Revision, UnixMillis};

use super::book::Book;
use super::case::{Case, CaseId, Origin};
use super::condition::Memory;
use super::dry_run::Remembered;
use super::life::REOPEN_WITHIN;
use super::outlook::Outlook;
use super::row;
use super::rule::{Rule, RuleId};
use super::silence::{Silence, SilenceId};
use crate::state::view::profile::Profile;
use crate::state::{Note, Resource, View};

pub use self::command::{Command, Done, Refusal, changed_rule, new_rule};

/// Cases that are open at the same time; beyond it a new one is not begun.
pub const OPEN_MAX: usize = 100_000;
/// Resources one step of a whole pass looks at.
pub const PASS_STEP: usize = 5_000;
/// How long a silence is shown after its end.
const SILENCE_KEPT: Duration = Duration::from_hours(7 * 24);
/// Profiles whose rules are remembered.
const PROFILES_MAX: usize = 10_000;
/// A case that was never confirmed is forgotten this soon.
const DROPPED_KEPT: Duration = Duration::from_hours(1);

/// How long what is over is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    pub age: Duration,
    /// Beside what was over just now.
    pub cases: usize,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { age: Duration::from_hours(30 * 24), cases: 20_000 }
    }
}

#[derive(Debug)]
pub struct Engine {
    keeping: Keeping,
    rules: BTreeMap<RuleId, Arc<Rule>>,
    /// Those that may apply to anything.
    active: Arc<[(Origin, Arc<Rule>)]>,
    /// Of those, by their places, what may apply to resources of a profile: found when the first of them comes.
    fitting: BTreeMap<Profile, Arc<[usize]>>,
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    /// The newest case of each origin, by subject.
    cases: BTreeMap<ResourceId, BTreeMap<Origin, Case>>,
    places: BTreeMap<CaseId, (ResourceId, Origin)>,
    open: usize,
    /// When which case was over that had fired, and which that had not.
    over: BTreeSet<(UnixMillis, CaseId)>,
    dropped: BTreeSet<(UnixMillis, CaseId)>,
    /// What stands above a subject that has an open case, nearest first.
    above: BTreeMap<ResourceId, Vec<ResourceId>>,
    /// Subjects with open cases, by what stands above them.
    below: BTreeMap<ResourceId, BTreeSet<ResourceId>>,
    memory: BTreeMap<ResourceId, Memory>,
    /// When a subject is looked at again if nothing is heard.
    looks: BTreeMap<ResourceId, UnixMillis>,
    due: BTreeSet<(UnixMillis, ResourceId)>,
    /// When a silence begins or ends next.
    silence_turn: Option<UnixMillis>,
    revision: u64,
    /// Rules were asked about resources up to here, and as far as that is kept.
    evaluated: Revision,
    evaluated_kept: Revision,
    /// Cases were not begun since too many are open.
    left_out: u64,
    news: News,
}

/// What changed since it was last told.
#[derive(Debug, Default)]
struct News {
    cases: BTreeSet<CaseId>,
    /// Those of them whose place was taken by a newer one before they were told, as they ended.
    replaced: Vec<Case>,
    forgotten: BTreeSet<CaseId>,
    memory: BTreeSet<ResourceId>,
    /// That what came up to there was looked at is all that is remembered of some of it.
    looked_at: Revision,
    rules: BTreeSet<RuleId>,
    silences: BTreeSet<SilenceId>,
    /// Subjects whose cases may have become quiet or loud.
    stirred: BTreeSet<ResourceId>,
    /// All of them.
    all_stirred: bool,
}

/// To be made durable, then published.
#[derive(Debug, Default)]
pub struct Outcome {
    pub notes: Vec<Note>,
    pub cases: Vec<Arc<Case>>,
    pub forgotten: Vec<CaseId>,
    pub outlooks: Vec<(ResourceId, Outlook)>,
    pub rules: Option<Arc<BTreeMap<RuleId, Arc<Rule>>>>,
    pub silences: Option<Arc<BTreeMap<SilenceId, Arc<Silence>>>>,
    pub revision: u64,
}

impl Outcome {
    /// The book after it.
    pub fn onto(&self, book: &Book, evaluated: Revision) -> Book {
        let mut book = book.clone();
        book.revision = self.revision;
        book.evaluated = evaluated;
        for id in &self.forgotten {
            book.forget(*id);
        }
        for case in &self.cases {
            book.put(Arc::clone(case));
        }
        for (id, outlook) in &self.outlooks {
            book.expect(id, *outlook);
        }
        if let Some(rules) = &self.rules {
            book.rules = Arc::clone(rules);
        }
        if let Some(silences) = &self.silences {
            book.silences = Arc::clone(silences);
        }
        book
    }
}

impl Engine {
    /// When time alone will change something.
    pub fn next_due(&self) -> Option<UnixMillis> {
        self.due.first().map(|(at, _)| *at).into_iter().chain(self.silence_turn).min()
    }

    /// Cases that were not begun since too many were open.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Rows that wait to be kept.
    pub fn unkept(&self) -> usize {
        self.news.cases.len() + self.news.memory.len()
    }

    /// What conditions that look back know of.
    pub fn remembered(&self) -> Remembered {
        Remembered(Arc::new(self.memory.clone()))
    }

    pub const fn open(&self) -> usize {
        self.open
    }

    /// What is to be kept and told; `None` when nothing changed.
    pub fn flush(&mut self, now: UnixMillis) -> Option<Outcome> {
        self.settle_quiet(now);
        self.trim(now);
        let evaluated = self.evaluated;
        let News { cases, replaced, forgotten, memory, rules, silences, looked_at, .. } =
            std::mem::take(&mut self.news);
        if looked_at > evaluated {
            self.news.looked_at = looked_at;
        }
        let is_news = looked_at > self.evaluated_kept && looked_at <= evaluated;
        if !is_news
            && cases.is_empty()
            && forgotten.is_empty()
            && memory.is_empty()
            && rules.is_empty()
            && silences.is_empty()
        {
            return None;
        }
        let mut outcome = Outcome::default();
        if !(cases.is_empty() && forgotten.is_empty()) {
            self.revision += 1;
        }
        for id in cases {
            let Some(case) = self.case_mut(id) else { continue };
            case.revision = 0;
            let mut case = case.clone();
            case.revision = self.revision;
            if let Some(own) = self.case_mut(id) {
                own.revision = case.revision;
            }
            let above = self.above.get(&case.subject.id).map(Vec::as_slice).unwrap_or_default();
            outcome.notes.push(row::case(&case, above));
            outcome.cases.push(Arc::new(case));
        }
        for mut case in replaced.into_iter().filter(|case| !forgotten.contains(&case.id)) {
            case.revision = self.revision;
            outcome.notes.push(row::case(&case, &[]));
            outcome.cases.push(Arc::new(case));
        }
        for id in &forgotten {
            outcome.notes.push(row::no_case(*id));
        }
        outcome.forgotten = forgotten.into_iter().collect();
        for id in memory {
            let known = self.memory.get(&id);
            outcome.notes.push(row::memory(&id, known));
            outcome.outlooks.push((id, known.map(Memory::outlook).unwrap_or_default()));
        }
        for id in &rules {
            // As it came along: nothing to keep.
            let own = self.rules.get(id).filter(|rule| !rule.built_in || rule.modified);
            outcome.notes.push(row::rule(id, own.map(|rule| &**rule)));
        }
        for id in &silences {
            outcome.notes.push(row::silence(id, self.silences.get(id).map(|silence| &**silence)));
        }
        outcome.notes.push(row::revision(self.revision));
        outcome.notes.push(row::evaluated(evaluated));
        self.evaluated_kept = evaluated;
        outcome.rules = (!rules.is_empty()).then(|| Arc::new(self.rules.clone()));
        outcome.silences = (!silences.is_empty()).then(|| Arc::new(self.silences.clone()));
        outcome.revision = self.revision;
        Some(outcome)
    }

    fn case(&self, id: CaseId) -> Option<&Case> {
        let (subject, origin) = self.places.get(&id)?;
        self.cases.get(subject)?.get(origin).filter(|case| case.id == id)
    }

    fn case_mut(&mut self, id: CaseId) -> Option<&mut Case> {
        let (subject, origin) = self.places.get(&id)?;
        self.cases.get_mut(subject)?.get_mut(origin).filter(|case| case.id == id)
    }

    /// Lets go of what has been over for long, or is too much.
    fn trim(&mut self, now: UnixMillis) {
        let Keeping { age, cases } = self.keeping;
        let too_old = |set: &BTreeSet<(UnixMillis, CaseId)>, age| {
            let (at, id) = *set.first()?;
            let over_for = now.since(at);
            // Whoever follows must see that it is over before it is too much, and what comes back soon is the same case.
            let spared = if over_for > REOPEN_WITHIN { 0 } else { OPEN_MAX };
            (over_for > age || set.len() > cases.saturating_add(spared)).then_some((at, id))
        };
        while let Some((at, id)) = too_old(&self.over, age).or_else(|| too_old(&self.dropped, DROPPED_KEPT)) {
            self.forget(at, id);
        }
        let old = self.silences.values().filter(|silence| now.since(silence.expires_at) > SILENCE_KEPT);
        for id in old.map(|silence| silence.id.clone()).collect::<Vec<_>>() {
            self.silences.remove(&id);
            self.news.silences.insert(id);
        }
    }

    fn count_over(&mut self, case: &Case) {
        let Some(at) = case.resolved_at else { return };
        let set = if case.has_fired() { &mut self.over } else { &mut self.dropped };
        set.insert((at, case.id));
    }

    fn forget(&mut self, at: UnixMillis, id: CaseId) {
        self.over.remove(&(at, id));
        self.dropped.remove(&(at, id));
        self.news.cases.remove(&id);
        self.news.forgotten.insert(id);
        let Some((subject, origin)) = self.places.remove(&id) else { return };
        if let Some(cases) = self.cases.get_mut(&subject) {
            if cases.get(&origin).is_some_and(|case| case.id == id) {
                cases.remove(&origin);
            }
            if cases.is_empty() {
                self.cases.remove(&subject);
            }
        }
    }

    /// Looks again then, and not later.
    fn look_at(&mut self, id: &ResourceId, at: Option<UnixMillis>) {
        let known = match at {
            Some(at) => self.looks.insert(*id, at),
            None => self.looks.remove(id),
        };
        if let Some(known) = known {
            self.due.remove(&(known, *id));
        }
        if let Some(at) = at {
            self.due.insert((at, *id));
        }
    }

    fn activate(&mut self) {
        let active = self.rules.values().filter(|rule| rule.is_active());
        self.active = active.map(|rule| (Origin::Rule(rule.id.clone()), Arc::clone(rule))).collect();
        self.fitting.clear();
    }

    /// Active rules that may select the resource.
    fn fitting(&mut self, resource: &Resource) -> Arc<[usize]> {
        let profile = Profile::of(resource);
        if let Some(known) = self.fitting.get(&profile) {
            return Arc::clone(known);
        }
        let may = |(at, (_, rule)): (usize, &(Origin, Arc<Rule>))| {
            // What is silent may still be selected: its profile is what was known last.
            let silent = profile.freshness() != Freshness::Fresh && rule.reads_selector();
            (silent || rule.selector.decide(profile, None) != Some(false)).then_some(at)
        };
        let found: Arc<[usize]> = self.active.iter().enumerate().filter_map(may).collect();
        if self.fitting.len() >= PROFILES_MAX {
            self.fitting.clear();
        }
        self.fitting.insert(profile, Arc::clone(&found));
        found
    }

    /// What the view holds of a subject, or that it is gone.
    fn look(&mut self, id: &ResourceId, view: &View, now: UnixMillis) {
        match view.get(id) {
            Some(found) => self.evaluate(&found.resource, None, view, now),
            None => self.gone(id, view, now),
        }
    }
}
