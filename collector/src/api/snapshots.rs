//! How many snapshots datasets have. Counting walks all of them, so it is done rarely.

use serde_json::{Value, json};

use super::item::Row;
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Replies, SectionFailure, Spec};
use super::{DecodeError, Decoded, Line};

pub const SPEC: Spec = Spec {
    token: "snapshots",
    role: "SNAPSHOT_READ and DATASET_READ",
    cadence: 60,
    large: true,
    collections: &[],
    plan,
    assemble,
};

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
        _ => properties(&["type"]),
    };
    vec![required(Tag::Snapshots, "pool.dataset.query", "/pool/dataset", params)]
}

fn assemble(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    Ok(Data::Snapshots(replies.rows(Tag::Snapshots, decode)?))
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
    fn trees_and_flat_lists() {
        let tree = br#"[{"name":"tank","snapshot_count":3,"children":[{"name":"tank/a","snapshot_count":0,"children":[]}]},
            {"name":"tank/b"}]"#;
        let rows = decode(tree).expect("a list").rows;
        let facts: Vec<_> = rows.iter().map(|row| (row.dataset.as_str(), row.count)).collect();
        assert_eq!(facts, [("tank", Some(3)), ("tank/a", Some(0)), ("tank/b", None)]);
    }
}
