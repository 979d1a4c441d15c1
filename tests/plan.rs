//! `docs/plan.md` names tests that exist, for every packet, line and risk; the operators' guide metrics that are told and drawn.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeSet;
use std::fs;

use pulse_tests::evidence::{missing, quoted, rows};
use pulse_tests::task::root;

const RISKS: std::ops::RangeInclusive<u32> = 1..=7;
const PACKETS: std::ops::RangeInclusive<u32> = 0..=11;

#[test]
fn every_line_of_the_plan_names_tests_that_exist() {
    let rows = rows(&fs::read_to_string(root().join("docs/plan.md")).unwrap());
    let mut wrong = Vec::new();
    for row in &rows {
        let [point, _, tests] = &row.cells[..] else { panic!("{row:?} is no row of three") };
        if quoted(tests).next().is_none() {
            wrong.push(format!("{point}: no test"));
        }
        wrong.extend(quoted(tests).filter_map(missing).map(|what| format!("{point}: {what}")));
    }
    let begins = |text: String| rows.iter().any(|row| row.cells[0].starts_with(&text));
    let packets = PACKETS.map(|number| format!("TN-{number:02} "));
    let risks = RISKS.map(|number| format!("R{number:03} "));
    wrong.extend(
        packets.chain(risks).filter(|name| !begins(name.clone())).map(|name| format!("{name}is missing")),
    );
    assert!(rows.iter().any(|row| row.heading == "Definition of done"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn the_operators_guide_names_metrics_that_are_told() {
    let named = |text: &str| -> BTreeSet<String> {
        let words = quoted(text).map(|word| word.trim_end_matches("_total").to_owned());
        words.filter(|word| word.starts_with("pulse_")).collect()
    };
    let known: BTreeSet<String> =
        rows(&text("docs/metrics.md")).iter().flat_map(|row| named(&row.cells[0])).collect();
    let used = text("docs/operations.md").lines().flat_map(named).collect::<BTreeSet<_>>();
    assert!(used.len() >= 8, "{used:?}");
    let unknown: Vec<&String> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_is_looked_at_every_day_stands_in_a_dashboard() {
    let guide = text("docs/operations.md");
    let (_, daily) = guide.split_once("\n## Every day\n").unwrap();
    let (daily, _) = daily.split_once("\n## ").unwrap();
    let wanted: BTreeSet<&str> =
        daily.lines().flat_map(quoted).filter(|word| word.starts_with("pulse_")).collect();
    assert!(wanted.len() >= 6, "{wanted:?}");
    let mut drawn = BTreeSet::new();
    for board in ["fleet", "services"] {
        let board = text(&format!("deploy/grafana/{board}.json"));
        let board: serde_json::Value = serde_json::from_str(&board).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                // Whole words: one name may begin another.
                let expression = target["expr"].as_str().unwrap();
                let words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
                drawn.extend(words.map(str::to_owned));
            }
        }
    }
    let absent: Vec<&str> = wanted.into_iter().filter(|name| !drawn.contains(*name)).collect();
    assert!(absent.is_empty(), "{absent:?}");
}
