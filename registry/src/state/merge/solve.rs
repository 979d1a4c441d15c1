//! From pairs that belong together to groups. Pure: the same records and
//! pairs give the same groups, in whatever order they came.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{DataSource, UnixMillis};

use super::Key;

/// An operator's word weighs more than any evidence; what was said first stands when a later word contradicts it.
pub(super) const fn operator_weight(at: UnixMillis) -> u64 {
    u64::MAX - at.get()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) source: DataSource,
    pub(super) key: Key,
}

/// How sure two records are the same thing.
pub(super) type Edges = BTreeMap<(Key, Key), u64>;

/// Groups of two and more, each with at most one member of a source. The surest pairs come first; a pair counts only
/// when for both it is the one surest of the other's source, so that nothing is decided by the order of names.
pub(super) fn solve(
    members: &BTreeMap<Key, DataSource>,
    edges: &Edges,
    are_apart: impl Fn(&Key, &Key) -> bool,
) -> Vec<Vec<Member>> {
    let mut best: BTreeMap<(&Key, DataSource), (u64, usize)> = BTreeMap::new();
    let ends = |edge: &'_ (Key, Key)| Some((*members.get(&edge.0)?, *members.get(&edge.1)?));
    for (edge, weight) in edges {
        let Some((left, right)) = ends(edge) else { continue };
        for end in [(&edge.0, right), (&edge.1, left)] {
            let held = best.entry(end).or_insert((0, 0));
            match (*weight).cmp(&held.0) {
                std::cmp::Ordering::Greater => *held = (*weight, 1),
                std::cmp::Ordering::Equal => held.1 += 1,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    let mut sure: Vec<(u64, &(Key, Key))> = Vec::new();
    for (edge, weight) in edges {
        let Some((left, right)) = ends(edge).filter(|(left, right)| left != right) else { continue };
        let is_best = |end| best.get(&end) == Some(&(*weight, 1));
        if is_best((&edge.0, right)) && is_best((&edge.1, left)) {
            sure.push((*weight, edge));
        }
    }
    sure.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.cmp(y)));

    let mut group_of: BTreeMap<&Key, usize> = members.keys().enumerate().map(|(n, key)| (key, n)).collect();
    let mut groups: Vec<BTreeSet<&Key>> = members.keys().map(|key| BTreeSet::from([key])).collect();
    for (_, (left, right)) in sure {
        let (Some(&into), Some(&from)) = (group_of.get(left), group_of.get(right)) else { continue };
        let clash = into == from
            || groups[into]
                .iter()
                .any(|a| groups[from].iter().any(|b| members.get(*a) == members.get(*b) || are_apart(a, b)));
        if !clash {
            for key in std::mem::take(&mut groups[from]) {
                group_of.insert(key, into);
                groups[into].insert(key);
            }
        }
    }
    let named = |key: &Key| Some(Member { source: *members.get(key)?, key: key.clone() });
    let large = groups.into_iter().filter(|group| group.len() > 1);
    large.map(|group| group.into_iter().filter_map(named).collect()).collect()
}

#[cfg(test)]
mod tests {
    use DataSource::{Agent, Docker, Proxmox, Truenas};
    use pulse_proto::model::{ConnectionId, SourceId};

    use super::*;

    fn key(name: &str) -> Key {
        (ConnectionId::parse(name).unwrap(), SourceId::parse(name).unwrap())
    }

    fn solved(
        members: &[(&str, DataSource)],
        edges: &[(&str, &str, u64)],
        apart: &[(&str, &str)],
    ) -> Vec<String> {
        let members = members.iter().map(|(name, source)| (key(name), *source)).collect();
        let edges = edges.iter().map(|(a, b, weight)| ((key(a), key(b)), *weight)).collect();
        let are_apart = |a: &Key, b: &Key| {
            apart.iter().any(|(x, y)| [(&key(x), &key(y)), (&key(y), &key(x))].contains(&(a, b)))
        };
        let names = |group: Vec<Member>| {
            group.iter().map(|member| member.key.0.as_str()).collect::<Vec<_>>().join(" ")
        };
        solve(&members, &edges, are_apart).into_iter().map(names).collect()
    }

    #[test]
    fn groups_by_case() {
        let all = [("a", Agent), ("d", Docker), ("p", Proxmox), ("t", Truenas), ("u", Truenas)];
        let none: [&str; 0] = [];
        assert_eq!(solved(&all, &[("a", "t", 90)], &[]), ["a t"]);
        assert_eq!(solved(&all, &[("a", "t", 90), ("a", "d", 100), ("d", "p", 99)], &[]), ["a d p t"]);
        assert_eq!(solved(&all, &[("t", "u", 100)], &[]), none, "one source never merges with itself");
        assert_eq!(solved(&all, &[("a", "t", 90), ("a", "u", 90)], &[]), none, "equally sure is not sure");
        assert_eq!(solved(&all, &[("a", "t", 90), ("a", "u", 99)], &[]), ["a u"], "the surer one");
        assert_eq!(solved(&all, &[("a", "t", 90), ("a", "d", 100), ("d", "u", 99)], &[]), ["a d u"]);
        assert_eq!(solved(&all, &[("a", "t", 90)], &[("t", "a")]), none, "kept apart");
        assert_eq!(
            solved(&all, &[("a", "d", 100), ("d", "t", 99)], &[("a", "t")]),
            ["a d"],
            "also not by way of a third"
        );
        let (early, late) =
            (operator_weight(UnixMillis::new(1_000)), operator_weight(UnixMillis::new(2_000)));
        assert_eq!(solved(&all, &[("a", "t", 100), ("a", "u", late)], &[]), ["a u"], "an operator's word");
        assert_eq!(solved(&all, &[("a", "t", late), ("a", "u", early)], &[]), ["a u"], "the first word");
        let chain = [("a", "d", late), ("a", "t", early), ("d", "u", early)];
        assert_eq!(solved(&all, &chain, &[]), ["a t", "d u"], "a later word breaks no earlier one");
    }
}
