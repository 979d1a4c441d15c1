//! Tables of documents that name tests: what they name, and whether it is there.

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

/// The tests that a file has, a line of a table of cases being one.
pub fn tests_of(text: &str) -> Vec<String> {
    let mut tests: Vec<String> = Vec::new();
    let mut is_next = false;
    let mut in_cases = false;
    for line in text.lines() {
        let line = line.trim();
        if is_next && let Some((_, rest)) = line.split_once("fn ") {
            tests.extend(rest.split('(').next().filter(|name| !name.starts_with('$')).map(str::to_owned));
        }
        let is_attribute = line.starts_with("#[");
        is_next = is_attribute && (is_next || line.ends_with("test]") || line.contains("test("));
        in_cases = (in_cases || line == "cases! {") && line != "}";
        if in_cases && let Some((name, _)) = line.split_once(": ") {
            tests.push(name.to_owned());
        }
    }
    tests
}

/// What is wrong with a test's name, `file::function`.
pub fn missing(name: &str) -> Option<String> {
    let Some((file, function)) = name.split_once("::") else {
        return Some(format!("{name} is no file::test"));
    };
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let known = tests_of(&text).iter().any(|test| test == function);
    (!known).then(|| format!("there is no test {name}"))
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
}
