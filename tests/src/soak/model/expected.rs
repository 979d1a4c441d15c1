//! What an appliance's world says, in the words of the model.

use std::collections::BTreeMap;

use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::World;
use pulse_fixtures::world::model::{Alert, Dataset, Disk, Pool, Scan, Vdev};
use serde_json::Value;

use super::{Facts, Words, flag, number};

/// `controller` is the letter of the one in charge, where there are two.
pub fn expected(world: &World, line: ApiLine, controller: Option<&str>) -> Facts {
    let mut facts = Facts::new();
    facts.insert("host".to_owned(), host(world, line, controller));
    for pool in world.pools.iter().chain([&world.boot]) {
        facts.insert(format!("pool {}", pool.name), self::pool(world, pool));
    }
    for dataset in world.datasets.values() {
        facts.insert(format!("dataset {}", dataset.name), self::dataset(line, dataset));
    }
    for disk in &world.disks {
        let place = place(world, disk);
        if disk.present || place.is_some() {
            facts.insert(format!("disk {}", disk.serial), self::disk(disk, place));
        }
    }
    for alert in &world.alerts {
        facts.insert(format!("alert {}", alert.uuid), self::alert(world, alert));
    }
    let told = |method: &str| world.call(line, method, &[], 0).unwrap_or_default();
    for (what, method, state) in [
        ("app", "app.query", "/state"),
        ("vm", "vm.query", "/status/state"),
        ("container", "container.query", "/status/state"),
        ("replication", "replication.query", "/state/state"),
        ("snapshot", "pool.snapshottask.query", "/state/state"),
    ] {
        for row in told(method).as_array().into_iter().flatten() {
            let state = word(row.pointer(state)).to_uppercase();
            facts.insert(format!("{what} {}", word(row.get("id"))), BTreeMap::from([("state", state)]));
        }
    }
    facts
}

fn word(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn host(world: &World, line: ApiLine, controller: Option<&str>) -> Words {
    let told = |method: &str| world.call(line, method, &[], 0).unwrap_or_default();
    let list = |method: &str, words: fn(&Value) -> String| {
        let mut rows: Vec<String> = told(method).as_array().into_iter().flatten().map(words).collect();
        rows.sort();
        rows.join(", ")
    };
    Words::from([
        ("hostname", world.hostname.clone()),
        ("version", word(told("system.info").get("version"))),
        ("serial", world.serial.clone()),
        ("host id", world.host_id.clone()),
        ("global id", world.global_id.clone()),
        ("booted, in minutes", ((world.boot_ms + 30_000) / 60_000).to_string()),
        (
            "failover",
            controller.map_or_else(|| word(Some(&told("failover.status"))), |_| "MASTER".to_owned()),
        ),
        ("controller", controller.map_or_else(|| word(Some(&told("failover.node"))), str::to_owned)),
        (
            "services",
            list("service.query", |row| format!("{} {}", word(row.get("service")), word(row.get("state")))),
        ),
        ("interfaces", list("interface.query", |row| word(row.get("name")))),
    ])
}

fn pool(world: &World, pool: &Pool) -> Words {
    let is_boot = pool.name == world.boot.name;
    let root = world.datasets.get(&pool.name).filter(|_| !is_boot);
    let mut words = Words::from([
        ("parent", "host".to_owned()),
        ("state", pool.status.to_owned()),
        ("code", pool.status_code.to_owned()),
        ("boot", is_boot.to_string()),
        ("size", pool.size.to_string()),
        ("allocated", pool.allocated.to_string()),
        ("free", pool.free().to_string()),
        ("used", number(root.map(|root| root.used))),
        ("available", number(root.map(|root| root.available))),
        ("scan", pool.scan.as_ref().map(scan).unwrap_or_default()),
        ("data", vdevs(world, &pool.data)),
        ("spare", vdevs(world, &pool.spare)),
    ]);
    if !is_boot {
        words.insert("guid", pool.guid.to_string());
    }
    let status = match pool.status {
        "ONLINE" => return words,
        "DEGRADED" => "WARNING",
        _ => "OFFLINE",
    };
    words.insert("status", status.to_owned());
    words
}

fn scan(scan: &Scan) -> String {
    let state = if scan.end_ms.is_some() { "FINISHED" } else { "SCANNING" };
    let end = number(scan.end_ms);
    format!("{} {state} {} % from {} to {end}", scan.function, scan.percent, scan.start_ms)
}

fn vdevs(world: &World, list: &[Vdev]) -> String {
    list.iter().map(|one| vdev(world, one)).collect::<Vec<_>>().join(", ")
}

fn vdev(world: &World, vdev: &Vdev) -> String {
    let Vdev { kind, guid, status, read_errors, write_errors, checksum_errors, .. } = vdev;
    let disk = match &vdev.disk {
        Some(name) if world.disks.iter().any(|disk| disk.present && disk.name == *name) => format!(" {name}"),
        Some(_) => " lost".to_owned(),
        None => String::new(),
    };
    let children =
        if vdev.children.is_empty() { String::new() } else { format!(" ({})", vdevs(world, &vdev.children)) };
    format!("{kind} {guid} {status} {read_errors}/{write_errors}/{checksum_errors}{disk}{children}")
}

fn dataset(line: ApiLine, dataset: &Dataset) -> Words {
    let parent = match dataset.parent() {
        Some(parent) => format!("dataset {parent}"),
        None => format!("pool {}", dataset.pool()),
    };
    // Older lines do not tell.
    let mounted = (line >= ApiLine::V25_10).then(|| dataset.mounted());
    let mut words = Words::from([
        ("parent", parent),
        ("kind", if dataset.volume { "VOLUME" } else { "FILESYSTEM" }.to_owned()),
        ("used", dataset.used.to_string()),
        ("available", dataset.available.to_string()),
        ("quota", number(dataset.quota.filter(|quota| *quota > 0))),
        ("read-only", flag(Some(dataset.readonly))),
        ("encrypted", flag(Some(dataset.encrypted))),
        ("locked", flag(Some(dataset.locked))),
        ("mounted", flag(mounted)),
    ]);
    if dataset.locked {
        words.insert("status", "OFFLINE".to_owned());
    }
    words
}

/// The pool and the role a disk has, and its leaf.
type Place<'a> = (&'a Pool, &'static str, &'a Vdev);

fn place<'a>(world: &'a World, disk: &Disk) -> Option<Place<'a>> {
    let leaves = world.pools.iter().chain([&world.boot]).flat_map(|pool| {
        let data = pool.data.iter().flat_map(Vdev::leaves).map(move |leaf| (pool, "data", leaf));
        data.chain(pool.spare.iter().flat_map(Vdev::leaves).map(move |leaf| (pool, "spare", leaf)))
    });
    let mut found = leaves.filter(|(.., leaf)| leaf.disk.as_deref() == Some(disk.name.as_str()));
    found.next()
}

fn disk(disk: &Disk, place: Option<Place<'_>>) -> Words {
    let errors = place.map(|(.., leaf)| (leaf.read_errors, leaf.write_errors, leaf.checksum_errors));
    Words::from([
        ("parent", place.map_or_else(|| "host".to_owned(), |(pool, ..)| format!("pool {}", pool.name))),
        // A disk that is not there has no device.
        ("name", if disk.present { disk.name.clone() } else { disk.serial.clone() }),
        ("size", disk.size.to_string()),
        ("missing", (!disk.present).to_string()),
        ("pool", place.map(|(pool, ..)| pool.name.clone()).unwrap_or_default()),
        ("role", place.map(|(_, role, _)| role).unwrap_or_default().to_owned()),
        ("state", place.map(|(.., leaf)| leaf.status).unwrap_or_default().to_owned()),
        ("errors", errors.map(|errors| format!("{errors:?}")).unwrap_or_default()),
    ])
}

fn alert(world: &World, alert: &Alert) -> Words {
    let volume = alert.args["volume"].as_str();
    let pool = volume.filter(|name| world.pools.iter().any(|pool| pool.name == *name));
    Words::from([
        ("on", pool.map_or_else(|| "host".to_owned(), |name| format!("pool {name}"))),
        ("class", alert.klass.clone()),
        ("level", alert.level.clone()),
        ("dismissed", alert.dismissed.to_string()),
        ("since", alert.raised_ms.to_string()),
    ])
}
