//! The service with watches on a way of their own: parts of a message that are
//! encoded already go to the connection as they are. On tonic's way each watch
//! would copy all of them into a buffer of its own: most of what the server did
//! for many watches was that (docs/adr/0014).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::Stream as _;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::Frame;
use pulse_proto::encoded::EncodedWatchResponse;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1::resource_service_server::{
    ResourceService as _, ResourceServiceServer,
};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::ResourceApi;
use super::stream::WatchStream;

const WATCH: &str = "/pulse.registry.v1.ResourceService/WatchResources";
/// In front of each message: whether it is compressed, and its length.
const HEADER_BYTES: usize = 5;

/// All of `ResourceService`.
#[derive(Clone, Debug)]
pub struct Direct {
    api: ResourceApi,
    rest: ResourceServiceServer<ResourceApi>,
    request_bytes_max: usize,
}

impl Direct {
    pub fn new(api: ResourceApi, request_bytes_max: usize) -> Self {
        let rest = ResourceServiceServer::new(api.clone()).max_decoding_message_size(request_bytes_max);
        Self { api, rest, request_bytes_max }
    }
}

impl NamedService for Direct {
    const NAME: &'static str = ResourceServiceServer::<ResourceApi>::NAME;
}

impl tower::Service<http::Request<Body>> for Direct {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != WATCH {
            return tower::Service::call(&mut self.rest, request);
        }
        let method = Watch { api: self.api.clone(), opened: Arc::default() };
        let opened = Arc::clone(&method.opened);
        let codec: ProstCodec<EncodedWatchResponse, pb::WatchResourcesRequest> = ProstCodec::default();
        let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(self.request_bytes_max), None);
        Box::pin(async move {
            let mut response = grpc.server_streaming(method, request).await;
            if let Some(messages) = locked(&opened).take() {
                *response.body_mut() =
                    Body::new(WatchBody { messages: Some(messages), parts: VecDeque::new() });
            }
            Ok(response)
        })
    }
}

/// The method as tonic calls it: reads the request and answers with nothing, in whose place the messages are put.
struct Watch {
    api: ResourceApi,
    opened: Arc<Mutex<Option<WatchStream>>>,
}

impl ServerStreamingService<pb::WatchResourcesRequest> for Watch {
    type Response = EncodedWatchResponse;
    type ResponseStream = tokio_stream::Empty<Result<EncodedWatchResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<pb::WatchResourcesRequest>) -> Self::Future {
        let (api, opened) = (self.api.clone(), Arc::clone(&self.opened));
        Box::pin(async move {
            let messages = api.watch_resources(request).await?.into_inner();
            *locked(&opened) = Some(messages);
            Ok(Response::new(tokio_stream::empty()))
        })
    }
}

/// Messages, framed as gRPC does it, then the status.
struct WatchBody {
    /// `None`: the status is told.
    messages: Option<WatchStream>,
    /// What is left of the current message.
    parts: VecDeque<Bytes>,
}

impl http_body::Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            let Some(messages) = &mut self.messages else { return Poll::Ready(None) };
            let status = match ready!(Pin::new(messages).poll_next(cx)) {
                Some(Ok(message)) => match framed(message) {
                    Ok(parts) => {
                        self.parts = parts;
                        continue;
                    }
                    Err(too_large) => too_large,
                },
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            self.messages = None;
            let mut trailers = HeaderMap::new();
            // A status that is no header is told as an unknown one by the client.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
    }
}

/// The message behind its header.
fn framed(message: EncodedWatchResponse) -> Result<VecDeque<Bytes>, Status> {
    let EncodedWatchResponse(parts) = message;
    let length: usize = parts.iter().map(Bytes::len).sum();
    let length = u32::try_from(length).map_err(|_| Status::internal("a message of more than 4 GiB"))?;
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_u8(0);
    header.put_u32(length);
    let mut framed = VecDeque::from(parts);
    framed.push_front(header.freeze());
    Ok(framed)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
