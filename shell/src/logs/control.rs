//! The level of a running process: changed for a while, and back by itself. Knows no caller.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::warn;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

use super::with_audit;
use crate::clock::now_unix_ms;

/// Nobody leaves a process talkative for ever.
pub(super) const FOR_MAX: Duration = Duration::from_hours(24);
pub(super) const FOR_DEFAULT: Duration = Duration::from_hours(1);

type Apply = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// That of this process; logging is set up once.
static CONTROL: OnceLock<Arc<Control>> = OnceLock::new();

pub(super) struct Control {
    apply: Apply,
    configured: String,
    now: Mutex<InForce>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub(super) level: String,
    /// Milliseconds since the epoch; `None` when it is as configured.
    pub(super) reverts_at: Option<u64>,
    /// Which change it is: the end of an older one changes nothing.
    change: u64,
}

impl Control {
    pub(super) fn new(configured: &str, apply: Apply) -> Self {
        let now = InForce { level: configured.to_owned(), reverts_at: None, change: 0 };
        Self { apply, configured: configured.to_owned(), now: Mutex::new(now) }
    }

    pub(super) fn install(self) {
        // A second one would have failed when logging was set up.
        drop(CONTROL.set(Arc::new(self)));
    }

    pub(super) fn installed() -> Option<Arc<Self>> {
        CONTROL.get().cloned()
    }

    pub(super) fn configured(&self) -> &str {
        &self.configured
    }

    pub(super) fn in_force(&self) -> InForce {
        self.lock().clone()
    }

    /// `level` was checked. Empty: as configured.
    pub(super) fn set(self: &Arc<Self>, level: &str, time: Duration) -> Result<InForce, reload::Error> {
        let back = level.is_empty() || level == self.configured;
        let level = if back { &self.configured } else { level };
        let filter = EnvFilter::new(with_audit(level));
        let mut now = self.lock();
        // Told while both would say it.
        warn!(from = now.level, to = level, ?time, "the log level is changed");
        (self.apply)(filter)?;
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let reverts_at = (!back).then(|| now_unix_ms().saturating_add(millis));
        *now = InForce { level: level.to_owned(), reverts_at, change: now.change + 1 };
        let set = now.clone();
        drop(now);
        if !back {
            let (this, change) = (Arc::clone(self), set.change);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                this.revert(change);
            });
        }
        Ok(set)
    }

    fn revert(self: &Arc<Self>, change: u64) {
        if self.lock().change == change
            && let Err(error) = self.set("", Duration::ZERO)
        {
            warn!(%error, "the log level did not go back");
        }
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> (Arc<Control>, Arc<Mutex<Vec<String>>>) {
        let applied: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&applied);
        let apply = move |filter: EnvFilter| {
            seen.lock().expect("a list").push(filter.to_string());
            Ok(())
        };
        (Arc::new(Control::new("info", Box::new(apply))), applied)
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_goes_back_by_itself_and_a_newer_one_stays() {
        let (control, applied) = control();
        let level = |control: &Control| control.in_force().level;
        control.set("debug", Duration::from_secs(10)).expect("set");
        assert!(control.in_force().reverts_at.is_some());
        tokio::time::sleep(Duration::from_secs(5)).await;
        control.set("trace", Duration::from_secs(10)).expect("set");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(level(&control), "trace", "the end of the first is not the end of the second");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!((level(&control).as_str(), control.in_force().reverts_at), ("info", None));
        control.set("warn", Duration::from_secs(10)).expect("set");
        control.set("", Duration::ZERO).expect("set");
        assert_eq!(level(&control), "info");
        let applied = applied.lock().expect("a list").clone();
        assert_eq!(applied.len(), 5, "{applied:?}");
        assert!(applied.iter().all(|filter| filter.contains("audit=info")), "{applied:?}");
    }
}
