//! Each page: who asks, of which revision it is made, where it hears of changes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pulse_proto::model::{ResourceId, UnixMillis};
use pulse_shell::access::{Caller, host};

use super::live::{self, EVERYTHING, Made, STORAGE};
use super::{Slot, UNITS, starting};
use crate::alert::book::Book;
use crate::console::address::{QUERY_BYTES_MAX, Query};
use crate::console::figure::{Units, When};
use crate::console::layout::{Layout, Visitor};
use crate::console::systems::Scope;
use crate::console::{Console, Refused, alerts, connections, fleet, infrastructure, resource, storage};
use crate::query::sight::Sight;
use crate::state::View;

/// One request for a page, and what it is answered from: one revision of everything.
struct Visit {
    visitor: Visitor,
    query: Query,
    here: String,
    view: Arc<View>,
    book: Arc<Book>,
    now: UnixMillis,
    console: Console,
}

impl Visit {
    /// The labels that everything must carry which is shown.
    fn scope(&self) -> Scope {
        self.visitor.caller.scope()
    }

    fn sight(&self) -> Sight {
        Sight::of(&self.view, &self.scope())
    }

    fn layout(&self, title: &str, page: &'static str, about: &str) -> Layout {
        Layout {
            title: title.to_owned(),
            page,
            visitor: self.visitor.clone(),
            here: self.here.clone(),
            live: live::address(about, Made { view: self.view.revision, book: self.book.revision }),
            now: When { at: self.now, now: self.now },
            revision: self.view.revision.0,
            loud: alerts::loud(&self.book, &self.sight()),
        }
    }

    fn of(console: &Console, request: &Request) -> Self {
        let sources = console.sources();
        let units = cookie(request.headers(), UNITS).map(Units::from_token).unwrap_or_default();
        let caller = Caller::of(request.extensions());
        let uri = request.uri();
        Self {
            visitor: Visitor {
                csrf: console.csrf().token(&caller.name),
                has_session: pulse_shell::access::session::is_shown(request.headers()),
                caller,
                units,
            },
            query: Query::parse(uri.query().unwrap_or_default()),
            here: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            view: sources.feed.view(),
            book: sources.alerts.book(),
            now: sources.clock.now(),
            console: console.clone(),
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether this browser may be answered; where nobody is asked who he is, a strange name of this machine is refused.
pub(super) fn turned_away(console: &Console, request: &Request) -> Option<Response> {
    let caller = Caller::of(request.extensions());
    let authority = request.uri().authority().map(ToString::to_string);
    let hosts = &console.sources().allowed_hosts;
    let known = caller.grant.is_some() || host::is_known(request.headers(), authority.as_deref(), hosts);
    (!known).then(|| {
        let text = "This registry asks nobody who he is, so it answers browsers only by its address or as localhost. \
                    To use another name, add it to console.allowed_hosts, or make a token with `tokens create`.";
        refused(StatusCode::MISDIRECTED_REQUEST, "Not under this name", text)
    })
}

/// Makes a page; `None`: there is no such thing.
async fn answer<T: Template + Send + 'static>(
    slot: &Slot,
    request: Request,
    page: impl FnOnce(Visit) -> Option<T> + Send + 'static,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    if let Some(refused) = turned_away(console, &request) {
        return refused;
    }
    if request.uri().query().is_some_and(|query| query.len() > QUERY_BYTES_MAX) {
        let text = format!("What stands after the ? of the address may have {QUERY_BYTES_MAX} bytes.");
        return refused(StatusCode::URI_TOO_LONG, "Too much is asked for at once", &text);
    }
    let visit = Visit::of(console, &request);
    drop(request);
    match console.make(move || page(visit).map(|page| page.render())).await {
        Some(Some(Ok(text))) => html(StatusCode::OK, text),
        Some(None) => nothing(),
        Some(Some(Err(_))) | None => {
            let text = "The log of the registry says why. What other pages show is not affected.";
            refused(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made", text)
        }
    }
}

pub(super) fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

pub(super) fn refused(status: StatusCode, title: &str, text: &str) -> Response {
    html(status, Refused::page(title, text, false))
}

fn nothing() -> Response {
    let text = "It is gone, it never was, or it is not for you to see.";
    refused(StatusCode::NOT_FOUND, "Nothing here", text)
}

pub(super) fn no_alert() -> Response {
    refused(StatusCode::NOT_FOUND, "No such alert", "It is over and forgotten, or it is not for you to see.")
}

pub(super) async fn fleet(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let layout = visit.layout("Overview", "fleet", EVERYTHING);
        Some(fleet::page(layout, &visit.view, &visit.book, &visit.scope(), visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn infrastructure(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let (layout, scope) = (visit.layout("Infrastructure", "infrastructure", EVERYTHING), visit.scope());
        Some(infrastructure::page(layout, &visit.view, visit.query, &scope, visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn storage(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let (layout, scope) = (visit.layout("Storage", "storage", STORAGE), visit.scope());
        Some(storage::page(layout, &visit.view, visit.query, &scope, visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn resource(State(slot): State<Slot>, Path(id): Path<String>, request: Request) -> Response {
    let page = move |visit: Visit| {
        let found = ResourceId::parse(&id).ok().and_then(|id| visit.view.get(&id))?.resource;
        let layout = visit.layout(found.display_name(), "", found.connection.as_str());
        resource::page(layout, &visit.view, &visit.book, &id, &visit.scope(), visit.now)
    };
    answer(&slot, request, page).await
}

pub(super) async fn alerts(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let layout = visit.layout("Alerts", "alerts", live::ALERTS);
        let sight = visit.sight();
        Some(alerts::page(layout, &visit.book, visit.query, &sight, visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn alert(State(slot): State<Slot>, Path(id): Path<String>, request: Request) -> Response {
    let page = move |visit: Visit| {
        let sight = visit.sight();
        let case = alerts::find(&visit.book, &id, &sight)?;
        let layout = visit.layout(&case.summary, "alerts", live::ALERTS);
        let deliveries = visit.console.sources().deliveries.clone();
        let deliveries = deliveries.as_deref().map(|told| told as &dyn crate::alert::explain::Deliveries);
        Some(alerts::case_page(layout, &visit.view, &visit.book, case, deliveries, &sight, visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn connections(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let heard = console.collectors().hear().await;
    let page = move |visit: Visit| {
        let (layout, scope) = (visit.layout("Connections", "connections", EVERYTHING), visit.scope());
        Some(connections::page(layout, &visit.view, &heard, visit.query, &scope, visit.now))
    };
    answer(&slot, request, page).await
}

pub(super) async fn connection(
    State(slot): State<Slot>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let heard = console.collectors().hear().await;
    let page = move |visit: Visit| {
        let layout = visit.layout("Connection", "connections", &id);
        connections::one(layout, &visit.view, &heard, &id, &visit.scope(), visit.now)
    };
    answer(&slot, request, page).await
}
