//! Where matches can be, by the indexes of each shard. What an index decides
//! is not tested again; what none knows is left to a test of each.

use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceId, ResourceType};

use super::check::{Node, Operand, Relation, Test};
use super::decide::{decide, shared};
use super::eval::holds;
use super::field::{EnumField, Field, NumberField, TextField, TextsField};
use crate::state::view::bits::Bits;
use crate::state::view::profile::Dimension;
use crate::state::view::rows::Column;
use crate::state::view::{Shard, View};

/// Parts of a view; a shard without candidates is not among them.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub parts: Vec<(Arc<Shard>, Candidates)>,
}

/// Rows of a shard, among them all that match.
#[derive(Clone, Debug)]
pub struct Candidates {
    rows: Set,
    /// All of them match.
    exact: bool,
}

#[derive(Clone, Debug)]
enum Set {
    None,
    /// All rows there are, so many.
    All(usize),
    Some(Bits),
}

impl Scan {
    /// How many resources may match.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(_, candidates)| candidates.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many resources have to be tested.
    pub fn tests(&self) -> usize {
        let doubtful = self.parts.iter().filter(|(_, candidates)| !candidates.exact);
        doubtful.map(|(_, candidates)| candidates.len()).sum()
    }
}

impl Candidates {
    const NONE: Self = Self { rows: Set::None, exact: true };

    fn all(shard: &Shard, exact: bool) -> Self {
        Self { rows: Set::All(shard.resources.len()), exact }
    }

    fn of(rows: Option<Bits>) -> Self {
        rows.map_or(Self::NONE, |rows| Self { rows: Set::Some(rows), exact: true })
    }

    fn decided(shard: &Shard, holds: bool) -> Self {
        if holds { Self::all(shard, true) } else { Self::NONE }
    }

    fn and(self, other: Self) -> Self {
        let exact = self.exact && other.exact;
        let rows = match (self.rows, other.rows) {
            (Set::None, _) | (_, Set::None) => return Self::NONE,
            (Set::All(_), rows) | (rows, Set::All(_)) => rows,
            (Set::Some(left), Set::Some(right)) => Set::Some(left.intersection(&right)),
        };
        Self { rows, exact }
    }

    fn or(self, other: Self) -> Self {
        let exact = self.exact && other.exact || self.is_whole() || other.is_whole();
        let rows = match (self.rows, other.rows) {
            (Set::None, rows) | (rows, Set::None) => rows,
            (all @ Set::All(_), _) | (_, all @ Set::All(_)) => all,
            (Set::Some(left), Set::Some(right)) => Set::Some(left.union(&right)),
        };
        Self { rows, exact }
    }

    fn not(self, shard: &Shard) -> Self {
        match self.rows {
            _ if !self.exact => Self::all(shard, false),
            Set::None => Self::all(shard, true),
            Set::All(_) => Self::NONE,
            Set::Some(rows) => Self { rows: Set::Some(rows.complement()), exact: true },
        }
    }

    /// Those that pass; no test where the outcome is known.
    #[must_use]
    pub fn tested(self, mut passes: impl FnMut(usize) -> bool) -> Self {
        if self.exact {
            return self;
        }
        let mut rows = match self.rows {
            Set::None => return Self::NONE,
            Set::All(rows) => Bits::all(rows),
            Set::Some(rows) => rows,
        };
        rows.retain(&mut passes);
        Self { rows: Set::Some(rows), exact: true }
    }

    pub const fn is_exact(&self) -> bool {
        self.exact
    }

    /// Every row of the shard, and all match.
    pub const fn is_whole(&self) -> bool {
        self.exact && matches!(self.rows, Set::All(_))
    }

    pub fn len(&self) -> usize {
        match &self.rows {
            Set::None => 0,
            Set::All(rows) => *rows,
            Set::Some(rows) => rows.count(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match &self.rows {
            Set::None => true,
            Set::All(rows) => *rows == 0,
            Set::Some(rows) => rows.is_empty(),
        }
    }

    /// The first row from `row` on.
    pub fn next(&self, row: usize) -> Option<usize> {
        match &self.rows {
            Set::None => None,
            Set::All(rows) => (row < *rows).then_some(row),
            Set::Some(rows) => rows.next(row),
        }
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let mut row = 0;
        std::iter::from_fn(move || {
            let found = self.next(row)?;
            row = found + 1;
            Some(found)
        })
    }
}

/// Like [`scan`], but wherever the resource was: its id and its type stay, all else can change.
pub(super) fn scan_by_id(root: Option<&Node>, view: &View) -> Scan {
    let tests: Vec<Node> = lasting(root).into_iter().cloned().map(Node::Test).collect();
    let root = (!tests.is_empty()).then_some(Node::All(tests));
    scan(root.as_ref(), view)
}

/// Whether a resource with this id can ever match.
pub(super) fn may_match(root: Option<&Node>, id: &ResourceId) -> bool {
    lasting(root).into_iter().all(|test| match &test.operand {
        Operand::Exact(wanted) => **wanted == *id.text(),
        Operand::Enum(Relation::Equal, number) => {
            ResourceType::from_wire(*number).is_ok_and(|kind| id.kind() == kind)
        }
        _ => true,
    })
}

/// The only id that can match.
pub(super) fn wanted_id(root: Option<&Node>) -> Option<&str> {
    lasting(root).into_iter().find_map(|test| match (&test.field, &test.operand) {
        (Field::Text(TextField::Id), Operand::Exact(id)) => Some(id.as_str()),
        _ => None,
    })
}

/// Comparisons that must hold, of what a resource has for good.
fn lasting(root: Option<&Node>) -> Vec<&Test> {
    let mut found = Vec::new();
    if let Some(root) = root {
        required(root, &mut |test| {
            if matches!(test.field, Field::Text(TextField::Id) | Field::Enum(EnumField::Type)) {
                found.push(test);
            }
        });
    }
    found
}

pub(super) fn scan(root: Option<&Node>, view: &View) -> Scan {
    let Some(root) = root else {
        let whole = |shard: &Arc<Shard>| (Arc::clone(shard), Candidates::all(shard, true));
        return Scan {
            parts: view.shards().filter(|shard| !shard.resources.is_empty()).map(whole).collect(),
        };
    };
    // What nobody in the whole view has is not looked for.
    if view.tallies().iter().all(|(profile, _)| decide(root, *profile, None) == Some(false)) {
        return Scan::default();
    }
    let part = |shard: &Arc<Shard>| {
        let candidates = candidates(root, shard);
        (!candidates.is_empty()).then(|| (Arc::clone(shard), candidates))
    };
    let mut connection = None;
    let mut id = None;
    required(root, &mut |test| match (&test.field, &test.operand) {
        (Field::Text(TextField::Connection), Operand::Exact(wanted)) => connection = Some(wanted.as_str()),
        (Field::Text(TextField::Id), Operand::Exact(wanted)) => id = Some(wanted.as_str()),
        _ => {}
    });
    let parts = match (connection, id) {
        // What is no id is nobody's.
        (Some(connection), _) => {
            let shard = ConnectionId::parse(connection).ok().and_then(|id| view.shard(&id));
            shard.and_then(part).into_iter().collect()
        }
        (None, Some(id)) => {
            let id = ResourceId::parse(id).ok();
            id.iter().flat_map(|id| view.holders(id)).filter_map(part).collect()
        }
        (None, None) => view.shards().filter_map(part).collect(),
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

fn candidates(node: &Node, shard: &Shard) -> Candidates {
    match node {
        Node::All(parts) => {
            let mut found = Candidates::all(shard, true);
            for part in parts {
                found = found.and(candidates(part, shard));
                if found.is_empty() {
                    return Candidates::NONE;
                }
            }
            found
        }
        Node::Any(parts) => {
            let mut found = Candidates::NONE;
            for part in parts {
                found = found.or(candidates(part, shard));
                if found.is_whole() {
                    break;
                }
            }
            found
        }
        Node::Not(inner) => candidates(inner, shard).not(shard),
        Node::Test(test) => by_index(test, shard).unwrap_or_else(|| Candidates::all(shard, false)),
    }
}

/// `None` when there is no index for it.
fn by_index(test: &Test, shard: &Shard) -> Option<Candidates> {
    let rows = &shard.resources;
    if let Some((dimension, values)) = test.values {
        return Some(Candidates::of(rows.any_of(dimension, values)));
    }
    if let Some(holds) = shared(test, shard) {
        return Some(Candidates::decided(shard, holds));
    }
    let Operand::Exact(text) = &test.operand else { return None };
    let mut found = match &test.field {
        Field::Text(TextField::Id) => {
            let id = ResourceId::parse(text).ok();
            let at = id.and_then(|id| rows.binary_search_by_key(&id, |resource| resource.id).ok());
            at.map(|at| {
                let mut bits = Bits::none(rows.len());
                bits.insert(at);
                bits
            })
        }
        Field::Text(TextField::Name) => rows.with_text(Column::Name, text),
        Field::Text(TextField::DisplayName) => {
            // A host shows the name of its connection.
            let hosts = rows.any_of(Dimension::Type, 1 << ResourceType::Host as u32);
            match (rows.with_text(Column::Name, text), hosts) {
                (Some(named), Some(hosts)) => Some(named.union(&hosts)),
                (named, hosts) => named.or(hosts),
            }
        }
        Field::Text(TextField::ParentId) => rows.with_text(Column::ParentId, text),
        Field::Texts(TextsField::SourceId) => rows.with_text(Column::SourceId, text),
        _ => return None,
    };
    // Texts may share a hash.
    if let Some(found) = &mut found {
        found.retain(|row| holds(test, &rows[row], None));
    }
    Some(Candidates::of(found))
}

/// The same filter, with what is cheap to test before what is not.
pub(super) fn cheap_first(node: Node) -> Node {
    let sorted = |parts: Vec<Node>| {
        let mut parts: Vec<Node> = parts.into_iter().map(cheap_first).collect();
        parts.sort_by_key(cost);
        parts
    };
    match node {
        Node::All(parts) => Node::All(sorted(parts)),
        Node::Any(parts) => Node::Any(sorted(parts)),
        Node::Not(inner) => Node::Not(Box::new(cheap_first(*inner))),
        Node::Test(test) => Node::Test(test),
    }
}

/// By how far away lies what is read: a word, the resource, one field of its document, all of it.
fn cost(node: &Node) -> u32 {
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().map(cost).sum(),
        Node::Not(inner) => cost(inner),
        Node::Test(test) => match &test.field {
            Field::Text(TextField::Connection | TextField::ConnectionName)
            | Field::Label(_)
            | Field::Labels => 1,
            Field::Enum(EnumField::IncidentLevel) | Field::Texts(_) => 30,
            Field::Enum(_) => 2,
            Field::Number(NumberField::Revision) | Field::Time(_) => 4,
            Field::Text(TextField::Id | TextField::ParentId) => 5,
            Field::Text(TextField::Name | TextField::DisplayName) => 10,
            // Those of the timeline are not planned at all.
            Field::Text(_) | Field::Number(_) | Field::UsedRatio | Field::Entry(_) | Field::Alert(_) => 20,
        },
    }
}
