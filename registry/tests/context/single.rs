//! The context of one resource.

use pulse_registry::context::find::{self, Lost};
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;
use pulse_registry::query::sight::Sight;

use crate::world::{World, home, host};

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
fn names_and_pseudonyms_lead_back_to_the_thing() {
    let mut world = home();
    let called = |world: &World, text: &str| {
        find::resource(world.state.view(), text, &world.pseudonyms, &Sight::whole())
            .map(|found| found.resource.name().to_owned())
    };
    assert_eq!(called(&world, "basement/tank").as_deref(), Ok("tank"));
    assert_eq!(called(&world, "basement/tank/media").as_deref(), Ok("tank/media"));
    assert_eq!(called(&world, "basement").as_deref(), Ok("basement-host"));
    assert_eq!(called(&world, "basement/nothing"), Err(Lost::Nothing));
    assert_eq!(called(&world, "storage-0000000000000000"), Err(Lost::Nothing));
    let system = world.pseudonyms.of(Kind::System, "basement");
    let pool = world.pseudonyms.of(Kind::Pool, "tank");
    assert_eq!(called(&world, &format!("{system}/{pool}")).as_deref(), Ok("tank"));
    world.put("other", "basement", 0, vec![host("other")]);
    assert!(matches!(called(&world, "basement"), Err(Lost::Ambiguous(ids)) if ids.len() == 2));
}
