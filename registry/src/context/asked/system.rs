//! Which system a reader means: by the name that contexts call it by, whole or cut, by its pseudonym, by a name that it
//! gives itself, or by an id of it. A system that went is known as long as the timeline tells of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceType};

use super::Asking;
use crate::context::fleet::reach::called as name;
use crate::context::names::own_names;
use crate::context::piece::Kind;
use crate::context::redact::{Policy, holds_pseudonym};
use crate::context::shown::Showing;
use crate::context::sketch::with;
use crate::query::filter::field::{Field, TextField};
use crate::query::filter::syntax::{Literal, Operator};
use crate::query::filter::{FilterError, required};
use crate::state::timeline::{Entry, EntryKind};
use crate::state::view::Shard;
use crate::state::view::profile::Dimension;

/// Systems that are named to who asks for one that is not known.
const TOLD_MAX: usize = 10;
/// Where a name was cut.
const CUT: char = '…';

impl Asking<'_> {
    /// What is left of the text after the name of the system, when it begins with that; empty for the system itself.
    pub(super) fn within<'t>(&self, shard: &Shard, text: &'t str) -> Option<&'t str> {
        let name = name(shard);
        if self.is_open() {
            let shown = self.showing(Policy::None).show(Kind::System, name).text();
            let names = [name, shard.connection.as_str(), shown.as_str()];
            if let Some(rest) = names.into_iter().find_map(|name| rest_after(text, name)) {
                return Some(rest);
            }
        }
        divisions(text).find_map(|(first, rest)| self.shows(Kind::System, name, first).then_some(rest))
    }

    /// The same after a name that it gives itself.
    pub(super) fn within_own<'t>(&self, shard: &Shard, text: &'t str) -> Option<&'t str> {
        if !self.is_open() && !holds_pseudonym(text) {
            return None;
        }
        let hosts = shard.resources.any_of(Dimension::Type, 1 << ResourceType::Host as u32)?;
        let within = |own: &str| {
            divisions(text).find_map(|(first, rest)| {
                let is_it = self.is_open() && own == first || self.shows(Kind::System, own, first);
                is_it.then_some(rest)
            })
        };
        hosts
            .iter()
            .find_map(|row| with(&shard.resources[row], |thing| own_names(thing.record).find_map(within)))
    }

    /// Connections of what is called so. Several systems may have one name.
    pub(super) fn systems(&self, wanted: &str) -> BTreeSet<ConnectionId> {
        let is_whole = |rest: Option<&str>| rest.is_some_and(str::is_empty);
        let called = |is_called: &dyn Fn(&Shard) -> bool| -> BTreeSet<ConnectionId> {
            self.shards().filter(|shard| is_called(shard)).map(|shard| shard.connection.clone()).collect()
        };
        let by_name = called(&|shard| is_whole(self.within(shard, wanted)));
        if !by_name.is_empty() {
            return by_name;
        }
        let own = called(&|shard| is_whole(self.within_own(shard, wanted)));
        if !own.is_empty() {
            return own;
        }
        let found = self.id(wanted).and_then(|id| self.view.get(&id));
        match found.filter(|found| self.sight.sees(&found.resource.connection)) {
            Some(found) => BTreeSet::from([found.resource.connection.clone()]),
            None => self.gone(wanted),
        }
    }

    /// Of systems that are not there any more.
    fn gone(&self, wanted: &str) -> BTreeSet<ConnectionId> {
        let timeline = self.view.past.timeline.iter();
        let went = timeline.filter(|entry| {
            entry.kind == EntryKind::Removed
                && entry.resource_type == ResourceType::Host
                && self.sight.sees(&entry.connection)
                && self.view.shard(&entry.connection).is_none()
        });
        let is_it = |name: &str| self.is_open() && name == wanted || self.shows(Kind::System, name, wanted);
        let is_meant = |entry: &&Arc<Entry>| is_it(entry.name()) || is_it(entry.connection.as_str());
        went.filter(is_meant).map(|entry| entry.connection.clone()).collect()
    }

    /// The system that a filter is about, when there is none and never was as far as anybody remembers.
    pub fn stranger(&self, filter: &str) -> Result<Option<String>, FilterError> {
        let required = required(filter)?;
        let asked = required.into_iter().filter(|comparison| {
            comparison.operator == Operator::Equal
                && !comparison.literal.wild
                && is_system(Field::find(&comparison.path).as_ref())
        });
        let mut names = asked.map(|comparison| {
            let Literal { text, .. } = comparison.literal;
            text
        });
        Ok(names.find(|name| self.systems(name).is_empty()))
    }

    /// What systems there are, as they are shown under the policy, the first few, and how many more.
    pub fn systems_shown(&self, policy: Policy) -> String {
        let mut all: Vec<&Shard> = self.shards().collect();
        if all.is_empty() {
            return "no system is known".to_owned();
        }
        all.sort_by(|left, right| name(left).cmp(name(right)));
        let shown = |shard: &&Shard| {
            let shown = self.showing(policy.max(self.floor)).show(Kind::System, name(shard));
            let text = shown.cut(Kind::System.chars_max());
            if shown.is_hidden { text } else { format!("\"{text}\"") }
        };
        let names: Vec<String> = all.iter().take(TOLD_MAX).map(shown).collect();
        let more = all.len().saturating_sub(TOLD_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("known systems are {}{more}", names.join(", "))
    }

    pub(super) const fn showing(&self, policy: Policy) -> Showing<'_> {
        Showing { policy, pseudonyms: self.pseudonyms, known: self.known }
    }
}

/// Fields that hold the name of a system.
pub(super) const fn is_system(field: Option<&Field>) -> bool {
    matches!(field, Some(Field::Text(TextField::Connection | TextField::ConnectionName)))
}

/// Whether `wanted` is what is left of a shown name that was cut.
pub(super) fn is_cut_of(wanted: &str, shown: &str) -> bool {
    wanted.strip_suffix(CUT).is_some_and(|begin| !begin.is_empty() && shown.starts_with(begin))
}

pub(super) fn is_cut(wanted: &str) -> bool {
    wanted.ends_with(CUT)
}

/// Where a name may end that a text begins with, and what follows it: before a slash, or where it was cut.
fn divisions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let at_slash = text.split_once('/').unwrap_or((text, ""));
    let at_cut = text.find(CUT).and_then(|at| {
        let (first, rest) = text.split_at(at + CUT.len_utf8());
        if rest.is_empty() { Some((first, rest)) } else { Some((first, rest.strip_prefix('/')?)) }
    });
    std::iter::once(at_slash).chain(at_cut.filter(|divided| *divided != at_slash))
}

fn rest_after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(name).filter(|_| !name.is_empty())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_a_slash_or_where_it_was_cut() {
        let cases: [(&str, &[(&str, &str)]); 6] = [
            ("nas-1/tank/media", &[("nas-1", "tank/media")]),
            ("nas-1", &[("nas-1", "")]),
            ("nas-wi…/tank", &[("nas-wi…", "tank")]),
            ("nas-wi…", &[("nas-wi…", "")]),
            ("nas-1/tank/me…", &[("nas-1", "tank/me…"), ("nas-1/tank/me…", "")]),
            ("site a/nas…/tank", &[("site a", "nas…/tank"), ("site a/nas…", "tank")]),
        ];
        for (text, expected) in cases {
            assert_eq!(divisions(text).collect::<Vec<_>>(), expected, "{text}");
        }
        assert!(
            is_cut_of("nas-wi…", "nas-with-a-name") && !is_cut_of("…", "nas") && !is_cut_of("nas", "nas")
        );
    }
}
