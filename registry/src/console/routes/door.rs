//! The way in and out: a token opens a session, which the browser shows from
//! then on. Knows no token beyond the request that brings it.

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use pulse_shell::access::Caller;
use pulse_shell::access::session::IDLE_MAX;
use pulse_shell::audit;

use super::forms::own_page;
use super::pages::{html, refused};
use super::{Slot, starting};
use crate::console::address::{QUERY_BYTES_MAX, Query};
use crate::console::figure::span;
use crate::console::{Console, assets, csrf};

/// Whom the form is for: somebody who is nobody yet.
const NOBODY: &str = "sign-in";

#[derive(Debug, Template)]
#[template(path = "console/sign_in.html")]
struct Page {
    css: &'static str,
    icon: &'static str,
    csrf: String,
    back: String,
    problem: String,
    idle: String,
}

fn shown(console: &Console, back: &str, problem: &str, status: StatusCode) -> Response {
    let page = Page {
        css: assets::css(),
        icon: assets::icon(),
        csrf: console.csrf().token(NOBODY),
        back: own_page(back).to_owned(),
        problem: problem.to_owned(),
        idle: span(IDLE_MAX),
    };
    html(status, page.render().unwrap_or_default())
}

pub(super) async fn page(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if !console.sources().guard.asks() {
        return Redirect::to(own_page(query.get("back"))).into_response();
    }
    shown(console, query.get("back"), "", StatusCode::OK)
}

pub(super) async fn sign_in(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let authority = request.uri().authority().map(ToString::to_string);
    let headers: HeaderMap = request.headers().clone();
    let is_own = csrf::is_own(&headers, authority.as_deref());
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, QUERY_BYTES_MAX).await.unwrap_or_default();
    let said = Query::parse(&String::from_utf8_lossy(&body));
    if !is_own || !console.csrf().is_it(said.get("csrf"), NOBODY) {
        let problem = "This page was open for too long, or is not of this console. Try once more.";
        return shown(console, said.get("back"), problem, StatusCode::FORBIDDEN);
    }
    match console.sources().guard.sign_in(said.get("token"), &headers) {
        Ok((cookie, name)) => {
            audit::about(&parts.extensions, name);
            let back = Redirect::to(own_page(said.get("back")));
            ([(header::SET_COOKIE, cookie)], back).into_response()
        }
        Err(problem) => shown(console, said.get("back"), &problem, StatusCode::UNAUTHORIZED),
    }
}

pub(super) async fn sign_out(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let caller = Caller::of(request.extensions());
    let authority = request.uri().authority().map(ToString::to_string);
    let headers: HeaderMap = request.headers().clone();
    let is_own = csrf::is_own(&headers, authority.as_deref());
    let body = to_bytes(request.into_body(), QUERY_BYTES_MAX).await.unwrap_or_default();
    let said = Query::parse(&String::from_utf8_lossy(&body));
    if !is_own || !console.csrf().is_it(said.get("csrf"), &caller.name) {
        return refused(StatusCode::FORBIDDEN, "Not done", "This form is not from a page of this console.");
    }
    let cookie = console.sources().guard.sign_out(&headers);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/console/sign-in")).into_response()
}
