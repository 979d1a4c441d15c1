//! Cases: what is wrong with what, since when, who knows; and one of them in
//! depth, with why it is loud or quiet.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{ResourceId, Severity, UnixMillis};
use serde_json::Value;

use super::address::{Query, segment};
use super::figure::When;
use super::filter::{self, Pick, quoted};
use super::layout::{Choice, Layout, Pager};
use super::look::{Badge, Health};
use crate::alert::book::Book;
use crate::alert::case::{Case, CaseId, CaseState, Origin};
use crate::alert::explain::{Deliveries, Topic, explain, told_by};
use crate::alert::list::{Scope as Asked, list, open_of};
use crate::alert::native::ARGS;
use crate::alert::silence::Silence;
use crate::query::filter::{AlertFilter, AlertOrder};
use crate::query::sight::Sight;
use crate::state::view::View;

pub const PATH: &str = "/console/alerts";
const PAGE_ROWS: usize = 50;

#[derive(Debug, Template)]
#[template(path = "console/alerts.html")]
pub struct Page {
    pub layout: Layout,
    pub query: Query,
    pub states: Vec<Choice>,
    pub severities: Vec<Pick>,
    pub lines: Vec<Line>,
    pub pager: Pager,
    pub silences: Vec<Quiet>,
    pub problem: String,
    pub is_filtered: bool,
}

/// One case in a row.
#[derive(Debug)]
pub struct Line {
    pub id: String,
    pub badge: Badge,
    pub summary: String,
    pub state: &'static str,
    /// Why nobody is told of it, in words.
    pub quiet: Vec<String>,
    pub name: String,
    pub system: String,
    pub resource: String,
    pub origin: String,
    pub since: When,
    pub resolved: Option<When>,
    /// Of which a form says that it was seen.
    pub severity: &'static str,
    pub is_open: bool,
    pub is_acknowledged: bool,
    /// Others that say the same of other things, and where they are.
    pub alike: usize,
    pub alike_href: String,
}

/// A silence.
#[derive(Debug)]
pub struct Quiet {
    pub id: String,
    pub filter: String,
    pub reason: String,
    pub author: String,
    pub starts: When,
    pub ends: When,
    pub holds: bool,
    pub recurs: bool,
}

/// What a state of the tabs means. The first is what needs somebody.
const STATES: [(&str, &str, &str); 5] = [
    (
        "",
        "Needs you",
        "state = firing AND acknowledged = false AND silenced = false AND suppressed = false AND dismissed = false",
    ),
    ("firing", "Firing", "state = firing"),
    (
        "seen",
        "Seen or silenced",
        "state = firing AND (acknowledged = true OR silenced = true OR dismissed = true)",
    ),
    ("pending", "Pending", "state = pending"),
    ("resolved", "Resolved", "state = resolved"),
];

pub fn page(layout: Layout, book: &Book, query: Query, sight: &Sight, now: UnixMillis) -> Page {
    let mut terms = Vec::new();
    if let Some(severity) = filter::severity(&query) {
        terms.push(format!("severity = {}", severity.token()));
    }
    let text = query.get("q");
    if !text.is_empty() {
        terms.push(filter::contains(&["summary", "resource_name", "connection_name", "rule", "klass"], text));
    }
    let resource = query.get("resource");
    if !resource.is_empty() {
        terms.push(format!("resource_id = {}", quoted(resource)));
    }
    let written = query.get("filter");
    if !written.is_empty() {
        terms.push(format!("({written})"));
    }
    let within = |state: &str| {
        let terms: Vec<&str> = terms.iter().map(String::as_str).chain([state]).collect();
        AlertFilter::parse(&terms.join(" AND ")).map(|filter| Asked { filter, sight: sight.clone() })
    };
    let count = |state: &str| {
        let asked = within(state).ok()?;
        Some(book.cases().filter(|case| asked.holds(case)).count() as u64)
    };
    let states = STATES.map(|(value, label, term)| (value, label, count(term)));
    let chosen =
        STATES.iter().find(|(value, ..)| *value == query.get("state")).map_or(STATES[0].2, |(.., term)| term);
    let unknown = filter::unknown(&query, "state", STATES.map(|(value, ..)| value))
        .or_else(|| filter::unknown(&query, "severity", Health::ALERTING.map(|(_, word)| word)));
    let (cases, problem) = match within(chosen) {
        _ if unknown.is_some() => (Vec::new(), unknown.unwrap_or_default()),
        Ok(asked) => (list(book, &asked, &AlertOrder::parse("").unwrap_or_default()), String::new()),
        Err(error) => (Vec::new(), error.to_string()),
    };
    let (pager, from) = Pager::of(&query, PATH, cases.len(), PAGE_ROWS);
    let caller = &layout.visitor.caller.name;
    let silences = book.silences.values().filter(|silence| silence.expires_at > now);
    let silences = silences.filter(|silence| is_shown(silence, caller, sight));
    let silences = silences.map(|silence| quiet(silence, now)).collect();
    Page {
        states: filter::choices(&query, PATH, "state", states),
        severities: filter::picks(
            query.get("severity"),
            Health::ALERTING.map(|health| (health.1, health.0.word())),
        ),
        lines: cases.iter().skip(from).take(PAGE_ROWS).map(|case| line(case, book, sight, now)).collect(),
        is_filtered: !query.beside(["q", "page", "state"]).is_empty(),
        layout,
        query,
        pager,
        silences,
        problem,
    }
}

/// The worst that fires and that nobody knows of, once for each rule, and how many rules more there are.
pub fn loudest(book: &Book, sight: &Sight, max: usize, now: UnixMillis) -> (Vec<Line>, usize) {
    let mut kinds: Vec<(&Case, usize)> = Vec::new();
    let mut places: BTreeMap<(&Origin, Severity), usize> = BTreeMap::new();
    for case in loud_cases(book, sight) {
        let place = *places.entry((&case.origin, case.severity)).or_insert(kinds.len());
        match kinds.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => kinds.push((case, 1)),
        }
    }
    let more = kinds.len().saturating_sub(max);
    let told = |(case, count): (&Case, usize)| {
        let alike = Query::default().with("severity", case.severity.token()).with("q", case.origin.name());
        Line { alike: count - 1, alike_href: alike.link(PATH), ..line(case, book, sight, now) }
    };
    (kinds.into_iter().take(max).map(told).collect(), more)
}

/// Those of one resource that are not over. Who sees the resource sees them.
pub fn of_resource(book: &Book, id: &ResourceId, sight: &Sight, now: UnixMillis) -> Vec<Line> {
    open_of(book, id).iter().map(|case| line(case, book, sight, now)).collect()
}

/// How many somebody should hear of.
pub fn loud(book: &Book, sight: &Sight) -> u64 {
    loud_cases(book, sight).count() as u64
}

fn loud_cases<'a>(book: &'a Book, sight: &'a Sight) -> impl Iterator<Item = &'a Arc<Case>> {
    let urgent = book.urgent().take_while(|case| !case.is_quiet());
    urgent.filter(|case| case.notifies() && sight.sees(&case.subject.connection))
}

fn line(case: &Case, book: &Book, sight: &Sight, now: UnixMillis) -> Line {
    let when = |at| When { at, now };
    let mut why = Vec::new();
    if let Some(seen) = &case.acknowledged {
        why.push(format!("seen by {}", seen.who));
    }
    if !case.silenced_by.is_empty() {
        why.push("silenced".to_owned());
    }
    if let Some(by) = case.suppressed_by {
        why.push(format!("told by: {}", told_by(book, by, sight)));
    }
    if case.is_dismissed() {
        why.push("dismissed on the system".to_owned());
    }
    let subject = &case.subject;
    let system = if *subject.connection_name == *subject.name { "" } else { &*subject.connection_name };
    Line {
        id: case.id.to_string(),
        badge: if case.state == CaseState::Resolved {
            Badge { token: "ok", word: "Resolved" }
        } else {
            Health::of_severity(case.severity).into()
        },
        summary: case.summary.clone(),
        state: case.state.token(),
        quiet: why,
        name: subject.name.to_string(),
        system: system.to_owned(),
        resource: segment(&subject.id.text()),
        origin: match &case.origin {
            Origin::Rule(id) => format!("rule {}", id.as_str()),
            Origin::Native(klass) => format!("the system itself: {klass}"),
        },
        since: when(case.first_seen_at),
        resolved: case.resolved_at.map(when),
        severity: case.severity.token(),
        is_open: case.is_open(),
        is_acknowledged: case.acknowledged.is_some(),
        alike: 0,
        alike_href: String::new(),
    }
}

/// What a silence is for may name what is not seen by everybody; who made it knows it.
pub fn is_shown(silence: &Silence, caller: &str, sight: &Sight) -> bool {
    sight.is_whole() || silence.author == caller
}

fn quiet(silence: &Silence, now: UnixMillis) -> Quiet {
    let when = |at| When { at, now };
    Quiet {
        id: silence.id.to_string(),
        filter: silence.filter_text.clone(),
        reason: silence.reason.clone(),
        author: silence.author.clone(),
        starts: when(silence.starts_at),
        ends: when(silence.expires_at),
        holds: silence.in_force(now),
        recurs: silence.window.is_some(),
    }
}

/// One case in depth.
#[derive(Debug, Template)]
#[template(path = "console/alert.html")]
pub struct CasePage {
    pub layout: Layout,
    pub line: Line,
    pub remedy: String,
    pub evidence: Vec<(String, String)>,
    pub told: Vec<Told>,
    pub history: Vec<Past>,
    /// Whether its resource is still there.
    pub has_resource: bool,
}

#[derive(Debug)]
pub struct Told {
    pub about: &'static str,
    pub text: String,
    pub at: Option<When>,
    pub href: String,
}

#[derive(Debug)]
pub struct Past {
    pub at: When,
    pub what: String,
    pub who: String,
    pub text: String,
    pub badge: Badge,
}

/// What somebody may not see does not exist for him.
pub fn find<'a>(book: &'a Book, id: &str, sight: &Sight) -> Option<&'a Arc<Case>> {
    let case = book.get(CaseId::parse(id)?)?;
    sight.sees(&case.subject.connection).then_some(case)
}

pub fn case_page(
    layout: Layout,
    view: &View,
    book: &Book,
    case: &Case,
    deliveries: Option<&dyn Deliveries>,
    sight: &Sight,
    now: UnixMillis,
) -> CasePage {
    let when = |at| When { at, now };
    let told = explain(book, case, deliveries, sight).into_iter().filter(|told| {
        told.topic != Topic::State
            || !case.evidence.keys().any(|key| told.text.starts_with(&format!("{key}: ")))
    });
    let told = told.map(|told| Told {
        about: match told.topic {
            Topic::State => "Why it is there",
            Topic::Quiet => "Whether anybody is told",
            Topic::Suppresses => "What it keeps quiet",
            Topic::Notification => "Who was told",
        },
        href: CaseId::parse(&told.reference)
            .filter(|id| *id != case.id && book.get(*id).is_some())
            .map(|id| format!("{PATH}/{id}"))
            .unwrap_or_default(),
        text: told.text,
        at: told.at.map(when),
    });
    let past = |step: &crate::alert::case::Transition| Past {
        at: when(step.at),
        what: format!("{:?}", step.step),
        who: step.who.clone(),
        text: step.text.clone(),
        badge: Health::of_severity(step.severity).into(),
    };
    CasePage {
        layout,
        line: line(case, book, sight, now),
        remedy: case.remedy.to_string(),
        evidence: case.evidence.iter().flat_map(|(key, value)| told_facts(key, value)).collect(),
        // The history stands by itself.
        told: told.filter(|told| !told.text.contains(" at resource revision ")).collect(),
        history: case.transitions.iter().rev().map(past).collect(),
        has_resource: view.get(&case.subject.id).is_some(),
    }
}

/// As people read it: what a native alert was made of comes as one JSON object, with markup in its texts.
fn told_facts(key: &str, value: &str) -> Vec<(String, String)> {
    let name = |key: &str| {
        let mut letters = key.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + &letters.as_str().replace('_', " ")
    };
    match serde_json::from_str(value) {
        Ok(Value::Object(all)) if key == ARGS => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), without_tags);
            all.iter().map(|(key, value)| (name(key), text(value))).collect()
        }
        _ => vec![(name(key), value.to_owned())],
    }
}

/// Texts of the system are HTML; what stood in tags of their own stays apart.
fn without_tags(html: &str) -> String {
    let mut parts = html.split('<');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let opens = part.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
        match part.split_once('>').filter(|_| opens) {
            Some((_tag, after)) => text = format!("{text} {after}"),
            None => text = format!("{text}<{part}"),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A filter that only this case matches, now and when it comes again.
pub fn only_this(case: &Case) -> String {
    let name = match &case.origin {
        Origin::Rule(id) => format!("rule = {}", quoted(id.as_str())),
        Origin::Native(klass) => format!("klass = {}", quoted(klass)),
    };
    format!("resource_id = {} AND {name}", quoted(&case.subject.id.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_native_alert_was_made_of_is_told_in_words() {
        let args = r#"{"devices":"<br>Not healthy:<ul><li>Disk A</li><li>Disk B</li></ul>","state":"DEGRADED","used_percent":81}"#;
        let told = told_facts("args", args);
        let told: Vec<_> = told.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(
            told,
            [("Devices", "Not healthy: Disk A Disk B"), ("State", "DEGRADED"), ("Used percent", "81")]
        );
        assert_eq!(told_facts("args", "tank"), [("Args".to_owned(), "tank".to_owned())]);
        assert_eq!(told_facts("used_bytes", "{}"), [("Used bytes".to_owned(), "{}".to_owned())]);
        assert_eq!(without_tags("5 < 6 and <b>7</b>"), "5 < 6 and 7");
    }
}
