//! Runs one lane: follows the alerts, sends what is to be sent, and has kept what was told. A lane waits for its own
//! receiver only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use pulse_proto::model::UnixMillis;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::board::{Board, Post, style};
use super::kept::{self, LaneId};
use super::lane::{Dispatch, Kept, Lane, News};
use super::send::{Client, Outcome};
use super::settings::Receivers;
use crate::alert::{AlertFeed, CaseId};
use crate::clock::Clock;
use crate::ingest;
use crate::state::{Note, Notes};
use crate::telemetry::{Metrics, NotificationLabel, ReceiverLabel};

/// After the store has refused a note.
const KEEP_AGAIN: Duration = Duration::from_secs(5);
/// At a stop, what is on its way may arrive, and what was told may be kept.
const LANDING: Duration = Duration::from_secs(3);

/// What every lane needs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub feed: AlertFeed,
    pub store: ingest::Handle,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Where people reach the registry; empty for nowhere.
    pub external_url: String,
}

/// Of the store's notes those that are this room's.
pub fn notes(all: &Notes) -> Notes {
    all.iter()
        .filter(|(key, _)| kept::is_own(key))
        .map(|(key, value)| (Arc::clone(key), Arc::clone(value)))
        .collect()
}

/// Starts telling all receivers. `notes` are those of the store; `stop` ends it.
pub fn start(
    receivers: &Receivers,
    around: Surroundings,
    notes: &Notes,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<Board>, JoinSet<()>)> {
    let mut planned = Vec::new();
    for receiver in &receivers.0 {
        for address in &receiver.addresses {
            let client = Client::new(address, &receiver.line)
                .map_err(|why| anyhow!("receiver {}: {why}", receiver.name))?;
            planned.push((receiver, address, LaneId::new(&receiver.name, address), client));
        }
    }
    let ids: Vec<LaneId> = planned.iter().map(|(_, _, id, _)| id.clone()).collect();
    let (mut told, strays) = kept::read(notes, &ids);
    let book = around.feed.book();
    let external_url = Some(around.external_url.clone()).filter(|url| !url.is_empty());
    let (mut posts, mut tasks) = (Vec::new(), JoinSet::new());
    for (receiver, address, id, client) in planned {
        let known = told.remove(&id).unwrap_or_default();
        let lane = Lane::restore(&receiver.name, receiver.wish.clone(), style(&receiver.kind), known, &book);
        let clock = around.clock.clone();
        let post = Post::new(receiver, address.to_string(), client, lane, external_url.clone(), clock);
        let post = Arc::new(post);
        let task =
            Task { post: Arc::clone(&post), id, around: around.clone(), seen: book.revision, keep_at: None };
        tasks.spawn(task.run(stop.clone()));
        posts.push(post);
    }
    if !strays.is_empty() {
        tasks.spawn(drop_strays(around.store.clone(), strays));
    }
    Ok((Arc::new(Board::new(posts, around.feed)), tasks))
}

/// Notes of receivers that are told no more. What is not dropped now is at the next start.
async fn drop_strays(store: ingest::Handle, strays: Vec<Note>) {
    if let Ok(Err(error)) = store.keep(strays).await {
        debug!(error, "notes of former receivers stay");
    }
}

struct Task {
    post: Arc<Post>,
    id: LaneId,
    around: Surroundings,
    /// Alerts are known up to here.
    seen: u64,
    /// The store has refused; it is asked again then.
    keep_at: Option<UnixMillis>,
}

type Flights = JoinSet<(Dispatch, Outcome)>;
type Rows = BTreeMap<CaseId, Option<Kept>>;
type Keeping = JoinSet<(Rows, bool)>;

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        let mut feed = self.around.feed.clone();
        let clock = self.around.clock.clone();
        let (mut flights, mut keeping) = (Flights::new(), Keeping::new());
        self.show_trouble();
        loop {
            self.launch(&mut flights);
            self.keep(&mut keeping);
            let next_at = self.post.lane().next_at();
            let keep_at = self.keep_at.filter(|_| keeping.is_empty());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(landed) = flights.join_next() => self.landed(landed),
                Some(kept) = keeping.join_next() => self.kept(kept),
                alive = feed.beyond(self.seen) => {
                    if !alive {
                        break;
                    }
                    self.follow();
                }
                () = clock.reaches(next_at) => {}
                () = clock.reaches(keep_at) => self.keep_at = None,
            }
        }
        self.land(flights, keeping).await;
    }

    /// Takes in which cases have changed.
    fn follow(&mut self) {
        let Ok((cases, head)) = self.around.feed.after(self.seen) else { return };
        let mut lane = self.post.lane();
        for case in &cases {
            lane.look(case);
        }
        self.seen = head;
    }

    fn launch(&self, flights: &mut Flights) {
        let now = self.around.clock.now();
        let dispatches = self.post.lane().take(&self.around.feed.book(), now);
        for dispatch in dispatches {
            let post = Arc::clone(&self.post);
            flights.spawn(async move {
                let outcome = post.send(&dispatch).await;
                (dispatch, outcome)
            });
        }
        let waiting = self.post.lane().waiting();
        let metrics = &self.around.metrics;
        metrics
            .notifications_waiting
            .get_or_create(&self.label())
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn label(&self) -> ReceiverLabel {
        ReceiverLabel { receiver: self.post.receiver.clone(), address: self.post.address.clone() }
    }

    fn landed(&self, landed: Result<(Dispatch, Outcome), tokio::task::JoinError>) {
        let (dispatch, outcome) =
            landed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let (word, why) = match &outcome {
            Outcome::Delivered => ("delivered", String::new()),
            Outcome::Refused(why) => ("refused", why.clone()),
            Outcome::Failed { why, .. } => ("failed", why.clone()),
        };
        let Post { receiver, address, .. } = &*self.post;
        let label = NotificationLabel { receiver: receiver.clone(), address: address.clone(), outcome: word };
        let metrics = &self.around.metrics;
        metrics.notifications.get_or_create(&label).inc_by(dispatch.items.len() as u64);
        let news = self.post.lane().answered(dispatch, outcome, self.around.clock.now(), rand::random());
        match news {
            News::None => debug!(receiver, address, outcome = word, why, "a notification"),
            News::Failing => warn!(receiver, address, why, "a receiver of alerts fails; it is tried again"),
            News::Refusing(why) => {
                warn!(
                    receiver,
                    address, why, "a receiver of alerts refuses what it is told; check its settings"
                );
            }
            News::Works => info!(receiver, address, "a receiver of alerts works again"),
        }
        self.show_trouble();
    }

    fn show_trouble(&self) {
        let metrics = &self.around.metrics;
        let since = self.post.lane().trouble().map(|trouble| trouble.since);
        metrics.receivers_failing.get_or_create(&self.label()).set(i64::from(since.is_some()));
        let since = since.map_or(0.0, |since| since.since(UnixMillis::new(0)).as_secs_f64());
        metrics.receivers_failing_since.get_or_create(&self.label()).set(since);
    }

    /// One commit at a time; what comes meanwhile goes with the next.
    fn keep(&self, keeping: &mut Keeping) {
        if !keeping.is_empty() || self.keep_at.is_some() || !self.post.lane().has_unkept() {
            return;
        }
        let rows = self.post.lane().take_unkept();
        let (store, notes) = (self.around.store.clone(), kept::write(&self.id, &rows));
        keeping.spawn(async move {
            let kept = matches!(store.keep(notes).await, Ok(Ok(())));
            (rows, kept)
        });
    }

    fn kept(&mut self, kept: Result<(Rows, bool), tokio::task::JoinError>) {
        let (rows, kept) = kept.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if !kept {
            // Told again after a restart, under the same key.
            self.post.lane().not_kept(rows);
            self.keep_at = Some(self.around.clock.now() + KEEP_AGAIN);
        }
    }

    /// What is on its way arrives, or is cut off and in doubt; and what was told is kept. Each within a short time.
    async fn land(mut self, mut flights: Flights, mut keeping: Keeping) {
        let arrive = async {
            while let Some(landed) = flights.join_next().await {
                self.landed(landed);
            }
        };
        if tokio::time::timeout(LANDING, arrive).await.is_err() {
            self.post.lane().abandon(self.around.clock.now());
        }
        drop(flights);
        self.keep_at = None;
        let keep = async {
            loop {
                self.keep(&mut keeping);
                let Some(kept) = keeping.join_next().await else { break };
                self.kept(kept);
                if self.keep_at.is_some() {
                    break;
                }
            }
        };
        drop(tokio::time::timeout(LANDING, keep).await);
    }
}
