//! Where matches can be. Resources are sorted by id within a shard and an id
//! begins with its type, so an id, a connection or a type narrows the search
//! without an index. What is left is still tested one by one.

use std::ops::Range;
use std::sync::Arc;

use pulse_proto::model::{ResourceId, ResourceType};

use super::check::{Node, Operand, Relation, Test};
use super::field::{EnumField, Field, TextField};
use crate::state::resource::Resource;
use crate::state::view::{Shard, View};

/// Parts of a view, each a range of a shard.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub parts: Vec<(Arc<Shard>, Range<usize>)>,
}

impl Scan {
    /// How many resources have to be tested.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(_, range)| range.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Default)]
struct Narrow<'a> {
    id: Option<&'a str>,
    connection: Option<&'a str>,
    kind: Option<ResourceType>,
}

pub(super) fn scan(root: Option<&Node>, view: &View) -> Scan {
    ranges(&narrow(root), view)
}

/// Like [`scan`], but wherever the resource was: an id begins with its type, and a connection can change.
pub(super) fn scan_by_id(root: Option<&Node>, view: &View) -> Scan {
    ranges(&Narrow { connection: None, ..narrow(root) }, view)
}

pub(super) fn may_match(root: Option<&Node>, id: &ResourceId) -> bool {
    let Narrow { id: wanted, connection: _, kind } = narrow(root);
    wanted.is_none_or(|wanted| wanted == id.as_str())
        && kind.is_none_or(|kind| id.as_str().starts_with(&format!("{}-", kind.token())))
}

/// The only id that can match.
pub(super) fn wanted_id(root: Option<&Node>) -> Option<&str> {
    narrow(root).id
}

fn narrow(root: Option<&Node>) -> Narrow<'_> {
    let mut narrow = Narrow::default();
    if let Some(root) = root {
        required(root, &mut |test| match (&test.field, &test.operand) {
            (Field::Text(TextField::Id), Operand::Exact(id)) => narrow.id = Some(id),
            (Field::Text(TextField::Connection), Operand::Exact(id)) => narrow.connection = Some(id),
            (Field::Enum(EnumField::Type), Operand::Enum(Relation::Equal, number)) => {
                narrow.kind = ResourceType::from_wire(*number).ok();
            }
            _ => {}
        });
    }
    narrow
}

fn ranges(narrow: &Narrow<'_>, view: &View) -> Scan {
    let ranged = |shard: &Arc<Shard>| {
        let range = range(narrow, &shard.resources);
        (!range.is_empty()).then(|| (Arc::clone(shard), range))
    };
    let parts = match narrow.connection {
        Some(connection) => view.shards.get(connection).and_then(ranged).into_iter().collect(),
        None => view.shards.values().filter_map(ranged).collect(),
    };
    Scan { parts }
}

/// Walks the comparisons that must hold for a match.
fn required<'a>(node: &'a Node, visit: &mut impl FnMut(&'a Test)) {
    match node {
        Node::All(parts) => parts.iter().for_each(|part| required(part, visit)),
        Node::Test(test) => visit(test),
        Node::Any(_) | Node::Not(_) => {}
    }
}

fn range(narrow: &Narrow<'_>, resources: &[Arc<Resource>]) -> Range<usize> {
    if let Some(id) = narrow.id {
        return match resources.binary_search_by(|resource| resource.id.as_str().cmp(id)) {
            Ok(at) => at..at + 1,
            Err(_) => 0..0,
        };
    }
    let Some(kind) = narrow.kind else { return 0..resources.len() };
    let prefix = format!("{}-", kind.token());
    let start = resources.partition_point(|resource| resource.id.as_str() < prefix.as_str());
    let length =
        resources[start..].partition_point(|resource| resource.id.as_str().starts_with(prefix.as_str()));
    start..start + length
}
