//! Every case, silence and rule at one revision of alerts. Immutable; a change
//! shares with the book before it all that did not change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::case::{Case, CaseId};
use super::rule::{Rule, RuleId};
use super::silence::{Silence, SilenceId};

const BUCKETS: usize = 256;

type Bucket = BTreeMap<CaseId, Arc<Case>>;

#[derive(Clone, Debug)]
pub struct Book {
    pub revision: u64,
    /// What is known is evaluated up to here: a revision of resources.
    pub evaluated: pulse_proto::model::Revision,
    buckets: Vec<Arc<Bucket>>,
    pub rules: Arc<BTreeMap<RuleId, Arc<Rule>>>,
    pub silences: Arc<BTreeMap<SilenceId, Arc<Silence>>>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            revision: 0,
            evaluated: pulse_proto::model::Revision(0),
            buckets: vec![Arc::default(); BUCKETS],
            rules: Arc::default(),
            silences: Arc::default(),
        }
    }
}

impl Book {
    pub fn get(&self, id: CaseId) -> Option<&Arc<Case>> {
        self.buckets.get(id.bucket())?.get(&id)
    }

    /// Ascending by id.
    pub fn cases(&self) -> impl Iterator<Item = &Arc<Case>> {
        self.buckets.iter().flat_map(|bucket| bucket.values())
    }

    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn put(&mut self, case: Arc<Case>) {
        if let Some(bucket) = self.buckets.get_mut(case.id.bucket()) {
            Arc::make_mut(bucket).insert(case.id, case);
        }
    }

    pub(super) fn forget(&mut self, id: CaseId) {
        if let Some(bucket) = self.buckets.get_mut(id.bucket()) {
            Arc::make_mut(bucket).remove(&id);
        }
    }
}
