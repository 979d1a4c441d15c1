//! Silences: what is known to come, or wanted by nobody, notifies nobody for a
//! time. A matcher, a reason, an author and an end; perhaps a window that comes again.

mod window;

use std::fmt;
use std::sync::Arc;

use pulse_proto::convert::{timestamp_from_wire, timestamp_to_wire};
use pulse_proto::model::UnixMillis;
use pulse_proto::pb::registry::v1 as pb;

use super::rule::wire::Invalid;
use super::text;
use crate::query::filter::{AlertFacts, AlertFilter};

pub use self::window::Window;

/// Silences that one registry holds.
pub const SILENCES_MAX: usize = 1_000;
/// A silence by these would undo itself, or hang on the order of things.
const DECIDED_BY_SILENCE: &[&str] = &["silenced", "suppressed", "acknowledged", "revision"];
const REASON_BYTES_MAX: usize = 1_024;
const AUTHOR_BYTES_MAX: usize = 256;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(Arc<str>);

impl SilenceId {
    /// Any text: it is looked up, not believed.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    pub id: SilenceId,
    pub filter: AlertFilter,
    /// As it was written.
    pub filter_text: String,
    pub reason: String,
    pub author: String,
    pub created_at: UnixMillis,
    pub starts_at: UnixMillis,
    pub expires_at: UnixMillis,
    pub window: Option<Window>,
    /// Grows with each change, from 1.
    pub version: u64,
}

impl Silence {
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    pub fn in_force(&self, now: UnixMillis) -> bool {
        now >= self.starts_at
            && now < self.expires_at
            && self.window.as_ref().is_none_or(|window| window.holds(now))
    }

    pub fn covers(&self, alert: &dyn AlertFacts, now: UnixMillis) -> bool {
        self.in_force(now) && self.filter.matches(alert)
    }

    /// When it begins or ends to be in force next.
    pub(super) fn next_turn(&self, now: UnixMillis) -> Option<UnixMillis> {
        let ends = [self.starts_at, self.expires_at].into_iter();
        let window =
            self.window.as_ref().filter(|_| now < self.expires_at).and_then(|window| window.next_turn(now));
        ends.chain(window).filter(|at| *at > now).min()
    }
}

/// What people read must be what was written.
pub(super) fn check_texts(silence: &pb::Silence) -> Result<(), Invalid> {
    text::check_line("silence.reason", silence.reason.trim())?;
    text::check_line("silence.author", silence.author.trim())?;
    text::check_lines("silence.filter", &silence.filter)
}

/// Checks a silence that is new at `now`, or replaces one that was made at `created_at`.
pub fn parse(
    silence: pb::Silence,
    id: SilenceId,
    created_at: UnixMillis,
    version: u64,
    now: UnixMillis,
) -> Result<Silence, Invalid> {
    let pb::Silence {
        id: _,
        filter: text,
        reason,
        author,
        starts_at,
        expires_at,
        etag: _,
        window,
        created_at: _,
    } = silence;
    let (reason, author) = (reason.trim().to_owned(), author.trim().to_owned());
    if text.trim().is_empty() {
        return Err(Invalid::new(
            "silence.filter",
            "say what it is for, e.g. connection_name = nas-1; it would match everything",
        ));
    }
    let filter =
        AlertFilter::parse(&text).map_err(|error| Invalid::new("silence.filter", error.to_string()))?;
    if let Some(field) = filter.first_of(DECIDED_BY_SILENCE) {
        let problem =
            format!("{field} is what silences decide, or changes with them: say it by other fields");
        return Err(Invalid::new("silence.filter", problem));
    }
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Invalid::new("silence.reason", format!("say why, in at most {REASON_BYTES_MAX} bytes")));
    }
    if author.is_empty() || author.len() > AUTHOR_BYTES_MAX {
        return Err(Invalid::new("silence.author", "name the person or program that asks for it"));
    }
    let time = |field: &str, at: &prost_types::Timestamp| {
        timestamp_from_wire(at).map_err(|error| Invalid::new(field, error.to_string()))
    };
    let starts_at = match starts_at {
        Some(at) => time("silence.starts_at", &at)?,
        None => now,
    };
    let Some(expires_at) = expires_at else {
        return Err(Invalid::new("silence.expires_at", "say when it ends; nothing is silent for ever"));
    };
    let expires_at = time("silence.expires_at", &expires_at)?;
    if expires_at <= now || expires_at <= starts_at {
        return Err(Invalid::new("silence.expires_at", "lies in the past or before the start"));
    }
    let window = window.map(Window::parse).transpose()?;
    Ok(Silence {
        id,
        filter,
        filter_text: text,
        reason,
        author,
        created_at,
        starts_at,
        expires_at,
        window,
        version,
    })
}

/// As clients see it.
pub fn show(silence: &Silence) -> pb::Silence {
    pb::Silence {
        id: silence.id.to_string(),
        filter: silence.filter_text.clone(),
        reason: silence.reason.clone(),
        author: silence.author.clone(),
        starts_at: Some(timestamp_to_wire(silence.starts_at)),
        expires_at: Some(timestamp_to_wire(silence.expires_at)),
        etag: silence.etag(),
        window: silence.window.as_ref().map(Window::show),
        created_at: Some(timestamp_to_wire(silence.created_at)),
    }
}
