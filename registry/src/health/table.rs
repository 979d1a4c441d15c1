//! The shape of a table: a word of the source, what it means for status and
//! severity, and why. Knows no particular table.

use pulse_proto::model::{Severity, Status};

use super::unknown::UnknownKind;

/// One word of the source and what it means.
#[derive(Debug)]
pub(super) struct Row {
    /// As the source says it, without regard to case; empty when it says nothing.
    pub(super) word: &'static str,
    pub(super) status: Status,
    pub(super) severity: Severity,
    /// Continues the sentence "X is WORD: ...".
    pub(super) meaning: &'static str,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// Under which heading words without a row are counted.
    pub(super) unknown: UnknownKind,
    pub(super) rows: &'static [Row],
}

impl Table {
    pub(super) fn find(&self, word: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.word.eq_ignore_ascii_case(word))
    }
}

pub(super) const fn row(
    word: &'static str,
    status: Status,
    severity: Severity,
    meaning: &'static str,
) -> Row {
    Row { word, status, severity, meaning }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::health::document;

    #[test]
    fn no_table_has_a_word_twice() {
        for table in document::tables() {
            let words: BTreeSet<_> = table.rows.iter().map(|row| row.word.to_ascii_uppercase()).collect();
            assert_eq!(words.len(), table.rows.len(), "{}", table.title);
        }
    }

    #[test]
    fn every_word_is_found_whatever_its_case() {
        for table in document::tables() {
            for row in table.rows {
                for word in [row.word.to_owned(), row.word.to_lowercase()] {
                    assert_eq!(table.find(&word).map(|found| found.word), Some(row.word), "{}", table.title);
                }
            }
            assert!(table.find("NO_SUCH_WORD").is_none(), "{}", table.title);
        }
    }
}
