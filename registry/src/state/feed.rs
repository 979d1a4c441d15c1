//! Hands the current view to readers and the changes after a revision to
//! watchers. Keeps a bounded history in memory; who comes from before it catches
//! up with the view itself. A reader never waits for the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pulse_proto::model::Revision;
use tokio::sync::watch;

use super::change::Changes;
use super::view::View;

/// Changes kept for watchers that resume.
pub const HISTORY_CHANGES_MAX: usize = 200_000;

/// Clone-cheap access for readers; only the writer holds the [`Publisher`].
#[derive(Clone, Debug)]
pub struct Feed {
    view: Arc<ArcSwap<View>>,
    history: Arc<Mutex<History>>,
    head: watch::Receiver<Revision>,
}

/// The one writer's end.
#[derive(Debug)]
pub struct Publisher {
    view: Arc<ArcSwap<View>>,
    history: Arc<Mutex<History>>,
    head: watch::Sender<Revision>,
}

#[derive(Debug)]
struct History {
    /// Revision before the oldest kept one: what a watcher may resume from at the earliest.
    floor: Revision,
    kept: VecDeque<Arc<Changes>>,
    changes: usize,
}

/// The asked revision is older than the kept history, or from the future.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "changes after revision {asked} are not kept; the oldest that can be resumed is {floor}, the newest {head}"
)]
pub struct NotKept {
    pub asked: Revision,
    pub floor: Revision,
    pub head: Revision,
}

/// How a watcher goes on after a revision.
#[derive(Clone, Debug)]
pub enum Resumption {
    /// By the changes after it, which are kept.
    Changes,
    /// By this view: what it holds that changed since, and what it remembers that went.
    View(Arc<View>),
}

/// Starts with `view`; nothing before its revision is kept.
pub fn channel(view: View) -> (Publisher, Feed) {
    let head = view.revision;
    let history = Arc::new(Mutex::new(History { floor: head, kept: VecDeque::new(), changes: 0 }));
    let view = Arc::new(ArcSwap::from_pointee(view));
    let (sender, receiver) = watch::channel(head);
    let feed = Feed { view: Arc::clone(&view), history: Arc::clone(&history), head: receiver };
    (Publisher { view, history, head: sender }, feed)
}

impl Publisher {
    /// Makes `view` the current one; `changes` lead up to it, and are none when only times of observation moved.
    pub fn publish(&self, view: Arc<View>, changes: impl IntoIterator<Item = Arc<Changes>>) {
        {
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            for changes in changes {
                let before = Revision(changes.revision.0.saturating_sub(1));
                if before > history.head() {
                    history.begin_at(before);
                }
                history.changes += changes.items.len();
                history.kept.push_back(changes);
            }
            if view.revision > history.head() {
                history.begin_at(view.revision);
            }
            while history.changes > HISTORY_CHANGES_MAX && history.kept.len() > 1 {
                if let Some(oldest) = history.kept.pop_front() {
                    history.changes -= oldest.items.len();
                    history.floor = oldest.revision;
                }
            }
        }
        let revision = view.revision;
        self.view.store(view);
        self.head.send_replace(revision);
    }
}

impl History {
    fn head(&self) -> Revision {
        self.kept.back().map_or(self.floor, |changes| changes.revision)
    }

    /// Revisions were made that this process has not seen: a commit that failed here was durable after all. Watchers
    /// must not step over them.
    fn begin_at(&mut self, floor: Revision) {
        *self = Self { floor, kept: VecDeque::new(), changes: 0 };
    }
}

impl Feed {
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Changes after `revision`, oldest first, at most `max` revisions of them.
    pub fn after(&self, revision: Revision, max: usize) -> Result<Vec<Arc<Changes>>, NotKept> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let head = history.head();
        if revision < history.floor || revision > head {
            return Err(NotKept { asked: revision, floor: history.floor, head });
        }
        let start = history.kept.partition_point(|changes| changes.revision <= revision);
        Ok(history.kept.iter().skip(start).take(max).cloned().collect())
    }

    /// How to go on after `revision`, which may be older than this process.
    pub fn resume(&self, revision: Revision) -> Result<Resumption, NotKept> {
        let Err(NotKept { asked, floor, head }) = self.after(revision, 0) else {
            return Ok(Resumption::Changes);
        };
        let view = self.view();
        let oldest = view.past.horizon.floor.min(floor);
        if revision < oldest || revision > view.revision {
            return Err(NotKept { asked, floor: oldest, head });
        }
        Ok(Resumption::View(view))
    }

    /// Resolves when the head revision is beyond `revision`; `false` when the writer is gone.
    pub async fn beyond(&mut self, revision: Revision) -> bool {
        self.head.wait_for(|head| *head > revision).await.is_ok()
    }
}
