//! One thing in the fleet, as its sources together see it, with health derived.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    ConnectionId, DataSource, Freshness, IngestRecord, ResourceId, Revision, Severity, SourceId, Status,
    UnixMillis,
};

/// A unified resource. Immutable once built; a change makes a new one. When it
/// was last observed is a fact of its section and is added on the way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub id: ResourceId,
    /// The newest record of the leading source.
    pub record: Arc<IngestRecord>,
    /// Sub-kind, e.g. `zfs-pool`.
    pub technology: String,
    pub display_name: String,
    pub severity: Severity,
    pub reasons: Vec<HealthReason>,
    pub freshness: Freshness,
    pub status: Status,
    pub parent: Option<Parent>,
    pub child_count: u32,
    /// Ascending by source; never empty.
    pub sources: Vec<SourceStatus>,
    pub connection: ConnectionId,
    pub connection_name: Arc<str>,
    pub labels: Arc<BTreeMap<String, String>>,
    pub created_at: UnixMillis,
    pub updated_at: UnixMillis,
    pub revision: Revision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub id: ResourceId,
    pub name: String,
}

/// Why the severity is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReason {
    /// Stable, e.g. `zfs_pool_state`.
    pub code: &'static str,
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    pub evidence: BTreeMap<String, String>,
}

/// One source's part in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    pub source: DataSource,
    pub source_id: SourceId,
    pub connection: ConnectionId,
    pub freshness: Freshness,
    /// Why it is not fresh, when known.
    pub error: String,
}

/// How to show a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceBadge {
    pub source: DataSource,
    pub label: &'static str,
    pub tone: &'static str,
}

impl SourceBadge {
    pub const fn of(source: DataSource) -> Self {
        let (label, tone) = match source {
            DataSource::Proxmox => ("Proxmox", "orange"),
            DataSource::Agent => ("Agent", "green"),
            DataSource::Docker => ("Docker", "sky"),
            DataSource::Pbs => ("PBS", "amber"),
            DataSource::Pmg => ("PMG", "rose"),
            DataSource::Kubernetes => ("Kubernetes", "indigo"),
            DataSource::Truenas => ("TrueNAS", "blue"),
            DataSource::Vmware => ("VMware", "slate"),
            DataSource::Availability => ("Availability", "gray"),
        };
        Self { source, label, tone }
    }
}
