//! What a filter selects besides resources: alerts, systems that were never read, and what went.

use pulse_proto::model::Severity;
use pulse_proto::pb::resource::v1::{ConnectionState, ConnectionStatus};
use pulse_registry::alert::Book;
use pulse_registry::context::fleet::{self, Scope, Topic, Topics};
use pulse_registry::context::pack::Packed;
use pulse_registry::context::redact::Policy;
use pulse_registry::query::filter::Filter;
use pulse_registry::query::sight::Sight;

use crate::fleet::{ago_millis, watched};
use crate::world::{NOW, World, ago, dataset, disk, home, host, pool, scrubbed, share};

#[test]
fn a_severity_selects_alerts_by_their_own() {
    let (world, book) = watched("a", |step| {
        vec![host("a"), pool("a", "tank", 40 + step, ["ONLINE"; 4], scrubbed(1)), disk("a", 1, "FAULTED", 9)]
    });
    let found = world.asking(Policy::None, |asking| asking.resource("a/tank")).unwrap().resource;
    assert_eq!(found.severity, Severity::Healthy);
    let of_pool = book.open().filter(|case| case.subject.id == found.id && case.suppressed_by.is_none());
    let worst = of_pool.map(|case| case.severity).max().unwrap();
    assert!(worst > Severity::Healthy, "a pool that will be full");
    let told = |filter: &str| world.fleet_with(&book, filter, Policy::None, 4_000).text;
    let text = told(&format!("topology = pool AND severity >= {}", worst.token()));
    assert!(text.contains("on pool \"tank\" on \"a\" fires"), "{text}");
    assert!(text.starts_with("Part of a fleet that matches the filter: 1 open alert.\n"), "{text}");
    assert!(text.contains("; 1 alert fires") && !text.contains("Nothing is wrong"), "{text}");
    let text = told("topology = pool AND severity = healthy");
    assert!(text.contains("1 pool") && !text.contains("## Alerts"), "{text}");
    assert!(told("type = vm AND severity >= monitor").starts_with("No resource matches the filter."));
}

#[test]
fn a_system_that_was_never_read_is_told_wherever_a_filter_may_mean_it() {
    let mut world = home();
    let refused = ConnectionStatus {
        name: "cellar".to_owned(),
        state: ConnectionState::Refused.into(),
        reason: "login: the key was revoked".to_owned(),
        labels: [("site".to_owned(), "harbour".to_owned())].into(),
        since: ago(3),
    };
    world.announce("c-1", refused);
    let waiting = ConnectionStatus {
        name: "shed".to_owned(),
        state: ConnectionState::Connecting.into(),
        ..Default::default()
    };
    world.announce("c-2", waiting);
    let cellar = "Warning: system \"cellar\" refuses the connection, which needs an operator, since 3 h ago, it says \"login: the key was revoked\"; nothing is known of it.";
    for filter in [
        "",
        "connection = c-1",
        "connection_name = cellar AND severity >= critical",
        "labels.site = harbour",
        "type = host AND freshness != fresh",
        "severity >= warning",
        "NOT connection_name = basement",
    ] {
        let text = world.fleet(filter, Policy::None, 8_000).text;
        assert!(text.contains(cellar), "{filter}: {text}");
        assert!(
            !text.contains("Nothing is wrong") && !text.contains("No resource matches"),
            "{filter}: {text}"
        );
        assert!(text.contains("tells nothing") || text.contains("tell nothing"), "{filter}: {text}");
    }
    for filter in ["connection_name = shed", "type = host"] {
        let text = world.fleet(filter, Policy::None, 8_000).text;
        assert!(
            text.contains("Warning: system \"shed\" is not heard of, it was never read; "),
            "{filter}: {text}"
        );
    }
    for filter in ["topology = pool", "connection = basement", "labels.site = elsewhere", "name = tank"] {
        let text = world.fleet(filter, Policy::None, 8_000).text;
        assert!(!text.contains("cellar") && !text.contains("shed"), "{filter}: {text}");
    }
    // What is in them nobody knows.
    for (filter, begin) in [
        (
            "connection_name = cellar AND topology = pool",
            "No resource matches the filter; 1 connection that tells nothing may have some.",
        ),
        ("name = nothing", "No resource matches the filter; 2 connections that tell nothing may have some."),
        ("connection = attic AND type = vm", "No resource matches the filter.\n"),
    ] {
        let text = world.fleet(filter, Policy::None, 8_000).text;
        assert!(text.starts_with(begin), "{filter}: {text}");
    }
    // Switched off on purpose: nobody has to be warned.
    let off = ConnectionStatus {
        name: "loft".to_owned(),
        state: ConnectionState::Disabled.into(),
        ..Default::default()
    };
    world.announce("c-3", off);
    let text = world.fleet("connection = c-3", Policy::None, 8_000).text;
    assert!(text.contains("System \"loft\" is switched off by an operator"), "{text}");
    assert!(!text.contains("Warning: "), "{text}");
}

#[test]
fn what_went_is_selected_by_what_it_was() {
    let mut world = World::new();
    let status = |name: &str| ConnectionStatus {
        name: name.to_owned(),
        state: ConnectionState::Live.into(),
        labels: [("site".to_owned(), format!("{name}-site"))].into(),
        ..ConnectionStatus::default()
    };
    let (bad, good) = (["ONLINE", "FAULTED", "ONLINE", "ONLINE"], ["ONLINE"; 4]);
    let full = |connection: &str| {
        vec![
            host(connection),
            pool(connection, "tank", 10, bad, scrubbed(1)),
            pool(connection, "spare", 10, good, scrubbed(1)),
            disk(connection, 1, "ONLINE", 0),
        ]
    };
    world.put_as("c-1", status("nas-1"), 0, full("c-1"));
    world.put_as("c-2", status("nas-2"), 0, full("c-2"));
    world.put_as("c-1", status("nas-1"), 0, vec![host("c-1")]);
    world.remove("c-2");
    let told = |filter: &str| {
        let text = world.fleet(filter, Policy::None, 8_000).text;
        let went = text.lines().filter(|line| line.contains(" went away "));
        let mut names: Vec<String> = went
            .map(|line| line.trim_start_matches("- ").split(" went").next().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let (tank, spare, disk) =
        ("Pool \"tank\" on \"nas-1\"", "Pool \"spare\" on \"nas-1\"", "Disk \"sd1\" on \"nas-1\"");
    let of_gone = [
        "Disk \"sd1\" on \"nas-2\"",
        "Pool \"spare\" on \"nas-2\"",
        "Pool \"tank\" on \"nas-2\"",
        "System \"nas-2\"",
    ];
    for (filter, expected) in [
        ("connection_name = nas-1", vec![disk, spare, tank]),
        ("connection = c-1 AND topology = pool", vec![spare, tank]),
        ("labels.site = nas-1-site AND type = physical_disk", vec![disk]),
        ("connection = c-1 AND name = tank", vec![tank]),
        ("connection = c-1 AND severity >= warning", vec![tank]),
        ("connection = c-1 AND pool = tank", vec![disk, tank]),
        ("connection_name = nas-2", of_gone.to_vec()),
        ("labels.site = nas-2-site", of_gone.to_vec()),
        ("type = host", vec!["System \"nas-2\""]),
        ("connection_name = nas-3", vec![]),
        ("temperature_celsius > 10", vec![]),
    ] {
        assert_eq!(told(filter), expected, "{filter}");
    }
    // A system that went is no stranger.
    for name in ["nas-2", "c-2"] {
        let filter = format!("connection_name = {name}");
        assert_eq!(world.asking(Policy::None, |asking| asking.stranger(&filter)), Ok(None), "{name}");
    }
}

#[test]
fn alerts_of_what_went_are_selected_by_what_it_was() {
    let (mut world, book) = watched("a", |step| {
        vec![host("a"), pool("a", "tank", 40 + step, ["ONLINE"; 4], scrubbed(1)), dataset("a", "tank/x", 1)]
    });
    world.put("a", "a", 0, vec![host("a")]);
    let fires = |filter: &str| {
        world.fleet_with(&book, filter, Policy::None, 8_000).text.contains("on pool \"tank\" on \"a\" fires")
    };
    for (filter, expected) in [
        ("", true),
        ("connection_name = a", true),
        ("topology = pool AND name = tank", true),
        ("severity >= monitor", true),
        ("topology = dataset", false),
        ("connection_name = b", false),
    ] {
        assert_eq!(fires(filter), expected, "{filter}");
    }
}

fn changes(world: &World, filter: &str, max_tokens: usize) -> Packed {
    let scope = Scope {
        filter: Filter::parse(filter).unwrap(),
        sight: Sight::whole(),
        since: ago_millis(24),
        max_tokens,
        topics: Topics::of(&[Topic::RecentChanges]),
    };
    let draft = fleet::draft(world.state.view(), &Book::default(), &world.memo, &scope, NOW);
    world.render(&draft, Policy::None, max_tokens)
}

#[test]
fn changes_that_are_asked_for_are_told_or_counted_and_there_is_a_way_to_them() {
    let mut world = World::new();
    let named = |number: u32| {
        let mut media = share("a", &format!("media {number}"));
        "system:a/share:smb:1".clone_into(&mut media.source_id);
        vec![host("a"), media]
    };
    (0..60).for_each(|number| world.put("a", "a", 0, named(number)));
    let of = |packed: &Packed| {
        let section = packed.sections.iter().find(|section| section.title == "Recent changes").unwrap();
        (section.facts.iter().filter(|fact| fact.text.starts_with("Share ")).count() as u64, section.omitted)
    };
    let few = changes(&world, "connection = a", 1_000);
    let (told, omitted) = of(&few);
    assert!(told < 60 && omitted > 0 && told + omitted >= 60, "{}", few.text);
    assert!(few.text.contains("a later since, a filter or a larger max_tokens"), "{}", few.text);
    // A larger budget tells them.
    assert_eq!(of(&changes(&world, "connection = a", 100_000)), (60, 0));
    assert_eq!(of(&world.single("a/media 59", Policy::None, 100_000)), (60, 0));
    let (told, omitted) = of(&world.single("a/media 59", Policy::None, 1_000));
    assert_eq!((told > 0, told + omitted), (true, 60));
    let none = changes(&world, "connection = a AND type = vm", 1_000).text;
    assert!(none.contains("Nothing that matches the filter changed since 24 h ago"), "{none}");
}

#[test]
fn a_change_of_many_fields_says_that_there_are_more() {
    let mut world = World::new();
    let status = |value: &str| ConnectionStatus {
        name: "a".to_owned(),
        state: ConnectionState::Live.into(),
        labels: ["k1", "k2", "k3", "k4", "k5"].map(|key| (key.to_owned(), value.to_owned())).into(),
        ..ConnectionStatus::default()
    };
    world.put_as("a", status("old"), 0, vec![host("a")]);
    world.put_as("a", status("new"), 0, vec![host("a")]);
    let text = changes(&world, "type = host", 4_000).text;
    assert!(text.contains("label \"k3\" \"old\" to \"new\", and 2 fields more."), "{text}");
}
