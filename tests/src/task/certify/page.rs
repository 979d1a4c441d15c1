//! `docs/certification.md`, from the evidence. Pure.

use std::fmt::Write as _;

use super::figures::{Good, TARGETS};
use super::verdict::{Claim, Evidence, Verdict};

/// What a reader must know of where it ran.
#[derive(Clone, Debug)]
pub struct Setting {
    pub version: String,
    pub commit: String,
    pub date: String,
    pub rustc: String,
    pub cores: usize,
    pub memory_gib: u64,
}

const HEAD: &str = "\
# Certification

Written by `cargo xtask certify`, which runs everything below and computes the verdict from what came out: NO_GO when a command, a test or a line of the plan fails or did not run,
GO_WITH_CONDITIONS when a promised figure was missed or not measured, GO otherwise. It ends with 0 (GO), 2 (GO_WITH_CONDITIONS) or 1 (NO_GO). What each line of the plan is
stands in [plan.md](plan.md), how to go back in [rollback.md](rollback.md).

";

/// `cases` are those of the matrix, by what they vary.
pub fn page(setting: &Setting, evidence: &Evidence, cases: &[(String, Vec<Claim>)]) -> String {
    let mut text = HEAD.to_owned();
    let verdict = evidence.verdict();
    put_verdict(&mut text, &verdict);
    let Setting { version, commit, date, rustc, cores, memory_gib } = setting;
    let _ = writeln!(
        text,
        "## What was tried\n\nVersion {version}, commit `{commit}`, {date}; {rustc}; {cores} cores, {memory_gib} GiB of memory.\n\n| command | exit code | seconds |\n| --- | --- | --- |"
    );
    for step in &evidence.steps {
        let code = step.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let _ = writeln!(text, "| `{}` | {code} | {:.0} |", step.command, step.seconds);
    }
    let passed = evidence.outcomes.iter().filter(|outcome| outcome.passed).count();
    let _ = writeln!(text, "\nTests: {passed} of {} passed.\n", evidence.listed.len());
    let _ = writeln!(
        text,
        "## Matrix\n\nEach case goes from the configuration over fetch, ingest, query, watch, alert and context to the console (`tests/matrix`). Where one fails, its output names the stage.\n"
    );
    for (what, claims) in cases {
        put_claims(&mut text, what, "case", claims, evidence);
    }
    let mut headings: Vec<&str> = Vec::new();
    for claim in &evidence.claims {
        let (heading, _) = claim.name.split_once(": ").unwrap_or(("Other", ""));
        if !headings.contains(&heading) && heading != "Matrix" {
            headings.push(heading);
        }
    }
    let _ = writeln!(text, "## Plan\n");
    for heading in headings {
        let of: Vec<Claim> = evidence.claims.iter().filter_map(|claim| stripped(claim, heading)).collect();
        put_claims(&mut text, heading, "line", &of, evidence);
    }
    put_figures(&mut text, evidence);
    text
}

fn stripped(claim: &Claim, heading: &str) -> Option<Claim> {
    let name = claim.name.strip_prefix(heading)?.strip_prefix(": ")?.to_owned();
    Some(Claim { name, tests: claim.tests.clone() })
}

fn put_verdict(text: &mut String, verdict: &Verdict) {
    let _ = writeln!(text, "## Verdict: {}\n", verdict.word);
    for (what, list) in [("Against it", &verdict.against), ("Conditions", &verdict.conditions)] {
        if !list.is_empty() {
            let _ = writeln!(text, "{what}:\n");
            for line in list {
                let _ = writeln!(text, "- {line}");
            }
            text.push('\n');
        }
    }
}

fn put_claims(text: &mut String, heading: &str, column: &str, claims: &[Claim], evidence: &Evidence) {
    let _ = writeln!(text, "### {heading}\n\n| {column} | tests passed | result |\n| --- | --- | --- |");
    for claim in claims {
        let (passed, needed) = claim.held(&evidence.outcomes);
        let result = if claim.holds(&evidence.outcomes) { "PASS" } else { "FAIL" };
        let _ = writeln!(text, "| {} | {passed} of {needed} | {result} |", claim.name);
    }
    text.push('\n');
}

fn put_figures(text: &mut String, evidence: &Evidence) {
    let _ = writeln!(
        text,
        "## Figures\n\n| figure | command | measured | promised | result |\n| --- | --- | --- | --- | --- |"
    );
    for target in TARGETS {
        let name = format!("{:?}", target.bench).to_lowercase();
        let side = if target.good == Good::AtLeast { "at least" } else { "at most" };
        let (measured, result) = match evidence.value(target) {
            None => ("-".to_owned(), "not measured"),
            Some(value) => {
                (format!("{value:.2} {}", target.unit), if target.is_met(value) { "met" } else { "missed" })
            }
        };
        let _ = writeln!(
            text,
            "| {} | `cargo xtask bench {name}` | {measured} | {side} {} {} | {result} |",
            target.figure, target.value, target.unit
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;
    use crate::evidence::TestId;

    #[test]
    fn the_page_says_what_failed() {
        let works = TestId { binary: "e2e".to_owned(), test: "a::works".to_owned() };
        let claim = Claim { name: "Packets: TN-01 client".to_owned(), tests: vec![works.clone()] };
        let case = Claim { name: "works".to_owned(), tests: vec![works.clone()] };
        let outcome = Outcome { id: works, passed: false, seconds: None };
        let evidence = Evidence { outcomes: vec![outcome], claims: vec![claim], ..Evidence::default() };
        let setting = Setting {
            version: "1".to_owned(),
            commit: "c".to_owned(),
            date: "d".to_owned(),
            rustc: "r".to_owned(),
            cores: 2,
            memory_gib: 8,
        };
        let text = page(&setting, &evidence, &[("lines".to_owned(), vec![case])]);
        for wanted in [
            "## Verdict: NO_GO",
            "- `e2e a::works` failed",
            "### lines\n\n| case | tests passed | result |\n| --- | --- | --- |\n| works | 0 of 1 | FAIL |",
            "### Packets\n\n| line | tests passed | result |\n| --- | --- | --- |\n| TN-01 client | 0 of 1 | FAIL |",
            "| ratio_vs_etcd | `cargo xtask bench ingest` | - | at least 3 x | not measured |",
        ] {
            assert!(text.contains(wanted), "{wanted}\nin\n{text}");
        }
    }
}
