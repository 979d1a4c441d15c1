//! The context of one resource.

use pulse_proto::pb::resource::v1::{ConnectionState, ConnectionStatus};
use pulse_registry::alert::Book;
use pulse_registry::context::asked::reference::Lost;
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;
use pulse_registry::context::single::unread;

use crate::world::{ago, home};

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
        for part in ["since 3 h ago", "it says \"login: the key was revoked\"", remedy, "Label \"site\" is \"harbour\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
