//! Which entries of the timeline a scope is about. Changes of other systems are
//! passed over without a look at what changed, so that many of them hide none of
//! those that are asked for.

use std::collections::BTreeMap;

use pulse_proto::model::ConnectionId;

use super::Scope;
use super::gone::Gone;
use crate::state::timeline::Entry;
use crate::state::view::View;

/// Entries that are compared with a filter.
const COMPARED_MAX: usize = 20_000;

pub(super) struct Selected<'a> {
    view: &'a View,
    gone: &'a Gone<'a>,
    scope: &'a Scope,
    /// Whether what a connection brought may be asked for.
    connections: BTreeMap<&'a ConnectionId, bool>,
    compared: usize,
}

impl<'a> Selected<'a> {
    pub(super) const fn new(view: &'a View, gone: &'a Gone<'a>, scope: &'a Scope) -> Self {
        Self { view, gone, scope, connections: BTreeMap::new(), compared: 0 }
    }

    /// `None` once so many were compared that nobody waits for more.
    pub(super) fn holds(&mut self, entry: &'a Entry) -> Option<bool> {
        let Self { view, gone, scope, .. } = *self;
        let may_hold = self.connections.entry(&entry.connection).or_insert_with(|| {
            scope.sight.sees(&entry.connection) && gone.may_match(view, &scope.filter, &entry.connection)
        });
        if !*may_hold || !scope.is_filtered() {
            return Some(*may_hold);
        }
        if self.compared == COMPARED_MAX {
            return None;
        }
        self.compared += 1;
        // By what a thing is, or was when it went.
        Some(match view.get(&entry.id) {
            Some(found) => scope.filter.matches(&found.resource, found.observed_at),
            None => gone.matches(view, &scope.filter, entry),
        })
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, Revision, UnixMillis};

    use super::super::{Topic, Topics, changes};
    use super::*;
    use crate::query::filter::Filter;
    use crate::query::fixture::Seed;
    use crate::query::sight::Sight;
    use crate::state::change::{Change, Changes};

    fn brought(connection: &'static str, revision: u64, count: u64) -> Changes {
        let added = |number| Change::Added(Seed::new(ResourceType::Storage, number, connection).build());
        Changes::new(Revision(revision), UnixMillis::new(revision), (0..count).map(added).collect())
    }

    /// What is told of changes, by code.
    fn told(view: &View, filter: &str, sight: Sight) -> (Vec<&'static str>, u64) {
        let scope = Scope {
            filter: Filter::parse(filter).expect("a filter"),
            sight,
            since: UnixMillis::new(0),
            max_tokens: 256,
            topics: Topics::of(&[Topic::RecentChanges]),
        };
        let told = changes::facts(view, &scope);
        (told.facts.iter().map(|fact| fact.code).take(2).collect(), told.total)
    }

    #[test]
    fn many_changes_elsewhere_hide_none_and_what_is_not_looked_through_is_said() {
        let mut view = View::default();
        view.past.timeline.append(brought("quiet", 1, 3).entries);
        let most = COMPARED_MAX as u64;
        view.past.timeline.append(brought("loud", 2, most + 1).entries);
        let of = |connection: &str| ConnectionId::parse(connection).expect("an id");
        let created = vec!["created"; 2];
        assert_eq!(told(&view, "connection = quiet", Sight::whole()), (created.clone(), 3));
        assert_eq!(told(&view, "", Sight::only([of("quiet")])), (created.clone(), 3));
        assert_eq!(told(&view, "type = storage", Sight::only([of("quiet")])), (created.clone(), 3));
        let not_all = (vec!["changes_not_all", "created"], most);
        assert_eq!(told(&view, "type = storage", Sight::whole()), not_all);
        assert_eq!(told(&view, "connection = nobody", Sight::whole()), (vec!["nothing_changed"], 1));
        assert_eq!(told(&view, "", Sight::whole()), (created, most + 4));
    }
}
