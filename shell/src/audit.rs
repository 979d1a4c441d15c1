//! What somebody did: one line per deed, done or refused, under one target that no log level hides, in the log
//! and in a file of its own.
//!
//! Never a secret: what goes in is names, and texts that are shown to clients anyway.

pub mod config;
pub mod file;
pub mod layer;
pub mod query;

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

/// Stable: what collects audit lines selects by it.
pub const TARGET: &str = "audit";
/// What is kept of a text that a client chose.
const TEXT_CHARS_MAX: usize = 128;

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
        let Self { action, requested_by, peer, request_id, resource, subject, result } = self;
        tracing::info!(
            target: TARGET, action, requested_by = %one_line(requested_by), peer, %request_id,
            resource = %one_line(resource), subject = %one_line(subject), result, "audit",
        );
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

/// Without what would break a log line.
pub fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("eve\n{\"target\":\"audit\"}"), "eve{\"target\":\"audit\"}");
        assert_eq!(one_line(&"x".repeat(1_000)).len(), TEXT_CHARS_MAX);
    }
}
