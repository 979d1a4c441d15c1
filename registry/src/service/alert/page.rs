//! Pages of alerts, all of one revision: a list with a next page is kept for a
//! while. Silences and rules are few and listed as they are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use pulse_proto::model::Revision;
use tonic::Status;

use crate::alert::Book;
use crate::alert::case::Case;
use crate::alert::list::{Scope, list};
use crate::query::filter::AlertOrder;
use crate::query::page::{PageError, page_size};
use crate::query::sight::Sight;
use crate::query::token::{Purpose, Seal, TokenError};

/// Most lists kept for their next pages.
const LISTS_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Lists {
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    revision: u64,
    query: u64,
    sight: Sight,
    cases: Arc<Vec<Arc<Case>>>,
}

pub(super) struct Page {
    pub(super) cases: Vec<Arc<Case>>,
    pub(super) next: String,
    pub(super) revision: u64,
}

impl Lists {
    pub(super) fn page(
        &self,
        book: &Book,
        scope: &Scope,
        (order, order_text): (&AlertOrder, &str),
        size: i32,
        token: &str,
        seal: &Seal,
    ) -> Result<Page, Status> {
        let size = page_size(size)?;
        let words: Vec<&str> = order_text.split_whitespace().collect();
        let asked = format!("{}\0{}", scope.filter.canonical(), words.join(" "));
        let query = u64::from(crc32c::crc32c(asked.as_bytes()));
        let (revision, offset) = match open(token, seal)? {
            None => (book.revision, 0),
            Some([revision, offset, asked]) if asked == query => (revision, offset),
            Some(_) => return Err(PageError::OtherQuery.into()),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |kept: &Kept| kept.revision == revision && kept.query == query && kept.sight == scope.sight;
        // A list is for those who see the same: a page of it is no key to what others see.
        let known = kept.iter().find(|kept| is_it(kept));
        let cases = match known {
            Some(known) => Arc::clone(&known.cases),
            None if revision == book.revision => Arc::new(list(book, scope, order)),
            None => return Err(PageError::Expired(Revision(revision)).into()),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rows: Vec<Arc<Case>> = cases.iter().skip(offset).take(size).cloned().collect();
        let end = offset.saturating_add(rows.len());
        let mut next = String::new();
        if end < cases.len() {
            next = close([revision, end as u64, query], seal);
            if !kept.iter().any(is_it) {
                kept.push_back(Kept { revision, query, sight: scope.sight.clone(), cases });
                if kept.len() > LISTS_MAX {
                    kept.pop_front();
                }
            }
        }
        Ok(Page { cases: rows, next, revision })
    }
}

/// One page of what is listed as it is.
pub(super) fn plain<T>(
    rows: Vec<T>,
    size: i32,
    token: &str,
    seal: &Seal,
) -> Result<(Vec<T>, String), Status> {
    let size = page_size(size)?;
    let offset = open(token, seal)?.map_or(0, |[_, offset, _]| usize::try_from(offset).unwrap_or(usize::MAX));
    let total = rows.len();
    let page: Vec<T> = rows.into_iter().skip(offset).take(size).collect();
    let end = offset.saturating_add(page.len());
    let next = if end < total { close([0, end as u64, 0], seal) } else { String::new() };
    Ok((page, next))
}

fn close(words: [u64; 3], seal: &Seal) -> String {
    seal.seal(Purpose::Alerts, &words.map(u64::to_be_bytes).concat())
}

fn open(token: &str, seal: &Seal) -> Result<Option<[u64; 3]>, PageError> {
    if token.is_empty() {
        return Ok(None);
    }
    let payload = seal.open(Purpose::Alerts, token)?;
    match payload.as_chunks::<8>() {
        (&[revision, offset, query], []) => Ok(Some([revision, offset, query].map(u64::from_be_bytes))),
        _ => Err(TokenError::Malformed.into()),
    }
}
