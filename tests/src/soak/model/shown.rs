//! What a client of the registry sees of one connection, in the words of the model.

use std::collections::BTreeMap;

use pulse_proto::pb::resource::v1::{
    Freshness, Incident, Resource, ResourceType, Status, Vdev, ZfsDataset, ZfsPool, ZfsScan, storage_facet,
};

use super::{Facts, Words, flag, number};

/// What the model calls this resource.
pub fn key(resource: &Resource) -> String {
    let storage = resource.storage.as_ref();
    match resource.r#type() {
        ResourceType::Host => "host".to_owned(),
        ResourceType::Storage => match storage.and_then(|storage| storage.zfs.as_ref()) {
            Some(storage_facet::Zfs::ZfsPool(_)) => format!("pool {}", resource.name),
            _ => format!("dataset {}", resource.name),
        },
        ResourceType::PhysicalDisk => {
            format!(
                "disk {}",
                resource.physical_disk.as_ref().map(|disk| disk.serial.as_str()).unwrap_or_default()
            )
        }
        ResourceType::AppContainer => {
            format!("app {}", resource.app.as_ref().map(|app| app.id.as_str()).unwrap_or_default())
        }
        ResourceType::Vm => format!("vm {}", vm_id(resource)),
        ResourceType::SystemContainer => format!("container {}", vm_id(resource)),
        ResourceType::ProtectionTask => {
            let task = resource.protection_task.clone().unwrap_or_default();
            format!("{} {}", task.kind, task.id)
        }
        other => format!("{} {}", other.as_str_name(), resource.name),
    }
}

fn vm_id(resource: &Resource) -> &str {
    resource.vm.as_ref().map(|vm| vm.id.as_str()).unwrap_or_default()
}

/// `resources` are those of one connection.
pub fn shown<'a>(resources: impl Iterator<Item = &'a Resource>) -> Facts {
    let resources: Vec<&Resource> = resources.collect();
    let keys: BTreeMap<&str, String> = resources.iter().map(|one| (one.id.as_str(), key(one))).collect();
    let mut facts = Facts::new();
    for resource in resources {
        let parent = keys.get(resource.parent_id.as_str()).cloned();
        let mut words = words(resource, parent.unwrap_or_default());
        if resource.freshness() != Freshness::Fresh {
            words.insert("freshness", resource.freshness().as_str_name().to_owned());
        }
        let key = key(resource);
        for incident in &resource.incidents {
            facts.insert(format!("alert {}", incident.native_id), alert(incident, &key));
        }
        // Two resources for one thing are one too many, whatever they say.
        let key = if facts.contains_key(&key) { format!("{key}, once more as {}", resource.id) } else { key };
        facts.insert(key, words);
    }
    facts
}

fn words(resource: &Resource, parent: String) -> Words {
    let zfs = resource.storage.as_ref().and_then(|storage| storage.zfs.as_ref());
    match (resource.r#type(), zfs) {
        (ResourceType::Host, _) => host(resource),
        (ResourceType::Storage, Some(storage_facet::Zfs::ZfsPool(told))) => pool(resource, told, parent),
        (ResourceType::Storage, Some(storage_facet::Zfs::ZfsDataset(told))) => {
            dataset(resource, told, parent)
        }
        (ResourceType::PhysicalDisk, _) => disk(resource, parent),
        _ => Words::from([("state", resource.state.to_uppercase())]),
    }
}

fn host(resource: &Resource) -> Words {
    let agent = resource.agent.clone().unwrap_or_default();
    let nas = resource.truenas.clone().unwrap_or_default();
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows.join(", ")
    };
    let booted = agent.boot_time.map(|time| u64::try_from(time.seconds / 60).unwrap_or(0));
    Words::from([
        ("hostname", agent.hostname),
        ("version", nas.version),
        ("serial", agent.serial),
        ("host id", nas.host_id),
        ("global id", nas.global_id),
        ("booted, in minutes", number(booted)),
        ("failover", nas.failover_status),
        ("controller", nas.failover_node),
        ("services", sorted(nas.services.iter().map(|one| format!("{} {}", one.name, one.state)).collect())),
        ("interfaces", sorted(agent.interfaces.into_iter().map(|one| one.name).collect())),
    ])
}

fn pool(resource: &Resource, told: &ZfsPool, parent: String) -> Words {
    let capacity = resource.capacity.unwrap_or_default();
    let group =
        |role: &str| told.groups.iter().find(|group| group.role == role).map(|group| vdevs(&group.vdevs));
    let mut words = Words::from([
        ("parent", parent),
        ("state", resource.state.clone()),
        ("code", told.status_code.clone()),
        ("boot", told.boot_pool.to_string()),
        ("size", number(capacity.raw_total_bytes)),
        ("allocated", number(told.allocated_bytes)),
        ("free", number(told.free_bytes)),
        ("used", number(capacity.used_bytes)),
        ("available", number(capacity.available_bytes)),
        ("scan", told.scan.as_ref().map(scan).unwrap_or_default()),
        ("data", group("data").unwrap_or_default()),
        ("spare", group("spare").unwrap_or_default()),
    ]);
    if !told.guid.is_empty() {
        words.insert("guid", told.guid.clone());
    }
    // An online pool may have other reasons for a warning, but is not offline.
    if resource.state != "ONLINE" || resource.status() == Status::Offline {
        words.insert("status", status(resource));
    }
    words
}

fn status(resource: &Resource) -> String {
    resource.status().as_str_name().trim_start_matches("STATUS_").to_owned()
}

fn scan(scan: &ZfsScan) -> String {
    let percent = scan.percentage.unwrap_or(-1.0);
    let start = number(scan.start_time.as_ref().map(milliseconds));
    let end = number(scan.end_time.as_ref().map(milliseconds));
    format!("{} {} {percent} % from {start} to {end}", scan.function, scan.state)
}

fn milliseconds(time: &prost_types::Timestamp) -> u64 {
    let (seconds, nanos) = (u64::try_from(time.seconds), u64::try_from(time.nanos));
    seconds.unwrap_or(0) * 1_000 + nanos.unwrap_or(0) / 1_000_000
}

fn vdevs(list: &[Vdev]) -> String {
    list.iter().map(vdev).collect::<Vec<_>>().join(", ")
}

fn vdev(vdev: &Vdev) -> String {
    let count = |errors: Option<u64>| number(errors);
    let (read, write, checksum) =
        (count(vdev.read_errors), count(vdev.write_errors), count(vdev.checksum_errors));
    let disk = match vdev.disk.as_str() {
        _ if vdev.missing => " lost".to_owned(),
        "" => String::new(),
        disk => format!(" {disk}"),
    };
    let children =
        if vdev.children.is_empty() { String::new() } else { format!(" ({})", vdevs(&vdev.children)) };
    format!("{} {} {} {read}/{write}/{checksum}{disk}{children}", vdev.r#type, vdev.guid, vdev.state)
}

fn dataset(resource: &Resource, told: &ZfsDataset, parent: String) -> Words {
    let mut words = Words::from([
        ("parent", parent),
        ("kind", told.kind.clone()),
        ("used", number(told.used_bytes)),
        ("available", number(told.available_bytes)),
        ("quota", number(told.quota_bytes.filter(|quota| *quota > 0))),
        ("read-only", flag(told.readonly)),
        ("encrypted", flag(told.encrypted)),
        ("locked", flag(told.locked)),
        ("mounted", flag(told.mounted)),
    ]);
    if told.locked == Some(true) || resource.status() == Status::Offline {
        words.insert("status", status(resource));
    }
    words
}

fn disk(resource: &Resource, parent: String) -> Words {
    let disk = resource.physical_disk.clone().unwrap_or_default();
    let errors = [disk.read_errors, disk.write_errors, disk.checksum_errors];
    let errors = match errors {
        [Some(read), Some(write), Some(checksum)] => format!("{:?}", (read, write, checksum)),
        [None, None, None] => String::new(),
        odd => format!("{odd:?}"),
    };
    Words::from([
        ("parent", parent),
        ("name", resource.name.clone()),
        ("size", number(disk.size_bytes)),
        ("missing", disk.missing.to_string()),
        ("pool", disk.pool),
        ("role", disk.pool_role),
        ("state", resource.state.clone()),
        ("errors", errors),
    ])
}

fn alert(incident: &Incident, on: &str) -> Words {
    Words::from([
        ("on", on.to_owned()),
        ("class", incident.klass.clone()),
        ("level", incident.level().as_str_name().trim_start_matches("ALERT_LEVEL_").to_owned()),
        ("dismissed", incident.dismissed.to_string()),
        ("since", number(incident.started_at.as_ref().map(milliseconds))),
    ])
}
