//! Rolls that were made, by the rows they are of, and what they make together:
//! names change seldom, rows all the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pulse_proto::model::ConnectionId;

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
    /// Of all connections.
    whole: Option<(Vec<Arc<Roll>>, Arc<Known>)>,
}

#[derive(Debug)]
struct Entry {
    rows: Weak<Rows>,
    name: String,
    roll: Arc<Roll>,
}

impl Rolls {
    /// Names of all things in sight. That a word is the name of another's system is not for somebody else to find out.
    pub fn known(&self, view: &View, sight: &Sight) -> Arc<Known> {
        self.want();
        let shards = view.shards().filter(|shard| sight.sees(&shard.connection));
        let rolls: Vec<Arc<Roll>> = shards.map(|shard| self.roll(shard)).collect();
        let is_same = |kept: &[Arc<Roll>]| {
            kept.len() == rolls.len() && kept.iter().zip(&rolls).all(|(kept, roll)| Arc::ptr_eq(kept, roll))
        };
        if let Some((kept, known)) = &self.lock().whole
            && is_same(kept)
        {
            return Arc::clone(known);
        }
        let known = Arc::new(Known::of(&rolls));
        if sight.is_whole() {
            self.lock().whole = Some((rolls, Arc::clone(&known)));
        }
        known
    }

    /// From now on they are kept ready.
    pub fn want(&self) {
        self.lock().are_wanted = true;
    }

    /// Makes what is missing ahead of the next question, and forgets what is gone.
    pub fn refresh(&self, view: &View) {
        let mut kept = self.lock();
        kept.rolls.retain(|connection, _| view.shard(connection).is_some());
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
