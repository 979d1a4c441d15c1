//! Periodic snapshot tasks, as `pool.snapshottask.query` words them.

use pulse_proto::model::Task;
use serde_json::json;

use super::item::{Item, cron, id, run, words};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "snapshot_tasks",
    role: "SNAPSHOT_TASK_READ",
    cadence: 5,
    large: false,
    collections: &["pool.snapshottask.query"],
    plan,
    assemble: |replies| Ok(Data::SnapshotTasks(replies.rows(Tag::SnapshotTasks, decode)?)),
};

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::SnapshotTasks, "pool.snapshottask.query", "/pool/snapshottask", json!([[], {}]))]
}

fn decode(reply: &[u8]) -> Result<Decoded<Item<Task>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let dataset = fields.name("dataset").ok_or("has no dataset")?;
        let run = run(fields);
        let lifetime = format!("{} {}", fields.line("lifetime_value"), fields.line("lifetime_unit"));
        let facet = Task {
            kind: "snapshot".to_owned(),
            id: text::line(&id),
            enabled: fields.bool("enabled"),
            automatic: Some(true),
            schedule: cron(fields),
            state: run.state,
            state_since: run.since,
            message: run.message,
            progress_percent: run.progress_percent,
            source_datasets: vec![text::line(&dataset)],
            recursive: fields.bool("recursive"),
            last_snapshot: run.last_snapshot,
            retention: text::line(&lifetime),
            naming_schema: fields.line("naming_schema"),
            warnings: run.warnings,
            excluded_datasets: words(fields, "exclude"),
            ..Task::default()
        };
        Ok(Item { id, name: dataset, facet })
    })
}
