//! Runs one watcher: takes changes when there are some, hands messages to a
//! reader who may be slow, and gives up on one who does not read at all.

use std::time::Duration;

use pulse_proto::encoded::EncodedParts;
use pulse_proto::model::Revision;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::core::{Step, Watcher};
use super::limits::REVISIONS_MAX;
use crate::state::feed::Feed;

/// Messages on their way to the reader.
pub const OUTBOX_MAX: usize = 2;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// An idle stream gets a bookmark this often.
    pub bookmark_interval: Duration,
    /// How long a message may wait for the reader.
    pub stall_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bookmark_interval: Duration::from_secs(30), stall_max: Duration::from_secs(30) }
    }
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    #[error("the reader is gone")]
    Gone,
    #[error("changes after revision {through} were not read in time; watch again with the last resume token")]
    Slow { through: Revision },
    #[error(
        "what this credential sees has changed after revision {through}; list again and watch from there"
    )]
    Regrouped { through: Revision },
    #[error("the registry is stopping; watch again with the last resume token")]
    Draining,
}

pub async fn run(
    mut watcher: Watcher,
    mut feed: Feed,
    outbox: mpsc::Sender<EncodedParts>,
    pace: Pace,
    draining: CancellationToken,
) -> End {
    let mut told_at = Instant::now();
    loop {
        let view = feed.view();
        let message = match watcher.step(&view) {
            Step::Message(message) => message,
            Step::Working => {
                tokio::task::yield_now().await;
                continue;
            }
            Step::Idle => {
                drop(view);
                tokio::select! {
                    biased;
                    () = draining.cancelled() => return End::Draining,
                    () = outbox.closed() => return End::Gone,
                    alive = feed.beyond(watcher.cursor()) => {
                        if !alive {
                            return End::Draining;
                        }
                        let Ok(changes) = feed.after(watcher.cursor(), REVISIONS_MAX) else {
                            return End::Slow { through: watcher.cursor() };
                        };
                        if changes.is_empty() {
                            watcher.skip_to(feed.view().revision);
                        }
                        watcher.take(&changes);
                        continue;
                    }
                    () = tokio::time::sleep_until(told_at + pace.bookmark_interval) => watcher.bookmark(),
                }
            }
        };
        if let Err(end) = deliver(message, &watcher, &mut feed, &outbox, pace, &draining).await {
            return end;
        }
        told_at = Instant::now();
    }
}

/// Waits for the reader, unless waiting has become useless.
async fn deliver(
    message: EncodedParts,
    watcher: &Watcher,
    feed: &mut Feed,
    outbox: &mpsc::Sender<EncodedParts>,
    pace: Pace,
    draining: &CancellationToken,
) -> Result<(), End> {
    let through = watcher.cursor();
    let mut head = through;
    let stalled = tokio::time::sleep(pace.stall_max);
    tokio::pin!(stalled);
    loop {
        tokio::select! {
            biased;
            permit = outbox.reserve() => {
                permit.map_err(|_closed| End::Gone)?.send(message);
                return Ok(());
            }
            () = draining.cancelled() => return Err(End::Draining),
            () = &mut stalled => return Err(End::Slow { through }),
            alive = feed.beyond(head) => {
                if !alive {
                    return Err(End::Draining);
                }
                // What it would need next is no longer kept: no speed makes up for that.
                if feed.after(through, 1).is_err() {
                    return Err(End::Slow { through });
                }
                head = feed.view().revision.max(head.next());
            }
        }
    }
}
