//! Hands the current book to readers, and what changed in it to those who
//! follow. A reader never waits for whoever writes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::book::Book;
use super::case::{Case, CaseId};

/// Changes remembered so that a follower need not look at every case.
const RECENT_MAX: usize = 20_000;

/// Clone-cheap access for readers.
#[derive(Clone, Debug)]
pub struct AlertFeed {
    book: Arc<ArcSwap<Book>>,
    recent: Arc<Mutex<Recent>>,
    head: watch::Receiver<u64>,
}

/// The end of whoever makes books.
#[derive(Debug)]
pub struct AlertPublisher {
    book: Arc<ArcSwap<Book>>,
    recent: Arc<Mutex<Recent>>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Changes after this revision are all here.
    floor: u64,
    changes: VecDeque<(u64, CaseId)>,
}

impl Recent {
    /// What changed after one revision, up to another that was published; `None` where not all of it is remembered.
    fn between(&self, after: u64, through: u64) -> Option<BTreeSet<CaseId>> {
        (after >= self.floor).then(|| {
            let start = self.changes.partition_point(|(at, _)| *at <= after);
            let until = self.changes.range(start..).take_while(|(at, _)| *at <= through);
            until.map(|(_, id)| *id).collect()
        })
    }
}

/// The asked revision has not been yet: it is of another history, as after a restored backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("alert revision {asked} is not known here, the newest is {head}; list again and watch from there")]
pub struct Ahead {
    pub asked: u64,
    pub head: u64,
}

/// Starts with `book`.
pub fn channel(book: Book) -> (AlertPublisher, AlertFeed) {
    let recent = Arc::new(Mutex::new(Recent { floor: book.revision, changes: VecDeque::new() }));
    let (sender, receiver) = watch::channel(book.revision);
    let book = Arc::new(ArcSwap::from_pointee(book));
    let feed = AlertFeed { book: Arc::clone(&book), recent: Arc::clone(&recent), head: receiver };
    (AlertPublisher { book, recent, head: sender }, feed)
}

impl AlertPublisher {
    pub(super) fn current(&self) -> Arc<Book> {
        self.book.load_full()
    }

    /// Makes `book` the current one; `changed` led to it.
    pub(super) fn publish(&self, book: Book, changed: &[Arc<Case>]) {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.changes.extend(changed.iter().map(|case| (case.revision, case.id)));
            while recent.changes.len() > RECENT_MAX {
                if let Some((revision, _)) = recent.changes.pop_front() {
                    recent.floor = revision;
                }
            }
        }
        let revision = book.revision;
        self.book.store(Arc::new(book));
        self.head.send_replace(revision);
    }
}

impl AlertFeed {
    pub fn book(&self) -> Arc<Book> {
        self.book.load_full()
    }

    /// Cases that changed after `revision`, each once and as `book` has it, oldest change first; and the revision they
    /// lead to.
    pub fn after(&self, revision: u64) -> Result<(Vec<Arc<Case>>, u64), Ahead> {
        // Loaded first: what leads to it is all remembered by now, and what was remembered since is left for the next time.
        let book = self.book();
        let known =
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).between(revision, book.revision);
        if revision > book.revision {
            return Err(Ahead { asked: revision, head: book.revision });
        }
        let mut cases: Vec<Arc<Case>> = match known {
            Some(ids) => ids.into_iter().filter_map(|id| book.get(id).cloned()).collect(),
            None => book.cases().filter(|case| case.revision > revision).cloned().collect(),
        };
        cases.sort_by_key(|case| (case.revision, case.id));
        Ok((cases, book.revision))
    }

    /// Resolves when the head is beyond `revision`; `false` when nobody makes books any more.
    pub async fn beyond(&mut self, revision: u64) -> bool {
        self.head.wait_for(|head| *head > revision).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::firing;
    use super::*;
    use pulse_proto::model::{Severity, UnixMillis};

    #[test]
    fn whoever_follows_while_books_are_made_misses_no_change() {
        const REVISIONS: u64 = 3_000;
        let (publisher, feed) = channel(Book::default());
        let follower = std::thread::spawn(move || {
            let (mut told, mut through) = (Vec::new(), 0);
            while through < REVISIONS {
                let (cases, head) = feed.after(through).expect("it has been");
                told.extend(cases.iter().map(|case| case.revision));
                through = head;
            }
            told
        });
        let mut book = Book::default();
        for revision in 1..=REVISIONS {
            let mut case = firing(&format!("p{revision}"), Severity::Warning, UnixMillis::new(revision));
            case.revision = revision;
            let case = Arc::new(case);
            book.put(Arc::clone(&case));
            book.revision = revision;
            publisher.publish(book.clone(), &[case]);
        }
        assert_eq!(follower.join().expect("it ends"), (1..=REVISIONS).collect::<Vec<u64>>());
    }
}
