//! Resources of which nothing but numbers changed, in the places of those that
//! are shown. Most changes are such: names, ids, families and ties are as they
//! were, so that nothing is looked up or sorted by them. Refuses to know of
//! anything else: when more changed, [`State::settle`] does it all.

use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceType};

use super::settle::Settling;
use super::{State, Touched};
use crate::state::document::{Beside, Difference, Document, Upsert};
use crate::state::holding::Entry;
use crate::state::resource::Resource;
use crate::state::row::{RecordRow, Stamp, Write};

/// A record of the input's connection whose new document is held, and not yet shown or written.
pub(in crate::state) struct Renumbered {
    document: Document,
    /// What it was compared with, if it was.
    beside: Option<Beside>,
    /// What was held before is what is shown, and so what was written last: a difference is made against that.
    was_shown: bool,
}

impl Entry {
    /// Takes a document that differs from the one held in numbers alone.
    pub(super) fn renumber(&mut self, upsert: Upsert) -> Renumbered {
        let Upsert { document, is_decoded: _, beside } = upsert;
        let is_shown = |shown: &Arc<Resource>| shown.document.is(&self.document);
        let was_shown = self.resource.as_ref().is_some_and(is_shown);
        self.document = document.clone();
        Renumbered { document, beside, was_shown }
    }
}

impl State {
    /// More changed than numbers: these are derived with the rest, and written as far as they are still held.
    pub(super) fn touch_renumbered(
        &self,
        connection: &ConnectionId,
        renumbered: Vec<Renumbered>,
        touched: &mut Touched,
        writes: &mut Vec<Write>,
    ) {
        let Some(holding) = self.holdings.get(connection) else { return };
        for Renumbered { document, .. } in renumbered {
            let id = &document.source_id;
            let Some(entry) = holding.entries.get(id) else { continue };
            writes.push(Write::Record(connection.clone(), entry.document.clone()));
            touched.insert((connection.clone(), id.clone()));
        }
    }

    /// Nothing but these changed. What their machine sees of them, or they are themselves, is left to
    /// `settling.moved`.
    pub(super) fn renumber(
        &mut self,
        connection: &ConnectionId,
        renumbered: Vec<Renumbered>,
        settling: &mut Settling,
        writes: &mut Vec<Write>,
    ) {
        settling.exchanged.reserve(renumbered.len());
        for Renumbered { document, beside, was_shown } in renumbered {
            let id = &document.source_id;
            let Some(holding) = self.holdings.get(connection) else { return };
            // Told once more in the same batch, the last one counts.
            let is_last = |entry: &&Entry| entry.document.is(&document);
            let Some(entry) = holding.entries.get(id).filter(is_last) else { continue };
            let Some(old) = entry.resource.as_ref() else { continue };
            if old.resource_type() == ResourceType::Host {
                writes.push(Write::Record(connection.clone(), document.clone()));
                settling.moved.insert((connection.clone(), id.clone()));
                continue;
            }
            let old = Arc::clone(old);
            let beside = beside.filter(|beside| beside.is(&old.document));
            let derived = (beside.is_some() || old.document != document)
                .then(|| self.deriving(connection, holding).renumbered(entry, &old))
                .flatten();
            if let Some(new) = derived.as_ref().filter(|new| new.severity != old.severity) {
                settling.moved.extend(self.host_of(new));
            }
            let Some(entry) =
                self.holdings.get_mut(connection).and_then(|holding| holding.entries.get_mut(id))
            else {
                continue;
            };
            let Some(mut new) = derived else {
                if was_shown {
                    entry.document = old.document.clone();
                } else {
                    // Something else may have been written last.
                    writes.push(Write::Record(connection.clone(), document));
                }
                continue;
            };
            new.updated_at = settling.now;
            new.revision = settling.revision;
            let stamp = Stamp::of(&new);
            // Compared with an earlier one while batches are on their way: both are at hand now.
            let difference = || match beside {
                Some(beside) => beside.difference,
                None => Difference::between(&old.document, &document),
            };
            let difference = was_shown.then(difference).flatten();
            let (connection, row) = (connection.clone(), RecordRow { document, stamp });
            writes.push(match difference {
                Some(difference) => Write::Change(connection, row, difference),
                None => Write::Row(connection, row),
            });
            let new = Arc::new(new);
            entry.resource = Some(Arc::clone(&new));
            settling.exchanged.push((old, new));
        }
    }
}
