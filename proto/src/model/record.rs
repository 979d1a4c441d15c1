//! What one source says of one thing.

use super::{
    Agent, AlertLevel, App, Disk, Metrics, ResourceType, SectionName, Share, SourceId, Storage, Task,
    TrueNas, UnixMillis, Vm,
};

/// The newest state of one thing as one source sees it. Carries no time of
/// observation: an unchanged thing is an unchanged record.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestRecord {
    pub source_id: SourceId,
    pub parent_source_id: Option<SourceId>,
    pub resource_type: ResourceType,
    /// Not empty.
    pub name: String,
    pub section: SectionName,
    /// As told; empty when the source has no word for it.
    pub state: String,
    pub identity: Identity,
    pub capacity: Option<Capacity>,
    /// Sorted, without repetition.
    pub tags: Vec<String>,
    pub incidents: Vec<Incident>,
    pub facets: Facets,
}

/// Each in a box of its own: most records have one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facets {
    pub agent: Option<Box<Agent>>,
    pub truenas: Option<Box<TrueNas>>,
    pub storage: Option<Box<Storage>>,
    pub physical_disk: Option<Box<Disk>>,
    pub app: Option<Box<App>>,
    pub vm: Option<Box<Vm>>,
    pub network_share: Option<Box<Share>>,
    pub protection_task: Option<Box<Task>>,
    pub metrics: Option<Box<Metrics>>,
}

/// What identifies a thing across sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub machine_id: String,
    pub dmi_uuid: String,
    pub hostnames: Vec<String>,
    pub ip_addresses: Vec<String>,
    pub mac_addresses: Vec<String>,
}

/// Sizes in bytes. Usable is what can be stored; raw counts parity too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    pub total_bytes: Option<u64>,
    pub used_bytes: Option<u64>,
    pub available_bytes: Option<u64>,
    pub raw_total_bytes: Option<u64>,
    pub raw_used_bytes: Option<u64>,
    pub raw_free_bytes: Option<u64>,
}

impl Capacity {
    /// Usable bytes used, 0 to 1; `None` when not known or nothing is there.
    #[allow(clippy::cast_precision_loss, reason = "a ratio of byte counts needs no more than 52 bits")]
    pub fn used_ratio(&self) -> Option<f64> {
        match (self.used_bytes, self.total_bytes) {
            (Some(used), Some(total)) if total > 0 => Some(used as f64 / total as f64),
            _ => None,
        }
    }
}

/// A native alert of the source, attached to what it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub provider: String,
    pub native_id: String,
    pub klass: String,
    pub level: AlertLevel,
    pub text: String,
    /// JSON text of any type; empty when null.
    pub args_json: String,
    pub node: String,
    pub dismissed: bool,
    pub one_shot: bool,
    pub started_at: Option<UnixMillis>,
}
