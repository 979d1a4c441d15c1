//! Pages in order of name. A token names the last row shown, so rows that come or go do not shift a page.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pulse_proto::model::ConnectionId;

use crate::connection::{Settings, Violation};

const ROWS_DEFAULT: usize = 100;
const ROWS_MAX: usize = 1_000;
const TOKEN_BYTES_MAX: usize = 4_096;
const TOKEN_FORM: &str = "connections-by-name-1";

#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<Arc<Settings>>,
    pub(super) next: Option<String>,
}

/// By name, and by id among equals.
pub(super) fn by_name(all: &BTreeMap<ConnectionId, Arc<Settings>>) -> Vec<Arc<Settings>> {
    let mut rows: Vec<_> = all.values().cloned().collect();
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    rows
}

pub(super) fn page(
    all: &BTreeMap<ConnectionId, Arc<Settings>>,
    size: i32,
    token: &str,
) -> Result<Page, Violation> {
    let size = match usize::try_from(size) {
        Ok(0) => ROWS_DEFAULT,
        Ok(size) => size.min(ROWS_MAX),
        Err(_) => return Err(Violation::new("page_size", "must not be negative")),
    };
    let after = match token {
        "" => None,
        token => Some(decode(token).ok_or_else(|| {
            Violation::new(
                "page_token",
                "is not one that this service gave out; leave it empty to start over",
            )
        })?),
    };
    let mut rows = by_name(all);
    if let Some((name, id)) = &after {
        rows.retain(|row| key(row) > (name.as_str(), id.as_str()));
    }
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| encode(last));
    Ok(Page { rows, next })
}

fn key(settings: &Settings) -> (&str, &str) {
    (&settings.name, settings.id.as_str())
}

fn encode(last: &Settings) -> String {
    URL_SAFE_NO_PAD.encode(format!("{TOKEN_FORM}\0{}\0{}", last.name, last.id))
}

fn decode(token: &str) -> Option<(String, String)> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.split('\0');
    let (form, name, id) = (parts.next()?, parts.next()?, parts.next()?);
    (form == TOKEN_FORM && parts.next().is_none()).then(|| (name.to_owned(), id.to_owned()))
}
