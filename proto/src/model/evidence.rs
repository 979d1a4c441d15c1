//! What a reason of health was found by: few facts, kept as small as they are, for a fleet in trouble has many.

use std::fmt;
use std::ops::Index;

/// Facts by name, ascending.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence(Box<[(&'static str, Box<str>)]>);

impl Evidence {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// What the first fact says.
    pub fn first(&self) -> &str {
        self.iter().next().map_or("", |(_, value)| value)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with this fact.
    #[must_use]
    pub fn with(self, name: &'static str, value: &str) -> Self {
        let others = self.0.into_iter().filter(|(known, _)| *known != name);
        others.chain([(name, Box::from(value))]).collect()
    }
}

impl<V: Into<Box<str>>> FromIterator<(&'static str, V)> for Evidence {
    fn from_iter<I: IntoIterator<Item = (&'static str, V)>>(facts: I) -> Self {
        let mut facts: Vec<_> = facts.into_iter().map(|(name, value)| (name, value.into())).collect();
        facts.sort_unstable_by_key(|(name, _)| *name);
        Self(facts.into())
    }
}

impl<V: Into<Box<str>>, const N: usize> From<[(&'static str, V); N]> for Evidence {
    fn from(facts: [(&'static str, V); N]) -> Self {
        facts.into_iter().collect()
    }
}

/// # Panics
/// When there is no such fact.
impl Index<&str> for Evidence {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.get(name).expect("a fact of this name")
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
