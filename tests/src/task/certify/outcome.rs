//! What a run of the tests printed, test by test. Pure; knows both runners.

use std::collections::BTreeMap;

/// How one test ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The test's binary, without its crate: `e2e`, `matrix`, `lib`.
    pub binary: String,
    /// Its whole name, modules included.
    pub test: String,
    pub passed: bool,
    /// Only the one runner says it for each.
    pub seconds: Option<f64>,
}

impl Outcome {
    /// The function, without its modules.
    pub fn function(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or(&self.test)
    }
}

/// Reads a line at a time.
#[derive(Debug, Default)]
pub struct Reader {
    binary: String,
    outcomes: BTreeMap<(String, String), Outcome>,
}

impl Reader {
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(outcome) = nextest(line) {
            self.put(outcome);
        } else if let Some(target) = line.strip_prefix("Running ") {
            self.binary = binary_of(target);
        } else if let Some((test, ended)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let passed = match ended.split(' ').next() {
                Some("ok") => true,
                Some("FAILED") => false,
                _ => return,
            };
            let (binary, test) = (self.binary.clone(), test.to_owned());
            self.put(Outcome { binary, test, passed, seconds: None });
        }
    }

    /// In the order of their names.
    pub fn outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_values().collect()
    }

    /// A failure is never overwritten: it may be told twice, and a captured output may look like a line of ours.
    fn put(&mut self, outcome: Outcome) {
        let key = (outcome.binary.clone(), outcome.test.clone());
        if self.outcomes.get(&key).is_none_or(|known| known.passed && !outcome.passed) {
            self.outcomes.insert(key, outcome);
        }
    }
}

/// `PASS [   5.825s] (22/28) pulse-tests::matrix lines::line_25_04`
fn nextest(line: &str) -> Option<Outcome> {
    let (word, rest) = line.split_once(' ')?;
    let passed = match word {
        "PASS" => true,
        "FAIL" | "TIMEOUT" | "ABORT" | "SIGABRT" | "SIGSEGV" | "SIGKILL" | "SIGTERM" => false,
        _ => return None,
    };
    let (seconds, rest) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    let seconds = seconds.trim().trim_start_matches('>').trim_end_matches('s').parse().ok();
    let mut words = rest.split_whitespace().rev();
    let (test, binary) = (words.next()?, words.next()?);
    let binary = binary.rsplit("::").next().filter(|_| binary.contains("::")).unwrap_or("lib");
    Some(Outcome { binary: binary.to_owned(), test: test.to_owned(), passed, seconds })
}

/// `unittests src/lib.rs (target/debug/deps/pulse_shell-0f…)`, `tests/e2e/main.rs (…/e2e-0f…)`
fn binary_of(target: &str) -> String {
    if target.starts_with("unittests src/lib.rs") {
        return "lib".to_owned();
    }
    let file = target.rsplit('/').next().unwrap_or_default().trim_end_matches(')');
    file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, bool, Option<f64>)> {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.outcomes().into_iter().map(|o| (o.binary, o.test, o.passed, o.seconds)).collect()
    }

    #[test]
    fn both_runners_are_understood() {
        let text = "\
            \n        PASS [   5.825s] ( 22/28) pulse-tests::matrix lines::line_25_04
            \n        FAIL [ 126.198s] (28/28) pulse-tests::matrix faults::tls_is_garbage
            \n    test faults::tls_is_garbage ... FAILED
            \n        PASS [   0.010s] (27/28) pulse-shell calls::tests::a_call\n";
        let own =
            |binary: &str, test: &str, passed, seconds| (binary.to_owned(), test.to_owned(), passed, seconds);
        let read_once = read(text);
        assert!(read_once.contains(&own("matrix", "lines::line_25_04", true, Some(5.825))));
        assert!(read_once.contains(&own("matrix", "faults::tls_is_garbage", false, Some(126.198))));
        assert!(read_once.contains(&own("lib", "calls::tests::a_call", true, Some(0.01))));

        let text = "\
            \n     Running unittests src/lib.rs (target/debug/deps/pulse_shell-0f1e)
            \ntest calls::tests::a_call ... ok
            \n     Running tests/matrix/main.rs (target/debug/deps/matrix-77aa)
            \ntest lines::line_25_04 ... ok\ntest faults::tls_is_garbage ... FAILED\ntest slow ... ignored\n";
        assert_eq!(
            read(text),
            [
                own("lib", "calls::tests::a_call", true, None),
                own("matrix", "faults::tls_is_garbage", false, None),
                own("matrix", "lines::line_25_04", true, None),
            ]
        );
    }

    #[test]
    fn what_failed_once_has_failed() {
        let text = "FAIL [ 1.0s] (1/1) a::b c::d\nPASS [ 1.0s] (1/1) a::b c::d\n";
        assert_eq!(read(text), [("b".to_owned(), "c::d".to_owned(), false, Some(1.0))]);
    }
}
