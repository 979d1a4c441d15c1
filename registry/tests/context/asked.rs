//! Asking on with what a context shows, and what guesses tell where names are hidden.

use std::collections::BTreeMap;

use pulse_proto::pb::resource::v1::{ConnectionState, ConnectionStatus};
use pulse_registry::context::asked::reference::Lost;
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;

use crate::world::{World, home, host};

fn called(world: &World, floor: Policy, text: &str) -> Result<String, Lost> {
    let found = world.asking(floor, |asking| asking.resource(text));
    found.map(|found| found.resource.name().to_owned())
}

/// What a filter selects, or why it is refused.
fn selected(world: &World, floor: Policy, filter: &str) -> Result<Vec<String>, String> {
    let filter = world.asking(floor, |asking| asking.filter(filter, &BTreeMap::new()));
    let filter = filter.map_err(|error| error.problem)?;
    let found = world.state.view().iter().filter(|(_, resource)| filter.matches(resource, None));
    let mut names: Vec<String> = found.map(|(_, resource)| resource.name().to_owned()).collect();
    names.sort();
    Ok(names)
}

#[test]
fn names_and_pseudonyms_lead_back_to_the_thing() {
    let mut world = home();
    let tank = Ok("tank".to_owned());
    for (text, expected) in
        [("basement/tank", "tank"), ("basement/tank/media", "tank/media"), ("basement", "basement-host")]
    {
        assert_eq!(called(&world, Policy::None, text).as_deref(), Ok(expected));
        for floor in [Policy::Names, Policy::Strict] {
            assert_eq!(called(&world, floor, text), Err(Lost::Nothing), "a guess under {}", floor.token());
        }
    }
    assert_eq!(called(&world, Policy::None, "basement/nothing"), Err(Lost::Nothing));
    assert_eq!(called(&world, Policy::None, "storage-0000000000000000"), Err(Lost::Nothing));
    let system = world.pseudonyms.of(Kind::System, "basement");
    let pool = world.pseudonyms.of(Kind::Pool, "tank");
    let media = world.pseudonyms.of(Kind::Path, "tank/media");
    for floor in Policy::ALL {
        assert_eq!(called(&world, floor, &format!("{system}/{pool}")), tank, "{}", floor.token());
        assert_eq!(called(&world, floor, &format!("{system}/{media}")).as_deref(), Ok("tank/media"));
        assert_eq!(called(&world, floor, &system).as_deref(), Ok("basement-host"));
        assert_eq!(called(&world, floor, &format!("{system}/sd1")).as_deref(), Ok("sd1"));
    }
    // Pools are shown under `names`, and not beyond.
    assert_eq!(called(&world, Policy::Names, &format!("{system}/tank")), tank);
    assert_eq!(called(&world, Policy::Strict, &format!("{system}/tank")), Err(Lost::Nothing));
    world.put("other", "basement", 0, vec![host("other")]);
    assert!(matches!(called(&world, Policy::None, "basement"), Err(Lost::Ambiguous(ids)) if ids.len() == 2));
}

#[test]
fn ids_are_taken_as_they_are_shown() {
    let world = home();
    for (_, resource) in world.state.view().iter() {
        let shown = world.pseudonyms.seal(&resource.id);
        for floor in Policy::ALL {
            assert_eq!(called(&world, floor, &shown).as_deref(), Ok(resource.name()));
            assert_eq!(
                selected(&world, floor, &format!("id = {shown}")),
                Ok(vec![resource.name().to_owned()])
            );
            let own = selected(&world, floor, &format!("id = {}", resource.id));
            assert_eq!(own.is_ok(), floor == Policy::None, "{own:?}");
        }
        for policy in [Policy::Names, Policy::Strict] {
            assert_eq!(called(&world, policy, &resource.id.text()), Err(Lost::Nothing));
            let text = world.single(&resource.id.text(), policy, 60_000).text;
            assert!(!text.contains(resource.id.text().rsplit('-').next().unwrap()), "{text}");
        }
    }
}

/// A home with a share that is called like a pool, and a system that is called like its pool.
fn namesakes() -> World {
    let mut world = home();
    let mut tank = crate::world::share("attic", "tank");
    "system:attic/share:smb:7".clone_into(&mut tank.source_id);
    world.put(
        "attic",
        "attic",
        0,
        vec![
            host("attic"),
            tank,
            crate::world::pool("attic", "attic", 1, ["ONLINE"; 4], crate::world::scrubbed(1)),
        ],
    );
    world
}

#[test]
fn filters_take_what_is_shown() {
    let world = namesakes();
    let of = |kind, name: &str| world.pseudonyms.of(kind, name);
    let (system, pool, media) =
        (of(Kind::System, "basement"), of(Kind::Pool, "tank"), of(Kind::Path, "tank/media"));
    let (share, serial) = (of(Kind::Share, "media"), of(Kind::Serial, "wd-20tb-1"));
    for floor in Policy::ALL {
        for (filter, expected) in [
            (format!("connection_name = {system} AND topology = pool"), vec!["tank"]),
            (format!("connection = {system} AND topology = pool"), vec!["tank"]),
            (format!("connection_name != {system}"), vec!["attic", "attic-host", "tank"]),
            (format!("name = {pool}"), vec!["tank"]),
            (format!("name = {share}"), vec!["media"]),
            (format!("display_name = {system}"), vec!["basement-host"]),
            (format!("name = {media}"), vec!["tank/media"]),
            (format!("pool = {pool} AND type = physical_disk"), vec!["sd0", "sd1"]),
            (format!("serial = {serial}"), vec!["sd1"]),
            ("name = sd1".to_owned(), vec!["sd1"]),
            ("severity >= critical AND type = physical_disk".to_owned(), vec!["sd1"]),
            (format!("name = {}", of(Kind::Share, "nothing")), vec![]),
        ] {
            let expected = Ok(expected.into_iter().map(str::to_owned).collect());
            assert_eq!(selected(&world, floor, &filter), expected, "{filter} under {}", floor.token());
        }
    }
}

#[test]
fn a_guess_of_a_hidden_name_tells_nothing() {
    let world = namesakes();
    // Refused as such, whether it is right or not.
    for (floor, field) in [
        (Policy::Names, "connection_name"),
        (Policy::Names, "connection"),
        (Policy::Strict, "connection_name"),
        (Policy::Strict, "pool"),
        (Policy::Strict, "dataset"),
        (Policy::Strict, "serial"),
        (Policy::Strict, "tags"),
        (Policy::Strict, "labels.site"),
        (Policy::Names, "source_id"),
        (Policy::Names, "id"),
        (Policy::Names, "parent_id"),
    ] {
        let problems = ["basement", "nothing"]
            .map(|guess| selected(&world, floor, &format!("{field} = {guess}")).unwrap_err());
        assert_eq!(problems[0], problems[1]);
        assert!(problems[0].contains("hidden here"), "{problems:?}");
        assert!(selected(&world, floor, &format!("{field}:base*")).is_err(), "{field}");
    }
    // Not found, as what is not there. The pool is shown as the system that has its name.
    for (floor, filter) in [
        (Policy::Names, "name = media"),
        (Policy::Names, "name:basement"),
        (Policy::Names, "display_name:base"),
        (Policy::Names, "pool = attic"),
        (Policy::Names, "name = attic"),
        (Policy::Strict, "name = tank"),
        (Policy::Strict, "name:tank"),
    ] {
        assert_eq!(selected(&world, floor, filter), Ok(vec![]), "{filter}");
    }
    // A pool that is called like a share is hidden with it; what is shown is no guess.
    assert_eq!(selected(&world, Policy::Names, "name = tank"), Ok(vec![]));
    assert_eq!(selected(&world, Policy::None, "name = tank").map(|names| names.len()), Ok(2));
    for filter in ["name = tank", "pool = tank AND topology = pool", "name:tan AND topology = pool"] {
        assert_eq!(selected(&home(), Policy::Names, filter), Ok(vec!["tank".to_owned()]), "{filter}");
    }
}

/// A system with names that contexts do not show as they are.
fn odd() -> World {
    let mut world = home();
    let long = format!("nas-{}", "with-a-name-that-goes-on-and-on-".repeat(4));
    let mut records = vec![
        host("odd"),
        crate::world::pool("odd", "ta[n]k", 1, ["ONLINE"; 4], crate::world::scrubbed(1)),
        crate::world::share("odd", &format!("{long}-share")),
    ];
    records.push(crate::world::disk("odd", 7, "ONLINE", 0));
    world.put("odd", "rack *1* / top", 0, records);
    world.put("long", &long, 0, vec![host("long")]);
    world
}

/// What stands in quotes in a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[test]
fn every_name_that_an_answer_shows_can_be_asked_with() {
    let world = odd();
    for max_tokens in [256, 1_000, 8_000] {
        let packed = world.fleet("", Policy::None, max_tokens);
        let sections = packed.sections.iter();
        let facts = sections.filter(|section| ["Systems", "Pools", "Wrong now"].contains(&section.title));
        let mut asked = 0;
        for fact in facts.flat_map(|section| &section.facts) {
            let Some(origin) = &fact.fact.origin else { continue };
            let resource = world.state.view().get(&origin.resource).unwrap().resource;
            let names = quoted(&fact.text);
            let is_system = fact.text.to_lowercase().contains("system \"");
            let name = if is_system { names[0].to_owned() } else { format!("{}/{}", names[1], names[0]) };
            let found = called(&world, Policy::None, &name);
            assert_eq!(found.as_deref(), Ok(resource.name()), "{name} of {}", fact.text);
            let system = if is_system { names[0] } else { names[1] };
            let selected =
                selected(&world, Policy::None, &format!("connection_name = \"{}\"", escaped(system)));
            assert!(selected.unwrap().contains(&resource.name().to_owned()), "{system} of {}", fact.text);
            asked += 1;
        }
        assert!(asked > 0, "{}", packed.text);
    }
    for (text, expected) in [
        ("rack 1 / top", "odd-host"),
        ("rack 1 / top/tank", "ta[n]k"),
        ("rack *1* / top/ta[n]k", "ta[n]k"),
        // By what the system calls itself, by its connection, and alone.
        ("odd-host/tank", "ta[n]k"),
        ("odd-host", "odd-host"),
        ("odd/tank", "ta[n]k"),
        ("sd7", "sd7"),
        ("WD-20TB-7", "sd7"),
        ("odd/WD-20TB-7", "sd7"),
        ("basement//mnt/tank/media", "tank/media"),
        ("tank/media", "tank/media"),
        ("nas-with-a-nam…", "long-host"),
    ] {
        assert_eq!(called(&world, Policy::None, text).as_deref(), Ok(expected), "{text}");
    }
    let share = called(&world, Policy::None, "odd-host/nas-with…");
    assert!(share.is_ok_and(|name| name.ends_with("-share")));
    for (filter, expected) in [
        ("name = tank AND type = storage", vec!["tank"]),
        ("name = tank AND connection_name = \"rack 1 / top\"", vec![]),
        ("connection_name = odd-host AND topology = pool", vec!["ta[n]k"]),
        ("connection = \"rack 1 / top\" AND topology = pool", vec!["ta[n]k"]),
        ("connection_name != odd-host AND topology = pool", vec!["attic", "tank"]),
        ("name = \"nas-with…\" AND type = network_share AND name = none", vec![]),
    ] {
        let expected = Ok(expected.into_iter().map(str::to_owned).collect());
        assert_eq!(selected(&world, Policy::None, filter), expected, "{filter}");
    }
    // No system is called so, and no pool; what is shown like it is meant.
    let mut world = odd();
    world.put("basement", "basement", 0, vec![host("basement")]);
    assert_eq!(selected(&world, Policy::None, "name = tank"), Ok(vec!["ta[n]k".to_owned()]));
    assert_eq!(selected(&world, Policy::None, "name:tan AND type = storage"), Ok(vec!["ta[n]k".to_owned()]));
    // Where names are hidden, a name that a system gives itself is a guess like any other.
    for floor in [Policy::Names, Policy::Strict] {
        for guess in ["odd-host", "odd-host/tank", "odd", "rack 1 / top", "nas-with-a-nam…"] {
            assert_eq!(called(&world, floor, guess), Err(Lost::Nothing), "{guess}");
        }
        let system = world.pseudonyms.of(Kind::System, "rack 1 / top");
        assert_eq!(called(&world, floor, &system).as_deref(), Ok("odd-host"), "{}", floor.token());
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*")
}

#[test]
fn who_asks_for_a_system_that_is_not_there_is_told_which_are() {
    let mut world = home();
    let stranger = |world: &World, floor, filter: &str| {
        world.asking(floor, |asking| {
            asking.stranger(filter).unwrap().map(|name| (name, asking.systems_shown(floor)))
        })
    };
    let known = "known systems are \"attic\", \"basement\"".to_owned();
    for (filter, expected) in [
        ("connection_name = nowhere", Some("nowhere")),
        ("connection = nowhere AND severity >= warning", Some("nowhere")),
        ("connection_name = basement", None),
        ("connection_name = basement-host", None),
        // Of these something may match.
        ("connection_name = nowhere OR type = host", None),
        ("connection_name != nowhere", None),
        ("connection_name:nowhere", None),
        ("severity >= warning", None),
        ("", None),
    ] {
        let expected = expected.map(|name| (name.to_owned(), known.clone()));
        assert_eq!(stranger(&world, Policy::None, filter), expected, "{filter}");
    }
    let hidden =
        stranger(&world, Policy::Strict, &format!("connection = {}", world.pseudonyms.of(Kind::System, "x")));
    let shown = ["attic", "basement"].map(|name| world.pseudonyms.of(Kind::System, name));
    assert_eq!(hidden.unwrap().1, format!("known systems are {}", shown.join(", ")));
    for number in 0..20 {
        let name = format!("n{number:02}");
        world.put(&name, &name, 0, vec![host(&name)]);
    }
    let (_, known) = stranger(&world, Policy::None, "connection = nowhere").unwrap();
    assert!(known.ends_with("\"n07\" and 12 more"), "{known}");
}

#[test]
fn a_guess_of_what_a_system_tells_as_a_word_tells_nothing_where_it_is_hidden() {
    let mut world = World::new();
    let mut odd = crate::world::disk("nas", 1, "BROKEN-AT-BOBS", 12);
    "wwn-0x5000c500a1b2c3d4".clone_into(&mut odd.name);
    odd.physical_disk.as_mut().unwrap().model = "Vault 9 S3Z8NB0K".to_owned();
    world.put("nas", "nas", 0, vec![host("nas"), odd, crate::world::disk("nas", 2, "FAULTED", 1)]);
    let strict = Policy::Strict;
    for filter in [
        "state = BROKEN-AT-BOBS",
        "state:BROKEN",
        "model = \"Vault 9 S3Z8NB0K\"",
        "model:Vault",
        "model:S3Z8",
        "name = wwn-0x5000c500a1b2c3d4",
        "name:5000",
    ] {
        assert_eq!(selected(&world, Policy::None, filter).map(|names| names.len()), Ok(1), "{filter}");
        assert_eq!(selected(&world, strict, filter), Ok(vec![]), "{filter}");
    }
    let word = |text: &str| world.pseudonyms.of(Kind::Word, text);
    let odd = Ok(vec!["wwn-0x5000c500a1b2c3d4".to_owned()]);
    for floor in Policy::ALL {
        for filter in [
            format!("model = {}", word("Vault 9 S3Z8NB0K")),
            format!("name = {}", word("wwn-0x5000c500a1b2c3d4")),
            format!("state = {} AND type = physical_disk", word("BROKEN-AT-BOBS")),
            "type = physical_disk AND state != FAULTED".to_owned(),
        ] {
            assert_eq!(selected(&world, floor, &filter), odd, "{filter} under {}", floor.token());
        }
        for filter in
            ["state = FAULTED", "state:FAULT", "incidents.klass:x OR name = sd2", "model:20TB AND name = sd2"]
        {
            assert_eq!(selected(&world, floor, filter), Ok(vec!["sd2".to_owned()]), "{filter}");
        }
    }
}

#[test]
fn a_label_that_is_named_a_secret_is_compared_with_nothing() {
    let mut world = World::new();
    let status = ConnectionStatus {
        name: "a".to_owned(),
        state: ConnectionState::Live.into(),
        labels: [
            ("snmp_community".to_owned(), "public".to_owned()),
            ("site".to_owned(), "public".to_owned()),
        ]
        .into(),
        ..ConnectionStatus::default()
    };
    world.put_as("a", status, 0, vec![host("a")]);
    let all = Ok(vec!["a-host".to_owned()]);
    for value in ["= public", "= pub*", ": pub", "= xub*"] {
        assert_eq!(
            selected(&world, Policy::None, &format!("labels.snmp_community {value}")),
            Ok(vec![]),
            "{value}"
        );
    }
    for filter in ["labels.site = pub*", "labels.snmp_community:*", "labels:snmp_community"] {
        assert_eq!(selected(&world, Policy::None, filter), all, "{filter}");
    }
    let not = ["labels.snmp_community != public", "labels.snmp_community != xublic"];
    assert_eq!(selected(&world, Policy::None, not[0]), selected(&world, Policy::None, not[1]));
}
