//! One watcher of alerts: first what matches, then what changes. Holds the ids
//! it has told and one message; everything else waits in the book all share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::pb::registry::v1::WatchAlertsResponse;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{refused, shown};
use crate::alert::case::{Case, CaseId};
use crate::alert::feed::AlertFeed;
use crate::error;
use crate::query::filter::AlertFilter;
use crate::query::sight::Sight;
use crate::query::token::{Purpose, Seal, TokenError};
use crate::state::Feed;
use crate::watch::task::{End, Pace};

/// Alerts in one message.
const MESSAGE_MAX: usize = 500;
/// Messages on their way to the reader.
const OUTBOX_MAX: usize = 2;

pub(super) struct Watcher {
    feed: AlertFeed,
    resources: Feed,
    filter: AlertFilter,
    /// Labels that the reader is limited to, and what that lets him see.
    labels: BTreeMap<String, String>,
    sight: Sight,
    seal: Seal,
    /// Everything up to here is told.
    through: u64,
    told: BTreeSet<CaseId>,
    /// The reader knows what was before; what it knows is not known here.
    resumed: bool,
}

type Message = Result<WatchAlertsResponse, Status>;

impl Watcher {
    pub(super) fn open(
        feed: AlertFeed,
        resources: Feed,
        filter: AlertFilter,
        labels: BTreeMap<String, String>,
        token: &str,
        seal: Seal,
    ) -> Result<Self, Status> {
        let sight = Sight::of(&resources.view(), &labels);
        let mut through = 0;
        if !token.is_empty() {
            let payload = seal.open(Purpose::AlertResume, token).map_err(error::resume_token)?;
            let malformed = || error::resume_token(TokenError::Malformed);
            let (revision, seen) = payload.split_first_chunk::<8>().ok_or_else(malformed)?;
            through = u64::from_be_bytes(*revision);
            // Tokens of earlier releases say nothing of it: they are of those who see everything.
            if *seen != sight.digest() && !(seen.is_empty() && sight.is_whole()) {
                return Err(End::Regrouped { through: pulse_proto::model::Revision(through) }.into());
            }
            feed.after(through).map_err(refused::ahead)?;
        }
        let (told, resumed) = (BTreeSet::new(), !token.is_empty());
        Ok(Self { feed, resources, filter, labels, sight, seal, through, told, resumed })
    }

    pub(super) fn start(
        self,
        pace: Pace,
        draining: CancellationToken,
        permit: OwnedSemaphorePermit,
    ) -> ReceiverStream<Message> {
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        tokio::spawn(async move {
            let end = self.run(&outbox, pace, draining).await;
            // A reader that is gone needs no reason; one that is slow finds it behind what it has not read.
            drop(outbox.send_timeout(Err(end.into()), pace.stall_max).await);
            drop(permit);
        });
        ReceiverStream::new(messages)
    }

    async fn run(mut self, outbox: &mpsc::Sender<Message>, pace: Pace, draining: CancellationToken) -> End {
        if !self.resumed {
            let book = self.feed.book();
            let cases: Vec<Arc<Case>> = book.cases().filter(|case| self.holds(case)).cloned().collect();
            self.told.extend(cases.iter().map(|case| case.id));
            self.through = book.revision;
            drop(book);
            if let Err(end) = self.tell(&cases, true, outbox, pace).await {
                return end;
            }
        }
        let mut told_at = Instant::now();
        loop {
            let Ok((changed, through)) = self.feed.after(self.through) else {
                return End::Slow { through: pulse_proto::model::Revision(self.through) };
            };
            if self.sight != Sight::of(&self.resources.view(), &self.labels) {
                return End::Regrouped { through: pulse_proto::model::Revision(self.through) };
            }
            let cases: Vec<Arc<Case>> = changed.into_iter().filter(|case| self.wants(case)).collect();
            if through > self.through {
                self.through = through;
                if !cases.is_empty() {
                    if let Err(end) = self.tell(&cases, false, outbox, pace).await {
                        return end;
                    }
                    told_at = Instant::now();
                }
            }
            tokio::select! {
                biased;
                () = draining.cancelled() => return End::Draining,
                () = outbox.closed() => return End::Gone,
                alive = self.feed.beyond(self.through) => {
                    if !alive {
                        return End::Draining;
                    }
                }
                () = tokio::time::sleep_until(told_at + pace.bookmark_interval) => {
                    let bookmark = WatchAlertsResponse { bookmark: true, resume_token: self.token(), ..WatchAlertsResponse::default() };
                    if let Err(end) = self.send(bookmark, outbox, pace.stall_max).await {
                        return end;
                    }
                    told_at = Instant::now();
                }
            }
        }
    }

    fn holds(&self, case: &Case) -> bool {
        self.sight.sees(&case.subject.connection) && self.filter.matches(case)
    }

    /// What matches, or did when it was told last.
    fn wants(&mut self, case: &Case) -> bool {
        if self.holds(case) {
            self.told.insert(case.id);
            return true;
        }
        self.sight.sees(&case.subject.connection) && (self.told.remove(&case.id) || self.resumed)
    }

    async fn tell(
        &self,
        cases: &[Arc<Case>],
        first: bool,
        outbox: &mpsc::Sender<Message>,
        pace: Pace,
    ) -> Result<(), End> {
        let mut chunks = cases.chunks(MESSAGE_MAX).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let last = chunks.peek().is_none();
            let view = self.resources.view();
            let message = WatchAlertsResponse {
                alerts: chunk.iter().map(|case| shown(case, &view)).collect(),
                // Of a stretch that is told to its end.
                resume_token: if last { self.token() } else { String::new() },
                initial_list_end: first && last,
                bookmark: false,
            };
            self.send(message, outbox, pace.stall_max).await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn send(
        &self,
        message: WatchAlertsResponse,
        outbox: &mpsc::Sender<Message>,
        stall_max: Duration,
    ) -> Result<(), End> {
        match outbox.send_timeout(Ok(message), stall_max).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(End::Slow { through: pulse_proto::model::Revision(self.through) })
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(End::Gone),
        }
    }

    fn token(&self) -> String {
        let payload = [self.through.to_be_bytes(), self.sight.digest()].concat();
        self.seal.seal(Purpose::AlertResume, &payload)
    }
}
