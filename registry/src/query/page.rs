//! Pages of a list, all of one revision. A list with a next page is kept for
//! a while, so that its later pages neither change nor are searched for again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Revision, UnixMillis};

use super::filter::Filter;
use super::list::Listing;
use super::order::Order;
use super::token::{Purpose, Seal, TokenError, short_hash};
use crate::state::view::View;

pub const PAGE_SIZE_DEFAULT: usize = 50;
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Most lists kept for their next pages.
pub const LISTINGS_MAX: usize = 32;
/// Most rows in all kept lists; eight bytes each.
pub const LISTING_ROWS_MAX: usize = 8_000_000;
/// How long a list waits for its next page.
pub const LISTING_IDLE_MAX: Duration = Duration::from_mins(5);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the token continues a list with another filter or order_by; pass both as in the first call")]
    OtherQuery,
    #[error("revision {0} is no longer kept for its next page; list again from the start")]
    Expired(Revision),
    #[error("must not be negative; 0 means {PAGE_SIZE_DEFAULT}")]
    NegativeSize,
}

/// How many rows a page may have.
pub fn page_size(asked: i32) -> Result<usize, PageError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(asked) => Ok(asked.min(PAGE_SIZE_MAX)),
        Err(_) => Err(PageError::NegativeSize),
    }
}

/// What filter and order make of a list: pages with another one are not its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryHash([u8; 8]);

impl QueryHash {
    pub fn of(filter: &Filter, order: &Order) -> Self {
        Self(short_hash(&[filter.canonical().as_bytes(), order.canonical().as_bytes()]))
    }
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    pub revision: Revision,
    pub listing: u64,
    pub offset: u64,
    pub query: QueryHash,
}

impl PageToken {
    pub fn encode(&self, seal: &Seal) -> String {
        let mut payload = Vec::with_capacity(32);
        payload.extend(self.revision.0.to_be_bytes());
        payload.extend(self.listing.to_be_bytes());
        payload.extend(self.offset.to_be_bytes());
        payload.extend(self.query.0);
        seal.seal(Purpose::Page, &payload)
    }

    /// Fails when the token continues something else than `query`.
    pub fn decode(text: &str, seal: &Seal, query: QueryHash) -> Result<Self, PageError> {
        let payload = seal.open(Purpose::Page, text)?;
        let (words, rest) = payload.as_chunks::<8>();
        let &[revision, listing, offset, hash] = words else { return Err(TokenError::Malformed.into()) };
        if !rest.is_empty() {
            return Err(TokenError::Malformed.into());
        }
        if hash != query.0 {
            return Err(PageError::OtherQuery);
        }
        let [revision, listing, offset] = [revision, listing, offset].map(u64::from_be_bytes);
        Ok(Self { revision: Revision(revision), listing, offset, query })
    }
}

/// Lists that have a next page.
#[derive(Debug, Default)]
pub struct Listings {
    kept: BTreeMap<u64, Kept>,
    last: u64,
}

#[derive(Debug)]
struct Kept {
    listing: Arc<Listing>,
    query: QueryHash,
    /// Somebody asked for a second page. What nobody continued goes first.
    continued: bool,
    used_at: UnixMillis,
}

impl Listings {
    /// An equal list of the same view, if one is kept, with its number.
    pub fn same(&self, view: &Arc<View>, query: QueryHash) -> Option<(u64, Arc<Listing>)> {
        self.kept
            .iter()
            .find(|(_, kept)| kept.query == query && Arc::ptr_eq(&kept.listing.view, view))
            .map(|(number, kept)| (*number, Arc::clone(&kept.listing)))
    }

    /// Keeps a list, in place of an equal one, and returns its number.
    pub fn keep(&mut self, listing: Arc<Listing>, query: QueryHash, now: UnixMillis) -> u64 {
        if let Some((number, _)) = self.same(&listing.view, query)
            && let Some(kept) = self.kept.get_mut(&number)
        {
            // It may be sorted further now.
            kept.listing = listing;
            return number;
        }
        self.expire(now);
        let added = listing.len();
        while !self.kept.is_empty()
            && (self.kept.len() >= LISTINGS_MAX || self.rows() + added > LISTING_ROWS_MAX)
        {
            let first =
                self.kept.iter().min_by_key(|(number, kept)| (kept.continued, kept.used_at, **number));
            let Some(number) = first.map(|(number, _)| *number) else { break };
            self.kept.remove(&number);
        }
        self.last += 1;
        self.kept.insert(self.last, Kept { listing, query, continued: false, used_at: now });
        self.last
    }

    /// The list a token continues.
    pub fn resume(&mut self, token: &PageToken, now: UnixMillis) -> Option<Arc<Listing>> {
        self.expire(now);
        let kept = self.kept.get_mut(&token.listing)?;
        if kept.query != token.query || kept.listing.revision() != token.revision {
            return None;
        }
        kept.continued = true;
        kept.used_at = now;
        Some(Arc::clone(&kept.listing))
    }

    fn expire(&mut self, now: UnixMillis) {
        self.kept.retain(|_, kept| now.since(kept.used_at) <= LISTING_IDLE_MAX);
    }

    fn rows(&self) -> usize {
        self.kept.values().map(|kept| kept.listing.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(revision: u64) -> Arc<Listing> {
        let view = Arc::new(View::of(Revision(revision), []));
        Arc::new(Listing::find(view, &Filter::all(), &Order::default(), 1))
    }

    fn hash(filter: &str) -> QueryHash {
        QueryHash::of(&Filter::parse(filter).expect("a filter"), &Order::default())
    }

    #[test]
    fn a_token_continues_only_its_own_query() {
        let seal = Seal::new("registry");
        let token = PageToken { revision: Revision(7), listing: 3, offset: 50, query: hash("name = a") };
        let text = token.encode(&seal);
        assert_eq!(PageToken::decode(&text, &seal, hash("name=\"a\"")), Ok(token));
        assert_eq!(PageToken::decode(&text, &seal, hash("name = b")), Err(PageError::OtherQuery));
        let resume = seal.seal(Purpose::Resume, &[0; 32]);
        assert_eq!(
            PageToken::decode(&resume, &seal, hash("")),
            Err(PageError::Token(TokenError::OtherPurpose))
        );
    }

    #[test]
    fn lists_are_kept_while_they_are_read_and_within_bounds() {
        let mut listings = Listings::default();
        let start = UnixMillis::new(1_000_000);
        let token = |number, revision| PageToken {
            revision: Revision(revision),
            listing: number,
            offset: 1,
            query: hash(""),
        };
        let first = listings.keep(listing(1), hash(""), start);
        assert!(listings.resume(&token(first, 1), start).is_some());
        assert!(listings.resume(&token(first, 2), start).is_none(), "another revision");
        for revision in 0..2 * LISTINGS_MAX as u64 {
            listings.keep(listing(revision), hash(""), start);
        }
        assert_eq!(listings.kept.len(), LISTINGS_MAX);
        assert!(listings.resume(&token(first, 1), start).is_some(), "continued lists outlive abandoned ones");
        let later = start + LISTING_IDLE_MAX + Duration::from_secs(1);
        assert!(listings.resume(&token(first, 1), later).is_none());
        assert!(listings.kept.is_empty());
    }

    #[test]
    fn an_equal_list_of_the_same_view_is_kept_once() {
        let mut listings = Listings::default();
        let one = listing(1);
        let number = listings.keep(Arc::clone(&one), hash(""), UnixMillis::new(1));
        assert_eq!(listings.keep(Arc::clone(&one), hash(""), UnixMillis::new(2)), number);
        assert_ne!(listings.keep(one, hash("name = a"), UnixMillis::new(2)), number);
    }

    #[test]
    fn sizes_are_clamped() {
        assert_eq!(page_size(0), Ok(50));
        assert_eq!(page_size(7), Ok(7));
        assert_eq!(page_size(i32::MAX), Ok(1_000));
        assert_eq!(page_size(-1), Err(PageError::NegativeSize));
    }
}
