//! What a page or a context says of one thing, apart from all else that it says. Knows no state.

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::ContextSection;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::http_get;

/// A page of the console.
pub(crate) async fn page(pair: &Pair, path: &str) -> anyhow::Result<String> {
    let (code, page) = http_get(pair.registry.http(), path).await?;
    ensure!(code == 200, "{path}: {code}");
    Ok(page)
}

/// What stands between a mark and the next of its kind.
fn after<'a>(page: &'a str, kind: &str, name: &str) -> Option<&'a str> {
    let (_, found) = page.split_once(&format!(" {kind}=\"{name}\""))?;
    found.split(&format!(" {kind}=\"")).next()
}

/// A row of a table or list, by its key.
pub(crate) fn row<'a>(page: &'a str, key: &str) -> Option<&'a str> {
    after(page, "data-row", key)
}

/// A part of a page, by its name.
pub(crate) fn part<'a>(page: &'a str, name: &str) -> anyhow::Result<&'a str> {
    after(page, "data-part", name).with_context(|| format!("no {name} on the page"))
}

/// The state that a row or part shows, in the source's own word.
pub(crate) fn state(shown: &str) -> Option<&str> {
    shown.split_once("<span class=\"state\">")?.1.split('<').next()
}

/// What a section of a context says of a resource.
pub(crate) fn said<'a>(sections: &'a [ContextSection], title: &str, id: &str) -> Vec<&'a str> {
    let facts = sections.iter().filter(|section| section.title == title).flat_map(|section| &section.facts);
    facts.filter(|fact| fact.resource_id == id).map(|fact| fact.statement.as_str()).collect()
}
