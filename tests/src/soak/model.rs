//! The reference model: what a registry should show of an appliance, by the appliance's own world, and what it does show, both in
//! the same plain words. Knows neither collector nor wire, so that it repeats none of their mistakes.

mod expected;
mod shown;

use std::collections::BTreeMap;
use std::fmt;

pub use expected::expected;
pub use shown::{key, shown};

/// What is known of each thing, e.g. of `pool tank`: `state` is `ONLINE`.
pub type Facts = BTreeMap<String, BTreeMap<&'static str, String>>;

/// What both sides know of a thing, from what each of them says.
type Words = BTreeMap<&'static str, String>;

/// The first thing that the two sides see differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    Missing { thing: String },
    Surplus { thing: String },
    Fact { thing: String, fact: &'static str, appliance: String, registry: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { thing } => write!(f, "{thing} is on the appliance and not at the registry"),
            Self::Surplus { thing } => write!(f, "{thing} is at the registry and not on the appliance"),
            Self::Fact { thing, fact, appliance, registry } => {
                write!(f, "{thing}: {fact}\n  appliance: {appliance}\n  registry:  {registry}")
            }
        }
    }
}

/// By thing, then by fact.
pub fn first_difference(appliance: &Facts, registry: &Facts) -> Option<Difference> {
    for (thing, facts) in appliance {
        let Some(seen) = registry.get(thing) else {
            return Some(Difference::Missing { thing: thing.clone() });
        };
        for fact in facts.keys().chain(seen.keys()) {
            let said = |facts: &Words| facts.get(fact).cloned().unwrap_or_else(|| "(nothing)".to_owned());
            let (appliance, registry) = (said(facts), said(seen));
            if appliance != registry {
                return Some(Difference::Fact { thing: thing.clone(), fact, appliance, registry });
            }
        }
    }
    let surplus = registry.keys().find(|thing| !appliance.contains_key(*thing));
    surplus.map(|thing| Difference::Surplus { thing: thing.clone() })
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn flag(value: Option<bool>) -> String {
    value.map_or_else(|| "not told".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(of: &[(&str, &'static str, &str)]) -> Facts {
        let mut facts = Facts::new();
        for (thing, fact, value) in of {
            facts.entry((*thing).to_owned()).or_default().insert(fact, (*value).to_owned());
        }
        facts
    }

    #[test]
    fn the_first_difference_is_told_whichever_side_it_is_on() {
        let nas = facts(&[("pool a", "state", "ONLINE"), ("pool b", "state", "ONLINE")]);
        assert_eq!(first_difference(&nas, &nas), None);
        let told = |registry: &[(&str, &'static str, &str)]| {
            first_difference(&nas, &facts(registry))
                .map(|difference| difference.to_string())
                .unwrap_or_default()
        };
        assert_eq!(
            told(&[("pool a", "state", "ONLINE")]),
            "pool b is on the appliance and not at the registry"
        );
        assert!(told(&[("pool a", "state", "FAULTED")]).contains("registry:  FAULTED"));
        let more = [("pool a", "state", "ONLINE"), ("pool a", "odd", "1"), ("pool b", "state", "ONLINE")];
        assert!(told(&more).contains("appliance: (nothing)"));
        let more = [("pool a", "state", "ONLINE"), ("pool b", "state", "ONLINE"), ("pool c", "state", "")];
        assert_eq!(told(&more), "pool c is at the registry and not on the appliance");
    }
}
