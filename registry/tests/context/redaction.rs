//! What each policy hides, that rows stay apart, and that a client with the
//! table can map them back.

use std::collections::BTreeMap;

use pulse_registry::context::redact::Policy;

use crate::filled::records;
use crate::world::{World, home};

const BUDGET: usize = 60_000;

/// Fields whose texts are words of a product or of a vocabulary, which no policy hides.
const WORDS: &[&str] = &[
    ".state",
    ".klass",
    ".node",
    "os_name",
    "os_version",
    "cpu_model",
    "manufacturer",
    ".product",
    "interfaces.name",
    ".version",
    "product_type",
    ".transport",
    "api_version",
    "failover_node",
    "failover_status",
    "system_state",
    "services.name",
    "services.state",
    "update.state",
    "update.version",
    "status_code",
    "groups.role",
    ".vdev_layout",
    "scrub_schedule.schedule",
    "physical_disk.name",
    ".model",
    "pool_role",
    "vdev_state",
    ".schedule",
    ".compression",
    ".sync",
    ".deduplication",
    "human_version",
    "latest_version",
    "record.name",
    "vdevs.name",
    "vdevs.disk",
    "children.name",
    "children.disk",
    "vdevs.state",
    "children.state",
    ".name",
    "dataset.kind",
    "scan.function",
];

#[test]
fn strict_hides_what_anybody_chose() {
    // Each field says its own name, so that what shows tells where it is from.
    let mut world = World::new();
    let mark = |path: &str| format!("mark{}", path.replace(['.', '_'], "q"));
    world.put("nas", "markconnection", 0, records("nas", &mark));
    let allowed: Vec<String> = WORDS.iter().map(|word| word.replace(['.', '_'], "q")).collect();
    let mut contexts = vec![world.fleet("", Policy::Strict, BUDGET)];
    contexts
        .extend(world.state.view().iter().map(|(_, r)| world.single(r.id.as_str(), Policy::Strict, BUDGET)));
    let mut wrong = std::collections::BTreeSet::new();
    for packed in contexts {
        for shown in packed.text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with("mark"))
        {
            let is_identity =
                ["serial", "address", "comment", "hostname"].iter().any(|word| shown.contains(word));
            if is_identity || !allowed.iter().any(|word| shown.ends_with(word)) {
                wrong.insert(shown.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "shown under strict: {wrong:#?}");
}

#[test]
fn rows_stay_apart_and_can_be_mapped_back() {
    let world = home();
    let open = world.fleet("", Policy::None, BUDGET).text;
    for policy in [Policy::Names, Policy::Strict] {
        let packed = world.fleet("", policy, BUDGET);
        for hidden in ["basement", "attic-host", "nas-"] {
            assert!(!packed.text.contains(hidden), "{hidden} under {}:\n{}", policy.token(), packed.text);
        }
        let table: BTreeMap<&str, &str> =
            packed.pseudonyms.iter().map(|(name, stands_for)| (name.as_str(), stands_for.as_str())).collect();
        let distinct: std::collections::BTreeSet<&str> = table.values().copied().collect();
        assert!(table.len() >= 3 && distinct.len() >= table.len() - 1, "{table:?}");
        let mut mapped = packed.text.clone();
        for (name, stands_for) in &table {
            mapped = mapped.replace(name, stands_for);
        }
        let plain = |text: &str| text.replace('"', "");
        assert_eq!(plain(&mapped), plain(&open), "{}", policy.token());
    }
}

#[test]
fn strict_hides_serials_pools_and_messages_too() {
    let world = home();
    let names = world.fleet("", Policy::Names, BUDGET).text;
    let strict = world.fleet("", Policy::Strict, BUDGET).text;
    for shown in ["WD-", "tank", "no route to host"] {
        assert!(names.contains(shown), "{shown} in {names}");
        assert!(!strict.contains(shown), "{shown} in {strict}");
    }
    insta::assert_snapshot!(strict);
}
