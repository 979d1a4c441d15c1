//! How many snapshots datasets have. Counting may walk all of them, so it is done rarely.

use serde_json::{Value, json};

use super::item::Row;
use super::json::{Fields, rows, text, unsigned};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Replies, SectionFailure, Spec};
use super::{DecodeError, Decoded, Line, SkippedRow};

pub const SPEC: Spec = Spec {
    token: "snapshots",
    role: "SNAPSHOT_READ and DATASET_READ",
    cadence: 60,
    large: true,
    collections: &[],
    plan,
    assemble,
};

/// Answers from what it counted before where nothing has changed, and names no dataset twice.
pub const SNAPSHOT_COUNT: &str = "zfs.resource.snapshot.count";

/// Of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshots {
    pub dataset: String,
    pub count: Option<u64>,
}

impl Row for Snapshots {
    fn key(&self) -> &str {
        &self.dataset
    }
}

/// Counted by the appliance, never listed to us.
fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    let properties = |names: &[&str]| {
        json!([[["type", "in", ["FILESYSTEM", "VOLUME"]]], {"extra": {"retrieve_children": false,
            "retrieve_user_props": false, "properties": names, "snapshots_count": true}, "select": ["name", "snapshot_count"]}])
    };
    let params = match ask.dialect.line {
        // It cannot count without listing.
        Line::Core => return Vec::new(),
        line if line <= Line::V25_04 || !ask.dialect.transport.is_rpc() => {
            json!([[], {"extra": {"flat": false, "retrieve_user_props": false, "properties": ["type"],
                "snapshots_count": true}}])
        }
        // Without paths it begins at every pool.
        line if line >= Line::V26_0 && !ask.unavailable.contains(SNAPSHOT_COUNT) => {
            let params = json!([{"paths": [], "recursive": true}]);
            return vec![required(Tag::SnapshotCounts, SNAPSHOT_COUNT, "", params)];
        }
        _ => properties(&["type"]),
    };
    vec![required(Tag::Snapshots, "pool.dataset.query", "/pool/dataset", params)]
}

fn assemble(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    let rows = if replies.has(Tag::SnapshotCounts) {
        replies.rows(Tag::SnapshotCounts, decode_counts)?
    } else {
        replies.rows(Tag::Snapshots, decode)?
    };
    Ok(Data::Snapshots(rows))
}

fn decode(reply: &[u8]) -> Result<Decoded<Snapshots>, DecodeError> {
    let mut all = Decoded::default();
    rows::each(reply, |_, row| match row {
        Ok(row) => walk(&row, &mut all.rows),
        Err(lost) => all.skipped.push(lost),
    })?;
    all.rows.sort_by(|a, b| a.dataset.cmp(&b.dataset));
    all.rows.dedup_by(|a, b| a.dataset == b.dataset);
    Ok(all)
}

/// An object of counts by dataset.
fn decode_counts(reply: &[u8]) -> Result<Decoded<Snapshots>, DecodeError> {
    let mut all = Decoded::default();
    let counts = rows::object(reply)?;
    for (index, (dataset, count)) in Fields::of(&counts).entries().enumerate() {
        if all.rows.len() >= rows::ROWS_MAX {
            return Err(DecodeError::TooMany { count: index + 1, max: rows::ROWS_MAX });
        }
        let dataset = text::line(dataset);
        if let Some(count) = unsigned(count) {
            all.rows.push(Snapshots { dataset, count: Some(count) });
        } else {
            let why = "its count is no number".to_owned();
            all.skipped.push(SkippedRow { index, name: Some(dataset), why });
        }
    }
    all.rows.sort_by(|a, b| a.dataset.cmp(&b.dataset));
    Ok(all)
}

fn walk(row: &Value, into: &mut Vec<Snapshots>) {
    let fields = Fields::of(row);
    if let Some(dataset) = fields.name("name").or_else(|| fields.name("id")) {
        into.push(Snapshots { dataset, count: fields.u64("snapshot_count") });
    }
    fields.list("children").iter().for_each(|child| walk(child, into));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_26_0_on_the_count_alone_is_asked_for() {
        use std::collections::BTreeSet;

        use crate::api::plan::{Call, requests};
        use crate::api::{Dialect, Section, Transport};

        let plan = |line, lacking: &BTreeSet<String>| {
            let dialect = Dialect { line, transport: Transport::JsonRpc };
            requests(Section::Snapshots, dialect, lacking).remove(0)
        };
        let none = BTreeSet::new();
        for line in [Line::V26_0, Line::V27_0, Line::Newer] {
            let Call::Rpc { method, params } = plan(line, &none).call else { panic!("over RPC") };
            assert_eq!((method, &params), (SNAPSHOT_COUNT, &json!([{"paths": [], "recursive": true}])));
            let lacking = BTreeSet::from([SNAPSHOT_COUNT.to_owned()]);
            assert_eq!(plan(line, &lacking).method, "pool.dataset.query");
        }
        assert_eq!(plan(Line::V25_10, &none).method, "pool.dataset.query");

        let decoded = decode_counts(br#"{"tank/a": 0, "tank": 3, "odd": "x"}"#).expect("an object");
        let facts: Vec<_> = decoded.rows.iter().map(|row| (row.dataset.as_str(), row.count)).collect();
        assert_eq!(facts, [("tank", Some(3)), ("tank/a", Some(0))]);
        assert_eq!(decoded.skipped[0].name.as_deref(), Some("odd"));
        assert!(decode_counts(b"[]").is_err());
    }

    #[test]
    fn trees_and_flat_lists() {
        let tree = br#"[{"name":"tank","snapshot_count":3,"children":[{"name":"tank/a","snapshot_count":0,"children":[]}]},
            {"name":"tank/b"}]"#;
        let rows = decode(tree).expect("a list").rows;
        let facts: Vec<_> = rows.iter().map(|row| (row.dataset.as_str(), row.count)).collect();
        assert_eq!(facts, [("tank", Some(3)), ("tank/a", Some(0)), ("tank/b", None)]);
    }
}
