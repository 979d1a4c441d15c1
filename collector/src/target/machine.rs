//! How a connection does: its state, why, and when it is tried again. Pure: what happened, `now` and a draw in.
//!
//! Knows no session and no timer; the task tells it what happened and does as it says.

use std::collections::BTreeMap;
use std::time::Duration;

use pulse_proto::model::{ConnectionState, UnixMillis};

use super::backoff::{self, LOGIN_SPACING, Wait};
use super::judgement;
use crate::api::{Section, SectionFailure};
use crate::session::FailureClass;

/// A session that lasted this long was a good one: what follows its loss starts anew.
const STABLE_AFTER: Duration = Duration::from_mins(1);

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    Disabled,
    /// A connect begins.
    Attempt,
    /// The NAS is reached; the login begins.
    LoggingIn,
    /// There is a session.
    Up,
    /// How the last read of each section ended; those never read are not in it.
    Sections(&'a BTreeMap<Section, Option<SectionFailure>>),
    /// No session could be made.
    Failed {
        class: FailureClass,
        error: &'a str,
        remedy: &'a str,
    },
    /// The NAS said that it goes away, and why.
    Leaving {
        farewell: &'a str,
    },
    /// The session ended without our doing.
    Lost {
        why: &'a str,
    },
    /// A new session has taken the place of one that grew old.
    Renewed,
    /// That was tried, and the old one goes on.
    NotRenewed {
        error: &'a str,
    },
    /// The session is as old as it may get, could not be replaced, and was closed by us.
    Renew,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: ConnectionState,
    reason: String,
    remedy: String,
    since: UnixMillis,
    next_attempt_at: Option<UnixMillis>,
    last_error: String,
    last_connected_at: Option<UnixMillis>,
    reconnects: u64,
    /// Attempts since the last good session.
    attempts: u32,
    /// When the last login began.
    login_at: Option<UnixMillis>,
    /// Wrong credentials in a row.
    wrong: u32,
    /// What the NAS said when it went away on purpose; until it is back. Empty when it said nothing.
    farewell: String,
    /// How many sections are read.
    sections: usize,
}

impl Machine {
    pub fn new(now: UnixMillis) -> Self {
        Self {
            state: ConnectionState::Connecting,
            reason: "not tried yet".to_owned(),
            remedy: String::new(),
            since: now,
            next_attempt_at: None,
            last_error: String::new(),
            last_connected_at: None,
            reconnects: 0,
            attempts: 0,
            login_at: None,
            wrong: 0,
            farewell: String::new(),
            sections: Section::ALL.len(),
        }
    }

    /// So many sections are switched off.
    #[must_use]
    pub fn without(self, disabled: usize) -> Self {
        Self { sections: self.sections.saturating_sub(disabled), ..self }
    }

    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// Empty when live and nothing is withheld.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Empty when there is nothing to do.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    pub fn since(&self) -> UnixMillis {
        self.since
    }

    pub fn next_attempt_at(&self) -> Option<UnixMillis> {
        self.next_attempt_at
    }

    pub fn last_error(&self) -> &str {
        &self.last_error
    }

    pub fn last_connected_at(&self) -> Option<UnixMillis> {
        self.last_connected_at
    }

    /// Sessions made after the first.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, ConnectionState::Live | ConnectionState::Degraded)
    }

    /// Takes what happened. The answer is how long to wait before the next attempt, when there is to be one.
    pub fn apply(&mut self, input: Input<'_>, now: UnixMillis, draw: f64) -> Option<Duration> {
        match input {
            Input::Disabled => self.enter(ConnectionState::Disabled, "switched off", "", now),
            Input::Attempt => {
                let reason = if self.last_error.is_empty() {
                    "connecting".to_owned()
                } else {
                    format!("connecting again; before: {}", self.last_error)
                };
                self.enter(ConnectionState::Connecting, &reason, "", now);
            }
            Input::LoggingIn => {
                self.login_at = Some(now);
                self.enter(ConnectionState::Authenticating, "logging in", "", now);
            }
            Input::Up => {
                self.reconnects += u64::from(self.last_connected_at.is_some());
                self.last_connected_at = Some(now);
                self.wrong = 0;
                self.farewell.clear();
                self.enter(ConnectionState::Live, "", "", now);
            }
            Input::Renewed => {
                self.reconnects += 1;
                self.last_connected_at = Some(now);
                self.attempts = 0;
                self.wrong = 0;
            }
            Input::NotRenewed { error } => error.clone_into(&mut self.last_error),
            Input::Sections(sections) => self.sections(sections, now),
            Input::Failed { class, error, remedy } => {
                let wait = wait_for(class);
                let state = match wait {
                    Wait::Refused | Wait::Wrong | Wait::Spent => ConnectionState::Refused,
                    Wait::Transient | Wait::Busy => ConnectionState::BackingOff,
                };
                error.clone_into(&mut self.last_error);
                if class == FailureClass::Unreachable && !self.farewell.is_empty() {
                    let reason = format!("{}; until then: {error}", self.farewell);
                    self.enter(state, &reason, "", now);
                } else {
                    self.enter(state, error, remedy, now);
                }
                return Some(self.wait(wait, now, draw));
            }
            Input::Leaving { farewell } => farewell.clone_into(&mut self.farewell),
            Input::Lost { why } => {
                if self.last_connected_at.is_some_and(|up| now.since(up) >= STABLE_AFTER) {
                    self.attempts = 0;
                }
                let reason = if self.farewell.is_empty() {
                    format!("the session ended: {why}")
                } else {
                    format!("{}; the session ended: {why}", self.farewell)
                };
                self.last_error.clone_from(&reason);
                self.enter(ConnectionState::BackingOff, &reason, "", now);
                return Some(self.wait(Wait::Transient, now, draw));
            }
            Input::Renew => {
                self.attempts = 0;
                self.last_error.clear();
                self.enter(
                    ConnectionState::Connecting,
                    "logging in again before the session expires",
                    "",
                    now,
                );
                return Some(self.until_login(now));
            }
        }
        None
    }

    fn sections(&mut self, sections: &BTreeMap<Section, Option<SectionFailure>>, now: UnixMillis) {
        if !self.is_connected() {
            return;
        }
        let told = judgement::of(sections, self.sections);
        self.enter(told.state, &told.reason, &told.remedy, now);
    }

    /// `since` stays while the state does.
    fn enter(&mut self, state: ConnectionState, reason: &str, remedy: &str, now: UnixMillis) {
        if self.state != state {
            self.since = now;
        }
        self.state = state;
        reason.clone_into(&mut self.reason);
        remedy.clone_into(&mut self.remedy);
        self.next_attempt_at = None;
    }

    /// How long the last login forbids another one.
    pub fn until_login(&self, now: UnixMillis) -> Duration {
        self.login_at.map_or(Duration::ZERO, |at| LOGIN_SPACING.saturating_sub(now.since(at)))
    }

    fn wait(&mut self, wait: Wait, now: UnixMillis, draw: f64) -> Duration {
        let attempt = if wait == Wait::Wrong { &mut self.wrong } else { &mut self.attempts };
        let delay = backoff::delay(wait, *attempt, draw);
        *attempt = attempt.saturating_add(1);
        let delay = delay.max(self.until_login(now));
        self.next_attempt_at = Some(now + delay);
        delay
    }
}

fn wait_for(class: FailureClass) -> Wait {
    match class {
        FailureClass::Unreachable | FailureClass::Protocol => Wait::Transient,
        FailureClass::Busy => Wait::Busy,
        FailureClass::RefusedCredentials => Wait::Wrong,
        FailureClass::ExpiredCredentials | FailureClass::SecondFactor => Wait::Spent,
        FailureClass::Tls
        | FailureClass::Untrusted
        | FailureClass::Forbidden
        | FailureClass::Unsupported
        | FailureClass::PlaintextRefused => Wait::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis::new(1_000_000);

    fn failed(class: FailureClass) -> Input<'static> {
        Input::Failed { class, error: "why", remedy: "what to do" }
    }

    fn up() -> Machine {
        let mut machine = Machine::new(T0);
        for input in [Input::Attempt, Input::LoggingIn, Input::Up] {
            assert_eq!(machine.apply(input, T0, 0.5), None);
        }
        machine
    }

    #[test]
    fn every_class_of_failure_waits_its_own_way() {
        for (class, state, seconds) in [
            (FailureClass::Unreachable, ConnectionState::BackingOff, 0..=2),
            (FailureClass::Protocol, ConnectionState::BackingOff, 0..=2),
            (FailureClass::Busy, ConnectionState::BackingOff, 60..=90),
            (FailureClass::Tls, ConnectionState::Refused, 900..=1_200),
            (FailureClass::Untrusted, ConnectionState::Refused, 900..=1_200),
            (FailureClass::RefusedCredentials, ConnectionState::Refused, 900..=1_200),
            (FailureClass::ExpiredCredentials, ConnectionState::Refused, 3_600..=4_500),
            (FailureClass::SecondFactor, ConnectionState::Refused, 3_600..=4_500),
            (FailureClass::Forbidden, ConnectionState::Refused, 900..=1_200),
            (FailureClass::Unsupported, ConnectionState::Refused, 900..=1_200),
            (FailureClass::PlaintextRefused, ConnectionState::Refused, 900..=1_200),
        ] {
            let mut machine = Machine::new(T0);
            machine.apply(Input::Attempt, T0, 0.5);
            let wait = machine.apply(failed(class), T0, 0.5).expect("there is always a next attempt");
            assert_eq!(machine.state(), state, "{class:?}");
            assert!(seconds.contains(&wait.as_secs()), "{class:?}: {wait:?}");
            assert_eq!(machine.next_attempt_at(), Some(T0 + wait));
            assert_eq!(
                (machine.reason(), machine.remedy(), machine.last_error()),
                ("why", "what to do", "why")
            );
        }
    }

    #[test]
    fn a_credential_that_stays_wrong_is_tried_ever_less_until_it_is_right() {
        let mut machine = Machine::new(T0);
        let wrong = |machine: &mut Machine| {
            let wait = machine.apply(failed(FailureClass::RefusedCredentials), T0, 0.0);
            wait.expect("a next attempt").as_secs() / 60
        };
        machine.apply(failed(FailureClass::Unreachable), T0, 0.0);
        assert_eq!([(); 6].map(|()| wrong(&mut machine)), [15, 30, 60, 120, 240, 240]);
        machine.apply(Input::Up, T0, 0.0);
        assert_eq!(wrong(&mut machine), 15);
    }

    #[test]
    fn the_first_retry_keeps_its_distance_to_the_login_before_it() {
        let mut machine = up();
        let soon = T0 + Duration::from_secs(1);
        let wait = machine.apply(Input::Lost { why: "dropped" }, soon, 0.0).expect("a next attempt");
        assert_eq!(soon + wait, T0 + LOGIN_SPACING);
        assert_eq!(machine.next_attempt_at(), Some(soon + wait));

        let mut unreached = Machine::new(T0);
        unreached.apply(Input::Attempt, T0, 0.0);
        let wait = unreached.apply(failed(FailureClass::Unreachable), T0, 0.0);
        assert!(wait.is_some_and(|wait| wait < LOGIN_SPACING), "no login was made: {wait:?}");
    }

    #[test]
    fn waits_grow_until_a_session_lasts() {
        let minute = Duration::from_mins(1);
        let mut machine = up();
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            let wait = machine.apply(Input::Lost { why: "dropped" }, T0, 0.5).expect("a next attempt");
            assert!(wait >= last, "{wait:?} after {last:?}");
            last = wait;
            machine.apply(Input::Up, T0, 0.5);
        }
        assert!(last > Duration::from_secs(10), "{last:?}");
        let wait = machine.apply(Input::Lost { why: "dropped" }, T0 + minute, 0.5);
        assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(1)), "{wait:?}");
        assert_eq!(machine.reconnects(), 6);
        assert!(machine.reason().contains("dropped"));
    }

    #[test]
    fn a_nas_that_said_that_it_restarts_is_told_so_until_it_is_back() {
        let mut machine = up();
        machine.apply(Input::Leaving { farewell: "the NAS restarts, as it said: Update" }, T0, 0.5);
        assert_eq!((machine.state(), machine.reason()), (ConnectionState::Live, ""));
        machine.apply(Input::Lost { why: "dropped" }, T0, 0.5);
        assert!(machine.reason().starts_with("the NAS restarts, as it said: Update"), "{}", machine.reason());
        machine.apply(failed(FailureClass::Unreachable), T0, 0.5);
        assert!(machine.reason().starts_with("the NAS restarts, as it said: Update"), "{}", machine.reason());
        assert_eq!(machine.remedy(), "", "nothing is to be done but to wait");
        machine.apply(failed(FailureClass::RefusedCredentials), T0, 0.5);
        assert!(!machine.reason().contains("restarts"), "it is there again, and refuses");
        machine.apply(Input::Up, T0, 0.5);
        machine.apply(Input::Lost { why: "dropped" }, T0, 0.5);
        assert_eq!(machine.reason(), "the session ended: dropped");
    }

    #[test]
    fn sections_decide_between_live_and_degraded() {
        use SectionFailure::{Failed, Unsupported};
        let read = |failures: [Option<SectionFailure>; 5]| -> BTreeMap<_, _> {
            Section::ALL.into_iter().zip(failures).collect()
        };
        let late = || Some(Failed("late".to_owned()));
        for (sections, state, reason) in [
            (BTreeMap::new(), ConnectionState::Live, ""),
            (read([None, None, None, None, None]), ConnectionState::Live, ""),
            (read([None, None, Some(Unsupported), None, None]), ConnectionState::Live, ""),
            (
                read([None, late(), None, late(), None]),
                ConnectionState::Degraded,
                "cannot read pools, datasets; pools: late",
            ),
        ] {
            let mut machine = up();
            machine.apply(Input::Sections(&sections), T0, 0.5);
            assert_eq!((machine.state(), machine.reason()), (state, reason), "{sections:?}");
            machine.apply(Input::Sections(&read([None, None, None, None, None])), T0, 0.5);
            assert_eq!((machine.state(), machine.remedy()), (ConnectionState::Live, ""));
        }
    }

    #[test]
    fn a_login_that_may_read_nothing_of_what_is_asked_for_is_told_so() {
        let forbidden = Some(SectionFailure::Forbidden);
        let asked: BTreeMap<_, _> =
            Section::ALL.into_iter().skip(2).map(|section| (section, forbidden.clone())).collect();
        let mut machine = up().without(2);
        machine.apply(Input::Sections(&asked), T0, 0.5);
        assert_eq!(machine.reason(), "the login may not read anything");
        let mut machine = up();
        machine.apply(Input::Sections(&asked), T0, 0.5);
        let reason = machine.reason();
        assert!(reason.starts_with("the login may not read alerts, "), "two are still to be read: {reason}");
    }

    #[test]
    fn since_is_when_the_state_began() {
        let later = T0 + Duration::from_secs(5);
        let mut machine = up();
        machine.apply(Input::Sections(&BTreeMap::new()), later, 0.5);
        assert_eq!(machine.since(), T0);
        machine.apply(Input::Lost { why: "x" }, later, 0.5);
        assert_eq!(machine.since(), later);
        machine.apply(Input::Sections(&BTreeMap::new()), later, 0.5);
        assert_eq!(machine.state(), ConnectionState::BackingOff, "a late result revives nothing");
        machine.apply(Input::Disabled, later, 0.5);
        assert_eq!((machine.state(), machine.next_attempt_at()), (ConnectionState::Disabled, None));
    }
}
