//! Every rule that comes with the registry, against a simulated appliance: it
//! fires when the appliance is ill in that way, and clears when it is well.

use std::collections::BTreeSet;
use std::time::Duration;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Change, Effect, FaultId};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::{Event, EventKind, World};
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::{AlertRule, AlertState, ListAlertRulesRequest, UpdateAlertRuleRequest};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::alerts::{AlertMirror, client};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::Mirror;
use pulse_tests::task::root;
use serde_json::{Value, json};
use tonic::transport::Channel;

const LINE: ApiLine = ApiLine::V25_10;
/// What did not change is told to be so soon, so that confirmation needs no patience.
const QUICK: &str = "[ingest]\nheartbeat_interval = \"1s\"";
const DAY_MS: u64 = 86_400_000;

/// Rules and the resource they fire for here; the empty name is any. Those of another test are not here.
const FIRE: [(&str, &str); 36] = [
    ("system-state", "nas"),
    ("system-failover", "nas"),
    ("system-service", "nas"),
    ("system-certificate", "nas"),
    ("system-reboot", "nas"),
    ("system-cpu", "nas"),
    ("system-memory", "nas"),
    ("system-temperature", "nas"),
    ("pool-state", "tank"),
    ("pool-device", "tank"),
    ("pool-errors", "tank"),
    ("pool-errors-growing", "tank"),
    ("pool-scan", "warm"),
    ("pool-resilver", "cold"),
    ("pool-expansion", "warm"),
    ("pool-usage", "warm"),
    ("pool-scrub-age", "tank"),
    ("dataset-locked", "tank/vm"),
    ("dataset-unmounted", "cold/a"),
    ("dataset-readonly", "tank/home"),
    ("dataset-quota", "tank/backup"),
    ("dataset-refquota", "cold/b"),
    ("dataset-snapshot-age", "tank/home"),
    ("volume-overcommit", "cold/v"),
    ("disk-state", "sda"),
    ("disk-errors", "sda"),
    ("disk-errors-growing", "sda"),
    ("disk-temperature-nvme", "nvme0n1"),
    ("disk-temperature-sas", "sdb"),
    ("disk-temperature", "sdc"),
    ("app-failed", "one"),
    ("app-stopped", "two"),
    ("vm-failed", "one"),
    ("vm-stopped", "two"),
    ("share-unavailable", ""),
    ("task-failed", ""),
];

/// These have tests of their own.
const ELSEWHERE: [(&str, &str); 5] = [
    ("task-age", "tests/e2e/builtins.rs::a_task_that_does_not_run_any_more_is_missed"),
    (
        "system-unreachable",
        "tests/e2e/builtins.rs::an_unreachable_system_is_one_alert_and_what_lies_below_is_quiet",
    ),
    ("system-update", "tests/e2e/builtins.rs::an_update_is_offered_until_it_is_no_longer"),
    ("pool-forecast", "tests/e2e/forecast.rs::a_pool_that_fills_up_is_told_a_week_ahead"),
    (
        "system-ups-charge",
        "tests/e2e/builtins.rs::a_battery_that_empties_is_told_and_one_that_is_charged_is_not",
    ),
];

/// Rules whose wait is not the matter here, and one that is off.
const AT_ONCE: [&str; 2] = ["system-state", "system-cpu"];

/// The pool `tank` was scrubbed last long ago.
fn unscrubbed(mut world: World) -> World {
    world.scrubbed("tank", DAY_MS);
    world
}

async fn change(alerts: &mut AlertServiceClient<Channel>, rule: AlertRule) -> anyhow::Result<()> {
    let request = UpdateAlertRuleRequest { rule: Some(rule), update_mask: None, validate_only: false };
    alerts.update_alert_rule(request).await?;
    Ok(())
}

/// What the appliance answers, with some of it changed.
fn rows(method: &str, changes: &[(&str, Value)]) -> Value {
    let row = World::default().call(LINE, method, &[], 0).expect("a recorded payload")[0].clone();
    let changed = changes.iter().map(|(name, state)| {
        let mut row = row.clone();
        (row["name"], row["id"]) =
            (json!(name), if row["id"].is_string() { json!(name) } else { row["id"].clone() });
        for (key, value) in state.as_object().expect("an object") {
            row[key] = value.clone();
        }
        row
    });
    let mut rows: Vec<Value> = changed.collect();
    for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| row["id"].is_u64()) {
        row["id"] = json!(at + 1);
        row["uuid"] = json!(format!("6a1f3d0e-1111-4222-8333-94445555666{at}"));
    }
    rows.into()
}

fn figures(cpu: f64, available: u64, degrees: f64) -> Value {
    json!({
        "cpu": { "cpu": { "usage": cpu, "temp": degrees }, "cpu0": { "usage": cpu, "temp": degrees } },
        "memory": { "physical_memory_total": 1000, "physical_memory_available": available, "arc_size": 10 },
    })
}

/// A day of the run of a snapshot task and of a replication, as the appliance words it.
fn run(state: &str, ms: u64) -> Value {
    json!({ "state": state, "datetime": { "$date": ms }, "error": if state == "ERROR" { json!("no route") } else { Value::Null } })
}

fn snapshot_task(ms: u64) -> Value {
    let mut rows = rows(
        "pool.snapshottask.query",
        &[("auto", json!({ "dataset": "tank/home", "state": run("FINISHED", ms) }))],
    );
    rows[0]["name"] = Value::Null;
    rows
}

fn fall_ill(appliance: &Appliance) -> Vec<FaultId> {
    let faults = appliance.faults();
    let mut ill = Vec::new();
    let mut now_ms = 0;
    appliance.mutate(|world, now| {
        now_ms = now;
        world.figures = Some(figures(97.0, 20, 95.0));
        let mut events = world.degrade_pool(LINE, "tank", now);
        events.extend(world.start_resilver(LINE, "cold", now));
        events.extend(world.fill_pool(LINE, "warm", 97, now));
        events.extend(world.lock_dataset(LINE, "tank/vm", now));
        events.extend(world.set_readonly(LINE, "tank/home", true, now));
        let used = world.datasets["tank/backup"].used;
        events.extend(world.set_quota(LINE, "tank/backup", Some(used + used / 50), now));
        for (name, dataset) in &mut world.datasets {
            dataset.unmounted = name == "cold/a";
            dataset.refquota = (name == "cold/b").then_some(dataset.used + dataset.used / 50);
            dataset.volsize = (name == "cold/v").then_some(1 << 60);
        }
        events
    });
    for (method, answer) in [
        ("system.state", json!("BOOTING")),
        ("failover.status", json!("ERROR")),
        (
            "system.reboot.info",
            json!({ "boot_id": "1", "reboot_required_reasons": [{ "code": "FIPS", "reason": "FIPS was set" }] }),
        ),
        (
            "certificate.query",
            json!([{ "id": 1, "name": "web", "until": { "$date": now_ms + DAY_MS }, "expired": false }]),
        ),
        (
            "sharing.smb.query",
            json!([{ "id": 1, "name": "media", "path": "/mnt/tank/home", "enabled": true, "locked": true }]),
        ),
        ("disk.temperatures", json!({ "nvme0n1": [75.0, 90.0], "sdb": [70.0, 85.0], "sdc": [60.0, 85.0] })),
        (
            "app.query",
            rows(
                "app.query",
                &[("one", json!({ "state": "CRASHED" })), ("two", json!({ "state": "STOPPED" }))],
            ),
        ),
        (
            "vm.query",
            rows(
                "vm.query",
                &[
                    ("one", json!({ "status": { "state": "ERROR", "pid": null, "domain_state": "ERROR" } })),
                    (
                        "two",
                        json!({ "status": { "state": "STOPPED", "pid": null, "domain_state": "SHUTOFF" } }),
                    ),
                ],
            ),
        ),
        ("pool.snapshottask.query", snapshot_task(now_ms - 10 * DAY_MS)),
    ] {
        ill.push(faults.on_method(method, Effect::Answer(answer)));
    }
    for (method, path, value) in [
        ("service.query", "0.state", json!("STOPPED")),
        ("pool.query", "2.scan.errors", json!(3)),
        (
            "pool.query",
            "2.expand",
            json!({ "state": "FAILED", "expanding_vdev": 0, "start_time": null, "end_time": null, "percentage": null }),
        ),
        ("disk.query", "3.bus", json!("ATA")),
        ("replication.query", "0.state", run("ERROR", now_ms)),
    ] {
        ill.push(
            faults.on_method(method, Effect::Patch { path: path.to_owned(), change: Change::Set(value) }),
        );
    }
    ill
}

/// `ill` is what made it so; the appliance never answers otherwise in between.
fn recover(appliance: &Appliance, ill: &[FaultId]) {
    let faults = appliance.faults();
    let mut now_ms = 0;
    appliance.mutate(|world, now| {
        now_ms = now;
        world.figures = Some(figures(3.0, 800, 40.0));
        let mut events = world.online_pool(LINE, "tank", now);
        events.extend(world.finish_resilver(LINE, "cold", now));
        events.extend(world.start_scrub(LINE, "tank", now));
        events.extend(world.finish_scrub(LINE, "tank", now));
        events.extend(world.fill_pool(LINE, "warm", 10, now));
        events.extend(world.unlock_dataset(LINE, "tank/vm", now));
        events.extend(world.set_readonly(LINE, "tank/home", false, now));
        events.extend(world.set_quota(LINE, "tank/backup", None, now));
        for dataset in world.datasets.values_mut() {
            (dataset.unmounted, dataset.refquota) = (false, None);
            // One whose size nobody tells is no small one.
            dataset.volsize = dataset.volsize.map(|_| 1 << 20);
        }
        events
    });
    for (method, answer) in [
        (
            "certificate.query",
            json!([{ "id": 1, "name": "web", "until": { "$date": now_ms + 300 * DAY_MS }, "expired": false }]),
        ),
        (
            "sharing.smb.query",
            json!([{ "id": 1, "name": "media", "path": "/mnt/tank/home", "enabled": true, "locked": false }]),
        ),
        ("disk.temperatures", json!({ "nvme0n1": [35.0, 90.0], "sdb": [30.0, 85.0], "sdc": [30.0, 85.0] })),
        ("app.query", rows("app.query", &[("one", json!({})), ("two", json!({}))])),
        ("vm.query", rows("vm.query", &[("one", json!({})), ("two", json!({}))])),
        ("pool.snapshottask.query", snapshot_task(now_ms)),
    ] {
        faults.on_method(method, Effect::Answer(answer));
    }
    for (method, path, value) in
        [("disk.query", "3.bus", json!("ATA")), ("replication.query", "0.state", run("FINISHED", now_ms))]
    {
        faults.on_method(method, Effect::Patch { path: path.to_owned(), change: Change::Set(value) });
    }
    for fault in ill {
        faults.clear(*fault);
    }
    // A refresh spares what is read rarely; whoever renews a certificate makes an event.
    appliance.mutate(|_, _| {
        let collection = "certificate.query".to_owned();
        vec![Event { collection, kind: EventKind::Changed, id: Some(json!(1)), fields: Some(json!({})) }]
    });
}

/// Rules that are not in this state yet.
fn missing(mirror: &AlertMirror, wanted: AlertState) -> Vec<String> {
    let is = |(rule, name): &(&str, &str)| {
        mirror.alerts.values().any(|alert| {
            alert.rule_id == *rule
                && (name.is_empty() || alert.resource_name == *name)
                && alert.state() == wanted
        })
    };
    FIRE.iter().filter(|row| !is(row)).map(|(rule, name)| format!("{rule} {name}")).collect()
}

async fn until(mirror: &mut AlertMirror, wanted: AlertState) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(Duration::from_mins(3), async {
        while !missing(mirror, wanted).is_empty() {
            mirror.step().await?;
        }
        anyhow::Ok(())
    });
    match waited.await {
        Ok(done) => done,
        Err(_late) => anyhow::bail!("never {wanted:?}: {:?}", missing(mirror, wanted)),
    }
}

#[tokio::test]
async fn every_built_in_rule_fires_and_clears() -> anyhow::Result<()> {
    let mut world = World::small("nas");
    world.add_pool(LINE, "cold", 0);
    world.add_pool(LINE, "warm", 0);
    for name in ["cold/a", "cold/b", "cold/v"] {
        world.add_dataset(LINE, name, 0);
    }
    world.datasets.get_mut("cold/v").expect("it was added").volume = true;
    let world = unscrubbed(world);
    let appliance = Appliance::start(ApplianceConfig { world, ..ApplianceConfig::of(LINE) }).await?;
    let pair = Pair::start_with(QUICK, "").await?;
    let mut alerts = client(pair.registry.grpc()).await?;
    let known = alerts
        .list_alert_rules(ListAlertRulesRequest { page_size: 1_000, page_token: String::new() })
        .await?;
    let mut known: BTreeSet<String> = known.into_inner().rules.into_iter().map(|rule| rule.id).collect();
    for (rule, test) in
        FIRE.map(|(rule, _)| (rule, None)).into_iter().chain(ELSEWHERE.map(|(r, t)| (r, Some(t))))
    {
        assert!(known.remove(rule), "{rule} is no rule that comes along, or is named twice");
        let Some((file, name)) = test.and_then(|test| test.split_once("::")) else { continue };
        let text = std::fs::read_to_string(root().join(file))?;
        assert!(text.contains(&format!("fn {name}()")), "there is no test {file}::{name}");
    }
    assert!(known.is_empty(), "no test makes these fire: {known:?}");
    for id in AT_ONCE {
        let now = Some(prost_types::Duration::default());
        change(&mut alerts, AlertRule { id: id.to_owned(), r#for: now, ..AlertRule::default() }).await?;
    }
    change(
        &mut alerts,
        AlertRule { id: "vm-stopped".to_owned(), enabled: Some(true), ..AlertRule::default() },
    )
    .await?;

    let id = pair.add("nas", &appliance).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    let mut mirror = AlertMirror::open(pair.registry.grpc(), "", "").await?;
    mirror
        .until("what is old from the start", |m| {
            m.state("pool-scrub-age", "tank") == Some(AlertState::Firing)
        })
        .await?;

    let mut connections = pair.connections().await?;
    let mut look = tokio::time::interval(Duration::from_secs(1));
    // An operator asks for a look again and again.
    let looking = tokio::spawn(async move {
        loop {
            look.tick().await;
            drop(connections.refresh_connection(RefreshConnectionRequest { id: id.clone() }).await);
        }
    });
    let ill = fall_ill(&appliance);
    until(&mut mirror, AlertState::Firing).await?;
    recover(&appliance, &ill);
    until(&mut mirror, AlertState::Resolved).await?;
    looking.abort();
    Ok(())
}

#[tokio::test]
async fn an_unreachable_system_is_one_alert_and_what_lies_below_is_quiet() -> anyhow::Result<()> {
    let world = unscrubbed(World::default());
    let appliance = Appliance::start(ApplianceConfig { world, ..ApplianceConfig::of(LINE) }).await?;
    let pair = Pair::start_with(QUICK, "").await?;
    let id = pair.add("nas", &appliance).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    let mut mirror = AlertMirror::open(pair.registry.grpc(), "", "").await?;
    mirror
        .until("a loud alert below the system", |m| {
            m.of("pool-scrub-age", "tank").is_some_and(|a| a.state() == AlertState::Firing && !a.suppressed)
        })
        .await?;
    appliance.revoke_key();
    appliance.drop_connections();
    mirror
        .until("one loud alert, the one below quiet and still open", |m| {
            m.state("system-unreachable", "nas") == Some(AlertState::Firing)
                && m.of("pool-scrub-age", "tank")
                    .is_some_and(|a| a.state() == AlertState::Firing && a.suppressed)
        })
        .await?;
    let loud = mirror.alerts.values().filter(|a| a.state() == AlertState::Firing && !a.suppressed);
    let loud: Vec<&str> = loud.map(|a| a.rule_id.as_str()).collect();
    assert_eq!(loud, ["system-unreachable"]);
    appliance.restore_key();
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    mirror
        .until("reached again, and the one below loud again", |m| {
            m.state("system-unreachable", "nas") == Some(AlertState::Resolved)
                && m.of("pool-scrub-age", "tank")
                    .is_some_and(|a| a.state() == AlertState::Firing && !a.suppressed)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_task_that_does_not_run_any_more_is_missed() -> anyhow::Result<()> {
    let mut now_ms = 0;
    let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
    appliance.mutate(|_, now| {
        now_ms = now;
        Vec::new()
    });
    let faults = appliance.faults();
    let old =
        faults.on_method("pool.snapshottask.query", Effect::Answer(snapshot_task(now_ms - 10 * DAY_MS)));
    let pair = Pair::start_with(QUICK, "").await?;
    let id = pair.add("nas", &appliance).await?.id;
    let mut mirror = AlertMirror::open(pair.registry.grpc(), "rule = task-age", "").await?;
    let state = |m: &AlertMirror, wanted| m.alerts.values().any(|alert| alert.state() == wanted);
    mirror.until("missed", |m| state(m, AlertState::Firing)).await?;
    faults.clear(old);
    faults.on_method("pool.snapshottask.query", Effect::Answer(snapshot_task(now_ms)));
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    mirror.until("it ran", |m| state(m, AlertState::Resolved)).await?;
    Ok(())
}

/// What the appliance has drawn of its battery: ten minutes ago, and now.
fn battery(before: u64, charge: &Value, now_ms: u64) -> Value {
    let now = now_ms / 1_000;
    let graph = |name: &str, before: u64, value: &Value| {
        json!({ "name": name, "identifier": name, "data": [[now - 600, before], [now, value]],
            "aggregations": {}, "start": now - 3_600, "end": now, "legend": ["time", name] })
    };
    let charge = graph("upscharge", before, charge);
    json!([charge, graph("upsruntime", 900, &json!(900)), graph("upsload", 20, &json!(20))])
}

#[tokio::test]
async fn a_battery_that_empties_is_told_and_one_that_is_charged_is_not() -> anyhow::Result<()> {
    const GRAPHS: &str = "reporting.netdata_get_data";
    let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
    let faults = appliance.faults();
    let mut now_ms = 0;
    appliance.mutate(|_, now| {
        now_ms = now;
        Vec::new()
    });
    faults.on_method(
        "ups.config",
        Effect::Answer(
            json!({ "identifier": "ups", "mode": "MASTER", "driver": "usbhid-ups$x", "monpwd": "********" }),
        ),
    );
    let full = faults.on_method(GRAPHS, Effect::Answer(battery(100, &json!(100), now_ms)));
    let pair = Pair::start_with(QUICK, "").await?;
    let id = pair.add("nas", &appliance).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    let mut view = Mirror::open(pair.registry.grpc(), "type = host", "").await?;
    let charge = |m: &Mirror, wanted: Option<f64>| {
        m.resources.values().any(|host| {
            let ups = host.truenas.as_ref().and_then(|truenas| truenas.ups.as_ref());
            ups.is_some_and(|ups| ups.charge_percent == wanted && ups.identifier == "ups")
        })
    };
    view.until("the charge as it was drawn", |m| charge(m, Some(100.0))).await?;
    let mut mirror = AlertMirror::open(pair.registry.grpc(), "rule = system-ups-charge", "").await?;
    let mut connections = pair.connections().await?;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    let looking = tokio::spawn(async move {
        loop {
            look.tick().await;
            drop(connections.refresh_connection(RefreshConnectionRequest { id: id.clone() }).await);
        }
    });
    faults.clear(full);
    let low = faults.on_method(GRAPHS, Effect::Answer(battery(100, &json!(15), now_ms)));
    let firing = |m: &AlertMirror| {
        let case = m.of("system-ups-charge", "nas");
        case.filter(|case| case.state() == AlertState::Firing).map(|case| case.evidence["value"].clone())
    };
    mirror.until("a low battery", |m| firing(m).as_deref() == Some("15.0")).await?;
    // It does not answer: its charge is not known, which is not well.
    faults.clear(low);
    let silent = faults.on_method(GRAPHS, Effect::Answer(battery(15, &Value::Null, now_ms)));
    view.until("no charge", |m| charge(m, None)).await?;
    faults.clear(silent);
    faults.on_method(GRAPHS, Effect::Answer(battery(15, &json!(90), now_ms)));
    mirror.until("charged", |m| m.state("system-ups-charge", "nas") == Some(AlertState::Resolved)).await?;
    let case = mirror.of("system-ups-charge", "nas").expect("the alert");
    assert_eq!(case.evidence["value"], "90.0", "by what was seen, and not by silence");
    looking.abort();
    Ok(())
}

#[tokio::test]
async fn an_update_is_offered_until_it_is_no_longer() -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
    let mut pair = Pair::start_with(QUICK, "").await?;
    let mut alerts = client(pair.registry.grpc()).await?;
    let now = Some(prost_types::Duration::default());
    change(&mut alerts, AlertRule { id: "system-update".to_owned(), r#for: now, ..AlertRule::default() })
        .await?;
    pair.add("nas", &appliance).await?;
    let mut mirror = AlertMirror::open(pair.registry.grpc(), "rule = system-update", "").await?;
    mirror.until("offered", |m| m.state("system-update", "nas") == Some(AlertState::Firing)).await?;
    let none = Effect::Patch { path: "status.new_version".to_owned(), change: Change::Null };
    appliance.faults().on_method("update.status", none);
    // The Internet is asked rarely; a collector that starts asks.
    pair.collector.kill9().await?;
    pair.collector.up().await?;
    mirror.until("no longer", |m| m.state("system-update", "nas") == Some(AlertState::Resolved)).await?;
    Ok(())
}
