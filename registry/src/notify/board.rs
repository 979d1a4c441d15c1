//! How every receiver does and what became of every notification, for operators; and a test on demand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulse_proto::model::UnixMillis;

use super::lane::{Dispatch, Lane, Style, Tally};
use super::send::{Client, Outcome};
use super::settings::{Kind, Receiver};
use super::{alertmanager, webhook};
use crate::alert::explain::{Deliveries, Delivery};
use crate::alert::{AlertFeed, Case, CaseId};
use crate::clock::Clock;

/// Requests to one webhook at once.
const WEBHOOK_AT_ONCE: usize = 4;
/// Alerts in one request to an Alertmanager.
const ALERTMANAGER_BATCH: usize = 200;

/// One address of one receiver: its lane, and the way there.
#[derive(Debug)]
pub struct Post {
    pub receiver: String,
    pub kind: Kind,
    /// Its origin.
    pub address: String,
    pub(super) lane: Mutex<Lane>,
    client: Client,
    external_url: Option<String>,
    clock: Clock,
}

impl Post {
    pub(super) fn new(
        receiver: &Receiver,
        address: String,
        client: Client,
        lane: Lane,
        external_url: Option<String>,
        clock: Clock,
    ) -> Self {
        let Receiver { name, kind, .. } = receiver;
        Self {
            receiver: name.clone(),
            kind: kind.clone(),
            address,
            lane: Mutex::new(lane),
            client,
            external_url,
            clock,
        }
    }

    /// A panic elsewhere leaves plain data behind.
    pub(super) fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Alertmanager { .. } => "alertmanager",
            Kind::Webhook { .. } => "webhook",
        }
    }

    fn link(&self, case: &Case) -> Option<String> {
        self.external_url
            .as_ref()
            .map(|url| format!("{}/console/alerts/{}", url.trim_end_matches('/'), case.id))
    }

    pub(super) async fn send(&self, dispatch: &Dispatch) -> Outcome {
        let now = self.clock.now();
        let link = |case: &Case| self.link(case);
        match (&self.kind, dispatch.items.first()) {
            (Kind::Alertmanager { resend, .. }, _) => {
                self.post(&[], alertmanager::body(&dispatch.items, now, *resend, &link), now).await
            }
            (Kind::Webhook { secrets }, Some(item)) => {
                let body = webhook::body(&self.receiver, item, &link);
                self.post(&webhook::headers(&webhook::id(item), now, &body, secrets), body, now).await
            }
            (Kind::Webhook { .. }, None) => Outcome::Delivered,
        }
    }

    async fn test(&self) -> Outcome {
        let now = self.clock.now();
        match &self.kind {
            Kind::Alertmanager { labels, .. } => {
                self.post(&[], alertmanager::test_body(now, &self.receiver, labels), now).await
            }
            Kind::Webhook { secrets } => {
                let body = webhook::test_body(&self.receiver, now);
                let id = format!("msg_test_{}", now.get());
                self.post(&webhook::headers(&id, now, &body, secrets), body, now).await
            }
        }
    }

    async fn post(&self, headers: &[(&'static str, String)], body: Vec<u8>, now: UnixMillis) -> Outcome {
        let millis = i64::try_from(now.get()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        self.client.post(headers, body, now).await
    }
}

/// How a lane tells.
pub(super) fn style(kind: &Kind) -> Style {
    match kind {
        Kind::Alertmanager { labels, resend } => {
            Style::State { batch: ALERTMANAGER_BATCH, resend: *resend, labels: labels.clone() }
        }
        Kind::Webhook { .. } => Style::Events { at_once: WEBHOOK_AT_ONCE },
    }
}

/// How an address does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub receiver: String,
    pub kind: &'static str,
    pub address: String,
    pub standing: Standing,
    /// Why it fails or refuses.
    pub error: String,
    pub since: Option<UnixMillis>,
    pub next_attempt_at: Option<UnixMillis>,
    /// Cases that it is still to be told of, and cases that it knows to fire.
    pub waiting: usize,
    pub told: usize,
    pub tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was sent yet.
    Untried,
    Works,
    /// What is sent is tried again.
    Failing,
    /// It answers, and does not want what it is sent.
    Refusing,
}

#[derive(Debug)]
pub struct Board {
    posts: Vec<Arc<Post>>,
    feed: AlertFeed,
}

impl Board {
    pub(super) fn new(posts: Vec<Arc<Post>>, feed: AlertFeed) -> Self {
        Self { posts, feed }
    }

    pub fn statuses(&self) -> Vec<Status> {
        self.posts.iter().map(|post| post.status()).collect()
    }

    pub fn knows(&self, receiver: &str) -> bool {
        self.posts.iter().any(|post| post.receiver == receiver)
    }

    /// Sends a test to each address of a receiver. What it is told of alerts does not change.
    pub async fn test(&self, receiver: &str) -> Vec<(String, Outcome, Duration)> {
        let mut outcomes = Vec::new();
        for post in self.posts.iter().filter(|post| post.receiver == receiver) {
            let began = tokio::time::Instant::now();
            let outcome = post.test().await;
            outcomes.push((post.address.clone(), outcome, began.elapsed()));
        }
        outcomes
    }
}

impl Post {
    fn status(&self) -> Status {
        let lane = self.lane();
        let tally = lane.tally.clone();
        let (standing, error, since, next_attempt_at) = match (lane.trouble(), &tally.refusing) {
            (Some(trouble), _) => {
                (Standing::Failing, trouble.why.clone(), Some(trouble.since), Some(trouble.next_at))
            }
            (None, Some((at, why))) => (Standing::Refusing, why.clone(), Some(*at), None),
            (None, None) if tally.last_success_at.is_some() => (Standing::Works, String::new(), None, None),
            (None, None) => (Standing::Untried, String::new(), None, None),
        };
        Status {
            receiver: self.receiver.clone(),
            kind: self.kind(),
            address: self.address.clone(),
            standing,
            error,
            since,
            next_attempt_at,
            waiting: lane.waiting(),
            told: lane.told(),
            tally,
        }
    }
}

impl Deliveries for Board {
    fn of(&self, case: CaseId) -> Vec<Delivery> {
        let book = self.feed.book();
        let Some(case) = book.get(case) else { return Vec::new() };
        let told = |post: &Arc<Post>| {
            let (text, at) = post.lane().fate(case);
            Delivery { receiver: post.receiver.clone(), text, at }
        };
        self.posts.iter().map(told).collect()
    }
}
