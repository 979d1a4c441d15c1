//! Resources for tests, built by hand: small, valid, and different where a
//! number says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{
    AlertLevel, Capacity, ConnectionId, DataSource, Facets, Freshness, HealthReason, Identity, Incident,
    IngestRecord, ResourceId, ResourceType, Revision, SectionName, Severity, SourceId, Status, Storage,
    StorageTopology, UnixMillis,
};

use crate::state::document::Document;
use crate::state::origin::Origin;
use crate::state::resource::{Anchor, Parent, Rare, Resource, Site};

/// What tests vary; everything else follows from it.
#[derive(Clone, Debug)]
pub struct Seed {
    pub kind: ResourceType,
    pub number: u64,
    pub connection: &'static str,
    pub name: String,
    pub topology: Option<StorageTopology>,
    pub severity: Severity,
    pub status: Status,
    pub freshness: Freshness,
    pub capacity: Option<Capacity>,
    pub revision: u64,
    /// `None`: with its revision.
    pub created: Option<u64>,
}

impl Seed {
    pub fn new(kind: ResourceType, number: u64, connection: &'static str) -> Self {
        Self {
            kind,
            number,
            connection,
            name: format!("thing-{number}"),
            topology: (kind == ResourceType::Storage).then_some(StorageTopology::Pool),
            severity: Severity::Healthy,
            status: Status::Online,
            freshness: Freshness::Fresh,
            capacity: None,
            revision: 1,
            created: None,
        }
    }

    pub fn id(&self) -> ResourceId {
        id(self.kind, self.number)
    }

    pub fn build(&self) -> Arc<Resource> {
        let connection = ConnectionId::parse(self.connection).expect("a connection id");
        let source_id =
            SourceId::parse(&format!("system:{}/x:{}", self.connection, self.number)).expect("a source id");
        let troubled = self.severity >= Severity::Warning;
        let incident = Incident {
            provider: "truenas".to_owned(),
            native_id: format!("n-{}", self.number),
            klass: "VolumeStatus".to_owned(),
            level: if self.severity == Severity::Critical {
                AlertLevel::Critical
            } else {
                AlertLevel::Warning
            },
            text: "not well".to_owned(),
            args_json: String::new(),
            node: String::new(),
            dismissed: false,
            one_shot: false,
            started_at: None,
        };
        let storage = self.topology.map(|topology| Storage {
            topology,
            kind: "zfs-pool".to_owned(),
            pool: self.name.clone(),
            path: format!("/mnt/{}", self.name),
            zfs: None,
        });
        let mut labels = BTreeMap::from([("site".to_owned(), format!("dc-{}", self.number % 3))]);
        if self.number.is_multiple_of(2) {
            labels.insert("rack.row".to_owned(), "7".to_owned());
        }
        let record = IngestRecord {
            source_id,
            parent_source_id: None,
            resource_type: self.kind,
            name: self.name.clone(),
            section: SectionName::parse("pools").expect("a section"),
            state: if troubled { "DEGRADED" } else { "ONLINE" }.to_owned(),
            identity: Identity::default(),
            capacity: self.capacity,
            tags: if self.number.is_multiple_of(2) {
                vec!["even".to_owned(), "prod".to_owned()]
            } else {
                Vec::new()
            },
            incidents: if troubled { vec![incident] } else { Vec::new() },
            facets: Facets { storage: storage.map(Box::new), ..Facets::default() },
        };
        let reason = HealthReason {
            code: "zfs_pool_state",
            severity: self.severity,
            summary: "the pool is not well".to_owned(),
            evidence: [("state", "DEGRADED")].into(),
        };
        let site = Site {
            parent: (self.kind != ResourceType::Host)
                .then(|| Parent { id: id(ResourceType::Host, 0), name: "nas".into() }),
            origin: Arc::new(Origin::new(
                connection,
                Arc::from(format!("NAS {}", self.connection)),
                Arc::new(labels),
            )),
        };
        Arc::new(Resource {
            anchor: triomphe::Arc::new(Anchor {
                id: self.id(),
                site: Arc::new(site),
                created_at: UnixMillis::new(1_700_000_000_000 + self.number * 1_000),
                created: Revision(self.created.unwrap_or(self.revision)),
            }),
            document: Document::of(&record),
            severity: self.severity,
            freshness: self.freshness,
            status: self.status,
            source: if self.number % 5 == 4 { DataSource::Agent } else { DataSource::Truenas },
            child_count: 0,
            rare: Rare { reasons: if troubled { [reason].into() } else { [].into() }, ..Rare::default() }
                .kept(),
            updated_at: UnixMillis::new(1_700_000_500_000 + self.revision * 1_000),
            revision: Revision(self.revision),
        })
    }
}

pub fn id(kind: ResourceType, number: u64) -> ResourceId {
    ResourceId::new(kind, number)
}

/// Usable sizes, the rest unknown.
pub fn capacity(total: u64, used: u64) -> Capacity {
    Capacity {
        total_bytes: Some(total),
        used_bytes: Some(used),
        available_bytes: total.checked_sub(used),
        ..Capacity::default()
    }
}
