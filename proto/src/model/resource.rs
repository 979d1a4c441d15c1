//! How bad a thing is and why, and how its sources are shown.

use super::{DataSource, Evidence, Severity};

/// Why the severity is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReason {
    /// Stable, e.g. `zfs_pool_state`.
    pub code: &'static str,
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    pub evidence: Evidence,
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
