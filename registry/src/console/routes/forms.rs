//! What forms do: each is checked for where it comes from, then said to the
//! core of alerts or to a collector as anybody's command is.

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::Severity;
use pulse_proto::pb::registry::v1 as pb;
use pulse_shell::access::{Caller, session};
use pulse_shell::audit;
use std::time::Duration;

use super::{Slot, UNITS, pages, starting};
use crate::alert::engine::Command;
use crate::alert::silence::SilenceId;
use crate::console::address::{QUERY_BYTES_MAX, Query};
use crate::console::figure::Units;
use crate::console::filter::quoted;
use crate::console::{Console, alerts, connections, csrf};
use crate::query::sight::Sight;

/// Longest silence that a page offers.
const SILENCE_HOURS_MAX: u64 = 24 * 7;

/// What a form says, sent by a page of ours.
struct Form {
    caller: Caller,
    said: Query,
    /// Sent over TLS, as far as the browser says so.
    over_tls: bool,
}

impl Form {
    async fn read(console: &Console, request: Request) -> Result<Self, Response> {
        let caller = Caller::of(request.extensions());
        let authority = request.uri().authority().map(ToString::to_string);
        let is_own = csrf::is_own(request.headers(), authority.as_deref());
        let over_tls = session::is_over_tls(request.headers());
        let body = to_bytes(request.into_body(), QUERY_BYTES_MAX).await.unwrap_or_default();
        let said = Query::parse(&String::from_utf8_lossy(&body));
        if is_own && console.csrf().is_it(said.get("csrf"), &caller.name) {
            Ok(Self { caller, said, over_tls })
        } else {
            let text = "This form is not from a page of this console, or the registry was started since. Go back, read \
                        the page again and try once more.";
            Err(pages::refused(StatusCode::FORBIDDEN, "Not done", text))
        }
    }

    /// Back to the page that the form was on, and to no other site.
    fn back(&self) -> Response {
        Redirect::to(own_page(self.said.get("back"))).into_response()
    }
}

pub(super) fn own_page(wanted: &str) -> &str {
    let own = (wanted == "/console" || wanted.starts_with("/console/") || wanted.starts_with("/console?"))
        && !wanted.contains("//")
        && !wanted.contains('\\');
    if own { wanted } else { "/console" }
}

/// What was in the way.
fn not_done(problem: &str) -> Response {
    pages::refused(StatusCode::CONFLICT, "Not done", problem)
}

pub(super) async fn preferences(State(slot): State<Slot>, request: Request) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    let form = match Form::read(console, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let units = Units::from_token(form.said.get("units")).token();
    let secure = if form.over_tls { "; Secure" } else { "" };
    let cookie =
        format!("{UNITS}={units}; Path=/console; Max-Age=31536000; SameSite=Strict; HttpOnly{secure}");
    ([(header::SET_COOKIE, cookie)], form.back()).into_response()
}

pub(super) async fn acknowledge(
    State(slot): State<Slot>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    on_case(slot, id, request, |case, form| Command::Acknowledge {
        id: case.id,
        who: form.caller.name.clone(),
        comment: form.said.get("comment").to_owned(),
        etag: String::new(),
    })
    .await
}

pub(super) async fn unacknowledge(
    State(slot): State<Slot>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    on_case(slot, id, request, |case, form| Command::Unacknowledge {
        id: case.id,
        who: form.caller.name.clone(),
        etag: String::new(),
    })
    .await
}

pub(super) async fn silence(State(slot): State<Slot>, Path(id): Path<String>, request: Request) -> Response {
    let Some(now) = slot.0.get().map(|console| console.sources().clock.now()) else { return starting() };
    on_case(slot, id, request, move |case, form| {
        let hours: u64 = form.said.get("hours").parse().unwrap_or(1);
        let ends = now + Duration::from_hours(hours.clamp(1, SILENCE_HOURS_MAX));
        let whole = format!("resource_id = {}", quoted(&case.subject.id.text()));
        let this = alerts::only_this(case);
        let mut filter = if form.said.get("of") == "resource" { whole } else { this };
        // A customer's silence is for what he sees.
        for (key, value) in form.caller.scope() {
            filter = format!("{filter} AND labels.{} = {}", quoted(&key), quoted(&value));
        }
        Command::CreateSilence {
            id: SilenceId::new(&uuid::Uuid::new_v4().to_string()),
            silence: pb::Silence {
                filter,
                reason: form.said.get("reason").to_owned(),
                author: form.caller.name.clone(),
                expires_at: Some(timestamp_to_wire(ends)),
                ..pb::Silence::default()
            },
        }
    })
    .await
}

async fn on_case(
    slot: Slot,
    id: String,
    request: Request,
    command: impl FnOnce(&crate::alert::case::Case, &Form) -> Command + Send,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    audit::about(request.extensions(), format!("alert {id}"));
    let form = match Form::read(console, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let sources = console.sources();
    let sight = Sight::of(&sources.feed.view(), &form.caller.scope());
    let book = sources.alerts.book();
    let Some(case) = alerts::find(&book, &id, &sight).cloned() else { return pages::no_alert() };
    drop(book);
    // It may have changed since the page was made, but what nobody has seen is not acted on.
    if Severity::from_token(form.said.get("severity")).is_some_and(|seen| case.severity > seen) {
        return not_done("It has grown worse since this page was made: go back and look again.");
    }
    match run(console, command(&case, &form)).await {
        Ok(()) => form.back(),
        Err(problem) => not_done(&problem),
    }
}

async fn run(console: &Console, command: Command) -> Result<(), String> {
    let Some(core) = &console.sources().core else {
        return Err("Alerts are switched off; set alerts.enabled to true.".to_owned());
    };
    core.run(command).await.map(drop).map_err(|failure| failure.to_string())
}

pub(super) async fn end_silence(
    State(slot): State<Slot>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    audit::about(request.extensions(), format!("silence {id}"));
    let form = match Form::read(console, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let sources = console.sources();
    let sight = Sight::of(&sources.feed.view(), &form.caller.scope());
    let id = SilenceId::new(&id);
    let book = sources.alerts.book();
    let is_shown =
        book.silences.get(&id).is_some_and(|silence| alerts::is_shown(silence, &form.caller.name, &sight));
    drop(book);
    if !is_shown {
        return pages::refused(StatusCode::NOT_FOUND, "No such silence", "It has ended, or it never was.");
    }
    match run(console, Command::DeleteSilence { id, etag: String::new() }).await {
        Ok(()) => Redirect::to(alerts::PATH).into_response(),
        Err(problem) => not_done(&problem),
    }
}

pub(super) async fn refresh_connection(
    State(slot): State<Slot>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let Some(console) = slot.0.get() else { return starting() };
    audit::about(request.extensions(), format!("connection {id}"));
    let form = match Form::read(console, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let view = console.sources().feed.view();
    let scope = form.caller.scope();
    if !connections::is_seen(&view, &id, &scope) {
        return pages::refused(StatusCode::NOT_FOUND, "No such connection", "It is gone, or it never was.");
    }
    drop(view);
    match console.collectors().refresh(&id).await {
        Ok(()) => form.back(),
        Err(problem) => not_done(&problem),
    }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn a_form_leads_back_to_a_page_of_ours_and_nowhere_else() {
        for (wanted, expected) in [
            ("/console/storage?q=a", "/console/storage?q=a"),
            ("/console?x=1", "/console?x=1"),
            ("/console", "/console"),
            ("//evil.example/console", "/console"),
            ("https://evil.example", "/console"),
            ("/console//evil.example", "/console"),
            ("/console/\\evil.example", "/console"),
            ("/consolevil", "/console"),
            ("", "/console"),
        ] {
            assert_eq!(own_page(wanted), expected, "{wanted}");
        }
    }
}
