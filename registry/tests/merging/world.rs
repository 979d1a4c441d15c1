//! A registry's state without sockets, and records to feed it with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    Agent, CollectorId, ConnectionId, ConnectionState, ConnectionStatus, DataSource, Disk, Epoch, Facets,
    Identity, IngestRecord, Metrics, ResourceType, Revision, SectionName, SectionOutcome, SectionReport,
    Sequence, SourceId, Storage, StorageTopology, UnixMillis,
};
use pulse_registry::health::Tables;
use pulse_registry::state::{
    Batch, Boundary, Changes, Input, Link, LinkError, Pair, Removal, Resource, Retention, Stand, State, Write,
};
use pulse_registry::store::memory::Memory;
use pulse_registry::store::{Loaded, Store};

pub(crate) const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

pub(crate) struct World {
    pub(crate) state: State,
    store: Memory,
    sequences: BTreeMap<String, u64>,
    gone: BTreeSet<String>,
    pub(crate) changes: Vec<Arc<Changes>>,
    /// Of connections.
    labels: BTreeMap<String, BTreeMap<String, String>>,
    said: u64,
}

/// Everything but when it came and changed.
pub(crate) fn shape(state: &State) -> BTreeMap<String, Resource> {
    let mut shown = BTreeMap::new();
    for (shard, resource) in state.view().iter() {
        assert_eq!(shard.connection, resource.connection, "it lies where its leading record is");
        let mut resource = Resource::clone(resource);
        (resource.updated_at, resource.revision) = (UnixMillis::new(0), Revision(0));
        let anchor = resource.anchor_mut();
        (anchor.created_at, anchor.created) = (UnixMillis::new(0), Revision(0));
        let id = resource.id.to_string();
        assert!(shown.insert(id.clone(), resource).is_none(), "{id} is there twice");
    }
    shown
}

pub(crate) fn key(connection: &str, source_id: &str) -> (ConnectionId, SourceId) {
    (ConnectionId::parse(connection).unwrap(), SourceId::parse(source_id).unwrap())
}

fn boundary() -> Boundary {
    Boundary::of(["customer"])
}

impl World {
    /// From its next batch on.
    pub(crate) fn label(&mut self, connection: &str, customer: &str) {
        let labels = BTreeMap::from([("customer".to_owned(), customer.to_owned())]);
        let labels = if customer.is_empty() { BTreeMap::new() } else { labels };
        self.labels.insert(connection.to_owned(), labels);
    }

    pub(crate) fn labels(&self, connection: &str) -> BTreeMap<String, String> {
        self.labels.get(connection).cloned().unwrap_or_default()
    }

    pub(crate) fn new() -> Self {
        Self {
            state: State::new(Arc::new(Tables::default()), boundary()),
            store: Memory::default(),
            sequences: BTreeMap::new(),
            gone: BTreeSet::new(),
            changes: Vec::new(),
            labels: BTreeMap::new(),
            said: 0,
        }
    }

    fn next(&mut self, connection: &str) -> Sequence {
        let sequence = self.sequences.entry(connection.to_owned()).or_default();
        *sequence += 1;
        Sequence(*sequence)
    }

    fn keep(&mut self, writes: &[Write], changes: Option<Arc<Changes>>) {
        let revision = self.state.view().revision;
        if let Some(changes) = &changes {
            let before = self.changes.last().map_or(Revision(0), |changes| changes.revision);
            assert_eq!(changes.revision, before.next(), "revisions have no gap");
        }
        self.changes.extend(changes);
        self.store.commit(revision, writes).unwrap();
    }

    pub(crate) fn put(&mut self, connection: &str, source: DataSource, records: Vec<IngestRecord>) {
        self.batch(connection, source, records, &[], 0);
    }

    pub(crate) fn remove(&mut self, connection: &str, source: DataSource, source_ids: &[&str]) {
        self.batch(connection, source, Vec::new(), source_ids, 0);
    }

    /// Its section was read so many seconds ago.
    pub(crate) fn batch(
        &mut self,
        connection: &str,
        source: DataSource,
        records: Vec<IngestRecord>,
        removals: &[&str],
        seconds_ago: u64,
    ) {
        let section = SectionName::parse("all").unwrap();
        let report = SectionReport {
            section: section.clone(),
            outcome: SectionOutcome::Fresh,
            observed_at: Some(UnixMillis::new(NOW.get() - seconds_ago * 1_000)),
            since: None,
            interval: Duration::from_secs(10),
            error: String::new(),
        };
        // What was removed comes back with a snapshot.
        let anew = self.gone.remove(connection);
        let batch = Batch {
            collector: CollectorId::parse(connection).unwrap(),
            connection: ConnectionId::parse(connection).unwrap(),
            epoch: Epoch(1),
            sequence: self.next(connection),
            source,
            snapshot_begin: anew,
            snapshot_end: anew,
            upserts: records.into_iter().map(Into::into).collect(),
            removals: removals.iter().map(|id| SourceId::parse(id).unwrap()).collect(),
            sections: Some(BTreeMap::from([(section, report)])),
            status: Some(ConnectionStatus {
                name: connection.to_uppercase(),
                state: ConnectionState::Live,
                reason: String::new(),
                since: None,
                labels: self.labels.get(connection).cloned().unwrap_or_default(),
            }),
            digest: None,
            base: None,
            kept: BTreeSet::new(),
            refused: Vec::new(),
        };
        let applied = self.state.apply(Input::Batch(Box::new(batch)), NOW);
        assert_eq!(applied.answers.len(), 1, "{:?}", applied.answers);
        self.keep(&applied.writes, applied.changes);
    }

    pub(crate) fn disconnect(&mut self, connection: &str) {
        let sequence = self.next(connection);
        let removal = Removal {
            collector: CollectorId::parse(connection).unwrap(),
            connection: ConnectionId::parse(connection).unwrap(),
            epoch: Epoch(1),
            sequence,
            own_epoch: None,
        };
        let applied = self.state.apply(Input::Removal(removal), NOW);
        self.gone.insert(connection.to_owned());
        self.keep(&applied.writes, applied.changes);
    }

    pub(crate) fn say(&mut self, stand: Stand, pair: Pair) -> Result<(), LinkError> {
        self.said += 1;
        let at = UnixMillis::new(NOW.get() + self.said);
        let link = Link { pair, stand, reason: "seen".to_owned(), who: "ops".to_owned(), at };
        let before = shape(&self.state);
        match self.state.link(link) {
            Ok(applied) => {
                self.keep(&applied.writes, applied.changes);
                Ok(())
            }
            Err(error) => {
                assert_eq!(shape(&self.state), before, "what is refused changes nothing");
                Err(error)
            }
        }
    }

    pub(crate) fn forget(&mut self, pair: &Pair) -> Result<(), LinkError> {
        let applied = self.state.forget_link(pair, NOW)?;
        self.keep(&applied.writes, applied.changes);
        Ok(())
    }

    /// As a start would find it.
    pub(crate) fn restarted(&self) -> State {
        let loaded = self.store.load().unwrap();
        assert_eq!(loaded.damaged, Vec::<String>::new());
        self.assert_checkpoint_is(&loaded);
        let past = (loaded.remembered, Retention::default());
        let judge = Arc::new(Tables::default());
        State::restore((judge, boundary()), loaded.revision, loaded.connections, loaded.links, past, NOW)
    }

    /// What a checkpoint would be made of is what was written, step by step.
    fn assert_checkpoint_is(&self, loaded: &Loaded) {
        let (common, connections) = self.state.snapshot().rows();
        // A store that never had a horizon has none.
        let counts = |write: &Write| !matches!(write, Write::Horizon(_));
        let links = loaded.links.iter().map(|link| Write::Link(Box::new(link.clone())));
        let written: Vec<Write> = links.chain(loaded.remembered.clone().writes()).filter(counts).collect();
        assert_eq!(common.filter(counts).collect::<Vec<_>>(), written);
        let records: Vec<_> = connections.map(|(id, _, records)| (id, records)).collect();
        let written = loaded.connections.iter().map(|(id, _, records)| (id.clone(), records.clone()));
        assert_eq!(records, written.collect::<Vec<_>>());
    }

    pub(crate) fn resources(&self) -> Vec<Arc<Resource>> {
        self.state.view().iter().map(|(_, resource)| Arc::clone(resource)).collect()
    }

    pub(crate) fn only(&self, kind: ResourceType) -> Arc<Resource> {
        let found = self.all(kind);
        assert_eq!(found.len(), 1, "{found:#?}");
        Arc::clone(&found[0])
    }

    pub(crate) fn all(&self, kind: ResourceType) -> Vec<Arc<Resource>> {
        self.resources().into_iter().filter(|resource| resource.resource_type() == kind).collect()
    }
}

pub(crate) fn record(kind: ResourceType, source_id: &str, parent: Option<&str>) -> IngestRecord {
    IngestRecord {
        source_id: SourceId::parse(source_id).unwrap(),
        parent_source_id: parent.map(|parent| SourceId::parse(parent).unwrap()),
        resource_type: kind,
        name: source_id.to_owned(),
        section: SectionName::parse("all").unwrap(),
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    }
}

pub(crate) fn host(source_id: &str, identity: Identity) -> IngestRecord {
    let mut record = record(ResourceType::Host, source_id, None);
    record.facets.agent = Some(Box::new(Agent {
        hostname: identity.hostnames.first().cloned().unwrap_or_default(),
        cpu_model: format!("cpu of {source_id}"),
        ..Agent::default()
    }));
    record.facets.metrics = Some(Box::new(Metrics { load_1m: Some(0.5), ..Metrics::default() }));
    record.identity = identity;
    record
}

pub(crate) fn identity(machine_id: &str, hostname: &str, mac: &str) -> Identity {
    let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    Identity {
        machine_id: machine_id.to_owned(),
        hostnames: list(hostname),
        mac_addresses: list(mac),
        ..Identity::default()
    }
}

pub(crate) fn disk(source_id: &str, parent: Option<&str>, serial: &str, vdev_state: &str) -> IngestRecord {
    let mut record = record(ResourceType::PhysicalDisk, source_id, parent);
    vdev_state.clone_into(&mut record.state);
    serial.clone_into(&mut record.identity.machine_id);
    record.facets.physical_disk = Some(Box::new(Disk {
        name: source_id.to_owned(),
        serial: serial.to_owned(),
        vdev_state: vdev_state.to_owned(),
        ..Disk::default()
    }));
    record
}

pub(crate) fn pool(source_id: &str, parent: Option<&str>) -> IngestRecord {
    let mut record = record(ResourceType::Storage, source_id, parent);
    record.facets.storage = Some(Box::new(Storage {
        topology: StorageTopology::Pool,
        kind: "zfs-pool".to_owned(),
        pool: "tank".to_owned(),
        path: String::new(),
        zfs: None,
    }));
    record
}
