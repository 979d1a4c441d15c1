//! The context of one resource.

use pulse_proto::pb::resource::v1::{ConnectionState, ConnectionStatus};
use pulse_registry::alert::Book;
use pulse_registry::context::asked::reference::Lost;
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;
use pulse_registry::context::single::unread;

use crate::world::{World, ago, home, host, pool, scrubbed, task};

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
            let packed = world.single(resource.id.as_str(), Policy::None, max_tokens);
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
