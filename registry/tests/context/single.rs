//! The context of one resource.

use pulse_proto::pb::resource::v1::{Certificate, ConnectionState, ConnectionStatus, NetworkInterface};
use pulse_registry::alert::Book;
use pulse_registry::context::asked::reference::Lost;
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;
use pulse_registry::context::single::unread;

use crate::world::{World, ago, dataset, disk, home, host, pool, scrubbed, share, task};

#[test]
fn a_degraded_pool_reads_like_this() {
    insta::assert_snapshot!(home().single("basement/tank", Policy::None, 4_000).text);
}

#[test]
fn a_system_reads_like_this() {
    insta::assert_snapshot!(home().single("basement", Policy::None, 4_000).text);
}

#[test]
fn every_thing_has_a_context_that_keeps_its_budget() {
    let world = home();
    for (_, resource) in world.state.view().iter() {
        for max_tokens in [256, 1_000, 4_000] {
            let packed = world.single(&resource.id.text(), Policy::None, max_tokens);
            assert!(packed.tokens <= max_tokens, "{}", packed.text);
            assert!(packed.text.contains("severity"), "{}", packed.text);
        }
    }
}

#[test]
fn a_system_that_was_never_read_says_what_is_known_of_its_connection() {
    let mut world = home();
    for (state, remedy) in [
        (ConnectionState::Refused, "not tried again before an operator corrects it"),
        (ConnectionState::BackingOff, "tried again by itself"),
        (ConnectionState::Disabled, "An operator can switch the connection on again"),
        (ConnectionState::Connecting, "ask again"),
    ] {
        let status = ConnectionStatus {
            name: "cellar".to_owned(),
            state: state.into(),
            reason: "login: the key was revoked".to_owned(),
            labels: [("site".to_owned(), "harbour".to_owned())].into(),
            since: ago(3),
        };
        world.announce("c-1", status);
        let system = world.pseudonyms.of(Kind::System, "cellar");
        for name in ["cellar", "c-1", system.as_str()] {
            let lost = world.asking(Policy::None, |asking| asking.resource(name)).unwrap_err();
            assert!(matches!(&lost, Lost::Unread(connection) if connection.as_str() == "c-1"), "{lost:?}");
        }
        for name in ["cellar/tank", "attic/cellar"] {
            let lost = world.asking(Policy::None, |asking| asking.resource(name)).unwrap_err();
            assert_eq!(lost, Lost::Nothing, "{name}");
        }
        let shard = world.state.view().shards().find(|shard| shard.connection.as_str() == "c-1").unwrap();
        let draft = unread::draft(world.state.view(), &Book::default(), shard);
        let text = world.render(&draft, Policy::None, 4_000).text;
        assert!(text.starts_with("System \"cellar\": it was never read"), "{text}");
        for part in [
            "since 3 h ago",
            "it says \"login: the key was revoked\"",
            remedy,
            "Label \"site\" is \"harbour\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn what_a_task_does_on_another_system_hangs_on_nothing_here() {
    let mut world = World::new();
    let records = |direction: &str, source: &str, target: &str| {
        let mut task = task("a", "FINISHED", 1, "");
        let facet = task.protection_task.as_mut().unwrap();
        direction.clone_into(&mut facet.direction);
        "SSH".clone_into(&mut facet.transport);
        facet.source_datasets = vec![source.to_owned()];
        target.clone_into(&mut facet.target);
        let pools = ["tank", "dr"].map(|name| pool("a", name, 1, ["ONLINE"; 4], scrubbed(1)));
        [vec![host("a"), task], pools.to_vec()].concat()
    };
    for (direction, source, target, of_tank, of_dr) in [
        ("PUSH", "tank/media", "dr/media", true, false),
        ("PULL", "tank/media", "dr/media", false, true),
        ("PULL", "far/media", "tank", true, false),
        ("PUSH", "dr", "tank/media", false, true),
    ] {
        world.put("a", "a", 0, records(direction, source, target));
        let hangs = |name: &str| {
            let text = world.single(name, Policy::None, 8_000).text;
            text.split("## Depends on it").nth(1).is_some_and(|text| text.contains("nightly to attic"))
        };
        assert_eq!((hangs("a/tank"), hangs("a/dr")), (of_tank, of_dr), "{direction} {source} {target}");
    }
}

#[test]
fn nothing_of_a_list_is_left_out_without_a_word() {
    let mut world = World::new();
    let mut nas = host("a");
    nas.agent.as_mut().unwrap().interfaces = (0..9)
        .map(|number| NetworkInterface {
            name: format!("eth{number}"),
            link_state: format!("LINK_STATE_{}", if number == 8 { "DOWN" } else { "UP" }),
            ..NetworkInterface::default()
        })
        .collect();
    nas.truenas.as_mut().unwrap().certificates = (0..9)
        .map(|number| Certificate {
            name: format!("cert-{number}"),
            not_after: ago(1),
            ..Certificate::default()
        })
        .collect();
    world.put("a", "a", 0, vec![nas]);
    let text = world.single("a", Policy::None, 8_000).text;
    assert!(text.contains("interface \"eth8\" down, interface \"eth0\" up"), "{text}");
    assert!(text.contains(", and 3 interfaces more."), "{text}");
    assert!((0..9).all(|number| text.contains(&format!("Certificate \"cert-{number}\""))), "{text}");
}

#[test]
fn what_a_thing_lies_in_stands_around_it() {
    let mut world = World::new();
    let mut copy = task("a", "FINISHED", 1, "");
    copy.protection_task.as_mut().unwrap().remote.clear();
    let records = vec![
        host("a"),
        pool("a", "tank", 1, ["ONLINE"; 4], scrubbed(1)),
        pool("a", "dr", 1, ["ONLINE"; 4], scrubbed(1)),
        dataset("a", "tank/media", 1),
        dataset("a", "tank/media/below", 1),
        disk("a", 1, "ONLINE", 0),
        share("a", "media"),
        copy,
    ];
    world.put("a", "a", 0, records);
    for (name, has_dataset) in [("a/media", true), ("a/sd1", false), ("a/nightly to attic", true)] {
        let text = world.single(name, Policy::None, 8_000).text;
        let around = text.split("## Around it").nth(1).unwrap().split("\n## ").next().unwrap();
        assert!(around.contains("Pool \"tank\"") && !around.contains("Pool \"dr\""), "{name}: {text}");
        assert_eq!(around.contains("Dataset \"tank/media\""), has_dataset, "{name}: {text}");
        assert!(!around.contains("below"), "{name}: {text}");
    }
}

#[test]
fn a_task_that_failed_is_not_well_and_its_way_reads_well() {
    let mut world = World::new();
    for (state, is_well) in [("ERROR", false), ("FINISHED", true), ("", false)] {
        let mut copy = task("a", state, 25, "");
        let facet = copy.protection_task.as_mut().unwrap();
        (facet.source_datasets, facet.target) = (Vec::new(), String::new());
        world.put("a", "a", 0, vec![host("a"), copy]);
        let text = world.single("a/nightly to attic", Policy::None, 8_000).text;
        assert_eq!(text.contains("Nothing is wrong"), is_well, "{state}: {text}");
        assert!(text.contains(", on \"attic-host\"") || text.contains(": on \"attic-host\""), "{text}");
        assert!(!text.contains(", ,") && !text.contains(": ,"), "{text}");
    }
}
