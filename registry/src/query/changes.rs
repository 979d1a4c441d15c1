//! Questions to the timeline: what matches, newest first, page by page. A page
//! ends at a position, and positions do not shift when new entries come.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use pulse_proto::model::{ResourceId, Revision};

use super::filter::EntryFilter;
use super::page::PageError;
use super::sight::Sight;
use super::token::{Purpose, Seal, TokenError, short_hash};
use crate::state::log::Log;
use crate::state::past::Position;
use crate::state::timeline::Entry;

/// What is asked for, checked.
#[derive(Clone, Debug)]
pub struct ChangesQuery {
    resource: Option<ResourceId>,
    filter: EntryFilter,
    sight: Sight,
}

/// Some entries, and where the next page begins if there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangesPage {
    pub entries: Vec<Arc<Entry>>,
    pub next: Option<Position>,
}

impl ChangesQuery {
    /// Without a resource: of all.
    pub const fn new(resource: Option<ResourceId>, filter: EntryFilter) -> Self {
        Self { resource, filter, sight: Sight::whole() }
    }

    /// Only what came from connections in sight.
    #[must_use]
    pub fn within(self, sight: Sight) -> Self {
        Self { sight, ..self }
    }

    /// Connections may come and go between pages; whoever sees less is always asked anew.
    fn hash(&self) -> [u8; 8] {
        let resource = self.resource.as_ref().map(ResourceId::text);
        let resource = resource.as_deref().unwrap_or_default();
        let limited: &[u8] = if self.sight.is_whole() { b"" } else { b"limited" };
        short_hash(&[self.filter.canonical().as_bytes(), resource.as_bytes(), limited])
    }

    pub fn encode(&self, next: Position, seal: &Seal) -> String {
        let mut payload = Vec::with_capacity(20);
        payload.extend(next.revision.0.to_be_bytes());
        payload.extend(next.index.to_be_bytes());
        payload.extend(self.hash());
        seal.seal(Purpose::Changes, &payload)
    }

    /// Fails when the token continues something else.
    pub fn decode(&self, text: &str, seal: &Seal) -> Result<Position, PageError> {
        let payload = seal.open(Purpose::Changes, text)?;
        let malformed = PageError::Token(TokenError::Malformed);
        let Some((revision, rest)) = payload.split_first_chunk::<8>() else { return Err(malformed) };
        let Some((index, hash)) = rest.split_first_chunk::<4>() else { return Err(malformed) };
        if *hash != self.hash() {
            return Err(PageError::OtherQuery);
        }
        let revision = Revision(u64::from_be_bytes(*revision));
        Ok(Position { revision, index: u32::from_be_bytes(*index) })
    }

    /// At most `size` entries that lie before `before`, newest first.
    pub fn page(&self, timeline: &Log<Entry>, before: Option<Position>, size: usize) -> ChangesPage {
        let mut page = ChangesPage::default();
        let wanted = match (self.resource, self.filter.resource_id().map(ResourceId::parse)) {
            (Some(id), _) | (None, Some(Ok(id))) => Some(id),
            (None, None) => None,
            // What is no id is nobody's.
            (None, Some(Err(_))) => return page,
        };
        let key = wanted.map(key_of);
        for chunk in timeline.chunks() {
            if chunk.items.first().is_none_or(|first| before.is_some_and(|end| first.position >= end))
                || key.is_some_and(|key| !chunk.may_hold(key, |entry| key_of(entry.id)))
            {
                continue;
            }
            for entry in chunk.items.iter().rev() {
                let is_asked = before.is_none_or(|end| entry.position < end)
                    && wanted.is_none_or(|wanted| entry.id == wanted)
                    && self.sight.sees(&entry.connection)
                    && self.filter.matches(entry);
                if !is_asked {
                    continue;
                }
                if page.entries.len() == size {
                    page.next = page.entries.last().map(|last| last.position);
                    return page;
                }
                page.entries.push(Arc::clone(entry));
            }
        }
        page
    }
}

/// The same for equal ids, in this process.
fn key_of(id: ResourceId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, UnixMillis};

    use super::*;
    use crate::query::fixture::{Seed, id};
    use crate::state::change::{Change, Changes};

    /// Each revision creates two resources of one hundred.
    fn timeline(revisions: std::ops::Range<u64>, log: &mut Log<Entry>) {
        for revision in revisions {
            let added = |number| Change::Added(Seed::new(ResourceType::Storage, number, "nas").build());
            let items = vec![added(revision % 100), added(revision % 100 + 1)];
            log.append(Changes::new(Revision(revision), UnixMillis::new(revision), items).entries);
        }
    }

    fn query(resource: Option<u64>, filter: &str) -> ChangesQuery {
        let resource = resource.map(|number| id(ResourceType::Storage, number));
        ChangesQuery::new(resource, EntryFilter::parse(filter).expect("a filter"))
    }

    fn places(entries: &[Arc<Entry>]) -> Vec<(u64, u32)> {
        entries.iter().map(|entry| (entry.position.revision.0, entry.position.index)).collect()
    }

    #[test]
    fn pages_join_without_gap_or_repetition_while_entries_come_and_go() {
        let mut log = Log::default();
        timeline(0..1_000, &mut log);
        let query = query(None, "");
        let mut read = Vec::new();
        let mut page = query.page(&log, None, 300);
        loop {
            read.extend(places(&page.entries));
            let Some(next) = page.next else { break };
            let newest = log.chunks().next().expect("a chunk").items.last().expect("one").position.revision.0;
            timeline(newest + 1..newest + 50, &mut log);
            page = query.page(&log, Some(next), 300);
        }
        let expected: Vec<(u64, u32)> = (0..1_000).rev().flat_map(|r| [(r, 1), (r, 0)]).collect();
        assert_eq!(read, expected);
        log.trim(100, |_| false);
        let lost = query.page(&log, Some(Position { revision: Revision(3), index: 0 }), 300);
        assert_eq!(lost, ChangesPage::default(), "what is forgotten is not there");
    }

    #[test]
    fn one_resource_is_found_by_request_and_by_filter() {
        let mut log = Log::default();
        timeline(0..1_000, &mut log);
        let wanted = id(ResourceType::Storage, 42);
        let expected: Vec<(u64, u32)> =
            (0..10).rev().flat_map(|n| [(n * 100 + 42, 0), (n * 100 + 41, 1)]).collect();
        for query in [query(Some(42), ""), query(None, &format!("resource_id = {wanted} AND kind = created"))]
        {
            assert_eq!(places(&query.page(&log, None, 1_000).entries), expected);
        }
        assert_eq!(query(Some(42), "kind = removed").page(&log, None, 5), ChangesPage::default());
        assert_eq!(query(Some(500), "").page(&log, None, 5), ChangesPage::default());
    }

    #[test]
    fn a_token_continues_only_its_own_query() {
        let seal = Seal::new("registry");
        let position = Position { revision: Revision(u64::MAX), index: 7 };
        let token = query(Some(1), "kind = created").encode(position, &seal);
        assert_eq!(query(Some(1), "kind=\"created\"").decode(&token, &seal), Ok(position));
        for other in [query(Some(2), "kind = created"), query(Some(1), ""), query(None, "kind = created")] {
            assert_eq!(other.decode(&token, &seal), Err(PageError::OtherQuery));
        }
        let resume = seal.seal(Purpose::Resume, &[0; 20]);
        let error = query(None, "").decode(&resume, &seal);
        assert_eq!(error, Err(PageError::Token(TokenError::OtherPurpose)));
        let short = seal.seal(Purpose::Changes, &[0; 9]);
        assert_eq!(query(None, "").decode(&short, &seal), Err(PageError::Token(TokenError::Malformed)));
    }
}
