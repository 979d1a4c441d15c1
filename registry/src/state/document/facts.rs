//! What filters and orders ask of a document, read where it lies. A test
//! holds the field numbers to the contract.

use pulse_proto::model::{AlertLevel, ResourceType};

use super::Document;
use super::read::{Message, number};

impl Document {
    /// The pool a thing is or lies in; empty when it has none.
    pub fn pool(&self) -> &str {
        let fields = self.fields();
        match self.resource_type {
            ResourceType::Storage => {
                let Some(storage) = fields.message(number::STORAGE) else { return "" };
                let told = storage.text(3);
                match (told, storage.message(5), storage.message(6)) {
                    ("", Some(pool), _) => pool.text(1),
                    ("", None, Some(dataset)) => dataset.text(2),
                    _ => told,
                }
            }
            ResourceType::PhysicalDisk => {
                fields.message(number::PHYSICAL_DISK).map_or("", |disk| disk.text(10))
            }
            _ => self.dataset().split('/').next().unwrap_or_default(),
        }
    }

    /// The dataset a thing is, lies in or protects first; empty when it has none.
    pub fn dataset(&self) -> &str {
        let fields = self.fields();
        let found = match self.resource_type {
            ResourceType::Storage => self.zfs_dataset().map(|dataset| dataset.text(1)),
            ResourceType::NetworkShare => fields.message(number::NETWORK_SHARE).map(|share| share.text(4)),
            ResourceType::ProtectionTask => {
                fields.message(number::PROTECTION_TASK).and_then(|task| task.texts(13).next())
            }
            _ => None,
        };
        found.unwrap_or_default()
    }

    pub fn serial(&self) -> &str {
        self.of_device(4, 14)
    }

    pub fn model(&self) -> &str {
        self.of_device(3, 13)
    }

    pub fn version(&self) -> &str {
        let fields = self.fields();
        let app = fields.message(number::APP).map(|app| app.text(5));
        app.or_else(|| fields.message(number::AGENT).map(|agent| agent.text(4))).unwrap_or_default()
    }

    /// How a disk is connected, as told; empty when it is not.
    pub fn bus(&self) -> &str {
        self.fields().message(number::PHYSICAL_DISK).map_or("", |disk| disk.text(7))
    }

    pub fn temperature_celsius(&self) -> Option<f64> {
        self.fields().message(number::PHYSICAL_DISK)?.double(18)
    }

    pub fn cpu_percent(&self) -> Option<f64> {
        self.fields().message(number::METRICS)?.double(2)
    }

    /// Used and total bytes.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let metrics = self.fields().message(number::METRICS)?;
        metrics.integer(4).zip(metrics.integer(3))
    }

    pub fn snapshot_count(&self) -> Option<u64> {
        self.zfs_dataset()?.integer(29)
    }

    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.fields().texts(number::TAGS)
    }

    pub fn incident_klasses(&self) -> impl Iterator<Item = &str> {
        self.fields().messages(number::INCIDENTS).map(|incident| incident.text(3))
    }

    pub fn incident_levels(&self) -> impl Iterator<Item = AlertLevel> {
        self.fields()
            .messages(number::INCIDENTS)
            .filter_map(|incident| AlertLevel::from_wire(i32::try_from(incident.integer(4)?).ok()?).ok())
    }

    /// Bytes that a dataset and what is below it use, and what it may.
    pub fn quota(&self) -> Option<(u64, u64)> {
        let dataset = self.zfs_dataset()?;
        let quota = dataset.integer(13)?;
        Some((dataset.integer(11)?, quota))
    }

    /// Bytes that a dataset itself uses, and what it may.
    pub fn refquota(&self) -> Option<(u64, u64)> {
        let dataset = self.zfs_dataset()?;
        let refquota = dataset.integer(14)?;
        Some((dataset.integer(18)?, refquota))
    }

    /// Bytes that a volume without reservation may still grow, and those that are free for it.
    pub fn thin_volume(&self) -> Option<(u64, u64)> {
        let dataset = self.zfs_dataset()?;
        let size = dataset.integer(23)?;
        let is_thin = dataset.integer(16).unwrap_or(0) == 0;
        let growth = size.saturating_sub(dataset.integer(18)?);
        is_thin.then_some((growth, dataset.integer(12)?))
    }

    /// Where it is known from when the newest snapshot of a dataset was made; empty when it is not.
    pub fn newest_snapshot_source(&self) -> &str {
        self.zfs_dataset().map_or("", |dataset| dataset.text(31))
    }

    /// Read, write and checksum errors of a disk, as told.
    pub fn disk_errors(&self) -> Option<[Option<u64>; 3]> {
        let disk = self.fields().message(number::PHYSICAL_DISK)?;
        Some([14, 15, 16].map(|field| disk.integer(field)))
    }

    fn zfs_dataset(&self) -> Option<Message<'_>> {
        self.fields().message(number::STORAGE)?.message(6)
    }

    fn of_device(&self, disk_field: u32, agent_field: u32) -> &str {
        let fields = self.fields();
        let disk = fields.message(number::PHYSICAL_DISK).map(|disk| disk.text(disk_field));
        disk.or_else(|| fields.message(number::AGENT).map(|agent| agent.text(agent_field)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{
        Agent, App, Dataset, Disk, Facets, Identity, IngestRecord, Metrics, SectionName, Share, SourceId,
        Storage, StorageTopology, Task, Zfs,
    };

    use super::*;

    fn document(resource_type: ResourceType, facets: Facets) -> Document {
        Document::of(&IngestRecord {
            source_id: SourceId::parse("system:c/x").unwrap(),
            parent_source_id: None,
            resource_type,
            name: "x".to_owned(),
            section: SectionName::parse("s").unwrap(),
            state: String::new(),
            identity: Identity::default(),
            capacity: None,
            tags: Vec::new(),
            incidents: Vec::new(),
            facets,
        })
    }

    #[test]
    fn facts_are_those_of_the_record() {
        let text = str::to_owned;
        let disk = document(
            ResourceType::PhysicalDisk,
            Facets {
                physical_disk: Some(Box::new(Disk {
                    model: text("M"),
                    serial: text("S"),
                    pool: text("tank"),
                    temperature_celsius: Some(40.5),
                    read_errors: Some(0),
                    checksum_errors: Some(7),
                    ..Disk::default()
                })),
                ..Facets::default()
            },
        );
        assert_eq!((disk.model(), disk.serial(), disk.pool()), ("M", "S", "tank"));
        assert_eq!(disk.temperature_celsius(), Some(40.5));
        assert_eq!(disk.disk_errors(), Some([Some(0), None, Some(7)]));

        let agent = Agent {
            os_version: text("25.10"),
            product: text("Mini"),
            serial: text("A1"),
            ..Agent::default()
        };
        let metrics = Metrics {
            cpu_percent: Some(7.5),
            memory_used_bytes: Some(1),
            memory_total_bytes: Some(4),
            ..Metrics::default()
        };
        let host = document(
            ResourceType::Host,
            Facets { agent: Some(Box::new(agent)), metrics: Some(Box::new(metrics)), ..Facets::default() },
        );
        assert_eq!((host.version(), host.model(), host.serial()), ("25.10", "Mini", "A1"));
        assert_eq!((host.cpu_percent(), host.memory()), (Some(7.5), Some((1, 4))));
        assert_eq!(host.pool(), "");

        let dataset = Dataset {
            name: text("tank/a"),
            pool: text("tank"),
            snapshot_count: Some(3),
            newest_snapshot_source: text("snapshot-task"),
            used_bytes: Some(1),
            available_bytes: Some(2),
            quota_bytes: Some(3),
            refquota_bytes: Some(4),
            used_by_dataset_bytes: Some(5),
            volsize_bytes: Some(25),
            ..Dataset::default()
        };
        let storage = Storage {
            topology: StorageTopology::Dataset,
            kind: text("zfs-dataset"),
            pool: String::new(),
            path: String::new(),
            zfs: Some(Zfs::Dataset(dataset)),
        };
        let dataset =
            document(ResourceType::Storage, Facets { storage: Some(Box::new(storage)), ..Facets::default() });
        assert_eq!(
            (dataset.dataset(), dataset.pool(), dataset.snapshot_count()),
            ("tank/a", "tank", Some(3))
        );
        assert_eq!(dataset.newest_snapshot_source(), "snapshot-task");
        assert_eq!(
            (dataset.quota(), dataset.refquota(), dataset.thin_volume()),
            (Some((1, 3)), Some((5, 4)), Some((20, 2)))
        );
        assert_eq!(
            (dataset.topology(), dataset.technology()),
            (Some(StorageTopology::Dataset), "zfs-dataset")
        );

        let share = Share { dataset: text("tank/b"), ..Share::default() };
        let share = document(
            ResourceType::NetworkShare,
            Facets { network_share: Some(Box::new(share)), ..Facets::default() },
        );
        assert_eq!((share.dataset(), share.pool()), ("tank/b", "tank"));
        let task = Task { source_datasets: vec![text("tank/c")], ..Task::default() };
        let task = document(
            ResourceType::ProtectionTask,
            Facets { protection_task: Some(Box::new(task)), ..Facets::default() },
        );
        assert_eq!((task.dataset(), task.pool()), ("tank/c", "tank"));
        let app = App { version: text("1.2"), ..App::default() };
        let app =
            document(ResourceType::AppContainer, Facets { app: Some(Box::new(app)), ..Facets::default() });
        assert_eq!(app.version(), "1.2");
    }
}
