//! The text of `/websocket` to the same types as JSON-RPC and back. Pure; as tolerant.
//!
//! Ids are texts: the server joins them with others. Refusals get the codes that JSON-RPC gives them, so that they are
//! sorted in one place.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::frame::{
    self, Event, EventKind, FrameError, Message, RemoteError, clip, error_data, number, plain_text, present,
};

/// ETOOMANYREFS: what a connection with too many calls open is told.
const TOO_MANY_CALLS: i64 = 109;
const VALIDATION: &str = "VALIDATION";

pub(super) fn greeting() -> String {
    json!({"msg": "connect", "version": "1", "support": ["1"]}).to_string()
}

/// A subscription is a message of its own kind here; to callers it is a call like any other.
pub(super) fn encode_call(id: u64, method: &str, params: &Value) -> String {
    let id = id.to_string();
    let message = match (method, params.get(0)) {
        ("core.subscribe", Some(name)) => json!({"id": id, "msg": "sub", "name": name}),
        _ => json!({"id": id, "msg": "method", "method": method, "params": params}),
    };
    message.to_string()
}

pub(super) fn parse(text: &str) -> Result<Message, FrameError> {
    frame::tolerant(text, |text| frame::read::<Envelope<'_>>(text)?.sort())
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    subs: Option<Vec<&'a RawValue>>,
    #[serde(default, borrow)]
    collection: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    fields: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn sort(self) -> Result<Message, FrameError> {
        let Some(msg) = &self.msg else { return Err(FrameError::Neither) };
        match msg.as_ref() {
            "connected" => Ok(Message::Greeted),
            "failed" => Ok(Message::Unwelcome),
            "result" => Ok(self.reply(self.id, self.result)),
            // One subscription is asked for at a time.
            "ready" => {
                let sub = self.subs.as_deref().and_then(|subs| subs.first().copied());
                Ok(self.reply(sub, sub))
            }
            // With an id it answers us; without one the server ends what it had granted.
            "nosub" => match (&self.collection, self.id) {
                (None, Some(id)) => {
                    let refused = || RemoteError { code: frame::CALL_ERROR, ..RemoteError::default() };
                    Ok(answer(Some(id), Err(self.error.map_or_else(refused, remote_error))))
                }
                (Some(collection), _) => Ok(Message::Unsubscribed {
                    collection: collection.to_string(),
                    reason: self.error.map(|error| frame::reason(&error_data(error))),
                }),
                (None, None) => Err(FrameError::Neither),
            },
            word => match self.collection {
                Some(collection) => Ok(Message::Event(Event {
                    collection: collection.into_owned(),
                    kind: EventKind::of(word),
                    id: self.id.and_then(plain_text),
                    fields: self.fields.map(ToOwned::to_owned),
                    extra: self.extra.map(ToOwned::to_owned),
                })),
                None => Ok(Message::Other { method: clip(word) }),
            },
        }
    }

    /// A reply without a result is one of null.
    fn reply(&self, id: Option<&RawValue>, result: Option<&RawValue>) -> Message {
        answer(
            id,
            match self.error {
                Some(error) => Err(remote_error(error)),
                None => Ok(result.unwrap_or(RawValue::NULL).to_owned()),
            },
        )
    }
}

fn answer(id: Option<&RawValue>, outcome: Result<Box<RawValue>, RemoteError>) -> Message {
    let ours = id.and_then(plain_text).and_then(|id| id.parse().ok());
    match (ours, id, outcome) {
        (Some(id), _, outcome) => Message::Reply { id, outcome },
        (None, None, Err(error)) => Message::Unaddressed(error),
        (None, _, _) => Message::Other { method: "a reply to an id that is nobody's".to_owned() },
    }
}

#[derive(Deserialize, Default)]
struct Kind<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

fn remote_error(raw: &RawValue) -> RemoteError {
    let kind: Kind<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let code = match (kind.kind.and_then(plain_text).as_deref(), kind.error.and_then(number)) {
        (Some(VALIDATION), _) => frame::INVALID_PARAMS,
        (_, Some(TOO_MANY_CALLS)) => frame::TOO_MANY_CALLS,
        _ => frame::CALL_ERROR,
    };
    RemoteError { code, message: "no reason given".to_owned(), data: Some(error_data(raw)) }
}

#[cfg(test)]
mod tests;
