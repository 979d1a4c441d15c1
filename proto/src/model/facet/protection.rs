//! What is offered to other machines, and what protects the data.

use crate::model::UnixMillis;

/// Storage offered to other machines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// smb, nfs or iscsi.
    pub protocol: String,
    pub id: String,
    pub path: String,
    /// Empty when it is in none.
    pub dataset: String,
    /// Below the dataset; empty for the dataset itself.
    pub relative_path: String,
    pub comment: String,
    pub enabled: Option<bool>,
    pub locked: Option<bool>,
    pub read_only: Option<bool>,
    pub purpose: String,
    pub browsable: Option<bool>,
    pub access_based_enumeration: Option<bool>,
    pub audit_enabled: Option<bool>,
    pub expose_snapshots: Option<bool>,
    pub aliases: Vec<String>,
    pub hosts: Vec<String>,
    pub networks: Vec<String>,
    pub security: Vec<String>,
    pub map_root_user: String,
    pub map_root_group: String,
    pub map_all_user: String,
    pub map_all_group: String,
    pub extents: Vec<String>,
}

/// A task that protects data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// replication, snapshot, cloud-sync, rsync or cloud-backup.
    pub kind: String,
    pub id: String,
    pub description: String,
    pub enabled: Option<bool>,
    pub automatic: Option<bool>,
    /// As cron writes it; empty when there is none.
    pub schedule: String,
    /// As told: PENDING, RUNNING, FINISHED, ERROR, SUCCESS, FAILED ...
    pub state: String,
    pub state_since: Option<UnixMillis>,
    pub message: String,
    pub progress_percent: Option<f64>,
    pub direction: String,
    pub transport: String,
    pub source_datasets: Vec<String>,
    pub target: String,
    pub remote: String,
    pub recursive: Option<bool>,
    pub last_snapshot: String,
    pub retention: String,
    pub naming_schema: String,
    pub locked: Option<bool>,
    pub warnings: Vec<String>,
    pub excluded_datasets: Vec<String>,
}

/// When a pool is scrubbed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScrubSchedule {
    pub enabled: Option<bool>,
    pub schedule: String,
    pub threshold_days: Option<u32>,
}
