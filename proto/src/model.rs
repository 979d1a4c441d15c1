//! The strict domain model: what is required is not optional, text is bounded,
//! enums are closed, ids are newtypes. Knows nothing of the wire.

pub mod evidence;
pub mod facet;
pub mod id;
pub mod kind;
pub mod record;
pub mod resource;
pub mod section;
pub mod time;

pub use evidence::Evidence;
pub use facet::{
    Agent, App, AppContainer, AppPort, AppVolume, Certificate, Dataset, Disk, Expansion, Metrics,
    NetworkInterface, Pool, Scan, ScrubSchedule, Service, Share, SoftwareUpdate, Storage, Task, TrueNas, Ups,
    Vdev, VdevGroup, Vm, Zfs,
};
pub use id::{
    CollectorId, ConnectionId, Epoch, ResourceId, ResourceIdText, Revision, SectionName, Sequence, SourceId,
};
pub use kind::{
    AlertLevel, ConnectionState, DataSource, Freshness, RecordPart, ResourceType, SectionOutcome, Severity,
    Status, StorageTopology,
};
pub use record::{Capacity, Facets, Identity, Incident, IngestRecord};
pub use resource::{HealthReason, SourceBadge};
pub use section::{ConnectionStatus, SectionReport};
pub use time::UnixMillis;
