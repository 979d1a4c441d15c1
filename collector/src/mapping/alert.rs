//! Native alerts as incidents on the record they concern. Dismissed ones stay,
//! marked: hiding them is the reader's choice.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pulse_proto::model::{Incident, SourceId};

use super::Draft;
use super::ids::Ids;
use super::target::Targets;
use crate::api::{Alert, Section};
use crate::snapshot::Snapshot;

/// Most incidents of one record; what is dismissed or mild goes first.
const INCIDENTS_MAX: usize = 256;
/// Longest arguments kept, in bytes; longer ones are left out whole.
const ARGS_BYTES_MAX: usize = 4_096;

pub(super) fn annotate(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    let Some(alerts) = snapshot.alerts() else { return };
    let targets = Targets::of(ids, draft.records.values());
    let mut incidents: BTreeMap<SourceId, BTreeMap<&str, &Alert>> = BTreeMap::new();
    for alert in alerts.iter() {
        incidents.entry(targets.find(alert)).or_default().entry(alert.uuid.as_str()).or_insert(alert);
    }
    for (source_id, alerts) in incidents {
        let Some(record) = draft.records.get_mut(&source_id) else {
            draft.skip(Section::Alerts, source_id.as_str(), "there is no record that its alerts concern");
            continue;
        };
        let mut alerts: Vec<&Alert> = alerts.into_values().collect();
        alerts.sort_by(|a, b| {
            (a.dismissed, Reverse(a.level), &a.uuid).cmp(&(b.dismissed, Reverse(b.level), &b.uuid))
        });
        let left_out = alerts.len().saturating_sub(INCIDENTS_MAX);
        record.incidents = alerts.into_iter().take(INCIDENTS_MAX).map(incident).collect();
        if left_out > 0 {
            let why = format!("{left_out} of its alerts are left out, a record carries {INCIDENTS_MAX}");
            draft.skip(Section::Alerts, source_id.as_str(), &why);
        }
    }
}

fn incident(alert: &Alert) -> Incident {
    let args = if alert.args.is_null() { String::new() } else { alert.args.to_string() };
    Incident {
        provider: "truenas".to_owned(),
        native_id: alert.uuid.clone(),
        klass: alert.klass.clone(),
        level: alert.level,
        text: alert.text.clone(),
        args_json: if args.len() > ARGS_BYTES_MAX { String::new() } else { args },
        node: alert.node.clone(),
        dismissed: alert.dismissed,
        one_shot: alert.one_shot,
        started_at: alert.datetime,
    }
}
