//! Events of subscriptions. An event is a hint which section to read again,
//! never the new truth.

use serde_json::Value;

use super::json::{Fields, text};
use super::section::Section;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Changed,
    Removed,
}

/// The `params` of a `collection_update`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub collection: String,
    pub kind: EventKind,
    pub id: Option<Value>,
    pub fields: Option<Value>,
}

impl Event {
    /// The section to read again; `None` when it concerns none.
    pub fn section(&self) -> Option<Section> {
        section_of(&self.collection)
    }
}

/// The section that a collection tells of.
pub fn section_of(collection: &str) -> Option<Section> {
    match collection.split(':').next().unwrap_or_default() {
        "pool.query" | "zpool.query" | "zfs.pool.scan" | "pool.scan" => Some(Section::Pools),
        "pool.dataset.query" | "replication.query" => Some(Section::Datasets),
        "disk.query" => Some(Section::Disks),
        "alert.list" => Some(Section::Alerts),
        "system.ready" | "system.reboot.info" | "failover.status" => Some(Section::System),
        _ => None,
    }
}

/// `None` when it is no event.
pub fn decode_event(params: &Value) -> Option<Event> {
    let fields = Fields::require(params).ok()?;
    let kind = match fields.line("msg").to_ascii_lowercase().as_str() {
        "added" => EventKind::Added,
        "changed" => EventKind::Changed,
        "removed" => EventKind::Removed,
        _ => return None,
    };
    let collection = fields.name("collection").map(|name| text::line(&name))?;
    Some(Event { collection, kind, id: fields.get("id").cloned(), fields: fields.get("fields").cloned() })
}

/// Collections worth subscribing to on a line.
pub const fn collections(line: super::Line) -> &'static [&'static str] {
    use super::Line;
    match line {
        Line::V26_0 | Line::V27_0 | Line::Newer => &[
            "pool.query",
            "zpool.query",
            "pool.scan",
            "pool.dataset.query",
            "disk.query",
            "alert.list",
            "replication.query",
            "system.ready",
            "system.reboot.info",
            "failover.status",
        ],
        _ => &[
            "pool.query",
            "zfs.pool.scan",
            "pool.dataset.query",
            "disk.query",
            "alert.list",
            "replication.query",
            "system.ready",
            "system.reboot.info",
            "failover.status",
        ],
    }
}
