//! Rate, errors and duration of every call, by method and code, for both ports.
//! Methods are those of the table of access, so that no caller can make a series.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::access::guard::Port;
use crate::access::table;
use crate::trace;

/// What no row of the table names.
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    method: &'static str,
    code: String,
}

/// The trace of a call that took so long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exemplar {
    trace_id: String,
}

type Durations = HistogramWithExemplars<Exemplar>;
type Seconds = Family<Method, Durations, fn() -> Durations>;

/// The figures of calls; clones count into the same.
#[derive(Clone, Debug)]
pub struct Calls {
    open: Family<Method, Gauge>,
    ended: Family<Ended, Counter>,
    seconds: Seconds,
}

impl Default for Calls {
    fn default() -> Self {
        // From a quarter of a millisecond to two minutes; a stream is open for as long as it is.
        let seconds = || Durations::new(exponential_buckets(0.000_25, 2.0, 20));
        Self {
            open: Family::default(),
            ended: Family::default(),
            seconds: Seconds::new_with_constructor(seconds),
        }
    }
}

impl Calls {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rpc_open", "Calls and requests that are open, by method", self.open.clone());
        registry.register(
            "rpc_calls",
            "Calls and requests that ended, by method and code: that of gRPC, or the status of HTTP",
            self.ended.clone(),
        );
        registry.register(
            "rpc_seconds",
            "How long calls and requests were open, to the end of their answer",
            self.seconds.clone(),
        );
    }

    pub(crate) fn layer(&self, port: Port) -> CallsLayer {
        CallsLayer { calls: self.clone(), port }
    }

    fn begin<B>(&self, port: Port, request: &Request<B>) -> Call {
        let path = request.uri().path();
        let row = match port {
            Port::Grpc => table::method(path),
            Port::Http => table::route(path),
        };
        let method = row.map_or(OTHER, |row| row.path);
        self.open.get_or_create(&Method { method }).inc();
        let span = if is_stream(method) { Span::none() } else { span(method, request.headers()) };
        Call { calls: self.clone(), method, began: Instant::now(), code: None, span }
    }
}

/// Open for as long as both sides like: what matters in it has traces of its own, and a page that follows has none.
fn is_stream(method: &str) -> bool {
    let verb = method.rsplit('/').next().unwrap_or_default();
    verb.starts_with("Watch") || ["Ingest", "ServerReflectionInfo", "live"].contains(&verb)
}

/// Goes on with the caller's trace, if there is one.
fn span(method: &'static str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: trace::TARGET, "call",
        otel.name = method, otel.kind = "server", code = Empty, trace_id = Empty,
    );
    let parent = headers.get(trace::HEADER).and_then(|value| value.to_str().ok());
    trace::follow(&span, parent.unwrap_or_default());
    span
}

#[derive(Clone, Debug)]
pub(crate) struct CallsLayer {
    calls: Calls,
    port: Port,
}

impl<S> Layer<S> for CallsLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { calls: self.calls.clone(), port: self.port, inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    calls: Calls,
    port: Port,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Unpin,
{
    type Response = Response<CountedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut call = self.calls.begin(self.port, &request);
        let port = self.port;
        let called = call.span.in_scope(|| self.inner.call(request)).instrument(call.span.clone());
        Box::pin(async move {
            let response = called.await?;
            match port {
                Port::Grpc => call.told(response.headers()),
                Port::Http => call.code = Some(response.status().as_str().to_owned()),
            }
            Ok(response.map(|body| CountedBody { body, call }))
        })
    }
}

/// Counts its end when it is dropped, however it ended.
#[derive(Debug)]
struct Call {
    calls: Calls,
    method: &'static str,
    began: Instant,
    code: Option<String>,
    span: Span,
}

impl Call {
    /// In the head of an answer without a body, else behind it.
    fn told(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get("grpc-status") {
            self.code = Some(format!("{:?}", Code::from_bytes(code.as_bytes())));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let method = self.method;
        // Who goes away before the end has cancelled.
        let code = self.code.take().unwrap_or_else(|| format!("{:?}", Code::Cancelled));
        self.span.record("code", code.as_str());
        self.calls.open.get_or_create(&Method { method }).dec();
        self.calls.ended.get_or_create(&Ended { method, code }).inc();
        let exemplar = trace::sampled(&self.span).map(|trace_id| Exemplar { trace_id });
        let seconds = self.began.elapsed().as_secs_f64();
        self.calls.seconds.get_or_create(&Method { method }).observe(seconds, exemplar, None);
    }
}

#[derive(Debug)]
pub(crate) struct CountedBody<B> {
    body: B,
    call: Call,
}

impl<B: Body<Data = Bytes> + Unpin> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.told(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use tonic::Status;
    use tower::ServiceExt as _;

    use super::*;
    use crate::access::layer::Answer;

    async fn counted(path: &str, port: Port, answer: fn() -> Response<Answer>) -> String {
        let calls = Calls::default();
        let inner = tower::service_fn(move |_: Request<()>| async move { Ok::<_, Status>(answer()) });
        let service = calls.layer(port).layer(inner);
        let request = Request::builder().uri(path).body(()).expect("a request");
        drop(service.oneshot(request).await.expect("an answer"));
        let mut registry = Registry::default();
        calls.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        let lines =
            text.lines().filter(|line| line.starts_with("rpc_calls_total") || line.starts_with("rpc_open"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn a_call_is_counted_by_method_and_code_and_nobody_makes_a_series() {
        const CHECK: &str = "/grpc.health.v1.Health/Check";
        let refused = || Status::not_found("no").into_http();
        for (path, port, answer, expected) in [
            (CHECK, Port::Grpc, refused as fn() -> Response<Answer>, (CHECK, "NotFound")),
            // Its end never came.
            (CHECK, Port::Grpc, || Response::new(Answer::empty()), (CHECK, "Cancelled")),
            ("/a/made-up-1", Port::Grpc, refused, (OTHER, "NotFound")),
            ("/healthz", Port::Http, || Response::new(Answer::empty()), ("/healthz", "200")),
            ("/../etc/passwd", Port::Http, || Response::new(Answer::empty()), (OTHER, "200")),
        ] {
            let (method, code) = expected;
            let lines = format!(
                "rpc_open{{method=\"{method}\"}} 0\nrpc_calls_total{{method=\"{method}\",code=\"{code}\"}} 1"
            );
            assert_eq!(counted(path, port, answer).await, lines);
        }
    }
}
