//! What becomes of cases whose subject the view does not hold: that is an observation
//! like any other, and none at all while what would hold it was not read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::Engine;
use crate::alert::case::Case;
use crate::alert::condition::{Home, shown};
use crate::alert::life::{Begin, Contrary, Look, Policy, Said, step};
use crate::alert::native;
use crate::alert::rule::CONFIRMATIONS_DEFAULT;
use crate::alert::source::{Absence, absence};
use crate::state::View;

/// How soon one looks again whether a subject that was not there is there, or is known not to be.
const ABSENCE_INTERVAL: Duration = Duration::from_secs(5);

impl Engine {
    /// The view does not hold it. Its cases end when what would hold it was read whole without it, as often as their
    /// recovery must be seen.
    pub(super) fn gone(&mut self, id: &ResourceId, view: &View, now: UnixMillis) {
        let mut again = self.miss(id, view, now);
        for (origin, case) in self.cases.remove(id).unwrap_or_default() {
            let was = Some((case.id, case.is_open(), case.resolved_at));
            let shard = view.shard(&case.subject.connection).map(|shard| &**shard);
            let section = case.subject.section.as_ref();
            let (said, observed_at) = match absence(shard, section, now) {
                Absence::Read(at) => (Said::Gone(absent(&case, at)), at),
                Absence::Unread => (Said::Unknown, now),
                Absence::Unwatched(why) => (Said::Over(why), now),
            };
            let (waits, policy) = (said == Said::Unknown && case.is_open(), gone_policy(&case));
            let look = Look { observed_at, now, revision: view.revision };
            let subject = case.subject.clone();
            let subject = || subject.clone();
            let remedy = Arc::clone(&case.remedy);
            let begin = Begin { origin: &origin, subject: &subject, remedy: &remedy };
            let stepped = step(Some(case), &begin, said, look, policy);
            let soon = (stepped.awaits || waits).then(|| now + ABSENCE_INTERVAL);
            again = again.into_iter().chain(stepped.look_again).chain(soon).min();
            if let Some(case) = stepped.case {
                self.put(case, was, stepped.told);
            }
        }
        self.look_at(id, again);
        if again.is_none() {
            self.unplace(id);
        }
    }
}

impl Engine {
    /// What is remembered of it goes when it is gone by as many reads as end a case; when to look again until then.
    fn miss(&mut self, id: &ResourceId, view: &View, now: UnixMillis) -> Option<UnixMillis> {
        let memory = self.memory.get_mut(id)?;
        let found = memory.home.as_ref().map(|Home { connection, section }| {
            absence(view.shard(connection).map(|shard| &**shard), Some(section), now)
        });
        let is_gone = match found {
            // Kept by an earlier release.
            None | Some(Absence::Unwatched(_)) => true,
            Some(Absence::Read(at)) => at > *memory.missed.get_or_insert(at),
            Some(Absence::Unread) => false,
        };
        if !is_gone {
            return Some(now + ABSENCE_INTERVAL);
        }
        self.memory.remove(id);
        self.news.memory.insert(*id);
        None
    }
}

/// What a rule of an earlier release left open says nothing of its own.
fn gone_policy(case: &Case) -> Policy {
    let policy = case.progress.policy;
    let clear = if case.origin.rule().is_some() { CONFIRMATIONS_DEFAULT } else { native::POLICY.clear };
    Policy { clear: policy.clear.max(clear), ..policy }
}

fn absent(case: &Case, at: UnixMillis) -> Contrary {
    let name = &case.subject.name;
    let section = case.subject.section.as_ref().map(ToString::to_string);
    let what = section.as_deref().unwrap_or("its connection");
    let mut evidence = BTreeMap::from([("read_at".to_owned(), shown(at))]);
    evidence.extend(section.as_ref().map(|section| ("section".to_owned(), section.clone())));
    Contrary {
        text: format!("{name} is gone: {what} was read whole and does not hold it any more."),
        evidence,
    }
}
