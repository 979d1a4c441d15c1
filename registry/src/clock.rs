//! The only reader of the wall clock. Deciding code takes `now`; a test can set
//! a clock ahead instead of waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pulse_proto::model::UnixMillis;
use tokio::sync::watch;

/// Wall time, perhaps set ahead. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    ahead: watch::Sender<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { ahead: watch::Sender::new(Duration::ZERO) }
    }
}

impl Clock {
    pub fn now(&self) -> UnixMillis {
        UnixMillis::new(now_unix_ms()) + *self.ahead.borrow()
    }

    /// Lets time pass at once.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead += by);
    }

    /// Sleeps until the clock shows `at`; for ever when there is no such time.
    pub async fn reaches(&self, at: Option<UnixMillis>) {
        let Some(at) = at else { return std::future::pending().await };
        let mut ahead = self.ahead.subscribe();
        while self.now() < at {
            let set = async {
                if ahead.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(at.since(self.now())) => {}
                () = set => {}
            }
        }
    }
}

/// Milliseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "this module is where the clock is read")]
fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
