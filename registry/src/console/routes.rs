//! The console over HTTP: which address is which page, and what every answer
//! carries. Knows pages by name and nothing of what is on them.

mod door;
mod forms;
mod live;
mod pages;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::{Console, alerts, assets, connections, fleet, infrastructure, storage};

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
        .route("/", get(home))
        .route("/console/assets/{name}", get(asset))
        .route("/console/sign-in", get(door::page).post(door::sign_in))
        .route("/console/sign-out", post(door::sign_out))
        .route(fleet::PATH, get(pages::fleet))
        .route(infrastructure::PATH, get(pages::infrastructure))
        .route(storage::PATH, get(pages::storage))
        .route("/console/resources/{id}", get(pages::resource))
        .route(alerts::PATH, get(pages::alerts))
        .route("/console/alerts/{id}", get(pages::alert))
        .route("/console/alerts/{id}/acknowledge", post(forms::acknowledge))
        .route("/console/alerts/{id}/unacknowledge", post(forms::unacknowledge))
        .route("/console/alerts/{id}/silence", post(forms::silence))
        .route("/console/silences/{id}/end", post(forms::end_silence))
        .route(connections::PATH, get(pages::connections))
        .route("/console/connections/{id}", get(pages::connection))
        .route("/console/connections/{id}/refresh", post(forms::refresh_connection))
        .route("/console/preferences", post(forms::preferences))
        .route("/console/live", get(live::stream))
        .layer(axum::middleware::map_response(guarded))
        .with_state(slot)
}

// No closure: an asynchronous one here sends this compiler round in circles in a release build.
async fn home() -> Redirect {
    Redirect::to(fleet::PATH)
}

/// What every answer says to a browser.
async fn guarded(mut response: Response) -> Response {
    protect(response.headers_mut());
    response
}

/// For answers that are made elsewhere, too.
pub fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
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

fn starting() -> Response {
    let text = "The registry reads what it holds. The page comes by itself as soon as that is done.";
    let headers = [(header::RETRY_AFTER, "2"), (header::REFRESH, "2")];
    (headers, pages::refused(StatusCode::SERVICE_UNAVAILABLE, "Starting", text)).into_response()
}
