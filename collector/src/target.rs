//! One supervised task per connection: connects, reads what is due, publishes snapshots.
//!
//! Owns when to read and when to try again. Knows no wire format, no record and no registry.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::ConnectionId;

pub mod backoff;
pub mod cost;
pub mod diagnose;
mod endpoint;
mod figures;
mod judgement;
mod live;
mod log;
pub mod machine;
mod orders;
mod pace;
mod pacing;
mod probe;
pub mod reader;
mod renew;
mod report;
pub mod schedule;
mod subscribe;
pub mod supervisor;
mod task;

pub use endpoint::endpoint;

use crate::connection::{Health, Settings};
use crate::session::SessionOptions;
use crate::snapshot::Snapshot;

/// Connects at the same time, over all connections. Hosts that do not answer hold their place for as long as a connect
/// may take, so there are places enough for many of them.
const CONNECTS_MAX: usize = 10_000;
/// Lines from 26.0 on do not tell when a pool's state changes: it is looked at this often.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// TrueNAS ends sessions after 30 days; what cannot be replaced by then has 8 days more.
const SESSION_AGE_MAX: Duration = Duration::from_hours(20 * 24);

/// How tasks connect and read.
#[derive(Debug, Clone)]
pub struct Options {
    pub session: SessionOptions,
    pub limits: reader::Limits,
    pub connects_max: usize,
    pub probe_every: Duration,
    /// An older session is replaced by a new one.
    pub session_age_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            limits: reader::Limits::default(),
            connects_max: CONNECTS_MAX,
            probe_every: PROBE_EVERY,
            session_age_max: SESSION_AGE_MAX,
        }
    }
}

/// Where snapshots go. Calls come from many tasks and must not wait; the newest snapshot of a connection is all that
/// counts.
pub trait Sink: Send + Sync {
    /// Whenever a section was read, well or not, and whenever the connection's state changed.
    fn snapshot(&self, settings: &Arc<Settings>, snapshot: Arc<Snapshot>, health: &Health);

    /// The connection is gone, and its task has ended: nothing more comes of it.
    fn removed(&self, id: &ConnectionId);
}
