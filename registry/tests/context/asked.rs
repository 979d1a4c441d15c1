//! Asking on with what a context shows, and what guesses tell where names are hidden.

use std::collections::BTreeMap;

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
            assert_eq!(called(&world, policy, resource.id.as_str()), Err(Lost::Nothing));
            let text = world.single(resource.id.as_str(), policy, 60_000).text;
            assert!(!text.contains(resource.id.as_str().rsplit('-').next().unwrap()), "{text}");
        }
    }
}

#[test]
fn filters_take_what_is_shown() {
    let mut world = home();
    // A share that is called like a pool, and a system that is called like its pool.
    let mut tank = crate::world::share("attic", "tank");
    tank.source_id = "system:attic/share:smb:7".to_owned();
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
    let mut world = home();
    let mut tank = crate::world::share("attic", "tank");
    tank.source_id = "system:attic/share:smb:7".to_owned();
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
