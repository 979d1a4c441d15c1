//! Takes every event of the target `audit`, whoever says it, into the log on disk.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::TARGET;
use super::file::Log;
use crate::clock::now_unix_ms;
use crate::table::complain;

/// Marks the lines of strangers.
const STRANGER: &str = "stranger";

#[derive(Debug)]
pub struct AuditLayer {
    deeds: Mutex<Log>,
    /// What strangers were refused: however much it is, it pushes out no deed.
    strangers: Mutex<Log>,
}

impl AuditLayer {
    pub const fn new(deeds: Log, strangers: Log) -> Self {
        Self { deeds: Mutex::new(deeds), strangers: Mutex::new(strangers) }
    }
}

impl<S: Subscriber> Layer<S> for AuditLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut line = Map::new();
        line.insert("at".to_owned(), at(now_unix_ms()).into());
        event.record(&mut Fields(&mut line));
        let log = if line.remove(STRANGER).is_some() { &self.strangers } else { &self.deeds };
        let written = log.lock().unwrap_or_else(PoisonError::into_inner).append(&line);
        if let Err(error) = written {
            // Not through the log: that is where we are.
            complain(&format!("the audit log cannot be written: {error}; the line is in the log alone"));
        }
    }
}

fn at(unix_ms: u64) -> String {
    let millis = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|at| format!("{at:.3}")).unwrap_or_default()
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
}
