//! A fleet of connections spread over a few streams, and the loads it brings:
//! growth, changes, heartbeats, equal snapshots. Remembers the last acked
//! change of every record, so that what is listed can be audited.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::lane::{Acked, Kind, Lane, Part};
use super::record::{CONNECTIONS_MAX, RECORDS_MAX, Shape};
use super::times::Times;
use super::{BATCH, as_f64};

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Records acked.
    pub records: u64,
    /// Records that found no room when their time came: a newer state took their place.
    pub held_back: u64,
    pub took: Duration,
    /// From sending a batch to its ack.
    pub acks: Times,
}

impl Run {
    pub fn per_second(&self) -> f64 {
        as_f64(self.records) / self.took.as_secs_f64().max(1e-9)
    }
}

#[derive(Debug)]
struct Held {
    number: u32,
    records: u32,
    sequence: u64,
    /// Batches of changes sent so far.
    turn: u32,
    /// Last acked change of each slice of a batch's size.
    changes: Vec<u32>,
}

/// One stream and the connections that go over it.
#[derive(Debug)]
struct Share {
    lane: Lane,
    held: Vec<Held>,
    /// Whose turn it is.
    turn: usize,
    run: Run,
}

#[derive(Debug)]
pub struct Load {
    shares: Vec<Share>,
    /// Records of each connection.
    per_connection: u32,
    connections: u32,
}

impl Load {
    pub async fn open(address: &str, streams: usize, per_connection: u32) -> anyhow::Result<Self> {
        Self::open_with(address, streams, per_connection, Arc::new(Shape::new()?)).await
    }

    /// With records of that shape.
    pub async fn open_with(
        address: &str,
        streams: usize,
        per_connection: u32,
        shape: Arc<Shape>,
    ) -> anyhow::Result<Self> {
        ensure!(per_connection <= RECORDS_MAX && per_connection.is_multiple_of(BATCH), "{per_connection}");
        let mut shares = Vec::new();
        for stream in 0..streams {
            let lane = Lane::open(address, &format!("bench-{stream}"), Arc::clone(&shape)).await?;
            shares.push(Share { lane, held: Vec::new(), turn: 0, run: Run::default() });
        }
        Ok(Self { shares, per_connection, connections: 0 })
    }

    pub const fn connections(&self) -> u32 {
        self.connections
    }

    pub fn resources(&self) -> u64 {
        u64::from(self.connections) * u64::from(self.per_connection)
    }

    /// Adds connections until there are so many resources.
    pub async fn grow(&mut self, resources: u64) -> anyhow::Result<Run> {
        let wanted = u32::try_from(resources / u64::from(self.per_connection))?;
        ensure!(wanted <= CONNECTIONS_MAX, "{wanted} connections");
        let streams = self.shares.len();
        for number in self.connections..wanted {
            let share = &mut self.shares[number as usize % streams];
            let changes = vec![0; (self.per_connection / BATCH) as usize];
            share.held.push(Held { number, records: self.per_connection, sequence: 0, turn: 0, changes });
        }
        self.connections = wanted;
        self.all(Share::fill).await
    }

    /// Changes batch after batch, every connection in turn, for so long.
    pub async fn change_for(&mut self, time: Duration) -> anyhow::Result<Run> {
        let until = Instant::now() + time;
        self.all(async |share: &mut Share| share.change(|_| Instant::now() < until).await).await
    }

    /// Offers so many records a second for so long, whether or not they are taken, as appliances change whether or not
    /// somebody listens. What finds no room is held back, as a collector does that keeps the newest state alone.
    pub async fn offer(&mut self, per_second: f64, time: Duration) -> anyhow::Result<Run> {
        let streams = u32::try_from(self.shares.len())?;
        let every = Duration::from_secs_f64(f64::from(BATCH) * f64::from(streams) / per_second);
        let until = Instant::now() + time;
        self.all(async |share: &mut Share| share.offer(every, until).await).await
    }

    /// The same, so many batches on each stream.
    pub async fn change_batches(&mut self, batches: usize) -> anyhow::Result<Run> {
        self.all(async |share: &mut Share| share.change(|sent| sent < batches).await).await
    }

    /// At a steady rate over the first stream, until dropped: a background for what is measured.
    pub async fn change_steadily(&mut self, every: Duration) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(every);
        let Some(share) = self.shares.first_mut() else { return Ok(()) };
        loop {
            ticks.tick().await;
            share.change(|sent| sent < 1).await?;
        }
    }

    /// A heartbeat of every connection. Nobody answers it.
    pub async fn beat(&mut self) -> anyhow::Result<()> {
        for share in &mut self.shares {
            for held in &share.held {
                share.lane.heartbeat(held.number, held.sequence).await?;
            }
        }
        Ok(())
    }

    /// Heartbeats of every connection, so many rounds; counts resources known to be confirmed by the ack behind them.
    pub async fn heartbeats(&mut self, rounds: usize) -> anyhow::Result<Run> {
        let run = self.all(async |share: &mut Share| share.heartbeats(rounds).await).await?;
        let records = self.resources() * rounds as u64;
        Ok(Run { records, ..run })
    }

    /// Snapshots of every connection, equal to what is held.
    pub async fn snapshots(&mut self) -> anyhow::Result<Run> {
        self.all(Share::level).await?;
        self.all(Share::snapshots).await
    }

    /// The next batch of changes over the first stream, for those who pace it; told whether it was sent.
    pub async fn send_one(&mut self) -> anyhow::Result<bool> {
        let Some(share) = self.shares.first_mut() else { return Ok(false) };
        if !share.lane.has_room() {
            return Ok(false);
        }
        share.send_change().await?;
        Ok(true)
    }

    /// Nothing is on the way over the first stream.
    pub fn is_idle(&self) -> bool {
        self.shares.first().is_none_or(|share| share.lane.is_idle())
    }

    /// The next ack on the first stream. May be dropped while it waits.
    pub async fn ack_one(&mut self) -> anyhow::Result<Acked> {
        let share = self.shares.first_mut().ok_or_else(|| anyhow::anyhow!("no stream"))?;
        share.ack().await
    }

    /// Last acked change of every record.
    pub fn changes(&self) -> BTreeMap<(u32, u32), u32> {
        let mut all = BTreeMap::new();
        for held in self.shares.iter().flat_map(|share| &share.held) {
            for (slice, change) in held.changes.iter().enumerate() {
                all.insert((held.number, u32::try_from(slice).unwrap_or(u32::MAX)), *change);
            }
        }
        all
    }

    async fn all(&mut self, load: impl AsyncFn(&mut Share) -> anyhow::Result<()>) -> anyhow::Result<Run> {
        let began = Instant::now();
        let loads: Vec<_> = self.shares.iter_mut().map(|share| load(share)).collect();
        try_join_all(loads).await?;
        let mut sum = Run { took: began.elapsed(), ..Run::default() };
        for share in &mut self.shares {
            let run = std::mem::take(&mut share.run);
            sum.records += run.records;
            sum.held_back += run.held_back;
            sum.acks.join(run.acks);
        }
        Ok(sum)
    }
}

impl Share {
    async fn fill(&mut self) -> anyhow::Result<()> {
        let mut at = self.held.iter().position(|held| held.sequence == 0).unwrap_or(self.held.len());
        while at < self.held.len() || !self.lane.is_idle() {
            if at < self.held.len() && self.lane.has_room() {
                let held = &mut self.held[at];
                held.sequence = 1;
                let (connection, count) = (held.number, held.records);
                let part = Part { connection, first: 0, count, change: 0, kind: Kind::First };
                self.lane.send(part, 1).await?;
                at += 1;
            } else {
                self.ack().await?;
            }
        }
        Ok(())
    }

    async fn change(&mut self, goes_on: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        let mut sent = 0;
        loop {
            let more = !self.held.is_empty() && goes_on(sent);
            if more && self.lane.has_room() {
                self.send_change().await?;
                sent += 1;
            } else if self.lane.is_idle() {
                return Ok(());
            } else {
                self.ack().await?;
            }
        }
    }

    async fn offer(&mut self, every: Duration, until: Instant) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(every);
        loop {
            tokio::select! {
                at = ticks.tick() => {
                    if at >= until {
                        break;
                    }
                    if self.lane.has_room() {
                        self.send_change().await?;
                    } else {
                        self.run.held_back += u64::from(BATCH);
                    }
                }
                acked = self.ack(), if !self.lane.is_idle() => drop(acked?),
            }
        }
        while !self.lane.is_idle() {
            self.ack().await?;
        }
        Ok(())
    }

    /// Every connection in turn, and slice after slice of it: no record comes twice before every other came once.
    async fn send_change(&mut self) -> anyhow::Result<()> {
        let place = self.turn % self.held.len();
        self.turn += 1;
        self.send_change_of(place).await
    }

    async fn send_change_of(&mut self, place: usize) -> anyhow::Result<()> {
        let held = &mut self.held[place];
        let slices = u32::try_from(held.changes.len())?;
        let (round, slice) = (held.turn / slices, held.turn % slices);
        held.turn += 1;
        held.sequence += 1;
        let part = Part {
            connection: held.number,
            first: slice * BATCH,
            count: BATCH,
            change: 1 + round,
            kind: Kind::Change,
        };
        self.lane.send(part, held.sequence).await
    }

    /// Ends the round of changes in which a connection is, so that one number names its state.
    async fn level(&mut self) -> anyhow::Result<()> {
        for place in 0..self.held.len() {
            while !(self.held[place].turn as usize).is_multiple_of(self.held[place].changes.len()) {
                if !self.lane.has_room() {
                    self.ack().await?;
                }
                self.send_change_of(place).await?;
            }
        }
        while !self.lane.is_idle() {
            self.ack().await?;
        }
        self.run = Run::default();
        Ok(())
    }

    async fn heartbeats(&mut self, rounds: usize) -> anyhow::Result<()> {
        for _ in 0..rounds {
            for held in &self.held {
                self.lane.heartbeat(held.number, held.sequence).await?;
            }
        }
        // The registry takes messages in order: the ack of a batch tells that all before it were taken. A heartbeat
        // with a state that the registry does not hold would be answered before, and fail here.
        self.change(|sent| sent < 1).await
    }

    async fn snapshots(&mut self) -> anyhow::Result<()> {
        let mut at = 0;
        while at < self.held.len() || !self.lane.is_idle() {
            if at < self.held.len() && self.lane.has_room() {
                let held = &mut self.held[at];
                let same = held.changes.windows(2).all(|pair| pair[0] == pair[1]);
                ensure!(same, "connection {} is in the middle of a round of changes", held.number);
                held.sequence += 1;
                let (connection, count) = (held.number, held.records);
                let part =
                    Part { connection, first: 0, count, change: held.changes[0], kind: Kind::Snapshot };
                self.lane.send(part, held.sequence).await?;
                at += 1;
            } else {
                self.ack().await?;
            }
        }
        Ok(())
    }

    async fn ack(&mut self) -> anyhow::Result<Acked> {
        let acked = self.lane.ack().await?;
        let Part { connection, first, count, change, kind } = acked.part;
        self.run.records += u64::from(count);
        self.run.acks.add(acked.took);
        if kind == Kind::Change
            && let Ok(at) = self.held.binary_search_by_key(&connection, |held| held.number)
            && let Some(slice) = self.held[at].changes.get_mut((first / BATCH) as usize)
        {
            *slice = change;
        }
        Ok(acked)
    }
}
