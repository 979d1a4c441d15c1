//! What somebody did: one line per deed, done or refused, under one target that no log level hides, in the log
//! and in a file of its own.
//!
//! Never a secret: what goes in is names, and texts that are shown to clients anyway.

pub mod config;
pub mod file;
pub mod layer;
pub mod query;
pub(crate) mod strangers;

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

/// Stable: what collects audit lines selects by it.
pub const TARGET: &str = "audit";
/// What is kept of a text that a client chose.
const TEXT_CHARS_MAX: usize = 128;
/// Stands where more was.
const CUT: &str = "[...]";

/// A deed. `result` is `done`, `unchanged`, or the reason of the refusal as clients get it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// e.g. `alert.dismiss`.
    pub action: &'a str,
    /// As the client says; nobody has verified it.
    pub requested_by: &'a str,
    /// Address that the request came from.
    pub peer: &'a str,
    pub request_id: &'a str,
    /// What it was done to, e.g. a connection, and what of it.
    pub resource: &'a str,
    pub subject: &'a str,
    pub result: &'a str,
}

impl Entry<'_> {
    pub fn write(self) {
        let [action, requested_by, peer, request_id, resource, subject, result] = self.cut();
        tracing::info!(
            target: TARGET, action, requested_by, peer, request_id, resource, subject, result, "audit",
        );
    }

    /// Of somebody who is nobody in particular: in a file of its own, where it takes no room from deeds.
    pub(crate) fn write_apart(self) {
        let [action, requested_by, peer, request_id, resource, subject, result] = self.cut();
        tracing::info!(
            target: TARGET, action, requested_by, peer, request_id, resource, subject, result, stranger = true,
            "audit",
        );
    }

    /// Whatever a client chose, a line has its bound.
    fn cut(self) -> [String; 7] {
        let Self { action, requested_by, peer, request_id, resource, subject, result } = self;
        [action, requested_by, peer, request_id, resource, subject, result].map(one_line)
    }
}

/// What a call is about, for its audit line: the guard puts a blank one into each request.
#[derive(Clone, Debug, Default)]
pub struct Subject(Arc<Mutex<String>>);

impl Subject {
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Says what the call of these extensions is about, before it is done. Nothing secret.
pub fn about(extensions: &Extensions, what: impl Into<String>) {
    if let Some(Subject(subject)) = extensions.get() {
        *subject.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }
}

/// Without what would break a log line; what was cut off shows.
pub fn one_line(text: &str) -> String {
    let mut left = text.chars().filter(|c| !c.is_control());
    let mut line: String = left.by_ref().take(TEXT_CHARS_MAX).collect();
    if left.next().is_some() {
        line.push_str(CUT);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("eve\n{\"target\":\"audit\"}"), "eve{\"target\":\"audit\"}");
        let whole = "x".repeat(TEXT_CHARS_MAX);
        assert_eq!(one_line(&whole), whole);
        assert_eq!(one_line(&"x".repeat(12_000)), format!("{whole}[...]"));
        let long = "/".repeat(12_000);
        let long = long.as_str();
        let entry = Entry {
            action: long,
            requested_by: long,
            peer: long,
            request_id: long,
            resource: long,
            subject: long,
            result: long,
        };
        assert!(entry.cut().iter().all(|text| text.len() <= TEXT_CHARS_MAX + CUT.len()), "every field");
    }
}
