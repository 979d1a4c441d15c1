//! Alerts that are held only because a row without a name may be one of them. Knows nothing of outcomes.

use std::collections::BTreeSet;

use super::{Snapshot, nameless};
use crate::api::SkippedRow;
use crate::api::item::Row as _;
use crate::api::section::Data;

impl Snapshot {
    /// What could not be read, with each row without a name taken for one of those that it was taken for before.
    pub(super) fn suspected(&self, skipped: &[SkippedRow]) -> Vec<SkippedRow> {
        let suspect = |key: &String| SkippedRow { index: 0, name: Some(key.clone()), why: String::new() };
        let named = skipped.iter().filter(|row| row.name.is_some()).cloned();
        named.chain(self.suspects.iter().map(suspect)).collect()
    }

    pub(super) fn suspect(&mut self, told: &BTreeSet<String>, skipped: &[SkippedRow]) {
        let named: BTreeSet<&str> = skipped.iter().filter_map(|row| row.name.as_deref()).collect();
        self.suspects.clear();
        if nameless(skipped) == 0 {
            return;
        }
        let held = self.alerts().map(|alerts| alerts.iter().map(|alert| alert.key().to_owned()).collect());
        let held: BTreeSet<String> = held.unwrap_or_default();
        self.suspects =
            held.into_iter().filter(|key| !told.contains(key) && !named.contains(key.as_str())).collect();
    }
}

pub(super) fn keys_of_alerts(data: &Data) -> BTreeSet<String> {
    match data {
        Data::Alerts(rows) => rows.iter().map(|alert| alert.key().to_owned()).collect(),
        _ => BTreeSet::new(),
    }
}
