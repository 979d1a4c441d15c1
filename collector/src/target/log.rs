//! What is logged of a reading: each trouble once until it changes, not once per reading.

use pulse_proto::model::ConnectionId;

use crate::api::{Section, SectionFailure, SectionRead, SkippedRow};

/// Rows and notes of one reading that are logged.
const SHOWN_MAX: usize = 10;

/// How the last reading of the same section went.
pub(super) struct Before<'a> {
    /// `None` when there was none.
    pub(super) ended: Option<&'a Option<SectionFailure>>,
    /// Rows that the last reading which brought any could not make sense of.
    pub(super) skipped: &'a [SkippedRow],
}

pub(super) fn reading(
    connection: &ConnectionId,
    section: Section,
    before: &Before<'_>,
    result: &Result<SectionRead, SectionFailure>,
) {
    let token = section.token();
    match result {
        Ok(read) => {
            if matches!(before.ended, Some(Some(_))) {
                tracing::info!(%connection, section = token, "read again after failures");
            }
            rows(connection, token, before.skipped, &read.skipped);
            for note in read.notes.iter().take(SHOWN_MAX) {
                tracing::debug!(%connection, section = token, note = %note, "read in part");
            }
        }
        Err(failure) if before.ended == Some(&Some(failure.clone())) => {}
        // That a release lacks something is no trouble.
        Err(SectionFailure::Unsupported) => {
            tracing::debug!(%connection, section = token, "not on this release");
        }
        Err(failure) => tracing::warn!(%connection, section = token, ?failure, "cannot read a section"),
    }
}

fn rows(connection: &ConnectionId, section: &str, before: &[SkippedRow], now: &[SkippedRow]) {
    if are_same(before, now) {
        return;
    }
    if now.is_empty() {
        tracing::info!(%connection, section, "every row can be read again");
        return;
    }
    for row in now.iter().take(SHOWN_MAX) {
        tracing::warn!(
            %connection, section, row = row.index, rows = now.len(),
            name = row.name.as_deref().unwrap_or_default(), why = %row.why, "a row cannot be read",
        );
    }
}

/// The same rows for the same reasons. Rows move, and with them the positions that a reason names.
fn are_same(one: &[SkippedRow], other: &[SkippedRow]) -> bool {
    fn told(rows: &[SkippedRow]) -> Vec<(Option<&str>, String)> {
        let told = |row: &SkippedRow| row.why.chars().filter(|c| !c.is_ascii_digit()).collect();
        let mut all: Vec<_> = rows.iter().map(|row| (row.name.as_deref(), told(row))).collect();
        all.sort();
        all
    }
    one.len() == other.len() && told(one) == told(other)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::api::section::Data;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn row(index: usize, name: Option<&str>, why: &str) -> SkippedRow {
        SkippedRow { index, name: name.map(str::to_owned), why: why.to_owned() }
    }

    /// Warnings of one reading after another.
    fn warnings(readings: Vec<Vec<SkippedRow>>) -> Vec<usize> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let connection = ConnectionId::parse("nas1").expect("an id");
        let mut before: Vec<SkippedRow> = Vec::new();
        let mut counts = Vec::new();
        tracing::subscriber::with_default(subscriber, || {
            for skipped in readings {
                let data = Data::Disks(Vec::new());
                let read = Ok(SectionRead { data, skipped: skipped.clone(), notes: Vec::new() });
                let last = Before { ended: Some(&None), skipped: &before };
                reading(&connection, Section::Disks, &last, &read);
                let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).expect("text");
                counts.push(text.matches("WARN").count());
                before = skipped;
            }
        });
        counts
    }

    #[test]
    fn bad_rows_are_logged_once_per_change() {
        let bad = |column: u32| row(3, Some("sda"), &format!("is not JSON: at line 1 column {column}"));
        let counts = warnings(vec![
            vec![bad(10)],
            vec![bad(10)],
            vec![bad(12)],
            vec![row(7, Some("sda"), "is not JSON: at line 1 column 9")],
            vec![bad(10), row(4, None, "no name")],
            vec![row(1, None, "no name"), bad(10)],
            Vec::new(),
            vec![bad(10)],
            vec![row(3, Some("sda"), "no name")],
            (0..100).map(|n| row(n, None, "no name")).collect(),
        ]);
        assert_eq!(counts, [1, 0, 0, 0, 2, 0, 0, 1, 1, SHOWN_MAX]);
    }
}
