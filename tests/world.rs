//! What the simulated appliance says, read by the collector's own decoders:
//! on every line, by every way of asking, before and after trouble.

use std::collections::BTreeSet;

use pulse_collector::api::dialect::{Dialect, Line, Transport};
use pulse_collector::api::plan::{Call, pool_probe, requests};
use pulse_collector::api::pool::{Pool, decode_pools};
use pulse_collector::api::section::{CallFailure, Data, Part, Section, SectionRead, assemble};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::{MethodError, World};
use serde_json::{Value, json};

const NOW: u64 = 1_790_000_000_000;

/// The line, how it is asked, and whether its newer dataset call is taken for missing.
fn ways() -> Vec<(ApiLine, Dialect, BTreeSet<String>)> {
    let rpc = |line| Dialect { line, transport: Transport::JsonRpc };
    let legacy = |line| Dialect { line, transport: Transport::LegacyWebsocket };
    let rest = |line| Dialect { line, transport: Transport::LegacyRest };
    let fallback = BTreeSet::from(["zfs.resource.query".to_owned()]);
    vec![
        (ApiLine::V24_04, legacy(Line::V24_04), BTreeSet::new()),
        (ApiLine::V24_04, rest(Line::V24_04), BTreeSet::new()),
        (ApiLine::V24_10, legacy(Line::V24_10), BTreeSet::new()),
        (ApiLine::V24_10, rest(Line::V24_10), BTreeSet::new()),
        (ApiLine::V25_04, rpc(Line::V25_04), BTreeSet::new()),
        (ApiLine::V25_10, rpc(Line::V25_10), BTreeSet::new()),
        (ApiLine::V25_10, rpc(Line::V25_10), fallback.clone()),
        (ApiLine::V26_0, rpc(Line::V26_0), BTreeSet::new()),
        (ApiLine::V26_0, rpc(Line::V26_0), fallback),
        (ApiLine::V27_0, rpc(Line::V27_0), BTreeSet::new()),
    ]
}

fn read(world: &World, way: &(ApiLine, Dialect, BTreeSet<String>), section: Section) -> SectionRead {
    let (line, dialect, unavailable) = way;
    let mut replies = Vec::new();
    for request in requests(section, *dialect, unavailable) {
        let params = match &request.call {
            Call::Rpc { params, .. } => params.as_array().cloned().unwrap_or_default(),
            Call::Rest { query, .. } => rest_params(query),
            Call::RestPost { body, .. } => vec![body.clone()],
        };
        let reply = match world.call(*line, request.method, &params, NOW) {
            Ok(value) => Ok(value.to_string().into_bytes()),
            Err(MethodError::NoMethod) => Err(CallFailure::Unsupported),
            Err(other) => panic!("{line} {}: {other:?}", request.method),
        };
        assert!(reply.is_ok(), "{line} {}: planned, but not there", request.method);
        replies.push((request.tag, reply));
    }
    let read = assemble(section, &replies).unwrap_or_else(|why| panic!("{line} {section:?}: {why:?}"));
    assert!(read.skipped.is_empty(), "{line} {section:?}: {:?}", read.skipped);
    assert!(read.notes.is_empty(), "{line} {section:?}: {:?}", read.notes);
    read
}

/// As the appliance reads `extra.name=JSON`.
fn rest_params(query: &[(String, String)]) -> Vec<Value> {
    let extra = query.iter().map(|(name, value)| {
        let name = name.strip_prefix("extra.").unwrap_or_else(|| panic!("{name} is no option"));
        (name.to_owned(), serde_json::from_str::<Value>(value).expect("JSON"))
    });
    let extra: serde_json::Map<String, Value> = extra.collect();
    if extra.is_empty() { Vec::new() } else { vec![json!([]), json!({ "extra": extra })] }
}

fn pools(world: &World, way: &(ApiLine, Dialect, BTreeSet<String>)) -> (Vec<Pool>, Pool) {
    match (read(world, way, Section::Pools).data, read(world, way, Section::Boot).data) {
        (Data::Pools(pools), Data::Boot(boot)) => (pools, *boot),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_section_of_every_line_decodes_to_the_world() {
    let mut world = World::sized("nas1", 2, 3, 3);
    world.lock_dataset(ApiLine::V25_10, "tank0/data00001", NOW);
    world.set_readonly(ApiLine::V25_10, "tank0/data00002", true, NOW);
    for way in ways() {
        let line = way.0;
        let Data::System { info, extras } = read(&world, &way, Section::System).data else { panic!() };
        assert_eq!((info.hostname.as_str(), &info.serial), ("nas1", &world.serial), "{line}");
        assert!(info.version.contains(line.name()), "{line}: {}", info.version);
        assert_eq!(extras.host_id, Part::Read(world.host_id.clone()), "{line}");
        assert_eq!(extras.global_id, Part::Read(world.global_id.clone()), "{line}");

        let (pools, boot) = pools(&world, &way);
        assert_eq!((boot.name.as_str(), boot.groups[0].vdevs[0].disk.as_str()), ("boot-pool", "nvme0n1"));
        assert_eq!(pools.len(), 2, "{line}");
        for (pool, told) in world.pools.iter().zip(&pools) {
            assert_eq!((&told.name, &told.guid), (&pool.name, &pool.guid.to_string()), "{line}");
            assert_eq!((told.size, told.free), (Some(pool.size), Some(pool.free())), "{line}");
            let roles: Vec<&str> = told.groups.iter().map(|group| group.role.as_str()).collect();
            assert_eq!(roles, ["data", "spare"], "{line}");
            let disks: Vec<&str> =
                told.groups[0].vdevs[0].children.iter().map(|leaf| leaf.disk.as_str()).collect();
            let known: Vec<&str> =
                pool.data[0].children.iter().filter_map(|leaf| leaf.disk.as_deref()).collect();
            assert_eq!(disks, known, "{line}");
        }

        let Data::Datasets(datasets) = read(&world, &way, Section::Datasets).data else { panic!() };
        let told: Vec<_> =
            datasets.iter().map(|d| (d.name.as_str(), d.used, d.available, d.locked, d.readonly)).collect();
        let known: Vec<_> = world
            .datasets
            .values()
            .map(|d| (d.name.as_str(), Some(d.used), Some(d.available), Some(d.locked), Some(d.readonly)))
            .collect();
        assert_eq!(told, known, "{line}");
        let Data::Replications(tasks) = read(&world, &way, Section::Replications).data else { panic!() };
        assert_eq!(tasks.len(), 1, "{line}");

        let Data::Disks(disks) = read(&world, &way, Section::Disks).data else { panic!() };
        let told: BTreeSet<(&str, &str)> =
            disks.iter().map(|disk| (disk.name.as_str(), disk.serial.as_str())).collect();
        let known = world.disks.iter().map(|disk| (disk.name.as_str(), disk.serial.as_str())).collect();
        assert_eq!(told, known, "{line}");

        let Data::Alerts(alerts) = read(&world, &way, Section::Alerts).data else { panic!() };
        assert!(alerts.is_empty(), "{line}");
    }
}

#[test]
fn trouble_reads_the_same_on_every_line() {
    for way in ways() {
        let line = way.0;
        let mut world = World::default();
        world.degrade_pool(line, "tank", NOW);
        let (told, _) = pools(&world, &way);
        assert_eq!((told[0].status.as_str(), told[0].status_code.as_str()), ("DEGRADED", "FAULTED_DEV_R"));
        let failed = &told[0].groups[0].vdevs[0].children[0];
        assert_eq!((failed.status.as_str(), failed.checksum_errors), ("FAULTED", Some(212)), "{line}");
        let Data::Alerts(alerts) = read(&world, &way, Section::Alerts).data else { panic!() };
        assert_eq!(alerts.len(), 1, "{line}");

        world.online_pool(line, "tank", NOW);
        world.remove_disk(line, "sdb", NOW);
        let (told, _) = pools(&world, &way);
        let pulled = &told[0].groups[0].vdevs[0].children[1];
        assert!(pulled.missing && pulled.disk.is_empty(), "{line}: {pulled:?}");
        let remembered = pulled.unavail_disk.as_ref().map(|disk| disk.serial.as_str());
        let serial = world.disks.iter().find(|disk| disk.name == "sdb").map(|disk| disk.serial.as_str());
        assert_eq!(remembered, serial, "{line}");
    }
}

#[test]
fn the_cheap_probe_tells_every_pool_state_of_the_full_query() {
    let way = ways().pop().unwrap();
    let (line, dialect, _) = &way;
    let probe = pool_probe(*dialect).unwrap();
    let Call::Rpc { params, .. } = &probe.call else { panic!() };
    let changes: [fn(&mut World, ApiLine); 4] = [
        |_, _| {},
        |world, line| drop(world.degrade_pool(line, "tank", NOW)),
        |world, line| drop(world.suspend_pool(line, "tank", NOW)),
        |world, line| drop(world.start_resilver(line, "tank", NOW)),
    ];
    for change in changes {
        let mut world = World::default();
        change(&mut world, *line);
        let reply = world.call(*line, probe.method, params.as_array().unwrap(), NOW).unwrap();
        let cheap = decode_pools(reply.to_string().as_bytes()).unwrap().rows;
        let (full, _) = pools(&world, &way);
        assert_eq!(cheap.len(), full.len());
        assert_eq!(
            (
                &cheap[0].name,
                &cheap[0].guid,
                &cheap[0].status,
                &cheap[0].status_code,
                &cheap[0].status_detail
            ),
            (&full[0].name, &full[0].guid, &full[0].status, &full[0].status_code, &full[0].status_detail)
        );
    }
}
