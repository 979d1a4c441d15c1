//! Closed vocabularies. Each value has its text form for filters, tables and
//! ids; the wire form lives in `convert`.

use std::fmt;

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $token:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word people and ids use.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }

            pub fn from_token(token: &str) -> Option<Self> {
                match token { $($token => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.token())
            }
        }
    };
}

kind!(
    /// What a resource is. Tokens are Pulse's, as they stand in ids.
    ResourceType {
        Host = "agent",
        Storage = "storage",
        PhysicalDisk = "physical_disk",
        AppContainer = "app-container",
        Vm = "vm",
        NetworkShare = "network-share",
        ProtectionTask = "protection-task",
        SystemContainer = "system-container",
        DockerHost = "docker-host",
        DockerService = "docker-service",
        K8sCluster = "k8s-cluster",
        K8sNode = "k8s-node",
        K8sDeployment = "k8s-deployment",
        Pod = "pod",
        Network = "network",
        NetworkEndpoint = "network-endpoint",
        Pbs = "pbs",
        Pmg = "pmg",
        Ceph = "ceph",
    }
);

kind!(DataSource {
    Proxmox = "proxmox",
    Agent = "agent",
    Docker = "docker",
    Pbs = "pbs",
    Pmg = "pmg",
    Kubernetes = "kubernetes",
    Truenas = "truenas",
    Vmware = "vmware",
    Availability = "availability",
});

kind!(Status { Online = "online", Warning = "warning", Offline = "offline", Unknown = "unknown" });

kind!(
    /// Ordered from best to worst.
    Severity { Healthy = "healthy", Monitor = "monitor", Warning = "warning", Critical = "critical" }
);

kind!(
    /// Ordered from newest to oldest knowledge.
    Freshness { Fresh = "fresh", Stale = "stale", Lost = "lost" }
);

kind!(
    /// Native TrueNAS alert levels, ascending.
    AlertLevel {
        Info = "info",
        Notice = "notice",
        Warning = "warning",
        Error = "error",
        Critical = "critical",
        Alert = "alert",
        Emergency = "emergency",
    }
);

kind!(SectionOutcome {
    Fresh = "fresh",
    Unchanged = "unchanged",
    Failed = "failed",
    Forbidden = "forbidden",
    Unsupported = "unsupported",
    Partial = "partial",
    Disabled = "disabled",
});

kind!(
    /// A part of a record that another section brings.
    RecordPart {
        Incidents = "incidents",
        UsableCapacity = "usable-capacity",
        PoolMembership = "pool-membership",
        ReplicationTarget = "replication-target",
        Services = "services",
        Interfaces = "interfaces",
        Certificates = "certificates",
        Ups = "ups",
        Update = "update",
        Metrics = "metrics",
        Temperature = "temperature",
        ScrubSchedule = "scrub-schedule",
        Snapshots = "snapshots",
        ShareDataset = "share-dataset",
    }
);

impl SectionOutcome {
    /// All there is of the section is known: what it does not contain is gone. Nothing is left of one that is switched off.
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Fresh | Self::Unchanged | Self::Disabled)
    }
}

kind!(ConnectionState {
    Disabled = "disabled",
    Connecting = "connecting",
    Authenticating = "authenticating",
    Live = "live",
    Degraded = "degraded",
    BackingOff = "backing-off",
    Refused = "refused",
});

kind!(StorageTopology { Pool = "pool", Dataset = "dataset", Array = "array", Datastore = "datastore" });
