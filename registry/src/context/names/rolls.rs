//! Rolls that were made, by the rows they are of, and what they make together:
//! names change seldom, rows all the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pulse_proto::model::ConnectionId;

use super::former::{Dropped, Former};
use super::{Known, Roll};
use crate::query::sight::Sight;
use crate::state::view::{Rows, Shard, View};

#[derive(Debug, Default)]
pub struct Rolls(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Somebody asks for them: where nothing is hidden nobody does.
    are_wanted: bool,
    rolls: BTreeMap<ConnectionId, Entry>,
    dropped: Dropped,
    former: Former,
    /// Of all connections, for who sees all of them.
    whole: Option<Made>,
}

#[derive(Debug)]
struct Entry {
    rows: Weak<Rows>,
    name: String,
    roll: Arc<Roll>,
}

/// Names, and what they were made of.
#[derive(Clone, Debug)]
struct Made {
    rolls: Vec<Arc<Roll>>,
    former: Arc<Known>,
    known: Arc<Known>,
}

impl Made {
    fn is_of(&self, rolls: &[Arc<Roll>], former: &Arc<Known>) -> bool {
        self.rolls.len() == rolls.len()
            && self.rolls.iter().zip(rolls).all(|(made, roll)| Arc::ptr_eq(made, roll))
            && Arc::ptr_eq(&self.former, former)
    }
}

impl Rolls {
    /// Names of what is in sight. What is out of sight rewrites no text: by that one could find out what it is called.
    pub fn known(&self, view: &View, sight: &Sight) -> Arc<Known> {
        self.want();
        let seen = view.shards().filter(|shard| sight.sees(&shard.connection));
        let rolls: Vec<Arc<Roll>> = seen.map(|shard| self.roll(shard)).collect();
        let mut kept = self.lock();
        let Kept { dropped, former, .. } = &mut *kept;
        if !sight.is_whole() {
            let former = former.seen(&view.past, dropped, sight);
            drop(kept);
            return Arc::new(Known::of(&rolls).and_beyond(Arc::new(former)));
        }
        let former = former.known(&view.past, dropped);
        drop(kept);
        self.whole(rolls, former)
    }

    /// As they were made before, if nothing of them changed.
    fn whole(&self, rolls: Vec<Arc<Roll>>, former: Arc<Known>) -> Arc<Known> {
        if let Some(made) = self.lock().whole.as_ref().filter(|made| made.is_of(&rolls, &former)) {
            return Arc::clone(&made.known);
        }
        // Made outside of the lock: another reader is not held up.
        let known = Arc::new(Known::of(&rolls).and_beyond(Arc::clone(&former)));
        self.lock().whole = Some(Made { rolls, former, known: Arc::clone(&known) });
        known
    }

    /// From now on they are kept ready.
    pub fn want(&self) {
        self.lock().are_wanted = true;
    }

    /// Makes what is missing ahead of the next question, and forgets what is gone.
    pub fn refresh(&self, view: &View) {
        let mut kept = self.lock();
        let Kept { rolls, dropped, .. } = &mut *kept;
        let gone = rolls.extract_if(.., |connection, _| view.shard(connection).is_none());
        gone.for_each(|(connection, entry)| dropped.take(&connection, &entry.roll, &Roll::default()));
        let are_wanted = kept.are_wanted;
        drop(kept);
        if are_wanted {
            self.known(view, &Sight::whole());
        }
    }

    fn roll(&self, shard: &Shard) -> Arc<Roll> {
        let name = shard.status.as_ref().map_or("", |status| status.name.as_str());
        if let Some(kept) = self.lock().rolls.get(&shard.connection)
            && kept.name == name
            && Weak::as_ptr(&kept.rows) == Arc::as_ptr(&shard.resources)
        {
            return Arc::clone(&kept.roll);
        }
        // Made outside of the lock: another reader's shards are not held up by this one.
        let made = Roll::of(shard);
        let mut kept = self.lock();
        let before = kept.rolls.get(&shard.connection).map(|entry| Arc::clone(&entry.roll));
        if let Some(before) = &before {
            kept.dropped.take(&shard.connection, before, &made);
        }
        let roll = before.filter(|before| **before == made).unwrap_or_else(|| Arc::new(made));
        let entry =
            Entry { rows: Arc::downgrade(&shard.resources), name: name.to_owned(), roll: Arc::clone(&roll) };
        kept.rolls.insert(shard.connection.clone(), entry);
        roll
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
