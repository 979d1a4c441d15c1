//! What operators said about pairs of records, and which pairs of hosts they
//! should look at: what speaks for it was not enough to merge them. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{DataSource, ResourceId, ResourceType};

use super::sight::Sight;
use crate::state::merge::evidence::{self, Evidence};
use crate::state::{Key, Link, View};

/// What more records state than this is nobody's name.
const CLAIMANTS_MAX: usize = 16;

/// A pair to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Said(Link),
    Candidate(Candidate),
}

/// Two hosts that may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub left: Key,
    pub right: Key,
    /// The surest first.
    pub evidence: Vec<Stated>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    pub evidence: Evidence,
    /// Another record of one of the two sources states it too.
    pub ambiguous: bool,
}

impl Candidate {
    pub fn percent(&self) -> u8 {
        self.evidence.first().map_or(0, |stated| stated.evidence.kind.percent())
    }
}

struct Host<'a> {
    key: Key,
    source: DataSource,
    shown_by: &'a ResourceId,
}

/// Every pair of which both ends are in sight, in the order in which they are listed.
pub fn rows(view: &View, sight: &Sight) -> Vec<Row> {
    let is_seen = |link: &&Link| link.pair.ends().iter().all(|(connection, _)| sight.sees(connection));
    let said = view.links.iter().filter(is_seen).cloned().map(Row::Said);
    said.chain(candidates(view, sight).into_iter().map(Row::Candidate)).collect()
}

/// The likeliest first. What is out of sight makes nothing ambiguous, or it would be told of by that.
fn candidates(view: &View, sight: &Sight) -> Vec<Candidate> {
    let mut hosts: Vec<Host<'_>> = Vec::new();
    let mut claims: BTreeMap<Evidence, Vec<usize>> = BTreeMap::new();
    let all = view.iter().filter(|(_, resource)| resource.resource_type() == ResourceType::Host);
    for (_, resource) in all {
        for (connection, source, document) in resource.records().filter(|(own, ..)| sight.sees(own)) {
            for stated in evidence::all(document) {
                claims.entry(stated).or_default().push(hosts.len());
            }
            let key = (connection.clone(), document.source_id.clone());
            hosts.push(Host { key, source, shown_by: &resource.id });
        }
    }
    let mut pairs: BTreeMap<(&Key, &Key), Vec<Stated>> = BTreeMap::new();
    for (evidence, claimants) in &claims {
        if claimants.len() < 2 || claimants.len() > CLAIMANTS_MAX {
            continue;
        }
        let in_source = |source| claimants.iter().filter(|at| hosts[**at].source == source).count();
        for (n, left) in claimants.iter().enumerate() {
            for right in &claimants[n + 1..] {
                let (left, right) = (&hosts[*left], &hosts[*right]);
                let ambiguous = in_source(left.source) > 1 || in_source(right.source) > 1;
                let is_open = left.source != right.source
                    && !are_apart(view, &left.key, &right.key)
                    && left.shown_by != right.shown_by
                    && view.links.stand(&left.key, &right.key).is_none();
                // What is both weak and ambiguous is noise.
                if is_open && (evidence.kind.is_strong() || !ambiguous) {
                    let (left, right) = (&left.key, &right.key);
                    let pair = if left <= right { (left, right) } else { (right, left) };
                    let evidence = evidence.clone();
                    pairs.entry(pair).or_default().push(Stated { evidence, ambiguous });
                }
            }
        }
    }
    let found = pairs.into_iter();
    let mut found: Vec<Candidate> = found
        .map(|((left, right), evidence)| Candidate { left: left.clone(), right: right.clone(), evidence })
        .collect();
    found.sort_by_key(|candidate| Reverse(candidate.percent()));
    found
}

/// A link between them would be refused.
fn are_apart(view: &View, (a, _): &Key, (b, _): &Key) -> bool {
    let labels = |connection| Some(&view.shard(connection)?.status.as_ref()?.labels);
    let none = BTreeMap::new();
    view.boundary.between(labels(a).unwrap_or(&none), labels(b).unwrap_or(&none)).is_some()
}

/// Which resources show these records now.
pub fn shown_by(view: &View, wanted: &BTreeSet<&Key>) -> BTreeMap<Key, (DataSource, ResourceId)> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return found;
    }
    for (_, resource) in view.iter() {
        if !matches!(resource.resource_type(), ResourceType::Host | ResourceType::PhysicalDisk) {
            continue;
        }
        for (connection, source, document) in resource.records() {
            let key = (connection.clone(), document.source_id.clone());
            if wanted.contains(&key) {
                found.insert(key, (source, resource.id));
            }
        }
    }
    found
}
