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
    let name = collection.split(':').next().unwrap_or_default();
    Section::ALL.into_iter().find(|section| section.spec().collections.contains(&name))
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

/// What the appliance says before it goes away on purpose; `None` for any other event.
pub fn farewell(collection: &str, fields: Option<&Value>) -> Option<String> {
    let told = match collection {
        "system.reboot" => "the NAS restarts, as it said",
        "system.shutdown" => "the NAS was shut down, as it said",
        _ => return None,
    };
    let reason = fields.map(|fields| Fields::of(fields).line("reason")).filter(|reason| !reason.is_empty());
    Some(reason.map_or_else(|| told.to_owned(), |reason| format!("{told}: {reason}")))
}

/// Collections worth subscribing to. A release refuses those it does not have, and nothing is lost by asking.
pub fn collections(line: super::Line) -> impl Iterator<Item = &'static str> {
    use super::Line;
    let silent = line >= Line::V26_0;
    let other = move |name: &&str| match *name {
        "zfs.pool.scan" => !silent,
        "pool.scan" | "zpool.query" | "container.query" => silent,
        "virt.instance.query" => !silent && line >= Line::V25_04,
        _ => true,
    };
    Section::ALL.into_iter().flat_map(|section| section.spec().collections.iter().copied()).filter(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_farewell_is_told_with_its_reason() {
        for (collection, fields, expected) in [
            (
                "system.reboot",
                Some(json!({"reason": "Update"})),
                Some("the NAS restarts, as it said: Update"),
            ),
            ("system.reboot", None, Some("the NAS restarts, as it said")),
            ("system.shutdown", Some(json!({"reason": null})), Some("the NAS was shut down, as it said")),
            ("system.ready", None, None),
        ] {
            assert_eq!(farewell(collection, fields.as_ref()).as_deref(), expected, "{collection}");
        }
    }
}
