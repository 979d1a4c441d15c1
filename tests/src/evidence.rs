//! Tables of documents that name tests: what they name, and whether it is there.

use std::fmt;
use std::fs;

use crate::task::root;

/// A row of a table, with the heading it stands under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub heading: String,
    pub cells: Vec<String>,
}

/// Rows of all tables of a document, without heads and rules.
pub fn rows(document: &str) -> Vec<Row> {
    let mut heading = String::new();
    let mut rows: Vec<Row> = Vec::new();
    for line in document.lines() {
        if let Some(text) = line.strip_prefix('#') {
            text.trim_start_matches('#').trim().clone_into(&mut heading);
        } else if line.starts_with("| --") || line.starts_with("|--") {
            // What stands above is the head.
            rows.pop();
        } else if let Some(text) = line.strip_prefix('|') {
            let text = text.trim_end().strip_suffix('|').unwrap_or(text);
            let cells = text.split('|').map(|cell| cell.trim().to_owned()).collect();
            rows.push(Row { heading: heading.clone(), cells });
        }
    }
    rows
}

/// What a cell has between back quotes.
pub fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// A test as runners name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestId {
    /// Its package, and its target unless that is the library: `pulse-registry`, `pulse-tests::matrix`.
    pub binary: String,
    /// Its function with its modules.
    pub test: String,
}

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.binary, self.test)
    }
}

/// The tests that a file has, with the modules inside of it; a line of a table of cases is one.
pub fn tests_of(text: &str) -> Vec<String> {
    let mut tests: Vec<String> = Vec::new();
    let mut modules: Vec<(usize, &str)> = Vec::new();
    let mut is_next = false;
    let mut in_cases = false;
    for whole in text.lines() {
        let line = whole.trim();
        let depth = whole.len() - whole.trim_start().len();
        if line == "}" {
            modules.retain(|(at, _)| *at < depth);
        }
        if let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            modules.push((depth, module));
        }
        let mut put = |name: &str| {
            let path = modules.iter().map(|(_, module)| *module).chain([name]);
            tests.push(path.collect::<Vec<&str>>().join("::"));
        };
        if is_next && let Some((_, rest)) = line.split_once("fn ") {
            rest.split('(').next().filter(|name| !name.starts_with('$')).into_iter().for_each(&mut put);
        }
        let is_attribute = line.starts_with("#[");
        is_next = is_attribute && (is_next || line.ends_with("test]") || line.contains("test("));
        in_cases = (in_cases || line == "cases! {") && line != "}";
        if in_cases && let Some((name, _)) = line.split_once(": ") {
            put(name);
        }
    }
    tests
}

/// The function of a test, without its modules.
fn function(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}

/// What runners call the tests of that name, `file::function`. None when there is no such test.
pub fn ids(name: &str) -> Vec<TestId> {
    let Some((file, wanted)) = name.split_once("::") else { return Vec::new() };
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let Some((binary, module)) = place(file) else { return Vec::new() };
    let all = tests_of(&text).into_iter().filter(|test| function(test) == wanted);
    all.map(|test| TestId { binary: binary.clone(), test: format!("{module}{test}") }).collect()
}

/// What is wrong with a test's name, `file::function`.
pub fn missing(name: &str) -> Option<String> {
    if !name.contains("::") {
        return Some(format!("{name} is no file::test"));
    }
    ids(name).is_empty().then(|| format!("there is no test {name}"))
}

/// The binary that a source file is in, and its module there with `::` behind it.
fn place(file: &str) -> Option<(String, String)> {
    let (package, below) = match file.split_once('/')? {
        ("deploy", rest) => ("demo", rest.strip_prefix("demo/")?),
        split => split,
    };
    let binary = format!("pulse-{package}");
    if let Some(rest) = below.strip_prefix("src/bin/") {
        let (target, module) = rest.split_once('/').unwrap_or((rest.strip_suffix(".rs")?, ""));
        return Some((format!("{binary}::bin/{target}"), module_of(module)?));
    }
    if below == "src/main.rs" {
        return Some((format!("{binary}::bin/{package}"), String::new()));
    }
    if let Some(module) = below.strip_prefix("src/") {
        return Some((binary, module_of(module)?));
    }
    // The package of tests has its tests where others have their folder of them.
    let (folder, below) = match package {
        "tests" => ("tests".to_owned(), below),
        _ => (format!("{package}/tests"), below.strip_prefix("tests/")?),
    };
    if let Some((target, module)) = below.split_once('/') {
        if root().join(&folder).join(target).join("main.rs").is_file() {
            return Some((format!("{binary}::{target}"), module_of(module)?));
        }
        return included(&folder, below).map(|(target, module)| (format!("{binary}::{target}"), module));
    }
    Some((format!("{binary}::{}", below.strip_suffix(".rs")?), String::new()))
}

/// `a/b.rs` is `a::b::`; what a target begins with is none.
fn module_of(path: &str) -> Option<String> {
    if matches!(path, "" | "main.rs" | "lib.rs") {
        return Some(String::new());
    }
    Some(path.strip_suffix(".rs")?.replace('/', "::") + "::")
}

/// The test of this folder that takes in a file by its path, and the module it makes of it.
fn included(folder: &str, file: &str) -> Option<(String, String)> {
    let path = format!("#[path = \"{file}\"]");
    for entry in fs::read_dir(root().join(folder)).ok()?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        if let Some((_, behind)) = text.split_once(&path) {
            let module = behind.trim_start().strip_prefix("mod ")?.split(';').next()?;
            let target = entry.path().file_stem()?.to_str()?.to_owned();
            return Some((target, format!("{module}::")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_heading_and_no_head() {
        let text = "# A\n\n## B `x`\n\n| k | v |\n| --- | --- |\n| `a`, `b` | c |\n";
        let row = Row { heading: "B `x`".to_owned(), cells: vec!["`a`, `b`".to_owned(), "c".to_owned()] };
        assert_eq!(rows(text), std::slice::from_ref(&row));
        assert_eq!(quoted(&row.cells[0]).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_test_is_found_and_what_is_none_is_told() {
        assert_eq!(missing("tests/src/evidence.rs::a_test_is_found_and_what_is_none_is_told"), None);
        assert_eq!(missing("tests/matrix/faults.rs::tls_is_garbage"), None);
        for name in ["tests/src/evidence.rs::rows", "tests/src/evidence.rs", "tests/nowhere.rs::x"] {
            assert!(missing(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_test_has_the_name_that_runners_give_it() {
        let rows = [
            (
                "tests/src/evidence.rs::a_test_has_the_name_that_runners_give_it",
                "pulse-tests evidence::tests::a_test_has_the_name_that_runners_give_it",
            ),
            ("tests/matrix/faults.rs::tls_is_garbage", "pulse-tests::matrix faults::tls_is_garbage"),
            (
                "tests/e2e/rollback.rs::each_part_goes_back_as_the_runbook_says",
                "pulse-tests::e2e rollback::each_part_goes_back_as_the_runbook_says",
            ),
            (
                "tests/plan.rs::every_line_of_the_plan_names_tests_that_exist",
                "pulse-tests::plan every_line_of_the_plan_names_tests_that_exist",
            ),
            ("registry/tests/store.rs::memory_conforms", "pulse-registry::store memory_conforms"),
            (
                "registry/tests/journal/migration.rs::it_waits_until_nobody_uses_the_old_file",
                "pulse-registry::journal migration::it_waits_until_nobody_uses_the_old_file",
            ),
            (
                "collector/src/target/pace.rs::rounds_that_are_asked_for_keep_their_distance",
                "pulse-collector target::pace::tests::rounds_that_are_asked_for_keep_their_distance",
            ),
            ("collector/src/mapping/tests.rs::IN", "pulse-collector mapping::tests::IN"),
        ];
        for (name, id) in rows {
            let (file, function) = name.split_once("::").expect("a file and a function");
            // Any test of the file stands for it.
            let text = fs::read_to_string(root().join(file)).expect("it is there");
            let first = tests_of(&text).first().cloned().expect("a test");
            let function = if function == "IN" { &first } else { function };
            let found: Vec<String> =
                ids(&format!("{file}::{function}")).iter().map(TestId::to_string).collect();
            assert_eq!(found, [id.replace("IN", &first)]);
        }
    }

    #[test]
    fn tests_stand_in_their_modules() {
        let text = "#[test]\nfn a() {\n}\nmod x {\n    mod y {\n        #[test]\n        fn b() {}\n    }\n    #[test]\n    fn c() {}\n}\n#[test]\nfn d() {}\n";
        assert_eq!(tests_of(text), ["a", "x::y::b", "x::c", "d"]);
    }
}
