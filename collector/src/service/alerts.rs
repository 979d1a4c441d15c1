//! Alerts dismissed and restored on their NAS: whether that is allowed, what came of it, and the audit line of each attempt.

use pulse_proto::model::ConnectionState;
use pulse_shell::audit;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{ConnectionApi, error};
use crate::connection::order::{Action, AlertUuid, Carried, WAITING_MAX};

/// A client's own name of its request; else one is made.
const REQUEST_ID: &str = "x-request-id";
const TEXT_CHARS_MAX: usize = 128;

/// Where a request comes from, and what it is called.
#[derive(Debug)]
pub(super) struct Origin {
    peer: String,
    request_id: String,
}

impl Origin {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let given = request.metadata().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let fits = |id: &&str| !id.is_empty() && id.len() <= TEXT_CHARS_MAX;
        Self {
            peer: request.remote_addr().map(|addr| addr.to_string()).unwrap_or_default(),
            request_id: given.filter(fits).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
        }
    }

    /// The answer says what its audit line is called.
    pub(super) fn stamp<T>(&self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        if let Ok(id) = self.request_id.parse() {
            response.metadata_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

#[derive(Debug)]
pub(super) struct Wish {
    pub(super) action: Action,
    pub(super) connection_id: String,
    pub(super) alert_uuid: String,
    pub(super) requested_by: String,
}

impl ConnectionApi {
    /// Answers whether it was so already.
    pub(super) async fn mark_alert(&self, wish: &Wish, origin: &Origin) -> Result<bool, Status> {
        let outcome = self.marked(wish).await;
        let details = outcome.as_ref().err().map(StatusExt::get_error_details);
        let refused = details.as_ref().and_then(|details| details.error_info());
        let result = match (&outcome, refused) {
            (Ok(Carried::Changed), _) => "done",
            (Ok(Carried::Unchanged), _) => "unchanged",
            (Err(_), Some(info)) => &info.reason,
            (Err(_), None) => "failed",
        };
        audit::Entry {
            action: match wish.action {
                Action::Dismiss => "alert.dismiss",
                Action::Restore => "alert.restore",
            },
            requested_by: &wish.requested_by,
            peer: &origin.peer,
            request_id: &origin.request_id,
            resource: &wish.connection_id,
            subject: &wish.alert_uuid,
            result,
        }
        .write();
        outcome.map(|carried| carried == Carried::Unchanged)
    }

    async fn marked(&self, wish: &Wish) -> Result<Carried, Status> {
        self.enabled()?;
        if !self.options.write_back {
            return Err(error::write_back_disabled());
        }
        if wish.requested_by.chars().count() > TEXT_CHARS_MAX {
            return Err(error::invalid_field("requested_by", "is longer than 128 characters"));
        }
        let uuid = AlertUuid::parse(&wish.alert_uuid).ok_or_else(|| {
            error::invalid_field("alert_uuid", "is required: at most 128 characters that can be printed")
        })?;
        let settings = self.find_as("connection_id", &wish.connection_id)?;
        if !settings.enabled {
            return Err(error::connection_disabled(&wish.connection_id));
        }
        let state = self.board.get(&settings.id).map(|health| health.state);
        if !matches!(state, Some(ConnectionState::Live | ConnectionState::Degraded)) {
            return Err(error::not_connected(&wish.connection_id));
        }
        let signals =
            self.roster.signals(&settings.id).ok_or_else(|| error::not_found(&wish.connection_id))?;
        let answered = signals
            .orders
            .place(wish.action, uuid.clone())
            .map_err(|_full| error::too_many_writes(WAITING_MAX))?;
        drop(signals);
        let clean = |text: &str| settings.credential.redact(text);
        tokio::select! {
            answer = answered => match answer {
                Ok(Ok(carried)) => Ok(carried),
                Ok(Err(undone)) => Err(error::undone(&undone, uuid.as_str(), clean)),
                Err(_session_ended) => Err(error::session_ended()),
            },
            () = tokio::time::sleep(self.options.write_deadline) => {
                Err(error::write_deadline(self.options.write_deadline))
            }
            () = self.shutdown.cancelled() => Err(error::draining()),
        }
    }
}
