//! The context of a fleet: what stands in it, and that it follows from the state alone.

use std::sync::Arc;

use pulse_proto::model::ResourceType;
use pulse_proto::pb::resource::v1::storage_facet::Zfs;
use pulse_proto::pb::resource::v1::{
    ConnectionState, ConnectionStatus, Incident, IngestRecord, StorageFacet,
};
use pulse_registry::alert::engine::{Engine, Keeping};
use pulse_registry::alert::{Book, CaseState};
use pulse_registry::context::fleet::{self, Scope, Topic, Topics};
use pulse_registry::context::redact::Policy;
use pulse_registry::context::single;
use pulse_registry::query::filter::Filter;
use pulse_registry::query::sight::Sight;
use pulse_registry::state::resource::Resource;
use pulse_registry::state::view::View;
use pulse_registry::state::{Change, Changes, Notes};

use crate::world::{NOW, World, ago, alert, dataset, disk, home, host, pool, scrubbed, task};

#[test]
fn a_home_with_a_failed_disk_reads_like_this() {
    insta::assert_snapshot!(home().fleet("", Policy::None, 4_000).text);
}

#[test]
fn the_same_state_makes_the_same_text_whatever_came_first() {
    let world = home();
    let text = world.fleet("", Policy::None, 4_000).text;
    assert_eq!(home().fleet("", Policy::None, 4_000).text, text);
    // A shard more and away again: sketches that are kept are those of the rows.
    let mut other = home();
    other.put("zz", "zz", 0, vec![host("zz")]);
    assert_ne!(other.fleet("", Policy::None, 4_000).text, text);
}

#[test]
fn sketches_that_are_kept_say_what_new_ones_say() {
    let mut world = home();
    let scope = |filter: &str| Scope {
        filter: Filter::parse(filter).unwrap(),
        sight: Sight::whole(),
        since: ago_millis(24),
        max_tokens: 3_000,
        topics: Topics::default(),
    };
    for round in 0..4 {
        let fresh = pulse_registry::context::memo::Memo::default();
        for filter in ["", "connection = basement", "severity >= warning", "type = storage"] {
            let kept = fleet::draft(world.state.view(), &Book::default(), &world.memo, &scope(filter), NOW);
            let made = fleet::draft(world.state.view(), &Book::default(), &fresh, &scope(filter), NOW);
            assert_eq!(format!("{kept:?}"), format!("{made:?}"), "{filter}");
        }
        let states = ["ONLINE", ["OFFLINE", "ONLINE", "FAULTED", "REMOVED"][round], "ONLINE", "ONLINE"];
        world.put(
            "basement",
            "basement",
            0,
            vec![host("basement"), pool("basement", "tank", 10 + round as u64 * 25, states, scrubbed(1))],
        );
        world.memo.refresh(world.state.view());
    }
}

pub(crate) fn ago_millis(hours: u64) -> pulse_proto::model::UnixMillis {
    pulse_proto::model::UnixMillis::new(NOW.get() - hours * 3_600_000)
}

#[test]
fn a_filter_selects_what_is_told() {
    let world = home();
    let attic = world.fleet("connection = attic", Policy::None, 4_000).text;
    assert!(attic.contains("\"attic\"") && !attic.contains("basement"), "{attic}");
    assert!(attic.contains("Nothing is wrong now"), "{attic}");
    let none = world.fleet("connection = nowhere", Policy::None, 4_000).text;
    assert!(none.starts_with("No resource matches the filter."), "{none}");
    let empty = World::new().fleet("", Policy::None, 4_000).text;
    assert!(empty.starts_with("No system is known yet"), "{empty}");
    assert_eq!(fleet_of_nothing(), 0);
}

fn fleet_of_nothing() -> usize {
    let scope = Scope {
        filter: Filter::all(),
        sight: Sight::whole(),
        since: NOW,
        max_tokens: 750,
        topics: Topics::default(),
    };
    let memo = pulse_registry::context::memo::Memo::default();
    fleet::draft(&View::default(), &Book::default(), &memo, &scope, NOW)
        .sections
        .iter()
        .map(|section| section.facts.len())
        .sum()
}

#[test]
fn what_is_not_heard_of_is_said_first_and_is_no_recovery() {
    let mut world = home();
    let status = ConnectionStatus {
        name: "basement".to_owned(),
        state: ConnectionState::BackingOff.into(),
        reason: "connect: timed out".to_owned(),
        since: ago(3),
        ..ConnectionStatus::default()
    };
    world.put_as(
        "basement",
        status,
        3,
        vec![
            host("basement"),
            pool("basement", "tank", 64, ["ONLINE", "FAULTED", "ONLINE", "ONLINE"], scrubbed(1)),
            disk("basement", 1, "FAULTED", 12),
        ],
    );
    let text = world.fleet("", Policy::None, 4_000).text;
    assert!(text.contains("Warning: system \"basement\" cannot be reached, last seen 3 h ago, it says \"connect: timed out\""), "{text}");
    assert!(text.contains("3 resources of it are shown as last seen"), "{text}");
    assert!(text.contains("That is what was last seen."), "{text}");
    let status = ConnectionStatus {
        name: "basement".to_owned(),
        state: ConnectionState::BackingOff.into(),
        ..ConnectionStatus::default()
    };
    world.put_as("basement", status, 3, vec![host("basement")]);
    let text = world.fleet("", Policy::None, 4_000).text;
    assert!(text.contains("; 1 resource of it is shown as last seen."), "{text}");
}

#[test]
fn a_task_that_went_well_too_long_ago_is_late() {
    let mut world = World::new();
    world.put("a", "a", 0, vec![host("a"), task("a", "FINISHED", 24 * 9, "")]);
    let text = world.fleet("", Policy::None, 4_000).text;
    assert!(
        text.contains("last run went well 9 d ago") && text.contains("It is late: it should run every 24 h."),
        "{text}"
    );
    world.put("a", "a", 0, vec![host("a"), task("a", "FINISHED", 30, "")]);
    assert!(!world.fleet("", Policy::None, 4_000).text.contains("It is late"));
}

#[test]
fn many_with_the_same_reason_are_counted() {
    let mut world = World::new();
    for system in 0..40 {
        let connection = format!("nas-{system:02}");
        let mut records = vec![host(&connection)];
        for number in 0..20 {
            let mut sealed = dataset(&connection, &format!("tank/d{number:02}"), 1);
            if let Some(storage) = &mut sealed.storage
                && let Some(Zfs::ZfsDataset(dataset)) = &mut storage.zfs
            {
                dataset.readonly = Some(true);
            }
            records.push(sealed);
        }
        world.put(&connection, &connection, 0, records);
    }
    let packed = world.fleet("", Policy::None, 1_000);
    let wrong = packed.sections.iter().find(|section| section.title == "Wrong now").unwrap();
    let told: u64 = wrong.facts.iter().map(|fact| fact.fact.covers).sum();
    assert_eq!(told + wrong.omitted, 800, "{}", packed.text);
    assert!(
        packed.text.contains("(filter: reasons.code = zfs_dataset_readonly AND severity >= warning)"),
        "{}",
        packed.text
    );
}

/// One system over 57 hours: what `records` says at each step, and what the rules made of it.
pub(crate) fn watched(name: &str, records: impl Fn(u64) -> Vec<IngestRecord>) -> (World, Book) {
    let mut world = World::new();
    let (mut engine, mut book, _) = Engine::restore(&Notes::new(), Keeping::default(), ago_millis(57));
    let mut before: Vec<Arc<Resource>> = Vec::new();
    for step in 0..20_u64 {
        let at = ago_millis(57 - 3 * step);
        world.now = at;
        world.put("a", name, 0, records(step));
        let view = world.state.view();
        let disks = view.iter().map(|(_, resource)| resource);
        let disks = disks.filter(|resource| resource.resource_type() == ResourceType::PhysicalDisk);
        let after: Vec<Arc<Resource>> = disks.map(Arc::clone).collect();
        engine.whole(view, at);
        let changes = after.iter().filter_map(|after| {
            let before = before.iter().find(|before| before.id == after.id)?;
            Some(Change::Changed { before: Arc::clone(before), after: Arc::clone(after) })
        });
        engine.changes(&Changes::new(view.revision, at, changes.collect()), view, at);
        before = after;
        if let Some(outcome) = engine.flush(at) {
            book = outcome.onto(&book, view.revision);
        }
    }
    (world, book)
}

#[test]
fn nothing_is_well_while_an_alert_fires() {
    let fuller = |step| {
        vec![
            host("a"),
            pool("a", "tank", 40 + step, ["ONLINE"; 4], scrubbed(1)),
            task("a", "FINISHED", 1, ""),
        ]
    };
    let (world, book) = watched("a", fuller);
    let firing = book.open().filter(|case| case.state == CaseState::Firing).count();
    assert!(firing > 0 && book.open().all(|case| !case.is_quiet()), "a pool that will be full");
    let scope = |filter: &str| Scope {
        filter: Filter::parse(filter).unwrap(),
        sight: Sight::whole(),
        since: ago_millis(24),
        max_tokens: 4_000,
        topics: Topics::default(),
    };
    let told = |filter: &str| {
        let draft = fleet::draft(world.state.view(), &book, &world.memo, &scope(filter), NOW);
        world.render(&draft, Policy::None, 4_000).text
    };
    for (filter, fire) in
        [("", "2 alerts fire"), ("connection = a", "2 alerts fire"), ("topology = pool", "1 alert fires")]
    {
        let text = told(filter);
        assert!(!text.contains("Nothing is wrong") && !text.contains("## Wrong now"), "{text}");
        assert!(text.contains(&format!("; {fire}; everything is up to date.")), "{text}");
    }
    assert!(told("type = protection_task").contains("Nothing is wrong now"));
    let of_one = |name: &str| {
        let found = world.asking(Policy::None, |asking| asking.resource(name)).unwrap();
        let scope = single::Scope { sight: Sight::whole(), since: ago_millis(24), now: NOW };
        let draft = single::draft(world.state.view(), &book, &found, &scope).unwrap();
        world.render(&draft, Policy::None, 4_000).text
    };
    assert!(!of_one("a/tank").contains("Nothing is wrong"), "{}", of_one("a/tank"));
    assert!(of_one("a/nightly to attic").contains("Nothing is wrong with it."));
}

#[test]
fn a_state_is_said_however_many_alerts_there_are() {
    let mut world = World::new();
    let mut tank = pool("a", "tank", 64, ["FAULTED"; 4], scrubbed(1));
    "FAULTED".clone_into(&mut tank.state);
    if let Some(StorageFacet { zfs: Some(Zfs::ZfsPool(pool)), .. }) = &mut tank.storage {
        "FAULTED".clone_into(&mut pool.state);
        pool.groups.clear();
    }
    tank.incidents = (0..5)
        .map(|number| Incident {
            native_id: format!("n{number}"),
            klass: format!("Klass{number}"),
            ..alert(&format!("Alert number {number} of the pool."))
        })
        .collect();
    world.put("a", "a", 0, vec![host("a"), tank]);
    for max_tokens in [256, 1_000, 4_000] {
        let packed = world.fleet("", Policy::None, max_tokens);
        let wrong = packed.sections.iter().find(|section| section.title == "Wrong now").unwrap();
        let of_pool: Vec<&str> = wrong
            .facts
            .iter()
            .map(|fact| fact.text.as_str())
            .filter(|text| text.contains("pool \"tank\""))
            .collect();
        assert_eq!(of_pool.len(), 1, "{}", packed.text);
        assert_eq!(of_pool[0].matches("FAULTED").count(), 1, "{}", packed.text);
        assert!(
            of_pool[0].starts_with("Critical: pool \"tank\" on \"a\": state FAULTED; "),
            "{}",
            of_pool[0]
        );
    }
}

#[test]
fn connections_of_which_nothing_was_read_are_a_sentence() {
    let mut world = World::new();
    world.put("a", "a", 0, vec![]);
    let text = world.fleet("", Policy::None, 4_000).text;
    assert!(text.starts_with("Fleet: 1 connection, of which no resource is known.\n"), "{text}");
}

#[test]
fn what_gets_worse_is_told_before_a_rule_fires() {
    // The disk begins to err twelve hours ago.
    let (world, book) = watched("a", |step| {
        vec![
            host("a"),
            pool("a", "tank", 40 + step, ["ONLINE"; 4], scrubbed(1)),
            disk("a", 1, "ONLINE", if step < 16 { 3 } else { 3 + step }),
            task("a", "FINISHED", 24 * 9, ""),
        ]
    });
    let told = |scope: Scope| {
        let draft = fleet::draft(world.state.view(), &book, &world.memo, &scope, NOW);
        world.render(&draft, Policy::None, 4_000)
    };
    let topics = Topics::of(&[Topic::GettingWorse]);
    let scope = |filter: &str| Scope {
        filter: Filter::parse(filter).unwrap(),
        sight: Sight::whole(),
        since: ago_millis(24),
        max_tokens: 4_000,
        topics: topics.clone(),
    };
    insta::assert_snapshot!(told(scope("")).text);
    let nowhere = told(scope("connection = b")).text;
    assert!(!nowhere.contains("full in") && !nowhere.contains("grew"), "{nowhere}");
    let of_one = |name: &str| {
        let found = world.asking(Policy::None, |asking| asking.resource(name)).unwrap();
        let scope = single::Scope { sight: Sight::whole(), since: ago_millis(24), now: NOW };
        let draft = single::draft(world.state.view(), &book, &found, &scope).unwrap();
        world.render(&draft, Policy::None, 4_000).text
    };
    assert!(
        of_one("a/tank").contains("full in 5 d if it goes on like the last week"),
        "{}",
        of_one("a/tank")
    );
    assert!(of_one("a/sd1").contains("errors grew from 3 to 22, last moments ago"), "{}", of_one("a/sd1"));
}

#[test]
fn a_task_that_hangs_is_told() {
    let worse = |records: Vec<IngestRecord>| {
        let mut world = World::new();
        world.now = ago_millis(24 * 20);
        world.put("a", "a", 0, [vec![host("a")], records.clone()].concat());
        world.now = NOW;
        world.put("a", "a", 0, [vec![host("a")], records].concat());
        let packed = world.fleet("", Policy::None, 8_000);
        let section = packed.sections.iter().find(|section| section.title == "Getting worse").unwrap();
        let facts = section.facts.iter().filter(|fact| fact.fact.code.starts_with("task_"));
        let of_fleet: Vec<String> = facts.map(|fact| fact.text.clone()).collect();
        let of_one = world.single("a/nightly to attic", Policy::None, 8_000).text;
        assert!(of_fleet.iter().all(|text| of_one.contains(text.as_str())), "{of_fleet:?} {of_one}");
        of_fleet.join("\n")
    };
    let with = |state: &str, hours: Option<u64>, schedule: &str| {
        let mut task = task("a", state, hours.unwrap_or(1), "");
        let facet = task.protection_task.as_mut().unwrap();
        schedule.clone_into(&mut facet.schedule);
        facet.state_since = hours.and_then(ago);
        worse(vec![task])
    };
    let (daily, none) = ("0 2 * * *", "");
    for (state, hours, schedule, expected) in [
        (
            "RUNNING",
            Some(24 * 20),
            daily,
            ["running since 20 d ago", "That is longer than usual: it should run every 24 h."],
        ),
        (
            "RUNNING",
            Some(24 * 20),
            none,
            ["running since 20 d ago", "That is longer than usual: it may hang."],
        ),
        ("RUNNING", None, daily, ["running, ", "That is longer than usual"]),
        (
            "WAITING",
            Some(24 * 3),
            daily,
            ["state WAITING since 3 d ago", "It waits longer than usual: it should run every 24 h."],
        ),
        (
            "PENDING",
            Some(24 * 3),
            daily,
            ["has not run yet, waiting since 3 d ago", "It waits longer than usual"],
        ),
        ("PENDING", None, daily, ["has not run yet, ", "It waits longer than usual"]),
    ] {
        let text = with(state, hours, schedule);
        assert!(expected.iter().all(|part| text.contains(part)), "{state} {hours:?}: {text}");
    }
    for (state, hours, schedule) in [
        ("RUNNING", Some(30), daily),
        ("WAITING", Some(30), daily),
        ("RUNNING", Some(24 * 6), none),
        ("RUNNING", Some(24 * 20), "0 2 1 * *"),
        ("ERROR", Some(24 * 20), daily),
    ] {
        assert_eq!(with(state, hours, schedule), "", "{state} {hours:?}");
    }
    let mut off = task("a", "RUNNING", 24 * 20, "");
    off.protection_task.as_mut().unwrap().enabled = Some(false);
    assert_eq!(worse(vec![off]), "");
}

#[test]
fn figures_that_cannot_be_are_left_out() {
    let mut world = World::new();
    let mut odd = host("a");
    let metrics = odd.metrics.as_mut().unwrap();
    metrics.cpu_percent = Some(1e30);
    metrics.memory_used_bytes = Some(u64::MAX);
    metrics.memory_total_bytes = Some(1);
    metrics.uptime_seconds = Some(u64::MAX);
    let mut hot = disk("a", 1, "ONLINE", 0);
    hot.physical_disk.as_mut().unwrap().temperature_celsius = Some(-1e30);
    let mut tank = pool("a", "tank", 10, ["ONLINE"; 4], scrubbed(1));
    let capacity = tank.capacity.as_mut().unwrap();
    (capacity.used_bytes, capacity.total_bytes) = (Some(u64::MAX), Some(1));
    let mut running = task("a", "RUNNING", 1, "");
    running.protection_task.as_mut().unwrap().progress_percent = Some(-40.0);
    world.put("a", "a", 0, vec![odd, hot, tank, running]);
    let packed = world.fleet("", Policy::None, 8_000);
    for (part, is_there) in [
        ("CPU", false),
        ("000000", false),
        ("% done", false),
        ("memory", false),
        ("more than 100 years", true),
    ] {
        assert_eq!(packed.text.contains(part), is_there, "{part}: {}", packed.text);
    }
    let facts = packed.sections.iter().flat_map(|section| &section.facts);
    for fact in facts.filter(|fact| fact.fact.value.as_str().is_empty()) {
        assert_eq!(fact.fact.unit, "", "{}", fact.text);
    }
}
