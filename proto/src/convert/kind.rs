//! Enums, both ways. `UNSPECIFIED` and numbers from the future are errors here:
//! whether they cost the record or only a counter is the caller's choice.

use super::ProtocolError;
use crate::model;
use crate::pb::resource::v1 as wire;

macro_rules! kinds {
    ($($name:ident: $wire:ident { $($variant:ident),+ $(,)? })+) => { $(
        impl From<model::$name> for wire::$wire {
            fn from(kind: model::$name) -> Self {
                match kind { $(model::$name::$variant => Self::$variant),+ }
            }
        }

        impl TryFrom<wire::$wire> for model::$name {
            type Error = ProtocolError;

            fn try_from(kind: wire::$wire) -> Result<Self, ProtocolError> {
                match kind {
                    wire::$wire::Unspecified => Err(ProtocolError::missing()),
                    $(wire::$wire::$variant => Ok(Self::$variant)),+
                }
            }
        }

        impl model::$name {
            /// Decodes the number a message carries.
            pub fn from_wire(number: i32) -> Result<Self, ProtocolError> {
                wire::$wire::try_from(number)
                    .map_err(|_| ProtocolError::invalid(format!("unknown value {number}")))?
                    .try_into()
            }

            /// The number a message carries.
            pub fn to_wire(self) -> i32 {
                wire::$wire::from(self) as i32
            }
        }
    )+ };
}

kinds! {
    ResourceType: ResourceType {
        Host, Storage, PhysicalDisk, AppContainer, Vm, NetworkShare, ProtectionTask, SystemContainer, DockerHost,
        DockerService, K8sCluster, K8sNode, K8sDeployment, Pod, Network, NetworkEndpoint, Pbs, Pmg, Ceph,
    }
    DataSource: DataSource { Proxmox, Agent, Docker, Pbs, Pmg, Kubernetes, Truenas, Vmware, Availability }
    Status: Status { Online, Warning, Offline, Unknown }
    Severity: Severity { Healthy, Monitor, Warning, Critical }
    Freshness: Freshness { Fresh, Stale, Lost }
    AlertLevel: AlertLevel { Info, Notice, Warning, Error, Critical, Alert, Emergency }
    SectionOutcome: SectionOutcome { Fresh, Unchanged, Failed, Forbidden, Unsupported, Partial, Disabled }
    RecordPart: RecordPart {
        Incidents, UsableCapacity, PoolMembership, ReplicationTarget, Services, Interfaces, Certificates, Ups, Update,
        Metrics, Temperature, ScrubSchedule, Snapshots, ShareDataset,
    }
    ConnectionState: ConnectionState { Disabled, Connecting, Authenticating, Live, Degraded, BackingOff, Refused }
    StorageTopology: StorageTopology { Pool, Dataset, Array, Datastore }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_wire() {
        for kind in model::ResourceType::ALL {
            assert_eq!(model::ResourceType::from_wire(kind.to_wire()), Ok(*kind));
        }
        for kind in model::ConnectionState::ALL {
            assert_eq!(model::ConnectionState::from_wire(kind.to_wire()), Ok(*kind));
        }
        assert!(model::Status::from_wire(0).is_err());
        assert!(model::Status::from_wire(99).is_err());
    }
}
