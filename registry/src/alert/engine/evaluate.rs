//! What a resource says of its cases: each rule that selects it is asked, each
//! native alert is heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::{Engine, OPEN_MAX};
use crate::alert::case::{Case, Origin, Subject};
use crate::alert::condition::{Answer, Open, Question, ask};
use crate::alert::life::{Begin, Look, Policy, Said, step};
use crate::alert::measure::Lens;
use crate::alert::native;
use crate::alert::rule::Choice;
use crate::alert::source;
use crate::state::{Change, Changes, Resource, Shard, View};

/// How soon an unconfirmed case is looked at again.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);
const NOT_SELECTED: &str = "No rule asks for it any more.";

/// What is gathered over one evaluation.
struct Round<'a> {
    resource: &'a Resource,
    now: UnixMillis,
    awaits: bool,
    look_again: Option<UnixMillis>,
}

impl Round<'_> {
    fn again(&mut self, at: Option<UnixMillis>) {
        self.look_again = self.look_again.into_iter().chain(at).min();
    }
}

impl Engine {
    /// One revision of resources.
    pub fn changes(&mut self, changes: &Changes, view: &View, now: UnixMillis) {
        for change in &changes.items {
            match change {
                Change::Added(resource) => self.evaluate(resource, None, view, now),
                Change::Changed { before, after } => self.evaluate(after, Some(before), view, now),
                Change::Removed(resource) => {
                    self.part_with(resource);
                    self.gone(&resource.id, view, now);
                }
            }
        }
        self.reached(changes.revision);
    }

    /// What time has made due, at most `max` subjects; how many that were.
    pub fn tick(&mut self, view: &View, now: UnixMillis, max: usize) -> usize {
        if self.silence_turn.is_some_and(|at| at <= now) {
            self.news.all_stirred = true;
            self.turn_silences(now);
        }
        let mut looked = 0;
        while looked < max
            && self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, id)) = self.due.pop_first()
        {
            self.looks.remove(&id);
            self.look(&id, view, now);
            looked += 1;
        }
        looked
    }

    /// Looks at one shard, from a row on; the row to go on with.
    pub fn pass(
        &mut self,
        view: &View,
        shard: &Shard,
        from: usize,
        max: usize,
        now: UnixMillis,
    ) -> Option<usize> {
        let end = from.saturating_add(max).min(shard.resources.len());
        for resource in &shard.resources[from.min(end)..end] {
            self.evaluate(resource, None, view, now);
        }
        (end < shard.resources.len()).then_some(end)
    }

    /// Ends what concerns resources that the view does not hold.
    pub fn sweep(&mut self, view: &View, now: UnixMillis) {
        let subjects = self.cases.keys().chain(self.memory.keys());
        let gone: Vec<ResourceId> = subjects.filter(|id| view.get(id).is_none()).copied().collect();
        for id in gone {
            self.gone(&id, view, now);
        }
        self.reached(view.revision);
    }

    /// All of it at once, for tests and small views.
    pub fn whole(&mut self, view: &View, now: UnixMillis) {
        for shard in view.shards() {
            self.pass(view, shard, 0, usize::MAX, now);
        }
        self.sweep(view, now);
    }

    pub(super) fn evaluate(
        &mut self,
        resource: &Resource,
        before: Option<&Resource>,
        view: &View,
        now: UnixMillis,
    ) {
        let shard = view.shard(&resource.connection).map(|shard| &**shard);
        let lens = Lens::new(resource, shard);
        let (active, fitting) = (Arc::clone(&self.active), self.fitting(resource));
        let rules = || fitting.iter().filter_map(|at| active.get(*at));
        let learnt = self.learn(&lens, before, rules().map(|(_, rule)| &**rule), now);
        let mut known = self.cases.remove(&resource.id).unwrap_or_default();
        let mut round = Round { resource, now, awaits: learnt.awaits, look_again: learnt.look_again };
        for (origin, rule) in rules() {
            let choice = rule.of(&lens, now);
            if choice == Choice::NotChosen {
                continue;
            }
            let case = if known.is_empty() { None } else { known.remove(origin) };
            let (answer, policy) = match &choice {
                Choice::Chosen(effective) => {
                    let open = case.as_ref().filter(|case| case.is_open());
                    let question = Question {
                        lens: &lens,
                        memory: self.memory.get(&resource.id),
                        open: open.map(Open::of),
                        now,
                    };
                    (ask(effective, &question), effective.policy)
                }
                Choice::NotChosen | Choice::Unknown => (Answer::unknown(now), Policy::default()),
            };
            self.take(&mut round, origin, case, answer, policy, &rule.remedy);
        }
        self.natives(&mut round, &mut known, &lens);
        // Nobody speaks of these any more.
        for (origin, case) in known {
            let answer = Answer { said: Said::Over(NOT_SELECTED), observed_at: now, look_again: None };
            self.take(&mut round, &origin, Some(case), answer, native::POLICY, &native::remedy());
        }
        let Round { awaits, mut look_again, .. } = round;
        if awaits {
            look_again = look_again.into_iter().chain([now + CONFIRM_INTERVAL]).min();
        }
        if look_again.is_some() || self.looks.contains_key(&resource.id) {
            self.look_at(&resource.id, look_again);
        }
        self.place(resource, view);
        if before.is_none_or(|before| before.parent != resource.parent) {
            self.place_below(resource, view);
        }
    }

    fn natives(&mut self, round: &mut Round<'_>, known: &mut BTreeMap<Origin, Case>, lens: &Lens<'_>) {
        let mut found = native::findings(round.resource);
        if known.is_empty() && found.is_empty() {
            return;
        }
        let observed_at = native_read_at(lens, round.now);
        let mut origins: Vec<Origin> = found.keys().cloned().collect();
        origins.extend(
            known.keys().filter(|origin| origin.rule().is_none() && !found.contains_key(*origin)).cloned(),
        );
        for origin in origins {
            let said = match (found.remove(&origin), observed_at) {
                (_, None) => Said::Unknown,
                (Some(finding), Some(_)) => Said::Holds(finding),
                (None, Some(_)) => Said::Clear(native::unlisted(&origin, &round.resource.connection_name)),
            };
            let answer = Answer { said, observed_at: observed_at.unwrap_or(round.now), look_again: None };
            let case = known.remove(&origin);
            self.take(round, &origin, case, answer, native::POLICY, &native::remedy());
        }
    }

    /// Moves one case and puts it in its place.
    fn take(
        &mut self,
        round: &mut Round<'_>,
        origin: &Origin,
        case: Option<Case>,
        answer: Answer,
        policy: Policy,
        remedy: &Arc<str>,
    ) {
        let Answer { said, observed_at, look_again } = answer;
        round.again(look_again);
        let opens = matches!(said, Said::Holds(_)) && case.as_ref().is_none_or(|case| !case.is_open());
        if opens && self.open >= OPEN_MAX {
            self.left_out += 1;
            if let Some(case) = case {
                self.cases.entry(round.resource.id).or_default().insert(origin.clone(), case);
            }
            return;
        }
        if case.is_none() && !opens {
            return;
        }
        let was = case.as_ref().map(|case| (case.id, case.is_open(), case.resolved_at));
        let untold = case.as_ref().filter(|case| opens && self.news.cases.contains(&case.id)).cloned();
        let look = Look { observed_at, now: round.now, revision: round.resource.revision };
        let subject = || Subject::of(round.resource);
        let begin = Begin { origin, subject: &subject, remedy };
        let stepped = step(case, &begin, said, look, policy);
        round.awaits |= stepped.awaits;
        round.again(stepped.look_again);
        if let Some(mut case) = stepped.case {
            let mut told = stepped.told;
            // Labels and names are those of now: silences, filters and receivers go by them.
            if case.is_open() && !case.subject.is_of(round.resource) {
                case.subject = Subject::of(round.resource);
                told = true;
            }
            self.news.replaced.extend(untold.filter(|ended| ended.id != case.id));
            self.put(case, was, told);
        }
    }

    /// Puts a case in its place, and keeps the books of what is open and over.
    pub(super) fn put(
        &mut self,
        case: Case,
        was: Option<(crate::alert::CaseId, bool, Option<UnixMillis>)>,
        told: bool,
    ) {
        let (id, subject, origin) = (case.id, case.subject.id, case.origin.clone());
        let same = was.filter(|(known, ..)| *known == id);
        let was_open = was.is_some_and(|(_, open, _)| open);
        match (was_open, case.is_open()) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
        if let Some((_, _, Some(at))) = same
            && case.resolved_at.is_none()
        {
            self.over.remove(&(at, id));
            self.dropped.remove(&(at, id));
        }
        self.count_over(&case);
        if told {
            self.news.cases.insert(id);
            self.news.stirred.insert(subject);
        }
        self.places.insert(id, (subject, origin.clone()));
        self.cases.entry(subject).or_default().insert(origin, case);
    }
}

/// When native alerts were read. Without a section of their own they are as old as their resource.
fn native_read_at(lens: &Lens<'_>, now: UnixMillis) -> Option<UnixMillis> {
    match lens.shard.and_then(|shard| source::section(shard, native::SECTION)) {
        Some(report) => source::fresh(report, now),
        None => lens.sources(now).read_at(source::Part::Own),
    }
}
