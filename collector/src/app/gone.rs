//! Connections that the registry knows from this collector and that are not here any more: deleted while it could not be
//! told. Refuses to take a stored connection that cannot be read for one that was deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulse_proto::model::ConnectionId;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connection::Roster;
use crate::uplink::{Mailbox, Update};

/// What the registry was not told yet.
pub(super) struct Gone {
    roster: Arc<Roster>,
    mailbox: Arc<Mailbox>,
    /// What the registry knew at the start.
    known: BTreeSet<ConnectionId>,
    /// Of these: not here, and not told as removed.
    missing: BTreeSet<ConnectionId>,
}

impl Gone {
    pub(super) fn new(roster: Arc<Roster>, mailbox: Arc<Mailbox>, known: BTreeSet<ConnectionId>) -> Self {
        let configured = roster.all();
        let missing = known.iter().filter(|id| !configured.contains_key(*id)).cloned().collect();
        Self { roster, mailbox, known, missing }
    }

    /// Tells what is gone for sure.
    pub(super) async fn tell(&mut self) {
        let Self { roster, mailbox, known, missing } = self;
        // While nobody can add one of them anew: its state comes after this.
        roster
            .look(|configured, damaged| {
                missing.retain(|id| !configured.contains_key(id));
                for id in gone(known, missing, damaged.iter().map(|record| record.id.as_ref())) {
                    missing.remove(&id);
                    mailbox.put(&id, Update::Removed);
                }
            })
            .await;
    }

    /// Tells the others once the records are deleted that may be theirs.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut changes = self.roster.subscribe();
        self.tell().await;
        if !self.missing.is_empty() {
            warn!(
                connections = ?self.missing,
                "the registry keeps these: what is stored of a connection cannot be read and may be theirs",
            );
        }
        while !self.missing.is_empty() {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
            self.tell().await;
        }
    }
}

/// Which of the missing are gone, beside these damaged records. One without an id, or with one that the registry does not
/// know, may be any of them.
fn gone<'a>(
    known: &BTreeSet<ConnectionId>,
    missing: &BTreeSet<ConnectionId>,
    mut damaged: impl Iterator<Item = Option<&'a ConnectionId>>,
) -> BTreeSet<ConnectionId> {
    let mut gone = missing.clone();
    let is_told_apart = damaged.all(|id| {
        id.is_some_and(|id| {
            gone.remove(id);
            known.contains(id)
        })
    });
    if is_told_apart { gone } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> BTreeSet<ConnectionId> {
        text.split_whitespace().map(|id| ConnectionId::parse(id).unwrap()).collect()
    }

    #[test]
    fn what_cannot_be_read_is_not_gone() {
        for (missing, damaged, expected) in [
            ("a b", "", "a b"),
            ("a b", "a", "b"),
            ("a b", "a b", ""),
            // A copy of one that can be read.
            ("a b", "c", "a b"),
            // No id, and one that nobody knows: whose it is cannot be told.
            ("a b", "?", ""),
            ("a b", "a ?", ""),
            ("a b", "elsewhere", ""),
        ] {
            let damaged: Vec<_> = damaged.split_whitespace().map(|id| ConnectionId::parse(id).ok()).collect();
            let gone = gone(&ids("a b c"), &ids(missing), damaged.iter().map(Option::as_ref));
            assert_eq!(gone, ids(expected), "{missing:?} {damaged:?}");
        }
    }
}
