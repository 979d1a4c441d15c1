//! Why a case is what it is, in sentences: why it fires or does not yet, why it
//! is quiet, what it keeps quiet, what became of its notifications. Whoever is
//! limited to labels hears of his own cases alone: receivers and the words of a
//! silence are those of whoever runs all of it, and may name others.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::UnixMillis;

use super::book::Book;
use super::case::{Case, CaseId, CaseState, Origin, Policy, Progress, Step};
use super::condition::{long, shown};
use super::life::{CALM_AFTER, REOPEN_WITHIN};
use super::silence::Silence;
use crate::query::sight::Sight;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    State,
    Quiet,
    Suppresses,
    Notification,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub topic: Topic,
    pub text: String,
    /// Id of what the text speaks of.
    pub reference: String,
    pub at: Option<UnixMillis>,
}

/// What became of the notifications of a case: told by whoever sends them.
pub trait Deliveries: Send + Sync + 'static {
    fn of(&self, case: CaseId) -> Vec<Delivery>;
}

/// One receiver and one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub receiver: String,
    /// One sentence: delivered, refused, still tried, not wanted by the receiver.
    pub text: String,
    pub at: Option<UnixMillis>,
}

/// Cases that one keeps quiet and that are named.
const NAMED_MAX: usize = 20;

pub fn explain(
    book: &Book,
    case: &Case,
    deliveries: Option<&dyn Deliveries>,
    sight: &Sight,
) -> Vec<Explanation> {
    let mut told = Vec::new();
    let mut say = |topic, text: String, reference: String, at| {
        told.push(Explanation { topic, text, reference, at });
    };
    state(book, case, &mut say);
    quiet(book, case, sight, &mut say);
    let is_quieted =
        |other: &&Arc<Case>| other.suppressed_by == Some(case.id) && sight.sees(&other.subject.connection);
    let quieted: Vec<&Arc<Case>> = book.cases().filter(is_quieted).collect();
    for other in quieted.iter().take(NAMED_MAX) {
        let text = format!("It keeps quiet: {} ({})", other.summary, other.origin.name());
        say(Topic::Suppresses, text, other.id.to_string(), None);
    }
    if quieted.len() > NAMED_MAX {
        say(Topic::Suppresses, format!("And {} more.", quieted.len() - NAMED_MAX), String::new(), None);
    }
    let deliveries = deliveries.filter(|_| sight.is_whole());
    for Delivery { receiver, text, at } in deliveries.map(|known| known.of(case.id)).unwrap_or_default() {
        say(Topic::Notification, text, receiver, at);
    }
    told
}

type Say<'a> = dyn FnMut(Topic, String, String, Option<UnixMillis>) + 'a;

fn state(book: &Book, case: &Case, say: &mut Say<'_>) {
    let who = match &case.origin {
        Origin::Rule(id) => {
            let rule = book.rules.get(id);
            let name = rule.map_or("a rule that is gone", |rule| rule.name.as_str());
            format!("Rule {id} ({name}) says so of {}.", case.subject.name)
        }
        Origin::Native(klass) => {
            format!("{} itself tells it, as a native alert of class {klass}.", case.subject.connection_name)
        }
    };
    say(Topic::State, who, case.origin.name().to_owned(), Some(case.first_seen_at));
    let text = match case.state {
        CaseState::Pending => {
            // As it is for this resource, with what overrides say.
            let Policy { raise, hold, .. } = case.progress.policy;
            let seen = case.progress.streak;
            let sure = if seen < raise {
                format!("seen {seen} of {raise} times")
            } else {
                format!("it must hold for {}, since {}", long(hold), shown(case.progress.holds_since))
            };
            format!("Pending: {sure}.")
        }
        CaseState::Firing if case.is_flapping() => {
            let Progress { held, streak, turned_at, .. } = &case.progress;
            let (since, calm_at) = (shown(*turned_at), shown(*turned_at + CALM_AFTER));
            if *held {
                format!(
                    "Flapping: it came and went too often. It holds since {since}; it is no longer flapping at {calm_at} if it goes on."
                )
            } else {
                let looks = (*streak).max(1);
                format!(
                    "Flapping: it came and went too often, so it fires until nothing has moved for {}. The newest looks, {looks} or more since {since}, say that it is over: it ends at {calm_at} if that stays so.",
                    long(CALM_AFTER)
                )
            }
        }
        CaseState::Firing if !case.progress.held => {
            let Progress { streak, policy, .. } = &case.progress;
            format!("Firing: the last look says that it is over, {streak} of {} times.", policy.clear)
        }
        CaseState::Firing => match &case.progress.leaning {
            Some(leaning) => {
                let Policy { raise, clear, hold } = case.progress.policy;
                let worse = leaning.severity > case.severity;
                let (most, hold) = if worse { (raise, hold) } else { (clear, Duration::ZERO) };
                let wait = if hold.is_zero() { String::new() } else { format!(", for {}", long(hold)) };
                format!(
                    "Firing: it was confirmed. That it is {} was seen {} of {most} times{wait}, since {}.",
                    leaning.severity,
                    leaning.streak,
                    shown(leaning.since)
                )
            }
            None => "Firing: it was confirmed.".to_owned(),
        },
        CaseState::Resolved => {
            format!("Resolved. If it comes back within {} it is this case again.", long(REOPEN_WITHIN))
        }
    };
    say(Topic::State, text, String::new(), case.resolved_at.or(case.fired_at));
    for (key, value) in &case.evidence {
        say(Topic::State, format!("{key}: {value}"), String::new(), None);
    }
    for step in case.transitions.iter().filter(|step| step.step != Step::Pending) {
        let by = if step.who.is_empty() { String::new() } else { format!(" by {}", step.who) };
        let text = format!("{:?}{by} at resource revision {}: {}", step.step, step.revision, step.text);
        say(Topic::State, text, String::new(), Some(step.at));
    }
}

/// What tells of a case already, as far as it may be named.
pub fn told_by(book: &Book, id: CaseId, sight: &Sight) -> String {
    let by = book.get(id).filter(|by| sight.sees(&by.subject.connection));
    by.map_or("another alert", |by| by.summary.as_str()).to_owned()
}

fn silenced(silence: Option<&Silence>, sight: &Sight) -> String {
    match silence {
        Some(silence) if sight.is_whole() => {
            let Silence { author, reason, expires_at, .. } = silence;
            format!("Quiet: silenced by {author} until {}: {reason}", shown(*expires_at))
        }
        Some(silence) => format!("Quiet: silenced until {}.", shown(silence.expires_at)),
        None => "Quiet: silenced.".to_owned(),
    }
}

fn quiet(book: &Book, case: &Case, sight: &Sight, say: &mut Say<'_>) {
    if let Some(ack) = &case.acknowledged {
        let comment = if ack.comment.is_empty() { String::new() } else { format!(": {}", ack.comment) };
        let text = format!(
            "Quiet: {} has seen it{comment}. It wakes if it grows worse than {}{}.",
            ack.who,
            ack.severity,
            if ack.native.is_some() { ", or with another native alert" } else { "" }
        );
        say(Topic::Quiet, text, String::new(), Some(ack.at));
    }
    for id in &case.silenced_by {
        let text = silenced(book.silences.get(id).map(AsRef::as_ref), sight);
        let reference = if sight.is_whole() { id.to_string() } else { String::new() };
        say(Topic::Quiet, text, reference, None);
    }
    if let Some(id) = case.suppressed_by {
        let is_seen = book.get(id).is_some_and(|by| sight.sees(&by.subject.connection));
        let reference = if is_seen { id.to_string() } else { String::new() };
        let text = format!("Quiet: told by another alert already: {}", told_by(book, id, sight));
        say(Topic::Quiet, text, reference, None);
    }
    if case.is_dismissed() {
        say(Topic::Quiet, "Quiet: dismissed at its source.".to_owned(), String::new(), None);
    }
    if case.state == CaseState::Firing && !case.is_quiet() {
        say(Topic::Quiet, "Not quiet: receivers are told of it.".to_owned(), String::new(), None);
    }
    if case.state == CaseState::Pending {
        say(Topic::Quiet, "Not told yet: only what fires is.".to_owned(), String::new(), None);
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ConnectionId, Severity};

    use super::super::example::{book, firing};
    use super::*;

    struct Told;

    impl Deliveries for Told {
        fn of(&self, _case: CaseId) -> Vec<Delivery> {
            vec![Delivery { receiver: "globex-pager".to_owned(), text: "Delivered.".to_owned(), at: None }]
        }
    }

    fn of(connection: &str, case: Case) -> Case {
        let mut case = case;
        case.subject.connection = ConnectionId::parse(connection).expect("an id");
        case
    }

    /// What stands in the middle of three: told by the first, telling of the third.
    fn explained(sight: &Sight) -> String {
        let at = UnixMillis::new(1_000);
        let first = of("theirs", firing("globex-box", Severity::Critical, at));
        let mut ours = of("ours", firing("tank", Severity::Critical, at));
        ours.suppressed_by = Some(first.id);
        let mut last = of("theirs", firing("globex-disk", Severity::Warning, at));
        last.suppressed_by = Some(ours.id);
        let book = book([first, ours.clone(), last]);
        format!("{:?}", explain(&book, &ours, Some(&Told), sight))
    }

    #[test]
    fn who_is_limited_hears_of_no_other_case_and_of_no_receiver() {
        let all = explained(&Sight::whole());
        for told in ["globex-box", "globex-disk", "globex-pager"] {
            assert!(all.contains(told), "{told} in {all}");
        }
        let connections = ["ours"].map(|id| ConnectionId::parse(id).expect("an id"));
        let limited = explained(&Sight::only(connections));
        assert!(limited.contains("told by another alert already: another alert"), "{limited}");
        assert!(!limited.contains("globex") && !limited.contains("It keeps quiet"), "{limited}");
        let theirs = firing("globex-box", Severity::Critical, UnixMillis::new(1_000)).id.to_string();
        assert!(!limited.contains(&theirs), "{limited}");
    }
}
