//! Every case, silence and rule at one revision of alerts. Immutable; a change
//! shares with the book before it all that did not change. What is asked most,
//! the most urgent open cases and the cases of one resource, is kept in order,
//! so that an answer costs what it tells and not what there is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use pulse_proto::model::{ResourceId, Severity, UnixMillis};

use super::case::{Case, CaseId, CaseState};
use super::outlook::Outlook;
use super::rule::{Rule, RuleId};
use super::silence::{Silence, SilenceId};

const BUCKETS: usize = 256;

#[derive(Clone, Debug)]
pub struct Book {
    pub revision: u64,
    /// What is known is evaluated up to here: a revision of resources.
    pub evaluated: pulse_proto::model::Revision,
    buckets: Vec<Arc<Bucket>>,
    subjects: Vec<Arc<Subjects>>,
    outlooks: Vec<Arc<BTreeMap<ResourceId, Outlook>>>,
    pub rules: Arc<BTreeMap<RuleId, Arc<Rule>>>,
    pub silences: Arc<BTreeMap<SilenceId, Arc<Silence>>>,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    cases: BTreeMap<CaseId, Arc<Case>>,
    /// Open ones that no other case tells.
    open: BTreeMap<Urgency, Arc<Case>>,
}

type Subjects = BTreeMap<ResourceId, BTreeSet<CaseId>>;

/// What nobody knows of first, then what fires, then the worst, then what began first.
type Urgency = (bool, Reverse<CaseState>, Reverse<Severity>, UnixMillis, CaseId);

fn urgency(case: &Case) -> Option<Urgency> {
    let told = case.is_open() && case.suppressed_by.is_none();
    let order = (case.is_quiet(), Reverse(case.state), Reverse(case.severity), case.first_seen_at, case.id);
    told.then_some(order)
}

impl Bucket {
    fn put(&mut self, case: Arc<Case>) {
        let urgency = urgency(&case);
        let old = self.cases.insert(case.id, Arc::clone(&case));
        if let Some(old) = old.as_deref().and_then(self::urgency) {
            self.open.remove(&old);
        }
        if let Some(urgency) = urgency {
            self.open.insert(urgency, case);
        }
    }

    fn forget(&mut self, id: CaseId) -> Option<Arc<Case>> {
        let old = self.cases.remove(&id)?;
        if let Some(urgency) = urgency(&old) {
            self.open.remove(&urgency);
        }
        Some(old)
    }
}

/// Ids end in digits of a hash, so the last two spread them evenly.
fn place(id: &ResourceId) -> usize {
    usize::from(id.number().to_le_bytes()[0])
}

impl Default for Book {
    fn default() -> Self {
        Self {
            revision: 0,
            evaluated: pulse_proto::model::Revision(0),
            buckets: vec![Arc::default(); BUCKETS],
            subjects: vec![Arc::default(); BUCKETS],
            outlooks: vec![Arc::default(); BUCKETS],
            rules: Arc::default(),
            silences: Arc::default(),
        }
    }
}

impl Book {
    pub fn get(&self, id: CaseId) -> Option<&Arc<Case>> {
        self.buckets.get(id.bucket())?.cases.get(&id)
    }

    /// Ascending by id.
    pub fn cases(&self) -> impl Iterator<Item = &Arc<Case>> {
        self.buckets.iter().flat_map(|bucket| bucket.cases.values())
    }

    /// Open cases that no other one tells, the most urgent first. Costs what is taken.
    pub fn urgent(&self) -> impl Iterator<Item = &Arc<Case>> {
        let mut buckets: Vec<_> = self.buckets.iter().map(|bucket| bucket.open.iter()).collect();
        let mut next: BinaryHeap<_> = buckets
            .iter_mut()
            .enumerate()
            .filter_map(|(at, cases)| cases.next().map(|(urgency, case)| (Reverse((*urgency, at)), case.id)))
            .collect();
        std::iter::from_fn(move || {
            let (Reverse((_, at)), id) = next.pop()?;
            if let Some((urgency, case)) = buckets[at].next() {
                next.push((Reverse((*urgency, at)), case.id));
            }
            self.get(id)
        })
    }

    /// The same in no order that means anything.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Case>> {
        self.buckets.iter().flat_map(|bucket| bucket.open.values())
    }

    /// How many [`Self::urgent`] tells.
    pub fn open_len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.open.len()).sum()
    }

    /// Every case of a resource, ascending by id.
    pub fn of(&self, subject: &ResourceId) -> impl Iterator<Item = &Arc<Case>> {
        let ids = self.subjects.get(place(subject)).and_then(|subjects| subjects.get(subject));
        ids.into_iter().flatten().filter_map(|id| self.get(*id))
    }

    /// What is expected of resources, where anything is.
    pub fn outlooks(&self) -> impl Iterator<Item = (&ResourceId, &Outlook)> {
        self.outlooks.iter().flat_map(|outlooks| outlooks.iter())
    }

    pub fn outlook(&self, id: &ResourceId) -> Outlook {
        let known = self.outlooks.get(place(id)).and_then(|outlooks| outlooks.get(id));
        known.copied().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.cases.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn put(&mut self, case: Arc<Case>) {
        if self.get(case.id).is_none()
            && let Some(subjects) = self.subjects.get_mut(place(&case.subject.id))
        {
            Arc::make_mut(subjects).entry(case.subject.id).or_default().insert(case.id);
        }
        if let Some(bucket) = self.buckets.get_mut(case.id.bucket()) {
            Arc::make_mut(bucket).put(case);
        }
    }

    pub(super) fn expect(&mut self, id: &ResourceId, outlook: Outlook) {
        let Some(outlooks) = self.outlooks.get_mut(place(id)) else { return };
        if outlook.is_empty() {
            if outlooks.contains_key(id) {
                Arc::make_mut(outlooks).remove(id);
            }
        } else if outlooks.get(id) != Some(&outlook) {
            Arc::make_mut(outlooks).insert(*id, outlook);
        }
    }

    pub(super) fn forget(&mut self, id: CaseId) {
        let bucket = self.buckets.get_mut(id.bucket());
        let Some(old) = bucket.and_then(|bucket| Arc::make_mut(bucket).forget(id)) else { return };
        let Some(subjects) = self.subjects.get_mut(place(&old.subject.id)).map(Arc::make_mut) else { return };
        if let Some(cases) = subjects.get_mut(&old.subject.id) {
            cases.remove(&id);
            if cases.is_empty() {
                subjects.remove(&old.subject.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::example;
    use super::*;

    /// One of few cases in one of many states, or that it is forgotten.
    fn step() -> impl Strategy<Value = (Case, bool)> {
        let severities = [Severity::Monitor, Severity::Warning, Severity::Critical];
        (0_u8..12, 0_u64..4, prop::sample::select(severities.to_vec()), 0_u8..5).prop_map(
            |(name, at, severity, state)| {
                let at = UnixMillis::new(at);
                let mut case = example::firing(&format!("pool{name}"), severity, at);
                match state {
                    0 => case.state = CaseState::Pending,
                    1 => case = example::resolved(case, at),
                    2 => case.suppressed_by = Some(case.id),
                    _ => {}
                }
                (case, state == 4)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_kept_in_order_is_what_a_look_at_everything_finds(steps in prop::collection::vec(step(), 0..60)) {
            let mut book = Book::default();
            for (case, is_forgotten) in steps {
                if is_forgotten { book.forget(case.id) } else { book.put(Arc::new(case)) }
                let mut expected: Vec<Urgency> = book.cases().filter_map(|case| urgency(case)).collect();
                expected.sort();
                let told: Vec<Urgency> = book.urgent().filter_map(|case| urgency(case)).collect();
                prop_assert_eq!(book.open_len(), told.len());
                prop_assert_eq!(told, expected);
                for name in 0..12 {
                    let subject = example::firing(&format!("pool{name}"), Severity::Warning, UnixMillis::new(0)).subject.id;
                    let expected: Vec<CaseId> =
                        book.cases().filter(|case| case.subject.id == subject).map(|case| case.id).collect();
                    prop_assert_eq!(book.of(&subject).map(|case| case.id).collect::<Vec<_>>(), expected);
                }
            }
            prop_assert_eq!(book.subjects.iter().map(|subjects| subjects.len()).sum::<usize>() == 0, book.is_empty());
        }
    }
}
