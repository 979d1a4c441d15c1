//! Watchers that only count, and a writer that is paced by the slowest of
//! them. The same for the registry and for its peers.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Streaming;

use super::times::Times;
use super::{BATCH, as_f64};

/// Batches that the writer may be ahead of the slowest watcher.
const AHEAD_MAX: u64 = 32;
/// The same, in batches for all watchers together: what waits for a reader too long costs it its watch.
const DELIVERIES_AHEAD_MAX: u64 = 4_096;
/// Batches whose times are remembered: more than can be on the way.
const RING: usize = 256;
/// Nothing that is measured takes so long to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

/// Sends batches of [`BATCH`] changes, each to another record than those on the way.
pub trait Writer {
    /// False when there is no room for another batch now.
    fn send(&mut self) -> impl Future<Output = anyhow::Result<bool>>;
    fn is_idle(&self) -> bool;
    /// Waits for the next ack; may be dropped while it waits.
    fn ack(&mut self) -> impl Future<Output = anyhow::Result<()>>;
}

/// How far all watchers have come.
#[derive(Debug)]
struct Progress {
    watchers: u32,
    began: Instant,
    /// Watchers that have seen a batch whole.
    arrived: Vec<AtomicU32>,
    /// When a batch was sent, in microseconds since `began`.
    sent_us: Vec<AtomicU64>,
    done: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    times: Mutex<Times>,
    timed: bool,
    news: Notify,
    failed: Mutex<Option<String>>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub events: u64,
    /// Of the messages that brought them.
    pub bytes: u64,
    /// Records written meanwhile.
    pub records: u64,
    pub took: Duration,
    /// From sending a batch to its last event, for every watcher.
    pub times: Times,
}

impl Delivered {
    pub fn per_second(&self) -> f64 {
        as_f64(self.events) / self.took.as_secs_f64().max(1e-9)
    }

    pub fn bytes_per_event(&self) -> f64 {
        as_f64(self.bytes) / as_f64(self.events.max(1))
    }
}

/// Open watches, each told every change.
#[derive(Debug)]
pub struct Watchers {
    streams: Vec<Streaming<Bytes>>,
    /// Events in a message.
    count: fn(&Bytes) -> u64,
}

/// How the writer goes.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as the slowest watcher.
    Slowest(Duration),
    /// A batch so often, so many times.
    Every(Duration, u64),
}

impl Watchers {
    pub fn new(streams: Vec<Streaming<Bytes>>, count: fn(&Bytes) -> u64) -> Self {
        Self { streams, count }
    }

    /// Writes and counts. Every watcher must see every change exactly once, or it fails.
    pub async fn measure(self, writer: &mut impl Writer, pace: Pace) -> anyhow::Result<Delivered> {
        let watchers = u32::try_from(self.streams.len())?;
        let progress = Arc::new(Progress::new(watchers, matches!(pace, Pace::Every(..))));
        let mut readers = JoinSet::new();
        for stream in self.streams {
            readers.spawn(read(stream, self.count, Arc::clone(&progress)));
        }
        let batches = match pace {
            Pace::Slowest(time) => write_fast(writer, &progress, time).await?,
            Pace::Every(every, batches) => write_steadily(writer, &progress, every, batches).await?,
        };
        let took = progress.began.elapsed();
        readers.shutdown().await;
        let events = progress.events.load(Ordering::Relaxed);
        let records = batches * u64::from(BATCH);
        let expected = records * u64::from(watchers);
        ensure!(events == expected, "{events} events were seen, {expected} were due");
        let times = std::mem::take(&mut *progress.times.lock().unwrap_or_else(PoisonError::into_inner));
        let bytes = progress.bytes.load(Ordering::Relaxed);
        Ok(Delivered { events, bytes, records, took, times })
    }
}

async fn write_fast(writer: &mut impl Writer, progress: &Progress, time: Duration) -> anyhow::Result<u64> {
    let until = progress.began + time;
    let ahead = (DELIVERIES_AHEAD_MAX / u64::from(progress.watchers.max(1))).clamp(2, AHEAD_MAX);
    let mut sent = 0;
    loop {
        let more = Instant::now() < until;
        if more && sent < progress.done() + ahead {
            progress.sending(sent);
            if writer.send().await? {
                sent += 1;
                continue;
            }
        }
        if !more && progress.done() == sent && writer.is_idle() {
            return Ok(sent);
        }
        progress.step(writer).await?;
    }
}

async fn write_steadily(
    writer: &mut impl Writer,
    progress: &Progress,
    every: Duration,
    batches: u64,
) -> anyhow::Result<u64> {
    let mut ticks = tokio::time::interval(every);
    for batch in 0..batches {
        // An arrival is told by the watcher itself; only acks are taken meanwhile.
        loop {
            tokio::select! {
                _ = ticks.tick() => break,
                acked = writer.ack(), if !writer.is_idle() => acked?,
            }
        }
        progress.sending(batch);
        while !writer.send().await? {
            writer.ack().await?;
        }
    }
    while progress.done() < batches || !writer.is_idle() {
        progress.step(writer).await?;
    }
    Ok(batches)
}

async fn read(mut stream: Streaming<Bytes>, count: fn(&Bytes) -> u64, progress: Arc<Progress>) {
    let (mut events, mut batches) = (0, 0);
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                let more = count(&message);
                events += more;
                progress.events.fetch_add(more, Ordering::Relaxed);
                progress.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
                while batches < events / u64::from(BATCH) {
                    progress.seen(batches);
                    batches += 1;
                }
            }
            Ok(None) => return progress.fail("a watch ended".to_owned()),
            Err(status) => return progress.fail(format!("a watch ended: {status}")),
        }
    }
}

impl Progress {
    fn new(watchers: u32, timed: bool) -> Self {
        Self {
            watchers,
            began: Instant::now(),
            arrived: (0..RING).map(|_| AtomicU32::new(0)).collect(),
            sent_us: (0..RING).map(|_| AtomicU64::new(0)).collect(),
            done: AtomicU64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            times: Mutex::default(),
            timed,
            news: Notify::new(),
            failed: Mutex::default(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sending(&self, batch: u64) {
        if let Some(at) = self.sent_us.get(place(batch)) {
            at.store(self.now_us(), Ordering::Release);
        }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// One watcher has all of a batch.
    fn seen(&self, batch: u64) {
        let (Some(arrived), Some(sent)) = (self.arrived.get(place(batch)), self.sent_us.get(place(batch)))
        else {
            return;
        };
        if self.timed {
            let took = self.now_us().saturating_sub(sent.load(Ordering::Acquire));
            self.times.lock().unwrap_or_else(PoisonError::into_inner).add(Duration::from_micros(took));
        }
        if arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.watchers {
            arrived.store(0, Ordering::Release);
            self.done.fetch_add(1, Ordering::AcqRel);
            self.news.notify_one();
        }
    }

    fn fail(&self, why: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.news.notify_one();
    }

    /// Waits until something arrived or was acked.
    async fn step(&self, writer: &mut impl Writer) -> anyhow::Result<()> {
        let event = async {
            let idle = writer.is_idle();
            tokio::select! {
                acked = writer.ack(), if !idle => acked,
                () = self.news.notified() => Ok(()),
            }
        };
        tokio::time::timeout(PATIENCE, event).await.context("a change was never seen")??;
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(why) => bail!(why),
            None => Ok(()),
        }
    }
}

fn place(batch: u64) -> usize {
    usize::try_from(batch % RING as u64).unwrap_or_default()
}
