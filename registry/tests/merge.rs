//! One thing seen by several sources is one resource: whatever the order its
//! records came in, and without a trace of what is gone.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

#[path = "merging/property.rs"]
mod property;
#[path = "merging/world.rs"]
mod world;

use DataSource::{Agent, Docker, Proxmox, Truenas};
use pulse_proto::model::{
    AlertLevel, DataSource, Freshness, Identity, Incident, IngestRecord, Metrics, ResourceType, Severity,
    Status,
};
use pulse_registry::query::links::{self, Row};
use pulse_registry::query::sight::Sight;
use pulse_registry::state::{Change, LinkError, Pair, Resource, Stand};
use world::{World, disk, host, identity, key, pool, shape};

const MAC: &str = "3c:ec:ef:00:11:22";

/// A NAS with a pool and a disk in it, as TrueNAS tells it.
fn appliance(connection: &str, serial: &str, state: &str) -> Vec<IngestRecord> {
    let system = format!("system:{connection}");
    let tank = format!("{system}/pool:tank");
    vec![
        host(&system, identity("", "nas1", MAC)),
        pool(&tank, Some(&system)),
        disk(&format!("{system}/disk:sda"), Some(&tank), serial, state),
    ]
}

/// The same machine, as an agent on it tells it.
fn agent(serial: &str) -> Vec<IngestRecord> {
    vec![
        host("host-1", identity("", "nas1.example.org", "3C-EC-EF-00-11-22")),
        disk("host-1/sda", Some("host-1"), serial, ""),
    ]
}

fn parts(resource: &Resource) -> Vec<(DataSource, &str)> {
    resource.sources().map(|part| (part.source, part.source_id.as_str())).collect()
}

#[test]
fn a_machine_and_its_disk_seen_twice_are_one_machine_with_one_disk() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    let alone = world.resources();
    world.put("agents", Agent, agent("WD-1234567"));

    let nas = world.only(ResourceType::Host);
    assert_eq!(parts(&nas), [(Agent, "host-1"), (Truenas, "system:nas")]);
    assert_eq!((nas.name(), nas.source, nas.connection.as_str()), ("system:nas", Truenas, "nas"));
    assert_eq!(nas.child_count, 1, "the pool; the disk is the pool's");
    let sda = world.only(ResourceType::PhysicalDisk);
    assert_eq!(parts(&sda), [(Agent, "host-1/sda"), (Truenas, "system:nas/disk:sda")]);
    // As before the agent came: nothing a client knows has another id.
    let ids = |resources: &[std::sync::Arc<Resource>]| -> Vec<String> {
        resources.iter().map(|resource| resource.id.to_string()).collect()
    };
    assert_eq!(ids(&world.resources()), ids(&alone));
    assert_eq!(&*sda.parent.as_ref().unwrap().name, "system:nas/pool:tank");
    let filled = nas.document.record().unwrap();
    assert_eq!(filled.facets.agent.unwrap().cpu_model, "cpu of system:nas");
    assert_eq!(filled.identity.hostnames, ["nas1", "nas1.example.org"]);
    assert_eq!(shape(&world.restarted()), shape(&world.state));

    world.disconnect("agents");
    let left: Vec<Resource> = shape(&world.state).into_values().collect();
    let mut fresh = World::new();
    fresh.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    assert_eq!(left, shape(&fresh.state).into_values().collect::<Vec<_>>(), "no trace");
}

#[test]
fn what_an_agent_showed_alone_becomes_a_part_and_comes_back() {
    let mut world = World::new();
    world.put("agents", Agent, agent("WD-1234567"));
    let before = shape(&world.state);
    let (machine, disk_alone) = (world.only(ResourceType::Host), world.only(ResourceType::PhysicalDisk));
    assert_eq!(disk_alone.parent.as_ref().unwrap().id, machine.id);

    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    let shared = world.only(ResourceType::PhysicalDisk);
    assert_eq!(shared.id, disk_alone.id, "the serial keys it");
    assert_eq!(shared.created_at, disk_alone.created_at);
    let items = &world.changes.last().unwrap().items;
    let removed = |change: &Change| matches!(change, Change::Removed(old) if old.id == machine.id);
    assert!(items.iter().any(removed), "the agent's own view of the machine is gone: {items:#?}");

    world.disconnect("nas");
    assert_eq!(shape(&world.state), before);
    assert_eq!(shape(&world.restarted()), before);
}

#[test]
fn what_another_source_covers_is_no_news() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    world.put("agents", Agent, agent("WD-1234567"));
    let (before, told) = (world.state.view().revision, world.changes.len());
    let mut covered = agent("WD-1234567");
    covered[0].facets.agent.as_mut().unwrap().cpu_model = "as the agent has it now".to_owned();
    world.put("agents", Agent, covered);
    assert_eq!((world.state.view().revision, world.changes.len()), (before, told));
    assert_eq!(shape(&world.restarted()), shape(&world.state));
    // It is held all the same, and shown once nobody covers it.
    world.disconnect("nas");
    let machine = world.only(ResourceType::Host).document.record().unwrap();
    assert_eq!(machine.facets.agent.unwrap().cpu_model, "as the agent has it now");
}

/// The predecessor kept a health it had once seen (facts accumulated): FAULTED, ONLINE again, and still sick.
#[test]
fn trouble_that_one_source_no_longer_tells_is_gone() {
    let mut world = World::new();
    let incident = Incident {
        provider: "truenas".to_owned(),
        native_id: "a-1".to_owned(),
        klass: "VolumeStatus".to_owned(),
        level: AlertLevel::Critical,
        text: "bad".to_owned(),
        args_json: String::new(),
        node: String::new(),
        dismissed: false,
        one_shot: false,
        started_at: None,
    };
    world.put("agents", Agent, agent("WD-1234567"));
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    let well = shape(&world.state);
    let mut sick = appliance("nas", "WD-1234567", "FAULTED");
    sick[2].tags = vec!["failing".to_owned()];
    sick[2].incidents = vec![incident];
    world.put("nas", Truenas, sick);
    let disk = world.only(ResourceType::PhysicalDisk);
    assert_eq!((disk.severity, disk.document.state()), (Severity::Critical, "FAULTED"));
    assert_eq!(disk.reasons()[0].evidence.get("source"), Some("truenas"));
    assert_eq!(disk.document.tags().collect::<Vec<_>>(), ["failing"]);
    assert_eq!(world.only(ResourceType::Host).severity, Severity::Critical, "of its worst disk");
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    assert_eq!(shape(&world.state), well);
}

#[test]
fn the_worst_of_all_sources_counts_and_names_its_source() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    let mut seen = agent("WD-1234567");
    seen[1].facets.physical_disk.as_mut().unwrap().temperature_celsius = Some(95.0);
    world.put("agents", Agent, seen);
    let disk = world.only(ResourceType::PhysicalDisk);
    assert!(disk.severity >= Severity::Warning, "{disk:#?}");
    assert_eq!(disk.reasons()[0].evidence.get("source"), Some("agent"));
    assert_eq!((disk.status, disk.document.state()), (Status::Warning, "ONLINE"));
    assert_eq!(disk.document.temperature_celsius(), Some(95.0), "filled from the agent");
}

#[test]
fn freshness_is_the_leaders_and_each_source_has_its_own() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    world.batch("agents", Agent, agent("WD-1234567"), &[], 600);
    let nas = world.only(ResourceType::Host);
    let each: Vec<Freshness> = nas.sources().map(|part| part.freshness).collect();
    assert_eq!((nas.freshness, each), (Freshness::Fresh, vec![Freshness::Stale, Freshness::Fresh]));
    assert_eq!(nas.status, Status::Online);
}

#[test]
fn metrics_are_of_the_freshest_source_then_of_who_measures_best() {
    let measured = |cpu: f64| Some(Box::new(Metrics { cpu_percent: Some(cpu), ..Metrics::default() }));
    for (agent_age, expected) in [(0, 2.0), (600, 1.0)] {
        let mut world = World::new();
        let mut told = appliance("nas", "WD-1234567", "ONLINE");
        told[0].facets.metrics = measured(1.0);
        world.put("nas", Truenas, told);
        let mut told = agent("WD-1234567");
        told[0].facets.metrics = measured(2.0);
        world.batch("agents", Agent, told, &[], agent_age);
        assert_eq!(world.only(ResourceType::Host).document.cpu_percent(), Some(expected));
    }
}

/// Predecessor's #1573 and #1575: two systems with one hostname and serial were one, and flapped.
#[test]
fn two_connections_of_one_source_never_merge() {
    let mut world = World::new();
    let everything =
        Identity { dmi_uuid: "4c4c4544-0042-3510".to_owned(), ..identity("m-12345", "nas1", MAC) };
    for connection in ["nas-a", "nas-b"] {
        let mut told = appliance(connection, "WD-1234567", "ONLINE");
        told[0].identity = everything.clone();
        world.put(connection, Truenas, told);
    }
    let twice = shape(&world.state);
    assert_eq!((world.all(ResourceType::Host).len(), world.all(ResourceType::PhysicalDisk).len()), (2, 2));
    // What both state is no evidence for a third either: it could be only one of them.
    let mut told = agent("WD-1234567");
    told[0].identity = everything;
    world.put("agents", Agent, told);
    assert_eq!((world.all(ResourceType::Host).len(), world.all(ResourceType::PhysicalDisk).len()), (3, 3));
    let kept: Vec<_> = shape(&world.state).into_iter().filter(|(id, _)| twice.contains_key(id)).collect();
    assert_eq!(kept, twice.into_iter().collect::<Vec<_>>());
    let order = |world: &World| world.resources().iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
    let before = order(&world);
    world.put("nas-a", Truenas, appliance("nas-a", "WD-1234567", "ONLINE"));
    world.put("nas-b", Truenas, appliance("nas-b", "WD-1234567", "ONLINE"));
    assert_eq!(order(&world).len(), before.len());
}

/// The predecessor minted one id for one serial, and the second, FAULTED disk vanished into the first.
#[test]
fn disks_of_different_machines_with_one_serial_stay_two() {
    for serial in ["WD-1234567", "Not Specified", "QM00001"] {
        let mut world = World::new();
        world.put("nas", Truenas, appliance("nas", serial, "ONLINE"));
        let alone = world.only(ResourceType::PhysicalDisk);
        let elsewhere = vec![
            host("host-9", identity("m-99999", "other", "")),
            disk("host-9/sda", Some("host-9"), serial, "FAULTED"),
        ];
        world.put("agents", Agent, elsewhere);
        let disks = world.all(ResourceType::PhysicalDisk);
        assert_eq!(disks.len(), 2, "{serial}");
        let mut states: Vec<&str> = disks.iter().map(|disk| disk.document.state()).collect();
        states.sort_unstable();
        assert_eq!(states, ["FAULTED", "ONLINE"], "{serial}");
        assert!(disks.iter().any(|disk| disk.id == alone.id), "what TrueNAS knows keeps its id");
    }
}

#[test]
fn a_disk_that_reports_one_serial_on_two_paths_is_not_merged() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    let mut told = agent("WD-1234567");
    told.push(disk("host-1/sdb", Some("host-1"), "WD-1234567", ""));
    world.put("agents", Agent, told);
    assert_eq!(world.all(ResourceType::PhysicalDisk).len(), 3);
    world.remove("agents", Agent, &["host-1/sdb"]);
    assert_eq!(world.all(ResourceType::PhysicalDisk).len(), 1);
}

#[test]
fn evidence_by_case() {
    let full = |machine: &str, dmi: &str, name: &str, ip: &str, mac: &str| Identity {
        dmi_uuid: dmi.to_owned(),
        ip_addresses: if ip.is_empty() { Vec::new() } else { vec![ip.to_owned()] },
        ..identity(machine, name, mac)
    };
    let (dmi, ip) = ("4c4c4544-0042-3510", "192.0.2.7");
    for (case, left, right, merged, candidate) in [
        ("machine id", full("m-12345", "", "a", "", ""), full("M-12345", "", "b", "", ""), true, None),
        ("DMI", full("", dmi, "a", "", ""), full("m-1234", dmi, "b", "", ""), true, None),
        ("hostname and MAC", full("", "", "nas", "", MAC), full("", "", "nas", "", MAC), true, None),
        ("MAC alone", full("", "", "a", "", MAC), full("", "", "b", "", MAC), false, None),
        ("hostname and IP", full("", "", "nas", ip, ""), full("", "", "nas", ip, ""), false, Some(80)),
        ("hostname", full("", "", "nas", "", ""), full("", "", "NAS.lan", "", ""), false, Some(50)),
        ("IP", full("", "", "a", ip, ""), full("", "", "b", "192.0.2.7/24", ""), false, Some(40)),
        ("common IP", full("", "", "a", "172.17.0.1", ""), full("", "", "b", "172.17.0.1", ""), false, None),
        ("placeholder", full("None", "", "a", "", ""), full("None", "", "b", "", ""), false, None),
        ("nothing", full("", "", "", "", ""), full("", "", "", "", ""), false, None),
    ] {
        let mut world = World::new();
        world.put("nas", Truenas, vec![host("system:nas", left)]);
        world.put("agents", Agent, vec![host("host-1", right)]);
        assert_eq!(world.all(ResourceType::Host).len() == 1, merged, "{case}");
        let rows = links::rows(world.state.view(), &Sight::whole());
        let percent = rows.iter().map(|row| match row {
            Row::Candidate(candidate) => candidate.percent(),
            Row::Said(link) => panic!("{link:?}"),
        });
        assert_eq!(percent.collect::<Vec<_>>(), candidate.into_iter().collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn only_hosts_and_disks_are_merged() {
    let mut world = World::new();
    let told = |source_id: &str| {
        let mut record = pool(source_id, None);
        record.identity = identity("m-12345", "nas", MAC);
        record
    };
    world.put("nas", Truenas, vec![told("system:nas/pool:tank")]);
    world.put("agents", Agent, vec![told("tank")]);
    assert_eq!(world.all(ResourceType::Storage).len(), 2);
}

#[test]
fn operators_have_the_last_word() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    world.put("agents", Agent, agent("WD-1234567"));
    world.put(
        "pve",
        Proxmox,
        vec![host("node-1", identity("", "pve1", "")), host("node-2", identity("", "pve2", ""))],
    );
    let merged = shape(&world.state);
    let pair = Pair::of(key("nas", "system:nas"), key("agents", "host-1"));

    world.say(Stand::Different, pair.clone()).unwrap();
    assert_eq!(world.all(ResourceType::Host).len(), 4);
    assert_eq!(world.all(ResourceType::PhysicalDisk).len(), 2, "the disks are no longer in one machine");
    assert_eq!(shape(&world.restarted()), shape(&world.state));
    assert!(
        links::rows(world.state.view(), &Sight::whole()).iter().all(|row| matches!(row, Row::Said(_))),
        "not asked again"
    );

    world.say(Stand::Same, pair.clone()).unwrap();
    assert_eq!(shape(&world.state), merged);
    let node = Pair::of(key("nas", "system:nas"), key("pve", "node-1"));
    world.say(Stand::Same, node.clone()).unwrap();
    assert_eq!(world.all(ResourceType::Host).len(), 2);
    assert_eq!(shape(&world.restarted()), shape(&world.state));
    let other = Pair::of(key("agents", "host-1"), key("pve", "node-2"));
    assert_eq!(world.say(Stand::Same, other), Err(LinkError::Conflict), "two of one source");

    world.forget(&node).unwrap();
    world.forget(&pair).unwrap();
    assert_eq!(shape(&world.state), merged, "evidence decides again");
    assert_eq!(world.forget(&pair), Err(LinkError::NotThere));

    let nodes = Pair::of(key("pve", "node-1"), key("pve", "node-2"));
    assert_eq!(world.say(Stand::Same, nodes), Err(LinkError::OneSource(Proxmox)));
    let itself = Pair::of(key("pve", "node-1"), key("pve", "node-1"));
    assert_eq!(world.say(Stand::Same, itself), Err(LinkError::OneRecord));
    let absent = Pair::of(key("nas", "system:nas"), key("pve", "node-3"));
    assert_eq!(world.say(Stand::Same, absent), Err(LinkError::NotHeld(key("pve", "node-3"))));
    let types = Pair::of(key("nas", "system:nas/pool:tank"), key("pve", "node-1"));
    assert!(matches!(world.say(Stand::Same, types), Err(LinkError::Type(..))));
}

#[test]
fn a_statement_is_a_revision_also_when_it_changes_nothing() {
    let mut world = World::new();
    world.put("nas", Truenas, appliance("nas", "WD-1234567", "ONLINE"));
    world.put("pve", Proxmox, vec![host("node-1", identity("", "pve1", ""))]);
    let before = world.state.view().revision;
    world.say(Stand::Different, Pair::of(key("nas", "system:nas"), key("pve", "node-1"))).unwrap();
    assert_eq!(world.state.view().revision, before.next());
    assert_eq!(world.changes.last().unwrap().items, []);
    assert_eq!(world.restarted().view().links.len(), 1);
    world.disconnect("pve");
    assert!(world.state.view().links.is_empty(), "a connection that is gone leaves none behind");
    assert!(world.restarted().view().links.is_empty());
}

#[test]
fn a_machine_with_several_machines_beside_it_is_judged_by_its_own() {
    let mut world = World::new();
    let told = |n: u8, state: &str| {
        let id = format!("host-{n}");
        let name = format!("h{n}");
        vec![
            host(&id, identity(&format!("m-1234{n}"), &name, "")),
            disk(&format!("{id}/sda"), Some(&id), &format!("WD-123456{n}"), state),
        ]
    };
    world.put("agents", Agent, [told(1, "ONLINE"), told(2, "FAULTED")].concat());
    world.put(
        "docker",
        Docker,
        vec![host("d-1", identity("m-12341", "h1", "")), host("d-2", identity("m-12342", "h2", ""))],
    );
    let severities: Vec<(String, Severity)> =
        world.all(ResourceType::Host).iter().map(|host| (host.name().to_owned(), host.severity)).collect();
    let mut severities = severities;
    severities.sort();
    assert_eq!(
        severities,
        [("host-1".to_owned(), Severity::Healthy), ("host-2".to_owned(), Severity::Critical)]
    );
}

#[test]
fn what_belongs_to_two_customers_is_never_one() {
    let claims = || identity("4c4c4544-0042-3510-8052-b4c04f564433", "box", MAC);
    for (first, second) in [("acme", "globex"), ("globex", "acme"), ("", "acme"), ("acme", "")] {
        let mut world = World::new();
        world.label("agents", first);
        world.label("nas", second);
        world.put(
            "agents",
            Agent,
            vec![host("host-1", claims()), disk("host-1/sda", Some("host-1"), "WD-1", "")],
        );
        let before = shape(&world.state);
        let told = || {
            let mut records = appliance("nas", "WD-1", "ONLINE");
            records[0].identity = claims();
            records
        };
        world.put("nas", Truenas, told());
        assert_eq!(world.all(ResourceType::Host).len(), 2, "{first} {second}");
        let of_agents = |state| {
            let hosts =
                shape(state).into_values().filter(|r: &Resource| r.resource_type() == ResourceType::Host);
            hosts.filter(|r| r.connection.as_str() == "agents").collect::<Vec<_>>()
        };
        let machine = before.into_values().find(|r| r.resource_type() == ResourceType::Host);
        assert_eq!(
            of_agents(&world.state),
            machine.into_iter().collect::<Vec<_>>(),
            "nothing of it is another's"
        );
        let pair = Pair::of(key("agents", "host-1"), key("nas", "system:nas"));
        let refused = world.say(Stand::Same, pair.clone());
        assert_eq!(refused, Err(LinkError::Boundary("customer".to_owned())));
        assert_eq!(links::rows(world.state.view(), &Sight::whole()), [], "and nobody is asked to link them");

        // One customer's after all: evidence counts at once.
        world.label("nas", first);
        world.put("nas", Truenas, Vec::new());
        assert_eq!(parts(&world.only(ResourceType::Host)).len(), 2, "{first} {second}");
        assert_eq!(parts(&world.only(ResourceType::PhysicalDisk)).len(), 2);
        world.say(Stand::Same, pair).unwrap();
        // And two customers' again: a link from before has no effect.
        world.label("nas", second);
        world.put("nas", Truenas, Vec::new());
        assert_eq!(
            (world.all(ResourceType::Host).len(), world.all(ResourceType::PhysicalDisk).len()),
            (2, 2)
        );
        assert_eq!(shape(&world.restarted()), shape(&world.state));
    }
}

#[test]
fn what_another_customer_claims_makes_ones_own_evidence_no_less() {
    let claims = || identity("4c4c4544-0042-3510-8052-b4c04f564433", "box", MAC);
    let mut world = World::new();
    for (connection, customer) in [("nas", "acme"), ("agents", "acme"), ("spoiler", "globex")] {
        world.label(connection, customer);
    }
    world.put("nas", Truenas, vec![host("system:nas", claims())]);
    world.put("agents", Agent, vec![host("host-1", claims())]);
    assert_eq!(parts(&world.only(ResourceType::Host)).len(), 2);
    world.put("spoiler", Agent, vec![host("other-1", claims())]);
    let kept = world.all(ResourceType::Host);
    assert!(kept.iter().any(|host| parts(host).len() == 2), "{kept:#?}");
}
