//! The context of one resource.

use pulse_registry::context::redact::Policy;

use crate::world::home;

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
