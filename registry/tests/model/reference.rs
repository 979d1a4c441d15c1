//! The model: plain maps and the rules of the contract, each written down once
//! and without a thought for speed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pulse_proto::pb::resource::v1 as wire;

use super::op::{AGENT, CONNECTIONS, Draft, Filter, Order, Stand, Thing, Turn, What};

/// What is visible of a resource, as far as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) tags: Vec<String>,
    pub(crate) connection: String,
    /// Connection and id of every source.
    pub(crate) sources: Vec<(String, String)>,
    is_storage: bool,
}

impl Row {
    pub(crate) fn shown(resource: &wire::Resource) -> Self {
        let part = |part: &wire::SourceStatus| (part.connection.clone(), part.source_id.clone());
        Self {
            name: resource.name.clone(),
            state: resource.state.clone(),
            tags: resource.tags.clone(),
            connection: resource.connection.clone(),
            sources: resource.source_status.iter().map(part).collect(),
            is_storage: resource.r#type() == wire::ResourceType::Storage,
        }
    }

    fn matches(&self, filter: Filter) -> bool {
        match filter {
            Filter::All => true,
            Filter::Storage => self.is_storage,
            Filter::FirstNas => self.connection == CONNECTIONS[0],
            Filter::Agent => self.sources.iter().any(|(connection, _)| connection == CONNECTIONS[AGENT]),
            Filter::NotFaulted => self.state != "FAULTED",
            Filter::Value(value) => self.tags.contains(&format!("v{value}")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Ack,
    /// Some records were refused, the rest is taken.
    Records,
    Fenced,
    OutOfSequence,
    Resync,
}

/// A batch as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) draft: Draft,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) base: Option<u8>,
    pub(crate) digest: u8,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) connection: usize,
    pub(crate) collector: usize,
    pub(crate) epoch: u64,
    pub(crate) digest: u8,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    pub(crate) connection: usize,
    pub(crate) collector: usize,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) own_epoch: u64,
}

#[derive(Clone, Debug, Default)]
struct Line {
    /// Epoch and sequence; `None`: nobody ever wrote it.
    cursor: Option<(u64, u64)>,
    /// Who brought it last.
    holder: usize,
    digest: Option<u8>,
    is_removed: bool,
    complete: [bool; 2],
    records: BTreeMap<What, Thing>,
    /// A snapshot under way: what it named, and the sections that it read whole.
    snapshot: Option<(BTreeSet<What>, [bool; 2])>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    lines: [Line; CONNECTIONS.len()],
    link: Option<Stand>,
    digests: u8,
    /// What was visible from which revision on.
    history: BTreeMap<u64, Vec<Row>>,
}

impl Model {
    pub(crate) fn revision(&self) -> u64 {
        self.history.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    /// An answer tells of a revision. It is the next one if anything visible changed, or `always`; what the model does not
    /// look at may have changed as well.
    pub(crate) fn moved_to(&mut self, revision: u64, always: bool) -> Result<(), TestCaseError> {
        let before = self.revision();
        let rows = self.visible();
        let changed = self.at(before) != rows;
        prop_assert!(revision == before + 1 || (revision == before && !changed && !always));
        self.history.insert(revision, rows);
        Ok(())
    }

    /// What was visible at a revision.
    pub(crate) fn at(&self, revision: u64) -> Vec<Row> {
        self.history.range(..=revision).next_back().map(|(_, rows)| rows.clone()).unwrap_or_default()
    }

    pub(crate) fn shown(&self, filter: Filter, revision: u64) -> Vec<Row> {
        self.at(revision).into_iter().filter(|row| row.matches(filter)).collect()
    }

    pub(crate) fn rows(&self, filter: Filter, order: Order) -> Vec<Row> {
        let mut rows = self.shown(filter, self.revision());
        match order {
            Order::Name => rows.sort(),
            Order::NameDescending => rows.sort_by(|a, b| b.cmp(a)),
            Order::State => rows.sort_by(|a, b| (&a.state, &a.name).cmp(&(&b.state, &b.name))),
        }
        rows
    }

    /// Gives a draft its epoch, number and digests.
    pub(crate) fn address(&mut self, draft: &Draft) -> Batch {
        self.digests = self.digests.wrapping_add(1);
        let (epoch, sequence) = self.lines[draft.connection].at(draft.turn);
        let base = (draft.turn == Turn::OtherBase).then_some(self.digests.wrapping_sub(100));
        Batch { draft: draft.clone(), epoch, sequence, base, digest: self.digests }
    }

    pub(crate) fn batch(&mut self, batch: &Batch) -> Vec<Said> {
        let Batch { draft, epoch, sequence, base, digest } = batch;
        let line = &mut self.lines[draft.connection];
        if let Some(refusal) = line.refuses(draft.collector, *epoch, *sequence, draft.begin, *base) {
            return refusal;
        }
        line.cursor = Some((*epoch, *sequence));
        line.holder = draft.collector;
        line.digest = Some(*digest);
        line.is_removed = false;
        if draft.begin {
            line.snapshot = Some(Default::default());
        }
        for (section, is_complete) in draft.sections.iter().enumerate() {
            let Some(is_complete) = *is_complete else { continue };
            line.complete[section] = is_complete;
            if let Some((_, complete)) = &mut line.snapshot {
                complete[section] |= is_complete;
            }
        }
        for thing in &draft.records {
            line.records.insert(thing.what, *thing);
            if let Some((named, _)) = &mut line.snapshot {
                named.insert(thing.what);
            }
        }
        let mut said = Vec::new();
        for what in &draft.removals {
            if !line.records.contains_key(what) {
                continue;
            }
            if line.complete[what.section()] {
                line.records.remove(what);
            } else {
                said = vec![Said::Records];
            }
        }
        said.push(Said::Ack);
        if draft.end {
            if let Some((named, complete)) = line.snapshot.take() {
                line.records.retain(|what, _| named.contains(what) || !complete[what.section()]);
            } else {
                said.push(Said::Resync);
                // Nobody may take what is held for the sender's state.
                line.digest = None;
            }
        }
        said
    }

    /// What is sent, and what is answered.
    pub(crate) fn heartbeat(
        &mut self,
        connection: usize,
        collector: usize,
        is_known: bool,
        is_newer: bool,
    ) -> (Heartbeat, Vec<Said>) {
        let line = &mut self.lines[connection];
        let held = line.digest.filter(|_| !line.is_removed);
        let digest = held.filter(|_| is_known).unwrap_or_else(|| held.unwrap_or_default().wrapping_add(100));
        let epoch = line.cursor.map_or(1, |(epoch, _)| epoch) + u64::from(is_newer);
        let is_taken = held == Some(digest);
        if is_taken {
            line.holder = collector;
        }
        if is_taken && is_newer {
            // A new holder with the same state.
            line.cursor = Some((epoch, 0));
        }
        let said = if is_taken { vec![] } else { vec![Said::Resync] };
        (Heartbeat { connection, collector, epoch, digest }, said)
    }

    /// What is sent, and what is answered.
    pub(crate) fn disconnect(
        &mut self,
        connection: usize,
        collector: usize,
        turn: Turn,
        names_held: Option<bool>,
    ) -> (Removal, Said) {
        let line = &mut self.lines[connection];
        let (epoch, sequence) = line.at(turn);
        let held = line.cursor.unwrap_or_default();
        let own_epoch = names_held.map_or(0, |is_held| held.0 + u64::from(!is_held));
        let removal = Removal { connection, collector, epoch, sequence, own_epoch };
        let is_own = line.holder == collector;
        if line.cursor.is_none() || (line.is_removed && !is_own) {
            return (removal, Said::Ack);
        }
        // What another collector brings, unless that was this one under another name.
        if epoch < held.0 || (!is_own && (epoch == held.0 || own_epoch != held.0)) {
            return (removal, Said::Fenced);
        }
        if (epoch, sequence) <= held {
            return (removal, Said::Ack);
        }
        let cursor = Some((epoch, sequence));
        *line = Line { cursor, holder: collector, is_removed: true, ..Line::default() };
        if connection != 1 {
            self.link = None;
        }
        (removal, Said::Ack)
    }

    /// Whether it can be said.
    pub(crate) fn say(&mut self, stand: Stand) -> bool {
        let is_there = |at: usize| self.lines[at].records.contains_key(&What::Host);
        let can = match stand {
            Stand::Same | Stand::Different => is_there(0) && is_there(AGENT),
            Stand::Forget => self.link.is_some(),
        };
        if can {
            self.link = Some(stand).filter(|stand| *stand != Stand::Forget);
        }
        can
    }

    /// A snapshot under way must begin again.
    pub(crate) fn restarted(&mut self) {
        self.lines.iter_mut().for_each(|line| line.snapshot = None);
    }

    fn visible(&self) -> Vec<Row> {
        let host = |at: usize| self.lines[at].records.get(&What::Host);
        let are_one = match (host(0), host(AGENT)) {
            (Some(nas), Some(agent)) => match self.link {
                Some(Stand::Same) => true,
                Some(Stand::Different) => false,
                _ => nas.value == agent.value,
            },
            _ => false,
        };
        let mut rows = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            for thing in line.records.values() {
                let mut sources = vec![(CONNECTIONS[at].to_owned(), source_id(at, thing.what))];
                if thing.what == What::Host && are_one {
                    match at {
                        AGENT => continue,
                        // Sources ascend: the agent stands before TrueNAS.
                        0 => sources.insert(0, (CONNECTIONS[AGENT].to_owned(), source_id(AGENT, What::Host))),
                        _ => {}
                    }
                }
                rows.push(Row {
                    name: name(at, thing.what),
                    state: state(*thing).to_owned(),
                    tags: tags(*thing),
                    connection: CONNECTIONS[at].to_owned(),
                    sources,
                    is_storage: thing.what != What::Host,
                });
            }
        }
        rows.sort();
        rows
    }
}

impl Line {
    /// Epoch and number of what is sent at this turn.
    fn at(&self, turn: Turn) -> (u64, u64) {
        let (epoch, sequence) = self.cursor.unwrap_or((1, 0));
        match turn {
            Turn::Next | Turn::OtherBase => (epoch, sequence + 1),
            Turn::Again => (epoch, sequence.max(1)),
            Turn::Skips => (epoch, sequence + 2),
            Turn::NewHolder => (epoch + 1, 1),
            Turn::OldHolder => ((epoch - 1).max(1), sequence + 1),
        }
    }

    fn refuses(
        &self,
        collector: usize,
        epoch: u64,
        sequence: u64,
        begins: bool,
        base: Option<u8>,
    ) -> Option<Vec<Said>> {
        let out_of_order = Some(vec![Said::OutOfSequence, Said::Resync]);
        // Nobody holds what another collector has removed.
        let held = self.cursor.filter(|_| !self.is_removed || self.holder == collector);
        let Some((held_epoch, held_sequence)) = held else {
            let fits = begins || (base.is_none() && sequence == 1 && !self.is_removed);
            return if fits { None } else { out_of_order };
        };
        if epoch < held_epoch {
            return Some(vec![Said::Fenced]);
        }
        let next = if epoch == held_epoch { held_sequence + 1 } else { 1 };
        if epoch == held_epoch && sequence < next {
            return Some(vec![Said::Ack]);
        }
        let fits =
            begins || (sequence == next && (base.is_none() || base == self.digest) && !self.is_removed);
        if fits { None } else { out_of_order }
    }
}

pub(crate) fn source_id(at: usize, what: What) -> String {
    let connection = CONNECTIONS[at];
    match (what, at) {
        (What::Host, AGENT) => "host-7".to_owned(),
        (What::Host, _) => format!("system:{connection}"),
        (What::Pool(n), AGENT) => format!("host-7/pool:p{n}"),
        (What::Pool(n), _) => format!("system:{connection}/pool:p{n}"),
    }
}

pub(crate) fn name(at: usize, what: What) -> String {
    match what {
        What::Host => format!("{}-host", CONNECTIONS[at]),
        What::Pool(n) => format!("{}-p{n}", CONNECTIONS[at]),
    }
}

pub(crate) fn state(thing: Thing) -> &'static str {
    match (thing.what, thing.is_faulted) {
        (What::Pool(_), true) => "FAULTED",
        _ => "ONLINE",
    }
}

pub(crate) fn tags(thing: Thing) -> Vec<String> {
    match thing.what {
        What::Pool(_) => vec![format!("v{}", thing.value)],
        What::Host => Vec::new(),
    }
}
