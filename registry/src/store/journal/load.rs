//! Everything of a journal in memory: one thread reads and checks, others put
//! together and decode, each the connections that are its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::fold::{Fold, Folded};
use super::read::{End, Piece, Plan, Rows};
use super::unread::Unread;
use crate::state::Remembered;
use crate::store::{Loaded, StoreError};

/// Threads that decode, unless there is little. Connections are dealt out among them for good: of two, one had 56 of 100 records
/// and worked alone at the end.
const DECODERS: u32 = 4;
/// Less than this is read before a second thread has begun.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Frames on their way to a decoder.
const QUEUE_MAX: usize = 4;
/// Payloads on their way back.
const SPARE_MAX: usize = 8;
/// A larger one is not kept.
const SPARE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What could be read, what could not, and where it ends.
pub(super) struct All {
    pub(super) loaded: Loaded,
    pub(super) unread: Unread,
    /// Some of it was not put aside yet.
    pub(super) has_new_unread: bool,
    /// Changes that were put to records.
    pub(super) changes: u64,
    pub(super) end: End,
}

pub(super) fn load(plan: Plan) -> Result<All, StoreError> {
    let decoders = if plan.bytes() < SMALL_BYTES { 1 } else { DECODERS };
    thread::scope(|scope| {
        let mut senders: Vec<SyncSender<Arc<Rows>>> = Vec::new();
        let mut handles = Vec::new();
        let (give_back, spare) = sync_channel(SPARE_MAX);
        for own in 0..decoders {
            let (sender, receiver) = sync_channel(QUEUE_MAX);
            senders.push(sender);
            let give_back = give_back.clone();
            handles.push(scope.spawn(move || decode(&receiver, &give_back, own, decoders)));
        }
        let read = plan.read(&mut |piece| {
            let Piece::Rows(rows) = piece else { return Ok(Vec::new()) };
            let rows = Arc::new(rows);
            for sender in &senders {
                // A decoder that is gone says why when it is asked.
                sender.send(Arc::clone(&rows)).map_err(|_gone| panicked())?;
            }
            Ok(spare.try_recv().unwrap_or_default())
        });
        drop(senders);
        let mut folded = Folded::default();
        for handle in handles {
            let part = handle.join().map_err(|_panic| panicked())??;
            folded.connections.extend(part.connections);
            folded.links.extend(part.links);
            // One decoder has all rows of no connection.
            if part.remembered != Remembered::default() {
                folded.remembered = part.remembered;
            }
            folded.damaged.extend(part.damaged);
            folded.unread.extend(part.unread);
            folded.has_new_unread |= part.has_new_unread;
            folded.changes += part.changes;
        }
        let end = read?;
        folded.connections.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        let Folded { connections, links, remembered, damaged, unread, has_new_unread, changes } = folded;
        let registry_id = end.registry_id.clone();
        let loaded = Loaded { registry_id, revision: end.revision, connections, links, remembered, damaged };
        Ok(All { loaded, unread, has_new_unread, changes, end })
    })
}

fn decode(
    frames: &Receiver<Arc<Rows>>,
    give_back: &SyncSender<Vec<u8>>,
    own: u32,
    decoders: u32,
) -> Result<Folded, StoreError> {
    let mut fold = Fold::default();
    let mine = |connection: &str| crc32c::crc32c(connection.as_bytes()) % decoders == own;
    for frame in frames {
        let odd = |error: super::rows::NoRows| damaged(&frame.path, frame.at, &error);
        fold.apply(&frame.payload, mine).map_err(odd)?;
        // Whoever is the last to read it.
        if let Some(frame) = Arc::into_inner(frame)
            && frame.payload.capacity() <= SPARE_BYTES_MAX
        {
            drop(give_back.try_send(frame.payload));
        }
    }
    Ok(fold.finish())
}

fn damaged(path: &Path, offset: u64, reason: &impl ToString) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), offset, reason: reason.to_string() }
}

fn panicked() -> StoreError {
    StoreError::Engine("a thread that reads the journal ended early".to_owned())
}
