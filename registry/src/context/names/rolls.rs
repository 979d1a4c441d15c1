//! Rolls that were made, by the rows they are of, and what they make together:
//! names change seldom, rows all the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pulse_proto::model::ConnectionId;

use super::former::Former;
use super::{Alone, Known, Roll};
use crate::query::sight::Sight;
use crate::state::view::{Rows, Shard, View};

#[derive(Debug, Default)]
pub struct Rolls(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Somebody asks for them: where nothing is hidden nobody does.
    are_wanted: bool,
    rolls: BTreeMap<ConnectionId, Entry>,
    former: Former,
    /// Of all connections, for who sees all of them.
    whole: Option<Made>,
    /// The same for who sees some: that two names are of one thing is not for him to find out.
    strangers: Option<Made>,
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
    /// Names of all things, whoever asks: who sees less is not told more names. Of what is out of sight each stands for
    /// itself.
    pub fn known(&self, view: &View, sight: &Sight) -> Arc<Known> {
        self.want();
        let rolls: Vec<Arc<Roll>> = view.shards().map(|shard| self.roll(shard)).collect();
        let former = self.lock().former.known(&view.past);
        if sight.is_whole() {
            let of = |rolls: &[Arc<Roll>]| Known::of(rolls);
            return self.made(|kept| &mut kept.whole, rolls, former, of);
        }
        let seen: Vec<Arc<Roll>> = view
            .shards()
            .zip(&rolls)
            .filter(|(shard, _)| sight.sees(&shard.connection))
            .map(|(_, roll)| Arc::clone(roll))
            .collect();
        let alone = |rolls: &[Arc<Roll>]| {
            let names = rolls.iter().flat_map(|roll| roll.names().chain(roll.heard()));
            let names: Vec<Alone> = names.map(|(name, meaning)| Alone::of(name, meaning)).collect();
            Known::alone(&names)
        };
        let strangers = self.made(|kept| &mut kept.strangers, rolls, former, alone);
        Arc::new(Known::of(&seen).and_beyond(strangers))
    }

    /// As they were made before, if nothing of them changed.
    fn made(
        &self,
        place: fn(&mut Kept) -> &mut Option<Made>,
        rolls: Vec<Arc<Roll>>,
        former: Arc<Known>,
        make: impl FnOnce(&[Arc<Roll>]) -> Known,
    ) -> Arc<Known> {
        if let Some(made) = place(&mut self.lock()).as_ref().filter(|made| made.is_of(&rolls, &former)) {
            return Arc::clone(&made.known);
        }
        // Made outside of the lock: another reader is not held up.
        let known = Arc::new(make(&rolls).and_beyond(Arc::clone(&former)));
        *place(&mut self.lock()) = Some(Made { rolls, former, known: Arc::clone(&known) });
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
