//! What a receiver is told of a case, and under which key: the same news has the same key, however often it is sent.

use std::fmt;
use std::fmt::Write as _;

use pulse_proto::model::{Severity, UnixMillis};
use sha2::{Digest as _, Sha256};

use crate::alert::case::Step;
use crate::alert::{Case, CaseState};

const KEY_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Firing(Severity),
    Resolved,
}

/// Names a piece of news for ever: over retries, restarts and receivers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey(String);

impl EventKey {
    /// As it was kept.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub phase: Phase,
    /// When it came to be so.
    pub at: UnixMillis,
    pub key: EventKey,
}

impl Event {
    /// `None` while nothing of it is of interest outside.
    pub fn of(case: &Case) -> Option<Self> {
        let last = |steps: &[Step]| {
            case.transitions.iter().rev().find(|step| steps.contains(&step.step)).map(|step| step.at)
        };
        let (phase, at) = match case.state {
            CaseState::Pending => return None,
            CaseState::Firing => {
                let at = last(&[Step::Firing, Step::Severity, Step::Withdrawn]).or(case.fired_at);
                (Phase::Firing(case.severity), at)
            }
            CaseState::Resolved if !case.has_fired() => return None,
            CaseState::Resolved => (Phase::Resolved, case.resolved_at.or(last(&[Step::Resolved]))),
        };
        let at = at.unwrap_or(case.first_seen_at);
        Some(Self { phase, at, key: key(case, phase, at) })
    }
}

fn key(case: &Case, phase: Phase, at: UnixMillis) -> EventKey {
    let word = match phase {
        Phase::Firing(severity) => severity.token(),
        Phase::Resolved => "resolved",
    };
    let digest = Sha256::digest(format!("{}/{word}/{}", case.id, at.get()));
    EventKey(hex(digest.as_slice(), KEY_BYTES))
}

/// The first so many bytes as digits.
pub(super) fn hex(bytes: &[u8], most: usize) -> String {
    let mut text = String::with_capacity(most * 2);
    for byte in bytes.iter().take(most) {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
