//! What a connection has learned of how to read its NAS gently: when each section is due and how far it is stretched, and which
//! methods are not there. Outlives sessions, not releases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;
use super::reader::Lacking;
use super::schedule::Schedule;
use crate::api::Section;
use crate::session::SessionInfo;

#[derive(Debug, Clone)]
pub(super) struct Pacing {
    pub(super) schedule: Schedule,
    pub(super) pace: Pace,
    pub(super) lacking: Arc<Lacking>,
    poll_interval: Duration,
    /// Sections that are never due.
    disabled: BTreeSet<Section>,
    /// Of the appliance and of the API spoken to it; `None` before the first session.
    release: Option<(String, String)>,
}

impl Pacing {
    /// Everything is due at once, but for what is switched off.
    pub(super) fn new(poll_interval: Duration, disabled: BTreeSet<Section>, now: Instant) -> Self {
        Self {
            schedule: Schedule::new(poll_interval, &disabled, now),
            pace: Pace::default(),
            lacking: Arc::default(),
            poll_interval,
            disabled,
            release: None,
        }
    }

    /// A session begins. Answers whether it is with the same release as the last one, so that what was learned holds.
    pub(super) fn resume(&mut self, info: &SessionInfo, now: Instant) -> bool {
        let release = (info.appliance_version.clone(), info.api_version.clone());
        let same = self.release.as_ref() == Some(&release);
        if same {
            self.schedule.resume(now);
        } else {
            let (pace, disabled) = (self.pace, std::mem::take(&mut self.disabled));
            *self = Self { pace, release: Some(release), ..Self::new(self.poll_interval, disabled, now) };
        }
        same
    }
}
