//! JSON-RPC text to types and back, and the types themselves. Pure; tolerant of everything a server may add.
//!
//! Results stay raw: their shape is the reader's business. Tracebacks are dropped here and exist nowhere else.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Texts of the server are cut to this many characters before anybody keeps or shows them.
const TEXT_CHARS_MAX: usize = 2_000;

/// The codes that say something; all others are failures of a kind that nobody here tells apart.
pub(super) const TOO_MANY_CALLS: i64 = -32000;
pub(super) const CALL_ERROR: i64 = -32001;
pub(super) const NO_METHOD: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;

/// One message of the server.
#[derive(Debug)]
pub enum Message {
    Reply {
        id: u64,
        outcome: Result<Box<RawValue>, RemoteError>,
    },
    /// An error that names no call: the server could not read something of ours.
    Unaddressed(RemoteError),
    Event(Event),
    Unsubscribed {
        collection: String,
        reason: Option<String>,
    },
    /// The greeting was answered: calls may follow.
    Greeted,
    /// The greeting was refused.
    Unwelcome,
    /// A notification that nobody here knows.
    Other {
        method: String,
    },
}

#[derive(Debug, Clone, Default)]
pub struct RemoteError {
    pub code: i64,
    pub message: String,
    pub data: Option<ErrorData>,
}

#[derive(Debug, Clone, Default)]
pub struct ErrorData {
    pub error: Option<i64>,
    pub errname: Option<String>,
    pub reason: Option<String>,
    pub extra: Option<Box<RawValue>>,
}

/// A change the server tells of. A hint what to read again, never the truth itself.
#[derive(Debug, Clone)]
pub struct Event {
    pub collection: String,
    pub kind: EventKind,
    /// A number or a text on the wire; a text here.
    pub id: Option<String>,
    pub fields: Option<Box<RawValue>>,
    pub extra: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Changed,
    Removed,
    /// A word of a later release.
    Unknown,
}

impl EventKind {
    pub(super) fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "added" => Self::Added,
            "changed" => Self::Changed,
            "removed" => Self::Removed,
            _ => Self::Unknown,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("neither a reply nor a notification")]
    Neither,
}

/// The text of a call.
pub fn encode_call(id: u64, method: &str, params: &serde_json::Value) -> String {
    serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Reads one message.
pub fn parse(text: &str) -> Result<Message, FrameError> {
    tolerant(text, |text| read::<Envelope<'_>>(text)?.sort())
}

/// Reads a text as it is, else once more with what Python writes and JSON does not know made null.
pub(super) fn tolerant(
    text: &str,
    read: impl Fn(&str) -> Result<Message, FrameError>,
) -> Result<Message, FrameError> {
    match read(text) {
        Err(FrameError::Json(why)) => match without_nan(text) {
            Cow::Borrowed(_) => Err(FrameError::Json(why)),
            Cow::Owned(clean) => read(&clean),
        },
        other => other,
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FrameError> {
    serde_json::from_str(text).map_err(|error| FrameError::Json(clip(&error.to_string())))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
    /// A null result is a result: `Some("null")`.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

pub(super) fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Envelope<'_> {
    fn sort(self) -> Result<Message, FrameError> {
        if let Some(method) = self.method {
            return Ok(notification(&method, self.params));
        }
        let id = self.id.and_then(|id| serde_json::from_str::<u64>(id.get()).ok());
        match (id, self.error, self.result) {
            (Some(id), Some(error), _) => Ok(Message::Reply { id, outcome: Err(remote_error(error)) }),
            (Some(id), None, Some(result)) => Ok(Message::Reply { id, outcome: Ok(result.to_owned()) }),
            (None, Some(_), _) | (None, _, Some(_)) if self.id.is_some() => {
                Ok(Message::Other { method: "a reply to an id that is nobody's".to_owned() })
            }
            (None, Some(error), _) => Ok(Message::Unaddressed(remote_error(error))),
            _ => Err(FrameError::Neither),
        }
    }
}

fn notification(method: &str, params: Option<&RawValue>) -> Message {
    let body: Notification<'_> =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    let collection = body.collection.map(Cow::into_owned);
    match (method, collection) {
        ("collection_update", Some(collection)) => Message::Event(Event {
            collection,
            kind: EventKind::of(body.msg.as_deref().unwrap_or_default()),
            id: body.id.and_then(plain_text),
            fields: body.fields.map(ToOwned::to_owned),
            extra: body.extra.map(ToOwned::to_owned),
        }),
        ("notify_unsubscribed", Some(collection)) => {
            Message::Unsubscribed { collection, reason: body.error.map(|error| reason(&error_data(error))) }
        }
        _ => Message::Other { method: clip(method) },
    }
}

#[derive(Deserialize, Default)]
struct Notification<'a> {
    #[serde(default, borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    collection: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    fields: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Problem<'a> {
    #[serde(default, borrow)]
    code: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Data<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    errname: Option<&'a RawValue>,
    #[serde(default, borrow)]
    reason: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
}

fn remote_error(raw: &RawValue) -> RemoteError {
    let problem: Problem<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    RemoteError {
        code: problem.code.and_then(number).unwrap_or_default(),
        message: problem.message.and_then(plain_text).unwrap_or_else(|| "no message".to_owned()),
        data: problem.data.map(error_data),
    }
}

/// Why, in the server's words.
pub(super) fn reason(data: &ErrorData) -> String {
    let words = data.reason.as_ref().or(data.errname.as_ref());
    words.map_or_else(|| "no reason given".to_owned(), Clone::clone)
}

pub(super) fn error_data(raw: &RawValue) -> ErrorData {
    let data: Data<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    ErrorData {
        error: data.error.and_then(number),
        errname: data.errname.and_then(plain_text),
        reason: data.reason.and_then(plain_text),
        extra: data.extra.map(ToOwned::to_owned),
    }
}

pub(super) fn number(raw: &RawValue) -> Option<i64> {
    serde_json::from_str(raw.get()).ok()
}

/// The content of a string, or the text of a number.
pub(super) fn plain_text(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str::<String>(text).ok().map(|text| clip(&text)),
        text if text.starts_with(['{', '[']) => None,
        text => Some(clip(text)),
    }
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Python writes `NaN` and `Infinity` where JSON has no word for them; here they become null.
/// Borrowed when there was none.
pub fn without_nan(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut changed = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if in_string {
            let stop = rest.find(['"', '\\']).unwrap_or(rest.len());
            let skip = if rest[stop..].starts_with('\\') {
                stop + 1 + rest[stop + 1..].chars().next().map_or(0, char::len_utf8)
            } else {
                in_string = stop == rest.len();
                (stop + 1).min(rest.len())
            };
            out.push_str(&rest[..skip]);
            rest = &rest[skip..];
        } else if let Some(word) = WORDS.iter().find(|word| rest.starts_with(**word)) {
            out.push_str("null");
            changed = true;
            rest = &rest[word.len()..];
        } else {
            in_string = c == '"';
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests;
