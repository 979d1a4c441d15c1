//! What a run of the tests left behind, test by test. Pure; knows both runners.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use roxmltree::{Document, Node};
use serde_json::Value;

use crate::evidence::TestId;

/// Elements of a test case that did not pass.
const NOT_PASSED: [&str; 3] = ["failure", "error", "skipped"];

/// How one test ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub id: TestId,
    pub passed: bool,
    /// Only the one runner says it for each.
    pub seconds: Option<f64>,
}

/// From the report that nextest writes.
pub fn of_junit(xml: &str) -> anyhow::Result<Vec<Outcome>> {
    let report = Document::parse(xml)?;
    let cases = report.descendants().filter(|node| node.has_tag_name("testcase"));
    let outcome = |case: Node<'_, '_>| {
        let named = |name: &str| {
            let value = case.attribute(name).with_context(|| format!("a test case without {name}"));
            value.map(str::to_owned)
        };
        // A test that passed at a second try has elements of other names.
        let passed = !case.children().any(|child| NOT_PASSED.contains(&child.tag_name().name()));
        let seconds = case.attribute("time").and_then(|time| time.parse().ok());
        anyhow::Ok(Outcome {
            id: TestId { binary: named("classname")?, test: named("name")? },
            passed,
            seconds,
        })
    };
    cases.map(outcome).collect()
}

/// The tests that nextest would run, from its list in JSON.
pub fn listed_by_nextest(json: &str) -> Option<BTreeSet<TestId>> {
    let list: Value = serde_json::from_str(json).ok()?;
    let mut listed = BTreeSet::new();
    for (binary, suite) in list.get("rust-suites")?.as_object()? {
        for (test, what) in suite.get("testcases")?.as_object()? {
            if what.get("ignored").and_then(Value::as_bool) == Some(false) {
                listed.insert(TestId { binary: binary.clone(), test: test.clone() });
            }
        }
    }
    Some(listed)
}

/// Reads what `cargo test` prints, a line at a time: a run, or with `--list` what there is.
#[derive(Debug, Default)]
pub struct Reader {
    package: String,
    binary: String,
    outcomes: BTreeMap<TestId, Outcome>,
    listed: BTreeSet<TestId>,
}

impl Reader {
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(target) = line.strip_prefix("Running ") {
            self.running(target);
        } else if let Some(package) = line.strip_prefix("Doc-tests ") {
            self.binary = format!("{}::doc", package.replace('_', "-"));
        } else if let Some(test) = line.strip_suffix(": test") {
            self.listed.insert(TestId { binary: self.binary.clone(), test: test.to_owned() });
        } else if let Some((test, ended)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let passed = match ended.split([' ', ',']).next() {
                Some("ok") => true,
                Some("FAILED") => false,
                _ => return,
            };
            // The runner says so of some in the name's place.
            let test = test.trim_end_matches(" - should panic").to_owned();
            self.put(Outcome { id: TestId { binary: self.binary.clone(), test }, passed, seconds: None });
        }
    }

    /// In the order of their names.
    pub fn outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_values().collect()
    }

    pub fn listed(self) -> BTreeSet<TestId> {
        self.listed
    }

    /// `unittests src/lib.rs (target/debug/deps/pulse_shell-0f…)`, `tests/e2e/main.rs (…/e2e-0f…)`. A package's library comes
    /// before what else it has.
    fn running(&mut self, target: &str) {
        let file = target.rsplit('/').next().unwrap_or_default().trim_end_matches(')');
        let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
        self.binary = if target.starts_with("unittests src/lib.rs") {
            self.package = name.replace('_', "-");
            self.package.clone()
        } else if target.starts_with("unittests ") {
            format!("{}::bin/{name}", self.package)
        } else {
            format!("{}::{name}", self.package)
        };
    }

    /// A failure is never overwritten: it may be told twice, and a captured output may look like a line of ours.
    fn put(&mut self, outcome: Outcome) {
        if self.outcomes.get(&outcome.id).is_none_or(|known| known.passed && !outcome.passed) {
            self.outcomes.insert(outcome.id.clone(), outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(binary: &str, test: &str) -> TestId {
        TestId { binary: binary.to_owned(), test: test.to_owned() }
    }

    #[test]
    fn a_report_is_read_test_by_test() {
        let xml = "\
<testsuites name=\"nextest-run\" tests=\"4\">
  <testsuite name=\"pulse-registry\" tests=\"1\">
    <testcase name=\"config::tests::same\" classname=\"pulse-registry\" timestamp=\"x\" time=\"0.010\">
    </testcase>
  </testsuite>
  <testsuite name=\"pulse-collector\">
    <testcase name=\"config::tests::same\" classname=\"pulse-collector\" time=\"0.010\"/>
  </testsuite>
  <testsuite name=\"pulse-tests::matrix\">
    <testcase name=\"lines::a\" classname=\"pulse-tests::matrix\" time=\"5.825\"><system-out>&lt;failure&gt;</system-out></testcase>
    <testcase classname=\"pulse-tests::matrix\" time=\"1\" name=\"faults::b\"><failure type=\"test failure\"/></testcase>
    <testcase name='faults::c&lt;&#39;&amp;lt;&gt;' classname='pulse-tests::matrix' time='2'><flakyFailure type=\"x\"/></testcase>
    <testcase name=\"faults::d\" classname=\"pulse-tests::matrix\" time=\"3\"><system-out><![CDATA[</testcase><failure/>]]></system-out></testcase>
    <!-- <testcase name=\"faults::e\" classname=\"pulse-tests::matrix\" time=\"4\"/> -->
  </testsuite>
</testsuites>";
        let outcome = |binary: &str, test: &str, passed, seconds| Outcome {
            id: id(binary, test),
            passed,
            seconds: Some(seconds),
        };
        assert_eq!(
            of_junit(xml).expect("a report"),
            [
                outcome("pulse-registry", "config::tests::same", true, 0.01),
                outcome("pulse-collector", "config::tests::same", true, 0.01),
                outcome("pulse-tests::matrix", "lines::a", true, 5.825),
                outcome("pulse-tests::matrix", "faults::b", false, 1.0),
                outcome("pulse-tests::matrix", "faults::c<'&lt;>", true, 2.0),
                outcome("pulse-tests::matrix", "faults::d", true, 3.0),
            ]
        );
        for wrong in [&xml[..xml.len() / 2], "<testsuites><testcase name=\"a\"/></testsuites>", ""] {
            assert!(of_junit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_ignored_is_not_listed() {
        let json = r#"{"rust-suites": {"pulse-shell": {"testcases": {
            "calls::tests::a": {"ignored": false}, "calls::tests::b": {"ignored": true}}},
            "pulse-tests::matrix": {"testcases": {"lines::a": {"ignored": false}}}}}"#;
        let listed = listed_by_nextest(json).expect("a list");
        assert_eq!(
            listed,
            [id("pulse-shell", "calls::tests::a"), id("pulse-tests::matrix", "lines::a")].into()
        );
        assert_eq!(listed_by_nextest("error: no such command"), None);
    }

    #[test]
    fn tests_of_one_name_in_two_packages_are_two() {
        let text = "\
            \n     Running unittests src/lib.rs (target/debug/deps/pulse_collector-0f1e)
            \ntest config::tests::same ... ok
            \n     Running unittests src/lib.rs (target/debug/deps/pulse_tests-0f1e)
            \ntest config::tests::same ... FAILED
            \n     Running unittests src/bin/xtask.rs (target/debug/deps/xtask-0f1e)
            \n     Running tests/matrix/main.rs (target/debug/deps/matrix-77aa)
            \ntest lines::a ... ok\ntest faults::b - should panic ... ok\ntest slow ... ignored\ntest slow ... ignored, why
            \n   Doc-tests pulse_fixtures
            \ntest fixtures/src/appliance.rs - appliance (line 4) - compile ... ok\n";
        let (mut ran, mut list) = (Reader::default(), Reader::default());
        text.lines().for_each(|line| ran.line(line));
        let told: Vec<(TestId, bool)> = ran.outcomes().into_iter().map(|o| (o.id, o.passed)).collect();
        let wanted = [
            (id("pulse-collector", "config::tests::same"), true),
            (id("pulse-fixtures::doc", "fixtures/src/appliance.rs - appliance (line 4) - compile"), true),
            (id("pulse-tests", "config::tests::same"), false),
            (id("pulse-tests::matrix", "faults::b"), true),
            (id("pulse-tests::matrix", "lines::a"), true),
        ];
        assert_eq!(told, wanted);

        let text = "Running unittests src/lib.rs (target/debug/deps/pulse_tests-0f1e)\na::b: test\n1 test, 0 benchmarks\n";
        text.lines().for_each(|line| list.line(line));
        assert_eq!(list.listed(), [id("pulse-tests", "a::b")].into());
    }

    #[test]
    fn what_failed_once_has_failed() {
        let mut reader = Reader::default();
        "test c::d ... FAILED\ntest c::d ... ok\n".lines().for_each(|line| reader.line(line));
        assert!(reader.outcomes().iter().all(|outcome| !outcome.passed));
    }
}
