//! Tells a page that what it shows has changed, as server-sent events. What is
//! told is only that: the page fetches itself again, through the same door.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use pulse_proto::model::Revision;
use pulse_shell::access::Caller;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::pages::turned_away;
use super::{Slot, starting};
use crate::console::address::Query;
use crate::console::systems::{Scope, carries};
use crate::console::{Sources, storage};
use crate::query::filter::Filter;
use crate::state::change::{Change, Changes};
use crate::state::resource::Resource;

/// A page hears of changes no more often than this.
const PACE: Duration = Duration::from_secs(1);
/// Ages move without changes.
const TICK: Duration = Duration::from_secs(15);
/// A page that hears nothing for longer than this, and a little, knows that it is alone: connections die in silence.
const ALIVE: Duration = Duration::from_secs(10);
/// Events on their way: each says the same, so one is enough.
const OUTBOX_MAX: usize = 1;
const REVISIONS_MAX: usize = 256;

/// Where a page hears of `about`, a filter over resources; alerts are heard of anyway. What came between the making of
/// the page and its listening is heard of first.
pub(super) fn address(about: &str, made: Made) -> String {
    let Made { view, book } = made;
    Query::default().with("about", about).with("since", &format!("{view}.{book}")).link("/console/live")
}

/// Of what a page was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub view: Revision,
    /// Of alerts.
    pub book: u64,
}

impl Made {
    /// `None`: somebody listens who has seen nothing.
    fn parse(text: &str) -> Option<Self> {
        let (view, book) = text.split_once('.')?;
        Some(Self { view: Revision(view.parse().ok()?), book: book.parse().ok()? })
    }
}

/// What pages are about.
pub(super) const EVERYTHING: &str = "all";
pub(super) const STORAGE: &str = "storage";
pub(super) const ALERTS: &str = "alerts";

fn filter(about: &str) -> String {
    match about {
        STORAGE => storage::ABOUT.to_owned(),
        EVERYTHING => String::new(),
        // Of no resource.
        ALERTS => "id = \"\"".to_owned(),
        // Of one connection.
        other => format!("connection = {}", crate::console::filter::quoted(other)),
    }
}

pub(super) async fn stream(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    if let Some(refused) = turned_away(console, &request) {
        return refused;
    }
    let scope = Caller::of(request.extensions()).scope();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    drop(request);
    let Ok(filter) = Filter::parse_within(&filter(query.get("about")), &scope) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(permit) = Arc::clone(console.streams()).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")]).into_response();
    };
    let (outbox, events) = mpsc::channel(OUTBOX_MAX);
    let sources = console.sources().clone();
    let made = Made::parse(query.get("since"));
    tokio::spawn(async move {
        follow(sources, filter, scope, made, outbox).await;
        drop(permit);
    });
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(ReceiverStream::new(events))).into_response()
}

async fn follow(
    mut sources: Sources,
    filter: Filter,
    scope: Scope,
    made: Option<Made>,
    outbox: mpsc::Sender<Result<Event, Infallible>>,
) {
    let (head, alerts_head) = (sources.feed.view().revision, sources.alerts.book().revision);
    let mut at = made.map_or(head, |made| made.view.min(head));
    let mut alerts_at = made.map_or(alerts_head, |made| made.book.min(alerts_head));
    let mut changed = false;
    let (mut told, mut spoke) = (Instant::now(), Instant::now());
    loop {
        if changed {
            (told, spoke) = (Instant::now(), Instant::now());
            let event = Event::default().event("changed").data(at.to_string());
            if outbox.send(Ok(event)).await.is_err() {
                return;
            }
            tokio::select! {
                () = sources.draining.cancelled() => return,
                () = tokio::time::sleep(PACE) => {}
            }
        }
        changed = tokio::select! {
            biased;
            () = sources.draining.cancelled() => return,
            () = outbox.closed() => return,
            alive = sources.feed.beyond(at) => {
                if !alive {
                    return;
                }
                let (through, concerns) = look(&sources, &filter, at);
                at = through;
                concerns
            }
            alive = sources.alerts.beyond(alerts_at) => {
                if !alive {
                    return;
                }
                let Ok((cases, through)) = sources.alerts.after(alerts_at) else { return };
                alerts_at = through;
                cases.iter().any(|case| carries(&case.subject.labels, &scope))
            }
            () = tokio::time::sleep_until(spoke + ALIVE) => {
                spoke = Instant::now();
                let event = Event::default().event("alive").data(at.to_string());
                if outbox.send(Ok(event)).await.is_err() {
                    return;
                }
                false
            }
            // However much comes meanwhile that does not concern the page.
            () = tokio::time::sleep_until(told + TICK) => true,
        };
    }
}

/// How far it looked, and whether something there concerns the page, which then fetches the newest.
fn look(sources: &Sources, filter: &Filter, at: Revision) -> (Revision, bool) {
    let head = sources.feed.view().revision;
    match sources.feed.after(at, REVISIONS_MAX) {
        Ok(all) if !all.iter().any(|changes| concerns(changes, filter)) => {
            (all.last().map_or(head, |last| last.revision), false)
        }
        Ok(_) | Err(_) => (head, true),
    }
}

fn concerns(changes: &Changes, filter: &Filter) -> bool {
    let holds = |resource: &Arc<Resource>| filter.matches(resource, None);
    changes.items.iter().any(|change| match change {
        Change::Added(resource) | Change::Removed(resource) => holds(resource),
        Change::Changed { before, after } => holds(before) || holds(after),
    })
}
