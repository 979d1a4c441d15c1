//! Whatever a reply is damaged to: nothing panics, what comes out is fit to
//! travel, and only the row concerned is lost.

use std::collections::BTreeSet;

use proptest::prelude::*;
use pulse_proto::model::IngestRecord;
use pulse_proto::pb::resource::v1 as pb;
use serde_json::{Value, json};

use super::Mapped;
use super::samples::{LINES, mapped, replies};
use crate::api::json::word;

/// Ways to damage one value.
fn damages() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        prop::sample::select(vec![
            json!(null),
            json!(true),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!(""),
            json!("a\u{0}b\u{7}\nc"),
            json!("ü".repeat(5_000)),
            json!([]),
            json!({}),
            json!([[[[[["deep"]]]]]]),
            json!({"$date": 9_999_999_999_999_999_u64}),
            json!({"parsed": {"parsed": null}, "rawvalue": []}),
            json!({"name": "x", "children": [{"name": "y", "children": [1, null, "z"]}]}),
        ])
        .prop_map(Some),
    ]
}

/// Damages what a walk of picks ends at; `None` takes it away.
fn damage(value: &mut Value, picks: &[prop::sample::Index], with: Option<&Value>) {
    let Some((pick, deeper)) = picks.split_first() else {
        *value = with.cloned().unwrap_or(Value::Null);
        return;
    };
    match value {
        Value::Array(list) if !list.is_empty() => {
            let at = pick.index(list.len());
            match (deeper, with) {
                ([], None) => drop(list.remove(at)),
                _ => damage(&mut list[at], deeper, with),
            }
        }
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(pick.index(map.len())).cloned().unwrap_or_default();
            match (deeper, with) {
                ([], None) => drop(map.remove(&key)),
                _ => damage(map.entry(key).or_insert(Value::Null), deeper, with),
            }
        }
        leaf => *leaf = with.cloned().unwrap_or(Value::Null),
    }
}

fn ids(mapped: &Mapped) -> BTreeSet<String> {
    mapped.records.iter().map(|record| record.source_id.to_string()).collect()
}

fn travels(mapped: &Mapped) {
    assert!(mapped.records.is_sorted_by(|a, b| a.source_id < b.source_id), "sorted, each once");
    for record in &mapped.records {
        let back = IngestRecord::try_from(pb::IngestRecord::from(record));
        assert_eq!(back.as_ref(), Ok(record), "fit to travel");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damage_costs_the_row_it_hits(
        line in prop::sample::select(LINES.to_vec()),
        method in any::<prop::sample::Index>(),
        row in any::<prop::sample::Index>(),
        hits in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..7), damages()), 1..4),
    ) {
        let mut replies = replies(line);
        let whole = ids(&mapped(&replies));
        let method = method.index(replies.len());
        let (_, text) = &mut replies[method];
        let mut reply: Value = serde_json::from_str(text).expect("samples are JSON");
        let hit = match reply.as_array_mut() {
            Some(rows) => {
                let at = row.index(rows.len());
                &mut rows[at]
            }
            None => &mut reply,
        };
        let names: Vec<String> = ["name", "id"].iter().filter_map(|key| word(hit.get(*key)?)).collect();
        for (picks, with) in &hits {
            damage(hit, picks, with.as_ref());
        }
        *text = reply.to_string();
        let after = mapped(&replies);
        travels(&after);
        for lost in whole.difference(&ids(&after)) {
            let own = lost == "system:conn-1" || names.iter().any(|name| lost.ends_with(&format!(":{name}")));
            prop_assert!(own, "{lost} is lost with a damaged {names:?}");
        }
    }
}

#[test]
fn undamaged_samples_travel() {
    for line in LINES {
        travels(&mapped(&replies(line)));
    }
}
