//! The guard once more, for calls that a request makes of this process's own
//! services: whoever was let through at the door is the caller, and each
//! method asks of him what it asks of everybody.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::guard::{Admitted, Guard};
use super::layer::Answer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Says who was let through at the door. Only the guard makes one, and nothing from outside becomes one.
#[derive(Clone, Debug)]
pub struct Pass(pub(super) Admitted);

impl Pass {
    /// Of a request that came in by a port.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }
}

#[derive(Clone, Debug)]
pub struct InsideLayer(Guard);

impl InsideLayer {
    pub const fn new(guard: Guard) -> Self {
        Self(guard)
    }
}

impl<S> Layer<S> for InsideLayer {
    type Service = Inside<S>;

    fn layer(&self, inner: S) -> Inside<S> {
        Inside { guard: self.0.clone(), inner }
    }
}

#[derive(Clone, Debug)]
pub struct Inside<S> {
    guard: Guard,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Inside<S>
where
    S: Service<Request<B>, Response = Response<R>> + Send,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
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
        let pass = Pass::of(request.extensions());
        let caller = match self.guard.admit_inside(pass.as_ref(), request.uri().path()) {
            Ok(caller) => caller,
            Err(refusal) => {
                let answer = refusal.status().into_http();
                return Box::pin(async move { Ok(answer) });
            }
        };
        request.extensions_mut().insert(caller);
        let called = self.inner.call(request);
        Box::pin(async move { Ok(called.await?.map(Answer::new)) })
    }
}
