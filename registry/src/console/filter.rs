//! What a person chose on a page, as a filter of the registry's own language.

use pulse_proto::model::Severity;

use super::address::Query;
use super::layout::Choice;
use super::systems::{Scope, carries};
use crate::state::view::View;

/// Labels that are offered.
const LABELS_MAX: usize = 200;

/// A text in a filter, whatever is in it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\' | '*') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// That one of the fields has the text in it, as it is written or in another case.
pub fn contains(fields: &[&str], text: &str) -> String {
    let mut cases = vec![text.to_owned()];
    for other in [text.to_lowercase(), text.to_uppercase()] {
        if !cases.contains(&other) {
            cases.push(other);
        }
    }
    let tests =
        fields.iter().flat_map(|field| cases.iter().map(move |text| format!("{field}:{}", quoted(text))));
    format!("({})", tests.collect::<Vec<_>>().join(" OR "))
}

/// The terms that pages have in common: source, status, labels, and whatever somebody wrote in the language itself.
pub fn terms(query: &Query) -> Vec<String> {
    let mut terms = Vec::new();
    // What is no word of the language is told so by its parser: a mistake must not look like an answer.
    for name in ["source", "status"] {
        let word = query.get(name);
        terms.extend((!word.is_empty()).then(|| format!("{name} = {}", quoted(word))));
    }
    for label in query.all("label") {
        terms.push(match label.split_once('=') {
            Some((key, value)) => format!("labels.{} = {}", quoted(key), quoted(value)),
            None => format!("labels.{}:*", quoted(label)),
        });
    }
    let written = query.get("filter");
    if !written.is_empty() {
        terms.push(format!("({written})"));
    }
    terms
}

/// What is wrong with a choice in the address that no page offers.
pub fn unknown<'a>(query: &Query, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let chosen = query.get(name);
    let known: Vec<&str> = known.into_iter().filter(|word| !word.is_empty()).collect();
    let is_unknown = !chosen.is_empty() && !known.contains(&chosen);
    is_unknown.then(|| format!("{name} is {chosen:?}, which is none of {}.", known.join(", ")))
}

pub fn severity(query: &Query) -> Option<Severity> {
    Severity::from_token(query.get("severity"))
}

/// An option of a select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    pub value: String,
    pub label: String,
    pub on: bool,
}

pub fn picks<'a>(chosen: &str, all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Pick> {
    let pick = |(value, label): (&str, &str)| Pick {
        value: value.to_owned(),
        label: label.to_owned(),
        on: value == chosen,
    };
    all.into_iter().map(pick).collect()
}

/// Labels of the connections that a caller sees, as `key=value`.
pub fn labels(view: &View, scope: &Scope, query: &Query) -> Vec<Pick> {
    let statuses = view.shards().filter_map(|shard| shard.status.as_ref());
    let mut all = std::collections::BTreeSet::new();
    for status in statuses.filter(|status| carries(&status.labels, scope)) {
        all.extend(status.labels.iter().map(|(key, value)| format!("{key}={value}")));
        if all.len() > LABELS_MAX {
            break;
        }
    }
    let on = |label: &str| query.all("label").any(|chosen| chosen == label);
    all.into_iter().map(|label| Pick { on: on(&label), value: label.clone(), label }).collect()
}

/// One choice of several, as links.
pub fn choices<'a>(
    query: &Query,
    path: &str,
    name: &str,
    all: impl IntoIterator<Item = (&'a str, &'a str, Option<u64>)>,
) -> Vec<Choice> {
    let chosen = query.get(name);
    let fresh = query.with("page", "");
    let choice = |(value, label, count): (&str, &str, Option<u64>)| Choice {
        label: label.to_owned(),
        href: fresh.with(name, value).link(path),
        on: chosen == value,
        count,
    };
    all.into_iter().map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::Filter;

    #[test]
    fn whatever_is_typed_becomes_a_filter_that_means_it() {
        for text in ["tank", "a \"b\" *", "\\", "NAS-1", "') OR type = host", "ÄÖ<script>"] {
            let filter = contains(&["name", "display_name"], text);
            assert!(Filter::parse(&filter).is_ok(), "{filter}");
        }
        let query = Query::parse(
            "source=truenas&status=offline&label=site%3D%22x%22+OR&label=odd&label=a.b%3Dc&filter=type+%3D+host",
        );
        let terms = terms(&query);
        assert_eq!(terms.len(), 6, "{terms:?}");
        assert!(Filter::parse(&terms.join(" AND ")).is_ok(), "{terms:?}");
        for wrong in ["source=nonsense&status=", "status=bogus"] {
            let terms = super::terms(&Query::parse(wrong)).join(" AND ");
            assert!(Filter::parse(&terms).is_err(), "{terms}");
        }
        let word = unknown(&Query::parse("state=bogus"), "state", ["", "firing"]);
        assert_eq!(word.as_deref(), Some("state is \"bogus\", which is none of firing."));
        assert_eq!(unknown(&Query::parse("state=firing"), "state", ["", "firing"]), None);
    }
}
