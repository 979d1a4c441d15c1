//! The core as it was before a restart, from what was kept of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{Revision, UnixMillis};

use super::{Engine, Keeping, News};
use crate::alert::book::Book;
use crate::alert::case::{Case, CaseId};
use crate::alert::row::{self, Row};
use crate::alert::rule::builtin;
use crate::state::Notes;

impl Engine {
    /// Notes that cannot be read cost themselves; they are named.
    pub fn restore(notes: &Notes, keeping: Keeping, now: UnixMillis) -> (Self, Book, Vec<String>) {
        let rules = builtin::rules().into_iter().map(|rule| (rule.id.clone(), Arc::new(rule)));
        let mut engine = Self {
            keeping,
            rules: rules.collect(),
            active: Arc::from([]),
            fitting: BTreeMap::new(),
            silences: BTreeMap::new(),
            cases: BTreeMap::new(),
            places: BTreeMap::new(),
            open: 0,
            over: std::collections::BTreeSet::new(),
            dropped: std::collections::BTreeSet::new(),
            above: BTreeMap::new(),
            below: BTreeMap::new(),
            memory: BTreeMap::new(),
            looks: BTreeMap::new(),
            due: std::collections::BTreeSet::new(),
            silence_turn: None,
            revision: 0,
            evaluated: Revision(0),
            evaluated_kept: Revision(0),
            left_out: 0,
            news: News::default(),
        };
        let mut damaged = Vec::new();
        let mut cases = Vec::new();
        for (key, value) in notes {
            match row::read(key, value) {
                Ok(Row::Case(case, above)) => cases.push((*case, above)),
                Ok(Row::Memory(id, memory)) => drop(engine.memory.insert(id, memory)),
                Ok(Row::Rule(rule)) => engine.restore_rule(*rule),
                Ok(Row::Silence(silence)) => {
                    drop(engine.silences.insert(silence.id.clone(), Arc::new(*silence)));
                }
                Ok(Row::Revision(revision)) => engine.revision = engine.revision.max(revision),
                Ok(Row::Evaluated(revision)) => {
                    (engine.evaluated, engine.evaluated_kept) = (revision, revision);
                }
                Ok(Row::Foreign) => {}
                Err(error) => damaged.push(format!("{key}: {error}")),
            }
        }
        engine.activate();
        engine.turn_silences(now);
        let mut book = Book::default();
        // The newest of an origin takes its place, an open one before all that are over.
        cases.sort_by_key(|(case, _)| (case.is_open(), case.first_seen_at, case.id));
        for (case, above) in cases {
            engine.revision = engine.revision.max(case.revision);
            book.put(Arc::new(case.clone()));
            if case.is_open() && !above.is_empty() {
                engine.put_under(&case.subject.id, above);
            }
            if let Some(abandoned) = engine.restore_case(case) {
                book.forget(abandoned);
            }
        }
        for (id, memory) in &engine.memory {
            book.expect(id, memory.outlook());
        }
        book.revision = engine.revision;
        book.rules = Arc::new(engine.rules.clone());
        book.silences = Arc::new(engine.silences.clone());
        // What holds is quiet or not as of now.
        engine.news.all_stirred = true;
        (engine, book, damaged)
    }

    /// A rule that came along in an earlier release and no longer does is an operator's own now.
    fn restore_rule(&mut self, mut rule: crate::alert::rule::Rule) {
        rule.built_in = self.rules.get(&rule.id).is_some_and(|known| known.built_in);
        rule.modified = rule.built_in;
        self.rules.insert(rule.id.clone(), Arc::new(rule));
    }

    /// Of two open ones of an origin the older has ended, and an earlier release told it to nobody. Nothing would ever end
    /// it: it is forgotten.
    fn restore_case(&mut self, case: Case) -> Option<CaseId> {
        let (subject, origin) = (case.subject.id, case.origin.clone());
        self.places.insert(case.id, (subject, origin.clone()));
        self.count_over(&case);
        self.open += usize::from(case.is_open());
        let replaced = self.cases.entry(subject).or_default().insert(origin, case);
        let abandoned = replaced.filter(Case::is_open)?.id;
        self.open -= 1;
        self.places.remove(&abandoned);
        self.news.forgotten.insert(abandoned);
        Some(abandoned)
    }
}
