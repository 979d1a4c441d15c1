//! A webhook of the test: a real server that checks signatures by the published recipe and behaves as it is told.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pulse_tests::harness::within;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Ok,
    Status(u16),
    /// With a `Retry-After` of so many seconds.
    Busy(u64),
    /// Never.
    Hang,
}

/// A request as it came, whatever was answered.
#[derive(Clone)]
pub(crate) struct Got {
    pub(crate) id: String,
    pub(crate) timestamp: u64,
    pub(crate) signature: String,
    pub(crate) body: Value,
    raw: Vec<u8>,
    /// It was answered with success.
    pub(crate) taken: bool,
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, body, taken, .. } = self;
        write!(f, "{id} taken={taken} {} {}", body["type"], body["data"]["alert"]["summary"])
    }
}

impl Got {
    /// By the recipe in docs/delivery.md.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = match secret.strip_prefix("whsec_") {
            Some(text) => STANDARD.decode(text).expect("base64"),
            None => secret.as_bytes().to_vec(),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length is good");
        mac.update(format!("{}.{}.", self.id, self.timestamp).as_bytes());
        mac.update(&self.raw);
        let want = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.signature.split(' ').any(|signature| signature == want)
    }

    pub(crate) fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    pub(crate) fn alert(&self, field: &str) -> &str {
        self.body["data"]["alert"][field].as_str().unwrap_or_default()
    }

    pub(crate) fn is_about(&self, kind: &str, klass: &str) -> bool {
        self.kind() == kind && self.alert("native_klass") == klass
    }
}

#[derive(Debug)]
struct Shared {
    got: watch::Sender<Vec<Got>>,
    /// What is answered next, then always the last.
    answers: Mutex<VecDeque<Answer>>,
}

#[derive(Debug)]
pub(crate) struct Sink {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    pub(crate) async fn start(answers: &[Answer]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            got: watch::Sender::new(Vec::new()),
            answers: Mutex::new(answers.iter().copied().collect()),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a listener that works");
        });
        Ok(Self { addr, shared, task })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?token=planted", self.addr)
    }

    /// From now on.
    pub(crate) fn answer(&self, answers: &[Answer]) {
        let mut own = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *own = answers.iter().copied().collect();
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.borrow().clone()
    }

    /// Waits until what came so far holds, and answers all of it.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let mut got = self.shared.got.subscribe();
        let found = within(what, got.wait_for(|all| holds(all))).await;
        found.expect("the sink is there").clone()
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, raw: Bytes) -> Response {
    let answer = {
        let mut answers = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() }
    };
    let answer = answer.unwrap_or(Answer::Ok);
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let got = Got {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp").parse().unwrap_or_default(),
        signature: text("webhook-signature"),
        body: serde_json::from_slice(&raw).unwrap_or_default(),
        raw: raw.to_vec(),
        taken: matches!(answer, Answer::Ok),
    };
    shared.got.send_modify(|all| all.push(got));
    match answer {
        Answer::Ok => StatusCode::NO_CONTENT.into_response(),
        Answer::Status(status) => (StatusCode::from_u16(status).expect("a status"), "not so").into_response(),
        Answer::Busy(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response()
        }
        Answer::Hang => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            StatusCode::OK.into_response()
        }
    }
}
