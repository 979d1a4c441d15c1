//! Sketches that were made, by the rows they are of: a context costs what
//! changed since the last one, not what there is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pulse_proto::model::ConnectionId;
use tokio::time::Instant;

use super::names::{Known, Rolls};
use super::sketch::Sketch;
use crate::query::sight::Sight;
use crate::state::view::{Rows, Shard, View};

/// Who asked so lately will ask again.
const WARM: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub struct Memo {
    asked: Mutex<Option<Instant>>,
    sketches: Mutex<Kept>,
    names: Rolls,
}

/// By connection: the rows, and the sketch of them.
type Kept = BTreeMap<ConnectionId, (Weak<Rows>, Arc<Sketch>)>;

impl Memo {
    /// The sketch of a whole shard.
    pub(super) fn sketch(&self, shard: &Shard) -> Arc<Sketch> {
        if let Some((rows, sketch)) = self.lock().get(&shard.connection)
            && Weak::as_ptr(rows) == Arc::as_ptr(&shard.resources)
        {
            return Arc::clone(sketch);
        }
        // Made outside of the lock: another reader's shards are not held up by this one.
        let sketch = Arc::new(Sketch::of(&shard.resources, |_| true));
        let entry = (Arc::downgrade(&shard.resources), Arc::clone(&sketch));
        self.lock().insert(shard.connection.clone(), entry);
        sketch
    }

    /// Makes what is missing ahead of the next question, and forgets what is gone.
    pub fn refresh(&self, view: &View) {
        self.lock().retain(|connection, _| view.shard(connection).is_some());
        let missing = |shard: &&Arc<Shard>| {
            let known = self.lock();
            let known = known.get(&shard.connection);
            known.is_none_or(|(rows, _)| Weak::as_ptr(rows) != Arc::as_ptr(&shard.resources))
        };
        view.shards().filter(missing).for_each(|shard| drop(self.sketch(shard)));
        self.names.refresh(view);
    }

    /// Somebody asks for a context.
    pub fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Another question is likely to come soon.
    pub fn is_warm(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| asked.elapsed() < WARM)
    }

    /// Names will be asked for.
    pub fn want_names(&self) {
        self.names.want();
    }

    /// Names of all things, as who sees so much may know them.
    pub fn names(&self, view: &View, sight: &Sight) -> Arc<Known> {
        self.names.known(view, sight)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.sketches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
