//! Replication tasks, as `replication.query` words them. They also explain why a dataset is read-only.

use pulse_proto::model::Task;
use serde_json::json;

use super::item::{Item, Row, cron, id, run, words};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "replications",
    role: "REPLICATION_TASK_READ",
    cadence: 2,
    large: false,
    collections: &["replication.query"],
    plan,
    assemble: |replies| Ok(Data::Replications(replies.rows(Tag::Replications, decode_replications)?)),
};

#[derive(Clone, Debug, PartialEq)]
pub struct Replication {
    pub task: Item<Task>,
    /// SET, REQUIRE or IGNORE; empty when not told.
    pub readonly: String,
}

impl Row for Replication {
    fn key(&self) -> &str {
        &self.task.id
    }

    fn alias(&self) -> &str {
        &self.task.name
    }
}

impl Replication {
    /// The task writes to this very appliance.
    pub fn targets_here(&self) -> bool {
        self.task.facet.direction == "PULL" || self.task.facet.transport == "LOCAL"
    }

    /// The task keeps its target read-only; that is also the default.
    pub fn keeps_readonly(&self) -> bool {
        self.readonly != "IGNORE"
    }
}

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::Replications, "replication.query", "/replication", json!([[], {}]))]
}

pub fn decode_replications(reply: &[u8]) -> Result<Decoded<Replication>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let name = fields.name("name").unwrap_or_else(|| id.clone());
        let run = run(fields);
        let remote = fields.object("ssh_credentials").map(|ssh| {
            let host = ssh.object("attributes").map(|attributes| attributes.line("host"));
            host.filter(|host| !host.is_empty()).unwrap_or_else(|| ssh.line("name"))
        });
        let lifetime = fields.line("lifetime_value");
        let retention = if lifetime.is_empty() {
            fields.line("retention_policy")
        } else {
            format!("{lifetime} {}", fields.line("lifetime_unit"))
        };
        let facet = Task {
            kind: "replication".to_owned(),
            id: text::line(&id),
            description: String::new(),
            enabled: fields.bool("enabled"),
            automatic: fields.bool("auto"),
            schedule: cron(fields),
            state: run.state,
            state_since: run.since,
            message: run.message,
            progress_percent: run.progress_percent,
            direction: fields.line("direction").to_ascii_uppercase(),
            transport: fields.line("transport").to_ascii_uppercase(),
            source_datasets: words(fields, "source_datasets"),
            // It may still be missing from a task that was never finished.
            target: fields.line("target_dataset"),
            remote: remote.unwrap_or_default(),
            recursive: fields.bool("recursive"),
            last_snapshot: run.last_snapshot,
            retention: text::line(&retention),
            naming_schema: text::line(&words(fields, "naming_schema").join(", ")),
            locked: None,
            warnings: run.warnings,
            excluded_datasets: words(fields, "exclude"),
        };
        Ok(Replication {
            task: Item { id, name, facet },
            readonly: fields.line("readonly").to_ascii_uppercase(),
        })
    })
}
