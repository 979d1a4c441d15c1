//! GO, GO_WITH_CONDITIONS or NO_GO, from what came out. Pure: nobody types it.

use std::collections::BTreeSet;
use std::fmt;

use super::figures::{Measured, TARGETS, Target};
use super::outcome::Outcome;
use crate::evidence::TestId;

/// So many tests are named where a list would be too long.
const NAMED_MAX: usize = 5;

/// A command and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub command: String,
    /// `None`: it did not end by itself.
    pub code: Option<i32>,
    pub seconds: f64,
}

/// A case or a line of the plan, and the tests it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: String,
    /// Each must have run, and passed.
    pub tests: Vec<TestId>,
}

/// Everything that the verdict follows from.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub steps: Vec<Step>,
    /// What should have run.
    pub listed: BTreeSet<TestId>,
    pub outcomes: Vec<Outcome>,
    pub claims: Vec<Claim>,
    pub figures: Vec<Measured>,
    /// Benches ran small: their figures prove nothing.
    pub quick: bool,
    /// What was tried is not what a commit holds.
    pub dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Go,
    GoWithConditions,
    NoGo,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "GO",
            Self::GoWithConditions => "GO_WITH_CONDITIONS",
            Self::NoGo => "NO_GO",
        })
    }
}

impl Word {
    /// What the command ends with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::NoGo => 1,
            Self::GoWithConditions => 2,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub word: Word,
    /// Why it is no GO at all.
    pub against: Vec<String>,
    /// What holds it back from a plain GO.
    pub conditions: Vec<String>,
}

impl Claim {
    /// Passed and needed.
    pub fn held(&self, outcomes: &[Outcome]) -> (usize, usize) {
        let passes = |test: &&TestId| {
            let mut runs = outcomes.iter().filter(|outcome| outcome.id == **test).peekable();
            runs.peek().is_some() && runs.all(|outcome| outcome.passed)
        };
        (self.tests.iter().filter(passes).count(), self.tests.len())
    }

    pub fn holds(&self, outcomes: &[Outcome]) -> bool {
        let (passed, needed) = self.held(outcomes);
        needed > 0 && passed == needed
    }
}

impl Evidence {
    pub fn value(&self, target: &Target) -> Option<f64> {
        self.figures.iter().find(|measured| measured.figure == target.figure).map(|measured| measured.value)
    }

    /// Each test that is there has run once, and nothing else has.
    fn miscounted(&self) -> Option<String> {
        let ran: BTreeSet<TestId> = self.outcomes.iter().map(|outcome| outcome.id.clone()).collect();
        let (there, counted) = (self.listed.len(), self.outcomes.len());
        let name = |what: &str, tests: Vec<&TestId>| {
            let more = if tests.len() > NAMED_MAX { " and more" } else { "" };
            let named: Vec<String> = tests.iter().take(NAMED_MAX).map(|test| format!("`{test}`")).collect();
            (!named.is_empty()).then(|| format!("; {what}: {}{more}", named.join(", ")))
        };
        let missing = name("without an outcome", self.listed.difference(&ran).collect());
        let unknown = name("not listed", ran.difference(&self.listed).collect());
        if there == counted && missing.is_none() && unknown.is_none() {
            return None;
        }
        let which = [missing, unknown].into_iter().flatten().collect::<String>();
        Some(format!("{there} tests are there and {counted} outcomes were read{which}"))
    }

    pub fn verdict(&self) -> Verdict {
        let mut against = Vec::new();
        for step in self.steps.iter().filter(|step| step.code != Some(0)) {
            let code = step.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            against.push(format!("`{}` ended with {code}", step.command));
        }
        if self.steps.is_empty() || self.claims.is_empty() || self.outcomes.is_empty() {
            against.push("nothing was tried".to_owned());
        }
        let failed = self.outcomes.iter().filter(|outcome| !outcome.passed);
        against.extend(failed.map(|outcome| format!("`{}` failed", outcome.id)));
        against.extend(self.miscounted());
        for claim in self.claims.iter().filter(|claim| !claim.holds(&self.outcomes)) {
            let (passed, needed) = claim.held(&self.outcomes);
            against.push(format!("{}: {passed} of {needed} tests passed", claim.name));
        }
        let mut conditions = Vec::new();
        if self.dirty {
            conditions.push("the tree had changes that no commit holds".to_owned());
        }
        if self.quick {
            conditions.push("benches ran small: their figures are no measure".to_owned());
        }
        for target in TARGETS {
            match self.value(target) {
                None => conditions.push(format!("{} was not measured", target.figure)),
                Some(value) if !target.is_met(value) => {
                    let (wanted, unit) = (target.value, target.unit);
                    conditions
                        .push(format!("{} is {value:.2} {unit}, and {wanted} was promised", target.figure));
                }
                Some(_) => {}
            }
        }
        let word = match (against.is_empty(), conditions.is_empty()) {
            (false, _) => Word::NoGo,
            (true, false) => Word::GoWithConditions,
            (true, true) => Word::Go,
        };
        Verdict { word, against, conditions }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Good;
    use super::*;

    fn id(binary: &str, test: &str) -> TestId {
        TestId { binary: binary.to_owned(), test: test.to_owned() }
    }

    fn ended(id: TestId, passed: bool) -> Outcome {
        Outcome { id, passed, seconds: None }
    }

    /// Another test, listed, which ended so.
    fn with(evidence: &mut Evidence, other: &TestId, passed: bool) {
        evidence.listed.insert(other.clone());
        evidence.outcomes.push(ended(other.clone(), passed));
    }

    fn good() -> Evidence {
        let works = id("e2e", "a::works");
        Evidence {
            steps: vec![Step { command: "x".to_owned(), code: Some(0), seconds: 1.0 }],
            listed: [works.clone()].into(),
            outcomes: vec![ended(works.clone(), true)],
            claims: vec![Claim { name: "TN-01".to_owned(), tests: vec![works] }],
            figures: TARGETS
                .iter()
                .map(|target| Measured { figure: target.figure.to_owned(), value: target.value })
                .collect(),
            quick: false,
            dirty: false,
        }
    }

    #[test]
    fn a_verdict_follows_from_what_came_out() {
        type Change = fn(&mut Evidence);
        let cases: [(&str, Change, Word); 17] = [
            ("all is well", |_| {}, Word::Go),
            ("a command failed", |e| e.steps[0].code = Some(101), Word::NoGo),
            ("a command was killed", |e| e.steps[0].code = None, Word::NoGo),
            ("a test failed", |e| e.outcomes[0].passed = false, Word::NoGo),
            ("another test failed", |e| with(e, &id("lib", "b::other"), false), Word::NoGo),
            ("a test was listed and has no outcome", |e| e.listed.extend([id("e2e", "b")]), Word::NoGo),
            ("nothing was listed", |e| e.listed.clear(), Word::NoGo),
            ("one ran that is not listed", |e| e.outcomes.push(ended(id("e2e", "b"), true)), Word::NoGo),
            ("one was counted twice", |e| e.outcomes.push(e.outcomes[0].clone()), Word::NoGo),
            (
                "a test of that name passed in another binary",
                |e| {
                    with(e, &id("lib", "a::works"), true);
                    e.outcomes[0].passed = false;
                },
                Word::NoGo,
            ),
            (
                "a test that is needed did not run",
                |e| e.claims[0].tests.push(id("lib", "a::works")),
                Word::NoGo,
            ),
            ("a line of the plan has no test", |e| e.claims[0].tests.clear(), Word::NoGo),
            ("nothing ran", |e| *e = Evidence::default(), Word::NoGo),
            ("a figure is missing", |e| drop(e.figures.pop()), Word::GoWithConditions),
            (
                "a figure is too low or too high",
                |e| {
                    let worse = if TARGETS[0].good == Good::AtLeast { 0.5 } else { 2.0 };
                    e.figures[0].value *= worse;
                },
                Word::GoWithConditions,
            ),
            ("benches ran small", |e| e.quick = true, Word::GoWithConditions),
            ("the tree was changed", |e| e.dirty = true, Word::GoWithConditions),
        ];
        for (what, change, word) in cases {
            let mut evidence = good();
            change(&mut evidence);
            let verdict = evidence.verdict();
            assert_eq!(verdict.word, word, "{what}: {verdict:?}");
            assert_eq!(verdict.against.is_empty(), word != Word::NoGo, "{what}: {verdict:?}");
        }
        assert_eq!([Word::Go, Word::NoGo, Word::GoWithConditions].map(Word::exit_code), [0, 1, 2]);
    }
}
