//! What was sent and what was acknowledged. Pure: the truth that an audit
//! compares a registry with.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::{Ack, Batch, Welcome};
use pulse_proto::pb::resource::v1::{Capacity, IngestRecord, Resource};
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Listed;
use crate::harness::feeder::{batch, pool};

const EPOCH: u64 = 1;
/// Names a connection draws from: few enough that records change, go and come back.
const NAMES: u32 = 60;
const BATCH_RECORDS_MAX: u32 = 25;

/// What a batch does: each name gets a value or goes.
type Delta = BTreeMap<String, Option<u64>>;

#[derive(Debug, Default)]
struct Line {
    acked: BTreeMap<String, u64>,
    acked_sequence: u64,
    flight: VecDeque<(u64, Delta)>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    lines: BTreeMap<String, Line>,
    next_value: u64,
    /// The greatest revision that any acknowledgement told.
    revision: u64,
}

impl Line {
    fn last_sequence(&self) -> u64 {
        self.flight.back().map_or(self.acked_sequence, |(sequence, _)| *sequence)
    }

    /// Everything up to `sequence` is durable. Returns how many batches that are.
    fn settle(&mut self, sequence: u64) -> usize {
        let mut settled = 0;
        while let Some((_, delta)) = self.flight.pop_front_if(|(sent, _)| *sent <= sequence) {
            for (name, value) in delta {
                match value {
                    Some(value) => drop(self.acked.insert(name, value)),
                    None => drop(self.acked.remove(&name)),
                }
            }
            settled += 1;
        }
        self.acked_sequence = self.acked_sequence.max(sequence);
        settled
    }
}

impl Ledger {
    pub(super) fn new(connections: usize) -> Self {
        let lines = (0..connections).map(|n| (format!("nas-{n}"), Line::default())).collect();
        Self { lines, next_value: 1, revision: 0 }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lines.keys().cloned().collect()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.lines.values().map(|line| line.flight.len()).sum()
    }

    /// A batch that nobody has sent yet.
    pub(super) fn draw(&mut self, rng: &mut StdRng) -> Batch {
        let at = rng.random_range(0..self.lines.len());
        let (connection, line) = self.lines.iter_mut().nth(at).expect("a drawn place");
        let sequence = line.last_sequence() + 1;
        let mut delta = Delta::new();
        for _ in 0..rng.random_range(1..=BATCH_RECORDS_MAX) {
            let name = format!("p{}", rng.random_range(0..NAMES));
            let value = rng.random_ratio(4, 5).then_some(self.next_value);
            self.next_value += 1;
            delta.insert(name, value);
        }
        let upserts = delta.iter().filter_map(|(name, value)| Some(record(connection, name, (*value)?)));
        let mut batch = batch(connection, EPOCH, sequence, upserts.collect());
        let gone = delta.iter().filter(|(_, value)| value.is_none());
        batch.removals = gone.map(|(name, _)| format!("system:{connection}/pool:{name}")).collect();
        line.flight.push_back((sequence, delta));
        batch
    }

    pub(super) fn acked(&mut self, ack: &Ack) -> anyhow::Result<()> {
        let line = self.lines.get_mut(&ack.connection).context("an ack of a known connection")?;
        ensure!(ack.sequence == line.acked_sequence + 1, "acks come in order: {ack:?}");
        ensure!(ack.revision >= self.revision, "revision went back: {ack:?} after {}", self.revision);
        self.revision = ack.revision;
        line.settle(ack.sequence);
        Ok(())
    }

    /// After a restart: what the registry has beyond its acknowledgements counts, the rest was never taken.
    pub(super) fn welcome(&mut self, welcome: &Welcome) -> anyhow::Result<usize> {
        let mut unheard = 0;
        for (connection, line) in &mut self.lines {
            let cursor = welcome.cursors.iter().find(|cursor| cursor.connection == *connection);
            let sequence = cursor.map_or(0, |cursor| cursor.sequence);
            ensure!(
                sequence >= line.acked_sequence,
                "{connection}: batch {} was acknowledged, the registry is at {sequence}",
                line.acked_sequence
            );
            ensure!(sequence <= line.last_sequence(), "{connection}: batch {sequence} was never sent");
            unheard += line.settle(sequence);
            line.flight.clear();
        }
        Ok(unheard)
    }

    /// The registry holds exactly what is settled, each record whole.
    pub(super) fn audit(&self, listed: &Listed) -> anyhow::Result<()> {
        ensure!(
            listed.revision >= self.revision,
            "revision {} was acknowledged, the list shows {}",
            self.revision,
            listed.revision
        );
        let mut found: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        let own = |resource: &&Resource| resource.connection != super::operator::CONNECTION;
        for resource in listed.resources.values().filter(own) {
            let value = value_of(resource)?;
            found.entry(&resource.connection).or_default().insert(resource.name.clone(), value);
        }
        for (connection, line) in &self.lines {
            let found = found.remove(connection.as_str()).unwrap_or_default();
            ensure!(
                found == line.acked,
                "{connection} at batch {}: acknowledged {:?}, found {found:?}",
                line.acked_sequence,
                line.acked
            );
        }
        ensure!(found.is_empty(), "nobody told of {found:?}");
        Ok(())
    }
}

/// Values of which the texts of a record are the same: a change between them is one of numbers alone, which the journal is told by what differs.
const VALUES_PER_TEXT: u64 = 100;

/// The value stands in several fields: a record that is torn says two things.
fn record(connection: &str, name: &str, value: u64) -> IngestRecord {
    let mut record = pool(connection, name, "ONLINE");
    let text = value / VALUES_PER_TEXT;
    record.tags = vec![format!("v{text}"), format!("w{text}")];
    record.identity = Some(pulse_proto::pb::resource::v1::Identity {
        hostnames: vec![format!("v{text}")],
        ..Default::default()
    });
    record.capacity =
        Some(Capacity { raw_total_bytes: Some(value), raw_used_bytes: Some(value), ..Capacity::default() });
    record
}

fn value_of(resource: &Resource) -> anyhow::Result<u64> {
    let number = |text: &str| text.get(1..).and_then(|digits| digits.parse::<u64>().ok());
    let hosts = resource.identity.iter().flat_map(|identity| &identity.hostnames);
    let texts: Vec<u64> = resource.tags.iter().chain(hosts).filter_map(|text| number(text)).collect();
    let capacity = resource.capacity.as_ref().context("a capacity")?;
    let value = capacity.raw_total_bytes.context("a value")?;
    let is_whole = texts == [value / VALUES_PER_TEXT; 3] && capacity.raw_used_bytes == Some(value);
    ensure!(is_whole, "{} is torn: {texts:?}, {capacity:?}", resource.id);
    Ok(value)
}
