//! One address of a receiver: who of all cases is to be told there, who was, and what is the matter with it. Pure.
//!
//! Four verbs: [`Lane::look`] and [`Lane::answered`] take in what happened, [`Lane::take`] says what to send now, and
//! [`Lane::next_at`] when to ask again. What waits is the name of a case: what is sent is its newest state, once.
//!
//! - A case is told when it fires and nothing keeps it quiet, if the receiver wants it; then again when its severity
//!   changes, and when it resolves. Whoever was told that it fires, or may have been, is told that it resolved, also when
//!   it became quiet meanwhile.
//! - An Alertmanager hears of everything that fires, again and again, until it resolves: it takes silence for recovery.
//! - A failure holds the whole address back, since the next request would fail like it; a refusal costs the refused alone.

mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::UnixMillis;

use self::order::Waiting;
use super::alertmanager::{self, Labels};
use super::backoff;
use super::event::{Event, EventKey, Phase};
use super::send::Outcome;
use super::settings::Wish;
use crate::alert::{Book, Case, CaseId, CaseState};

/// Resolved cases that are remembered as told, for who asks why.
const ENDED_MAX: usize = 1_000;

/// What was said of the end of a case.
#[derive(Debug)]
struct Ended {
    id: CaseId,
    at: UnixMillis,
    refused: Option<String>,
}

/// How an address is told.
#[derive(Clone, Debug)]
pub enum Style {
    /// One piece of news a request, so many requests at once.
    Events { at_once: usize },
    /// Everything that fires, so many in one request, again after `resend`.
    State { batch: usize, resend: Duration, labels: Labels },
}

/// One case in one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub case: Arc<Case>,
    pub event: Event,
    /// What an Alertmanager knows it by; empty elsewhere.
    pub labels: Labels,
    /// What it knew it by before, when that was something else.
    pub before: Option<Labels>,
}

/// One request, in the air until [`Lane::answered`].
#[derive(Debug)]
pub struct Dispatch {
    pub items: Vec<Item>,
}

/// What the receiver knows of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The news it answered last; `None` where it answered none.
    pub key: Option<EventKey>,
    pub at: UnixMillis,
    /// It did not want to know that, and this is why.
    pub refused: Option<String>,
    /// It took word that the case fires, that one or an earlier; or it may have, since a request ended in doubt.
    pub heard: bool,
    labels: Labels,
}

/// What is kept of a case over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub key: Option<EventKey>,
    pub at: UnixMillis,
    pub refused: Option<String>,
    pub heard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub since: UnixMillis,
    pub why: String,
    pub attempts: u32,
    pub next_at: UnixMillis,
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    None,
    Failing,
    /// Works after it failed.
    Works,
    Refusing(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: u64,
    pub failed: u64,
    pub refused: u64,
    pub last_success_at: Option<UnixMillis>,
    /// The last refusal, until something is taken again.
    pub refusing: Option<(UnixMillis, String)>,
}

#[derive(Debug)]
pub struct Lane {
    receiver: String,
    wish: Wish,
    style: Style,
    told: BTreeMap<CaseId, Told>,
    waiting: Waiting,
    flying: BTreeSet<CaseId>,
    requests: usize,
    trouble: Option<Trouble>,
    refresh_at: Option<UnixMillis>,
    ended: VecDeque<Ended>,
    unkept: BTreeMap<CaseId, Option<Kept>>,
    pub(super) tally: Tally,
}

impl Lane {
    /// With what was told before a restart. An Alertmanager may have forgotten meanwhile and is told at once.
    pub fn restore(
        receiver: &str,
        wish: Wish,
        style: Style,
        kept: BTreeMap<CaseId, Kept>,
        book: &Book,
    ) -> Self {
        let mut lane = Self {
            receiver: receiver.to_owned(),
            wish,
            style,
            told: BTreeMap::new(),
            waiting: Waiting::default(),
            flying: BTreeSet::new(),
            requests: 0,
            trouble: None,
            refresh_at: None,
            ended: VecDeque::new(),
            unkept: BTreeMap::new(),
            tally: Tally::default(),
        };
        for (id, Kept { key, at, refused, heard }) in kept {
            if book.get(id).is_some() {
                lane.told.insert(id, Told { key, at, refused, heard, labels: Labels::new() });
            } else {
                lane.unkept.insert(id, None);
            }
        }
        if matches!(lane.style, Style::State { .. }) && !lane.told.is_empty() {
            lane.refresh_at = Some(UnixMillis::new(0));
        }
        for case in book.cases() {
            lane.look(case);
        }
        lane
    }

    /// A case is as it is now.
    pub fn look(&mut self, case: &Case) {
        // While a request is in the air nobody knows what the receiver will have been told: asked again when it has landed.
        if self.flying.contains(&case.id) || self.news_of(case).is_some() {
            self.waiting.put(case);
        } else {
            self.forget_unheard(case);
        }
    }

    /// It is over, and there is nothing to tell of that: it never knew.
    fn forget_unheard(&mut self, case: &Case) {
        if case.state == CaseState::Resolved {
            self.forget(case.id);
        }
    }

    /// What it was not told yet and should be.
    fn news_of(&self, case: &Case) -> Option<Event> {
        let event = Event::of(case)?;
        let told = self.told.get(&case.id);
        let wanted = match (event.phase, told) {
            (Phase::Firing(_), None) => case.notifies() && self.wish.refuses(case).is_none(),
            (Phase::Firing(_), Some(told)) if told.key.as_ref() == Some(&event.key) => false,
            (Phase::Firing(_), Some(_)) => match self.style {
                // Knows of it, and has to know it as it is.
                Style::State { .. } => true,
                Style::Events { .. } => case.notifies() && self.wish.refuses(case).is_none(),
            },
            (Phase::Resolved, Some(told)) => match self.style {
                // Of a batch that is refused some may have been taken.
                Style::State { .. } => true,
                Style::Events { .. } => told.heard,
            },
            (Phase::Resolved, None) => false,
        };
        wanted.then_some(event)
    }

    /// When there is something to take; in the past when there is now.
    pub fn next_at(&self) -> Option<UnixMillis> {
        let now = UnixMillis::new(0);
        let ready = (self.requests < self.requests_max()
            && self.waiting.any(|id| !self.flying.contains(&id)))
        .then_some(now);
        let next = ready.into_iter().chain(self.refresh_at).min()?;
        Some(self.trouble.as_ref().map_or(next, |trouble| next.max(trouble.next_at)))
    }

    /// A receiver that fails is tried with one request.
    fn requests_max(&self) -> usize {
        match self.style {
            Style::Events { at_once } if self.trouble.is_none() => at_once,
            Style::Events { .. } | Style::State { .. } => 1,
        }
    }

    /// What to send now.
    pub fn take(&mut self, book: &Book, now: UnixMillis) -> Vec<Dispatch> {
        if self.trouble.as_ref().is_some_and(|trouble| now < trouble.next_at) {
            return Vec::new();
        }
        self.refresh(book, now);
        let mut dispatches = Vec::new();
        while self.requests < self.requests_max() {
            let items = self.next_items(book);
            if items.is_empty() {
                break;
            }
            self.requests += 1;
            self.flying.extend(items.iter().map(|item| item.case.id));
            dispatches.push(Dispatch { items });
        }
        dispatches
    }

    /// Everything that fires is told again when it is time. What is gone without a word is forgotten here, too.
    fn refresh(&mut self, book: &Book, now: UnixMillis) {
        let Style::State { resend, .. } = self.style else { return };
        if self.refresh_at.is_none_or(|at| now < at) {
            return;
        }
        let gone: Vec<CaseId> = self.told.keys().filter(|id| book.get(**id).is_none()).copied().collect();
        for id in gone {
            self.forget(id);
        }
        for case in self.told.keys().filter_map(|id| book.get(*id)) {
            self.waiting.again(case);
        }
        self.refresh_at = (!self.told.is_empty()).then(|| now + resend);
    }

    fn next_items(&mut self, book: &Book) -> Vec<Item> {
        let (most, repeats) = match &self.style {
            Style::Events { .. } => (1, false),
            Style::State { batch, .. } => (*batch, true),
        };
        let mut items = Vec::new();
        while items.len() < most {
            let Some((id, again)) = self.waiting.pop(|id| !self.flying.contains(&id)) else { break };
            let Some(case) = book.get(id) else {
                self.forget(id);
                continue;
            };
            let told = self.told.get(&id);
            let event = self.news_of(case).or_else(|| {
                // Nothing new, but to be told again.
                let fires = case.state == CaseState::Firing && told.is_some();
                Event::of(case).filter(|_| again && repeats && fires)
            });
            let Some(event) = event else {
                self.forget_unheard(case);
                continue;
            };
            let labels = match &self.style {
                Style::Events { .. } => Labels::new(),
                Style::State { labels, .. } => alertmanager::labels(case, labels),
            };
            let before = told.map(|told| told.labels.clone());
            let before = before.filter(|before| !before.is_empty() && *before != labels);
            items.push(Item { case: Arc::clone(case), event, labels, before });
        }
        items
    }

    fn forget(&mut self, id: CaseId) {
        if self.told.remove(&id).is_some() {
            self.unkept.insert(id, None);
        }
    }

    /// What became of a request. `draw` is uniform in 0..1.
    pub fn answered(&mut self, dispatch: Dispatch, outcome: Outcome, now: UnixMillis, draw: f64) -> News {
        self.requests = self.requests.saturating_sub(1);
        for item in &dispatch.items {
            self.flying.remove(&item.case.id);
        }
        let count = dispatch.items.len() as u64;
        match outcome {
            Outcome::Delivered => {
                self.tally.delivered += count;
                self.tally.last_success_at = Some(now);
                for item in dispatch.items {
                    self.landed(item, None, now);
                }
                let refused = self.tally.refusing.take().is_some();
                let failed = self.trouble.take().is_some();
                if refused || failed { News::Works } else { News::None }
            }
            Outcome::Refused(why) => {
                self.tally.refused += count;
                // It answers.
                self.trouble = None;
                for item in dispatch.items {
                    self.landed(item, Some(why.clone()), now);
                }
                let first = self.tally.refusing.is_none();
                self.tally.refusing = Some((now, why.clone()));
                if first { News::Refusing(why) } else { News::None }
            }
            Outcome::Failed { why, retry_after, in_doubt } => {
                self.tally.failed += count;
                for item in dispatch.items {
                    self.waiting.again(&item.case);
                    if in_doubt {
                        self.doubt(item.case.id, now);
                    }
                }
                let first = self.trouble.is_none();
                let (since, attempts) = self
                    .trouble
                    .as_ref()
                    .map_or((now, 0), |known| (known.since, known.attempts.saturating_add(1)));
                let next_at = now + backoff::delay(attempts, retry_after, draw);
                self.trouble = Some(Trouble { since, why, attempts, next_at });
                if first { News::Failing } else { News::None }
            }
        }
    }

    /// What is on its way is cut off.
    pub fn abandon(&mut self, now: UnixMillis) {
        for id in std::mem::take(&mut self.flying) {
            self.doubt(id, now);
        }
    }

    /// It may have heard of the case. An Alertmanager lets end by itself what it is not told again.
    fn doubt(&mut self, id: CaseId, now: UnixMillis) {
        if matches!(self.style, Style::State { .. }) {
            return;
        }
        let unknown = Told { key: None, at: now, refused: None, heard: false, labels: Labels::new() };
        let told = self.told.entry(id).or_insert(unknown);
        if !told.heard {
            told.heard = true;
            let Told { key, at, refused, heard, labels: _ } = told.clone();
            self.unkept.insert(id, Some(Kept { key, at, refused, heard }));
        }
    }

    fn landed(&mut self, Item { case, event, labels, .. }: Item, refused: Option<String>, now: UnixMillis) {
        let (id, key) = (case.id, Some(event.key));
        if event.phase == Phase::Resolved {
            self.forget(id);
            if self.ended.len() == ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(Ended { id, at: now, refused });
            return;
        }
        let before = self.told.get(&id);
        let heard = refused.is_none() || before.is_some_and(|told| told.heard);
        let known = before
            .filter(|told| told.key == key && told.refused == refused && told.heard == heard)
            .map(|told| told.at);
        let at = known.unwrap_or(now);
        if known.is_none() {
            let kept = Kept { key: key.clone(), at, refused: refused.clone(), heard };
            self.unkept.insert(id, Some(kept));
        }
        self.told.insert(id, Told { key, at, refused, heard, labels });
        if let Style::State { resend, .. } = self.style {
            self.refresh_at.get_or_insert(now + resend);
        }
    }

    /// What is to be kept, at most once each.
    pub fn take_unkept(&mut self) -> BTreeMap<CaseId, Option<Kept>> {
        std::mem::take(&mut self.unkept)
    }

    /// It could not be kept; what is newer stands.
    pub fn not_kept(&mut self, rows: BTreeMap<CaseId, Option<Kept>>) {
        for (id, kept) in rows {
            self.unkept.entry(id).or_insert(kept);
        }
    }

    pub fn has_unkept(&self) -> bool {
        !self.unkept.is_empty()
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Cases that it is still to be told of.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    /// Cases that it knows to fire.
    pub fn told(&self) -> usize {
        self.told.values().filter(|told| told.heard && told.key.is_some()).count()
    }

    /// What became of a case here: a sentence, and when.
    pub fn fate(&self, case: &Case) -> (String, Option<UnixMillis>) {
        let name = &self.receiver;
        let waits = self.waiting.holds(case.id) || self.flying.contains(&case.id);
        let news = self.news_of(case);
        if let (Some(_), Some(trouble)) = (&news, &self.trouble) {
            let Trouble { why, attempts, .. } = trouble;
            let tries = attempts.saturating_add(1);
            return (
                format!("{name} is not told yet: it failed {tries} times, {why}. It is tried again."),
                Some(trouble.next_at),
            );
        }
        if news.is_some() && waits {
            return (format!("{name} is being told."), None);
        }
        match (self.told.get(&case.id), case.state) {
            (Some(Told { refused: Some(why), at, .. }), _) => (
                format!("{name} refused to be told: {why}. It is not tried again before the alert changes."),
                Some(*at),
            ),
            (Some(Told { key: None, at, .. }), _) => (
                format!(
                    "{name} may have been told that it fires: it gave no answer that says. It hears of the end."
                ),
                Some(*at),
            ),
            (Some(told), _) => (format!("{name} was told that it fires."), Some(told.at)),
            (None, CaseState::Resolved) => match self.ended.iter().rev().find(|ended| ended.id == case.id) {
                Some(Ended { at, refused: Some(why), .. }) => (
                    format!("{name} refused to be told that it resolved: {why}. It is not tried again."),
                    Some(*at),
                ),
                Some(ended) => (format!("{name} was told that it resolved."), Some(ended.at)),
                None => (format!("{name} has nothing to hear: it is over."), None),
            },
            (None, CaseState::Pending) => (format!("{name} is not told: only what fires is."), None),
            (None, CaseState::Firing) => match self.wish.refuses(case) {
                Some(why) => (format!("{name} is not told: {why}."), None),
                None if case.is_quiet() => (format!("{name} is not told: the alert is quiet."), None),
                None => (format!("{name} is being told."), None),
            },
        }
    }
}
