//! The tables of docs/metrics.md beside what services tell: type, labels and meaning of each metric.

use std::collections::{BTreeMap, BTreeSet};

/// As a table has it, or a service.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    meaning: String,
    /// Of what a service tells: those of each of its series.
    labels: BTreeSet<BTreeSet<String>>,
}

/// What is behind the name of a metric in the names of its series.
const BEHIND: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

fn documented(tables: &str) -> BTreeMap<String, Metric> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect();
        let [name, kind, labels, meaning] = cells[..] else { return None };
        let labels = labels.split(", ").filter(|label| !label.trim().is_empty()).map(str::to_owned);
        let labels = BTreeSet::from([labels.collect()]);
        let (kind, meaning) = (kind.to_owned(), meaning.to_owned());
        Some((name.trim_end_matches('`').to_owned(), Metric { kind, meaning, labels }))
    };
    tables.lines().filter_map(row).collect()
}

fn told(export: &str) -> BTreeMap<String, Metric> {
    let mut found: BTreeMap<String, Metric> = BTreeMap::new();
    for line in export.lines() {
        let mut about = line.splitn(4, ' ');
        match (about.next(), about.next(), about.next(), about.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(meaning)) => {
                // OpenMetrics wants a sentence.
                let meaning = meaning.strip_suffix('.').unwrap_or(meaning);
                meaning.clone_into(&mut found.entry(name.to_owned()).or_default().meaning);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                kind.clone_into(&mut found.entry(name.to_owned()).or_default().kind);
            }
            (Some("#"), ..) => {}
            _ => {
                let (series, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
                let bare = BEHIND.iter().find_map(|behind| series.strip_suffix(behind));
                let name = bare.filter(|bare| found.contains_key(*bare)).unwrap_or(series);
                if !name.is_empty() {
                    found.entry(name.to_owned()).or_default().labels.insert(labels(rest));
                }
            }
        }
    }
    found
}

/// `{a="1",b="2"} 3`, values with anything in them. `le` is of every histogram.
fn labels(series: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = series.strip_prefix('{').unwrap_or_default();
    while let Some((name, value)) = rest.split_once("=\"") {
        names.insert(name.trim_start_matches(',').to_owned());
        let mut is_escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        rest = &value[end.map_or(value.len(), |at| at + 1)..];
        if !rest.starts_with(',') {
            break;
        }
    }
    names.remove("le");
    names
}

/// What differs, and of which metrics nothing was told, so that nobody saw their labels.
pub(crate) fn compared(tables: &str, exports: &[String]) -> (Vec<String>, BTreeSet<String>) {
    let tables = documented(tables);
    let mut told: BTreeMap<String, Metric> = exports.iter().flat_map(|export| told(export)).collect();
    let (mut wrong, mut unseen) = (Vec::new(), BTreeSet::new());
    for (name, documented) in tables {
        let Some(mut told) = told.remove(&name) else {
            wrong.push(format!("{name} is told by nobody"));
            continue;
        };
        if told.labels.is_empty() {
            unseen.insert(name.clone());
            told.labels.clone_from(&documented.labels);
        }
        if told != documented {
            wrong.push(format!("{name}: documented as {documented:?}, told as {told:?}"));
        }
    }
    wrong.extend(told.into_keys().map(|name| format!("{name} is not documented")));
    (wrong, unseen)
}

#[test]
fn whatever_differs_is_noticed() {
    let row = "| `a_b` | counter | kind, why | How many; each |";
    let export =
        "# HELP a_b How many; each.\n# TYPE a_b counter\na_b_total{kind=\"x\\\",y=\\\"}\",why=\"\"} 3\n";
    let said = |row: &str, export: &str| compared(row, &[export.to_owned()]).0.concat();
    assert_eq!(said(row, export), "");
    for (right, wrong) in
        [("counter", "gauge"), ("kind, why", "kind"), ("each", "all"), ("`a_b`", "`a_c`"), ("kind, why", "")]
    {
        assert!(said(&row.replace(right, wrong), export).contains("a_b"), "{wrong} for {right}");
    }
    let (_, unseen) = compared(row, &["# HELP a_b How many; each.\n# TYPE a_b counter\n".to_owned()]);
    assert!(unseen.contains("a_b"));
}
