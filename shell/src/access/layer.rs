//! The guard as a layer of both servers: refuses, or lets through with the
//! caller and a request id; writes down what changes something; ends what is
//! open when its credential is gone.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use super::Caller;
use super::guard::{Admitted, Guard, Knock, NOBODY, Port};
use super::inside::Pass;
use super::refusal::Refusal;
use super::table;
use crate::audit::{self, Subject};
use crate::clock::now_unix_ms;
use crate::socket::Peer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What goes out.
pub(crate) type Answer = tonic::body::Body;

/// Where people sign in.
const SIGN_IN: &str = "/console/sign-in";
const DONE: &str = "done";
const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_CHARS_MAX: usize = 128;

#[derive(Clone, Debug)]
pub struct GuardLayer {
    guard: Guard,
    port: Port,
    pages: Option<RefusedPage>,
}

/// Makes a page that tells a person why there is none: a title, a sentence, and whether signing in would help.
pub type RefusedPage = fn(&str, &str, bool) -> Response<String>;

impl GuardLayer {
    pub const fn new(guard: Guard, port: Port) -> Self {
        Self { guard, port, pages: None }
    }

    /// With pages for people where they are refused one.
    #[must_use]
    pub fn with_pages(self, pages: Option<RefusedPage>) -> Self {
        Self { pages, ..self }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.guard.clone(), port: self.port, pages: self.pages, inner }
    }
}

#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: Guard,
    port: Port,
    pages: Option<RefusedPage>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Send,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Option<Peer>>().cloned().flatten();
        let id = request_id(request.headers_mut());
        let path = request.uri().path().to_owned();
        // The one thing that is asked by whoever is nobody yet, and that changes what he may do.
        let signs_in = self.port == Port::Http && path == SIGN_IN && request.method() == http::Method::POST;
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let knock = Knock {
            port: self.port,
            path: &path,
            headers: request.headers(),
            authority,
            peer: peer.as_ref(),
        };
        let mut who = NOBODY.to_owned();
        let admitted = match self.guard.admit(knock, &mut who) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                note(&self.guard, &path, &who, peer.as_ref(), &id, "", refusal.reason());
                let answer = match (self.pages, table::route(&path)) {
                    (Some(page), Some(row)) if row.page && self.port == Port::Http => {
                        refused_page(page, &refusal, request.uri())
                    }
                    _ => refused(self.port, &refusal),
                };
                return Box::pin(async move { Ok(answer) });
            }
        };
        // The credential has done its work, and nothing behind this needs it.
        request.headers_mut().remove(http::header::AUTHORIZATION);
        let remote_addr = peer.as_ref().map(|peer| peer.address);
        // Where tonic looks for the address.
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        request.extensions_mut().insert::<Caller>(admitted.caller.clone());
        request.extensions_mut().insert(Pass(admitted.clone()));
        let subject = Subject::default();
        request.extensions_mut().insert(subject.clone());
        let (guard, port) = (self.guard.clone(), self.port);
        let called = self.inner.call(request);
        Box::pin(async move {
            let mut response = called.await?;
            if admitted.row.changes || signs_in {
                let result = result(&response);
                // Whoever does not get in by signing in is still nobody.
                let who = if signs_in && result != DONE { NOBODY } else { &admitted.caller.name };
                note(&guard, &path, who, peer.as_ref(), &id, &subject.get(), &result);
            }
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            Ok(response.map(|body| Answer::new(Alive::new(body, guard, admitted, port))))
        })
    }
}

/// What nobody in particular was refused is written apart, and only so much of it.
fn note(
    guard: &Guard,
    action: &str,
    who: &str,
    peer: Option<&Peer>,
    request_id: &str,
    subject: &str,
    result: &str,
) {
    let peer = peer.map(|peer| peer.address.to_string()).unwrap_or_default();
    let entry =
        audit::Entry { action, requested_by: who, peer: &peer, request_id, resource: "", subject, result };
    if who != NOBODY {
        entry.write();
    } else if guard.tells_stranger(now_unix_ms()) {
        entry.write_apart();
    }
}

/// As far as the head of the answer tells.
fn result<R>(response: &Response<R>) -> String {
    match response.headers().get("grpc-status").and_then(|code| code.to_str().ok()) {
        // A form leads back to its page.
        None | Some("0") if response.status().is_success() || response.status().is_redirection() => {
            DONE.to_owned()
        }
        None | Some("0") => response.status().as_str().to_owned(),
        Some(code) => format!("{:?}", tonic::Code::from_bytes(code.as_bytes())),
    }
}

/// Whoever is not known is asked to sign in and comes back; whoever is hears what is missing.
fn refused_page(page: RefusedPage, refusal: &Refusal, uri: &http::Uri) -> Response<Answer> {
    if refusal.asks_to_sign_in() {
        let back: String = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let back: String = back.bytes().map(escaped).collect();
        let mut answer = Response::new(Answer::empty());
        *answer.status_mut() = http::StatusCode::SEE_OTHER;
        if let Ok(place) = HeaderValue::from_str(&format!("{SIGN_IN}?back={back}")) {
            answer.headers_mut().insert(http::header::LOCATION, place);
        }
        return answer;
    }
    let told = refusal.http::<String>();
    let mut answer = page("Not for you", &format!("{}.", refusal.message()), true);
    *answer.status_mut() = told.status();
    answer.map(Answer::new)
}

/// A byte of a query's value.
fn escaped(byte: u8) -> String {
    let is_plain = byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

fn refused(port: Port, refusal: &Refusal) -> Response<Answer> {
    match port {
        Port::Grpc => refusal.status().into_http(),
        Port::Http => refusal.http::<String>().map(Answer::new),
    }
}

/// The client's own name of its request if it is one, else one is made; services and the client see the same.
fn request_id(headers: &mut HeaderMap) -> String {
    let told = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let usable = |id: &&str| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let id = told.filter(usable).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    id
}

/// An answer that ends when the credential it was given for is gone.
struct Alive<B> {
    body: Pin<Box<B>>,
    /// Ends when the credential does; `None`: it has nothing to lose.
    gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    port: Port,
    ended: bool,
}

impl<B> Alive<B> {
    fn new(body: B, guard: Guard, admitted: Admitted, port: Port) -> Self {
        let gone = async move {
            let mut changed = guard.changed();
            loop {
                if !guard.still(&admitted) {
                    return;
                }
                let end = guard.ends_in(&admitted);
                let expires = async {
                    match end {
                        Some(end) => tokio::time::sleep(end).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = changed.changed() => if changed.is_err() { return },
                    () = expires => {}
                }
            }
        };
        Self { body: Box::pin(body), gone: Some(Box::pin(gone)), port, ended: false }
    }
}

impl<B> Body for Alive<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(gone) = &mut self.gone
            && gone.as_mut().poll(cx).is_ready()
        {
            (self.ended, self.gone) = (true, None);
            return Poll::Ready(match self.port {
                Port::Grpc => Some(Ok(Frame::trailers(trailers(&Refusal::BadCredential.status())))),
                Port::Http => Some(Err("the credential is gone".into())),
            });
        }
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A status of ours is made of text that fits.
    drop(status.add_header(&mut trailers));
    trailers
}
