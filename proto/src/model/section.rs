//! How the reading of a connection goes: per section, and as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ConnectionState, SectionName, SectionOutcome, UnixMillis};

/// Shortest limit after which a section counts as stale.
pub const STALE_AFTER_MIN: Duration = Duration::from_mins(2);
/// How many intervals may pass before a section is stale.
pub const STALE_AFTER_INTERVALS: u32 = 3;

/// What came of reading one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionReport {
    pub section: SectionName,
    pub outcome: SectionOutcome,
    /// Last complete read; `None` when there was none.
    pub observed_at: Option<UnixMillis>,
    /// Since when the outcome is what it is.
    pub since: Option<UnixMillis>,
    /// How often the section is read at present.
    pub interval: Duration,
    /// Empty when nothing went wrong.
    pub error: String,
}

impl SectionReport {
    /// Age beyond which the section's facts are stale.
    pub fn stale_after(&self) -> Duration {
        STALE_AFTER_MIN.max(self.interval.saturating_mul(STALE_AFTER_INTERVALS))
    }
}

/// What the collector says of a connection as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    pub name: String,
    pub state: ConnectionState,
    /// Empty when live.
    pub reason: String,
    pub since: Option<UnixMillis>,
    pub labels: BTreeMap<String, String>,
}
