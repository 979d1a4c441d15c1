//! The console over HTTP: who asks, which page, what every answer carries.
//! Knows pages by name and nothing of what is on them.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use pulse_proto::model::UnixMillis;
use pulse_shell::access::Caller;

use super::address::{QUERY_BYTES_MAX, Query};
use super::figure::{Units, When};
use super::layout::{Layout, Visitor};
use super::systems::Scope;
use super::{Console, assets, csrf, infrastructure, storage};
use crate::alert::book::Book;
use crate::state::View;

/// Nothing from elsewhere, nothing written into a page: what a NAS says stays text.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const FOREVER: &str = "public, max-age=31536000, immutable";
const UNITS: &str = "pulse_units";

/// Filled when the registry answers.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<OnceLock<Console>>);

impl Slot {
    pub fn fill(&self, console: Console) {
        drop(self.0.set(console));
    }
}

pub fn router(slot: Slot) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/console")))
        .route("/console", get(async || Redirect::to(infrastructure::PATH)))
        .route("/console/assets/{name}", get(asset))
        .route(infrastructure::PATH, get(infrastructure_page))
        .route(storage::PATH, get(storage_page))
        .route("/console/preferences", post(preferences))
        .layer(axum::middleware::map_response(guarded))
        .with_state(slot)
}

/// What every answer says to a browser.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn asset(Path(name): Path<String>) -> Response {
    match assets::find(&name) {
        Some(asset) => {
            let headers = [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, FOREVER)];
            (headers, asset.content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// One request for a page, and what it is answered from: one revision of everything.
pub(super) struct Visit {
    pub visitor: Visitor,
    pub query: Query,
    here: String,
    pub view: Arc<View>,
    pub book: Arc<Book>,
    pub now: UnixMillis,
}

impl Visit {
    /// The labels that everything must carry which is shown.
    fn scope(&self) -> Scope {
        self.visitor.caller.scope()
    }

    pub(super) fn layout(&self, title: &str, page: &'static str) -> Layout {
        Layout {
            title: title.to_owned(),
            page,
            visitor: self.visitor.clone(),
            here: self.here.clone(),
            live: String::new(),
            now: When { at: self.now, now: self.now },
            revision: self.view.revision.0,
            loud: self.book.cases().filter(|case| case.notifies()).count() as u64,
        }
    }
}

fn visit(console: &Console, request: &Request) -> Visit {
    let sources = console.sources();
    let units = cookie(request.headers(), UNITS).map(Units::from_token).unwrap_or_default();
    let caller = Caller::of(request.extensions());
    let uri = request.uri();
    Visit {
        visitor: Visitor { csrf: console.csrf().token(&caller.name), caller, units, has_session: false },
        query: Query::parse(uri.query().unwrap_or_default()),
        here: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        view: sources.feed.view(),
        book: sources.alerts.book(),
        now: sources.clock.now(),
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Makes a page of a visit.
async fn answer<T: Template + Send + 'static>(
    slot: &Slot,
    request: Request,
    page: impl FnOnce(Visit) -> T + Send + 'static,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let visit = visit(console, &request);
    drop(request);
    match console.make(move || page(visit).render()).await {
        Some(Ok(text)) => html(StatusCode::OK, text),
        Some(Err(_)) | None => {
            html(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.".to_owned())
        }
    }
}

fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

fn starting() -> Response {
    let headers = [(header::RETRY_AFTER, "2"), (header::REFRESH, "2")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "The registry is starting.\n").into_response()
}

async fn infrastructure_page(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let (layout, scope) = (visit.layout("Infrastructure", "infrastructure"), visit.scope());
        infrastructure::page(layout, &visit.view, visit.query, &scope, visit.now)
    };
    answer(&slot, request, page).await
}

async fn storage_page(State(slot): State<Slot>, request: Request) -> Response {
    let page = |visit: Visit| {
        let (layout, scope) = (visit.layout("Storage", "storage"), visit.scope());
        storage::page(layout, &visit.view, visit.query, &scope, visit.now)
    };
    answer(&slot, request, page).await
}

/// What a form says, sent by a page of ours.
async fn form(console: &Console, request: Request) -> Result<(Caller, Query), Response> {
    let caller = Caller::of(request.extensions());
    let authority = request.uri().authority().map(ToString::to_string);
    let is_own = csrf::is_own(request.headers(), authority.as_deref());
    let body = to_bytes(request.into_body(), QUERY_BYTES_MAX).await.unwrap_or_default();
    let said = Query::parse(&String::from_utf8_lossy(&body));
    if is_own && console.csrf().is_it(said.get("csrf"), &caller.name) {
        Ok((caller, said))
    } else {
        let told = "This form is not from a page of this console, or the registry was started since. Go back, read the page again and try once more.\n";
        Err((StatusCode::FORBIDDEN, told).into_response())
    }
}

/// Back to the page that a form was on, and to no other site.
fn back(said: &Query) -> Redirect {
    let wanted = said.get("back");
    let own = wanted.starts_with("/console") && !wanted.contains("//") && !wanted.contains('\\');
    Redirect::to(if own { wanted } else { "/console" })
}

async fn preferences(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let said = match form(console, request).await {
        Ok((_, said)) => said,
        Err(refused) => return refused,
    };
    let units = Units::from_token(said.get("units")).token();
    let cookie = format!("{UNITS}={units}; Path=/console; Max-Age=31536000; SameSite=Strict; HttpOnly");
    ([(header::SET_COOKIE, cookie)], back(&said)).into_response()
}
