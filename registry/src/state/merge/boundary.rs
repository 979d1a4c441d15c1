//! Whose records may be one thing: those of connections that agree in certain labels, such as the customer's. What
//! a record says of itself never takes it across. Pure; refuses to know who may see what.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Connections on one side of every boundary: the values of its labels, or that there is none.
pub(super) type Side = Arc<[Option<Box<str>>]>;

/// Keys of the labels that keep records apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boundary(Arc<[Box<str>]>);

impl Boundary {
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(Box::from).collect())
    }

    pub(super) fn side(&self, labels: &BTreeMap<String, String>) -> Side {
        self.0.iter().map(|key| labels.get(&**key).map(|value| Box::from(value.as_str()))).collect()
    }

    /// The first label that keeps what carries these and what carries those apart. None is a value, too.
    pub fn between(&self, a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Option<&str> {
        self.0.iter().map(|key| &**key).find(|key| a.get(*key) != b.get(*key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_differs_in_one_label_of_it_or_lacks_it_is_on_another_side() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let boundary = Boundary::of(["customer", "site"]);
        let acme = labels(&[("customer", "acme"), ("site", "a"), ("rack", "1")]);
        for (other, expected) in [
            (labels(&[("customer", "acme"), ("site", "a"), ("rack", "2")]), None),
            (labels(&[("customer", "acme"), ("site", "b")]), Some("site")),
            (labels(&[("customer", "globex"), ("site", "b")]), Some("customer")),
            (labels(&[("customer", ""), ("site", "a")]), Some("customer")),
            (labels(&[("customer", "acme")]), Some("site")),
            (labels(&[]), Some("customer")),
        ] {
            assert_eq!(boundary.between(&acme, &other), expected, "{other:?}");
            assert_eq!(boundary.side(&acme) == boundary.side(&other), expected.is_none(), "{other:?}");
            assert_eq!(Boundary::default().between(&acme, &other), None, "without a boundary");
        }
    }
}
