//! What a filter says of all resources with the same profile, or of a whole
//! shard: true, false, or that each resource must be asked.

use std::borrow::Cow;

use super::check::{Node, Test, any};
use super::eval::text_holds;
use super::field::{Field, TextField};
use crate::state::view::Shard;
use crate::state::view::profile::Profile;

/// As in three-valued logic: what is false stays so whatever is unknown beside it.
pub(super) fn decide(node: &Node, profile: Profile, shard: Option<&Shard>) -> Option<bool> {
    match node {
        Node::All(parts) => all(parts, true, |part| decide(part, profile, shard)),
        Node::Any(parts) => all(parts, false, |part| decide(part, profile, shard)),
        Node::Not(inner) => decide(inner, profile, shard).map(|holds| !holds),
        Node::Test(test) => match test.values {
            Some((dimension, values)) => Some(profile.values(dimension) & values != 0),
            None => shared(test, shard?),
        },
    }
}

/// `wanted` when all say so, the contrary when one does.
pub(super) fn all(parts: &[Node], wanted: bool, decide: impl Fn(&Node) -> Option<bool>) -> Option<bool> {
    let mut decided = Some(wanted);
    for part in parts {
        match decide(part) {
            Some(holds) if holds != wanted => return Some(holds),
            Some(_) => {}
            None => decided = None,
        }
    }
    decided
}

/// What of the filter is still to be asked of each resource of a shard: what all of them share is decided once.
pub(super) fn rest<'a>(node: &'a Node, shard: &Shard) -> Cow<'a, Node> {
    if !any(node, &mut |test| shared(test, shard).is_some()) {
        return Cow::Borrowed(node);
    }
    Cow::Owned(decided(node, shard).unwrap_or_else(|holds| if holds { TRUE } else { FALSE }))
}

const TRUE: Node = Node::All(Vec::new());
const FALSE: Node = Node::Any(Vec::new());

/// What is left, or the answer.
fn decided(node: &Node, shard: &Shard) -> Result<Node, bool> {
    let parts = |parts: &[Node], wanted: bool| {
        let mut left = Vec::new();
        for part in parts {
            match decided(part, shard) {
                Ok(node) => left.push(node),
                Err(holds) if holds == wanted => {}
                Err(holds) => return Err(holds),
            }
        }
        if left.is_empty() { Err(wanted) } else { Ok(left) }
    };
    match node {
        Node::All(all) => parts(all, true).map(Node::All),
        Node::Any(any) => parts(any, false).map(Node::Any),
        Node::Not(inner) => match decided(inner, shard) {
            Ok(node) => Ok(Node::Not(Box::new(node))),
            Err(holds) => Err(!holds),
        },
        Node::Test(test) => match shared(test, shard) {
            Some(holds) => Err(holds),
            None => Ok(Node::Test(test.clone())),
        },
    }
}

/// Of what resources have of their connection: the same for a whole shard.
pub(super) fn shared(test: &Test, shard: &Shard) -> Option<bool> {
    let holds = |value: &str| text_holds(&test.operand, value);
    let common = || shard.resources.common();
    match &test.field {
        Field::Text(TextField::Connection) => Some(holds(shard.connection.as_str())),
        Field::Text(TextField::ConnectionName) => Some(holds(&common()?.connection_name)),
        Field::Label(key) => Some(common()?.labels.get(key).is_some_and(|value| holds(value))),
        Field::Labels => Some(common()?.labels.keys().any(|key| holds(key))),
        Field::Text(_)
        | Field::Texts(_)
        | Field::Enum(_)
        | Field::Number(_)
        | Field::UsedRatio
        | Field::Time(_)
        | Field::Entry(_)
        | Field::Alert(_) => None,
    }
}
