//! Who waits to be told, the worst first, then in the order they came. Each case once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pulse_proto::model::Severity;

use crate::alert::{Case, CaseId};

type Turn = (Reverse<Severity>, u64);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    turns: BTreeMap<Turn, CaseId>,
    /// Whether it is to be told even if nothing is new.
    cases: BTreeMap<CaseId, (Turn, bool)>,
    last: u64,
}

impl Waiting {
    pub(super) fn put(&mut self, case: &Case) {
        self.insert(case, false);
    }

    /// Also when nothing is new.
    pub(super) fn again(&mut self, case: &Case) {
        self.insert(case, true);
    }

    /// Who waits already keeps the place, unless it has grown worse.
    fn insert(&mut self, case: &Case, again: bool) {
        let severity = Reverse(case.severity);
        if let Some((turn, known)) = self.cases.get_mut(&case.id) {
            *known |= again;
            if turn.0 == severity {
                return;
            }
            self.turns.remove(turn);
            turn.0 = severity;
            self.turns.insert(*turn, case.id);
            return;
        }
        self.last += 1;
        let turn = (severity, self.last);
        self.turns.insert(turn, case.id);
        self.cases.insert(case.id, (turn, again));
    }

    /// The first one that may go.
    pub(super) fn pop(&mut self, may: impl Fn(CaseId) -> bool) -> Option<(CaseId, bool)> {
        let (turn, id) = self.turns.iter().find(|(_, id)| may(**id)).map(|(turn, id)| (*turn, *id))?;
        self.turns.remove(&turn);
        let (_, again) = self.cases.remove(&id)?;
        Some((id, again))
    }

    pub(super) fn any(&self, may: impl Fn(CaseId) -> bool) -> bool {
        self.turns.values().any(|id| may(*id))
    }

    pub(super) fn holds(&self, id: CaseId) -> bool {
        self.cases.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.cases.len()
    }
}
