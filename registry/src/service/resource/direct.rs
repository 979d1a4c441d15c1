//! The service with lists and watches on a way of their own: what of a message
//! is encoded already goes to the connection as it is. On tonic's way all of it
//! would be copied into a buffer for each reader: most of what the server did
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
use pulse_proto::encoded::EncodedParts;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1::resource_service_server::{
    ResourceService as _, ResourceServiceServer,
};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::ResourceApi;
use super::stream::WatchStream;

const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";
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
        let told = Told { api: self.api.clone(), messages: Arc::default() };
        let messages = Arc::clone(&told.messages);
        let bytes_max = Some(self.request_bytes_max);
        let called: BoxFuture<'static, http::Response<Body>> = match request.uri().path() {
            WATCH => {
                let codec: ProstCodec<EncodedParts, pb::WatchResourcesRequest> = ProstCodec::default();
                let mut grpc = Grpc::new(codec).apply_max_message_size_config(bytes_max, None);
                Box::pin(async move { grpc.server_streaming(told, request).await })
            }
            LIST => {
                let codec: ProstCodec<EncodedParts, pb::ListResourcesRequest> = ProstCodec::default();
                let mut grpc = Grpc::new(codec).apply_max_message_size_config(bytes_max, None);
                Box::pin(async move { grpc.unary(told, request).await })
            }
            _ => return tower::Service::call(&mut self.rest, request),
        };
        Box::pin(async move {
            let mut response = called.await;
            if let Some(messages) = locked(&messages).take() {
                *response.body_mut() =
                    Body::new(ToldBody { messages: Some(messages), parts: VecDeque::new() });
            }
            Ok(response)
        })
    }
}

/// A method as tonic calls it: reads the request and answers with nothing, in whose place the messages are put.
struct Told {
    api: ResourceApi,
    messages: Arc<Mutex<Option<Messages>>>,
}

enum Messages {
    One(EncodedParts),
    Watch(WatchStream),
}

impl ServerStreamingService<pb::WatchResourcesRequest> for Told {
    type Response = EncodedParts;
    type ResponseStream = tokio_stream::Empty<Result<EncodedParts, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<pb::WatchResourcesRequest>) -> Self::Future {
        let (api, messages) = (self.api.clone(), Arc::clone(&self.messages));
        Box::pin(async move {
            let watch = api.watch_resources(request).await?.into_inner();
            *locked(&messages) = Some(Messages::Watch(watch));
            Ok(Response::new(tokio_stream::empty()))
        })
    }
}

impl UnaryService<pb::ListResourcesRequest> for Told {
    type Response = EncodedParts;
    type Future = BoxFuture<'static, Result<Response<EncodedParts>, Status>>;

    fn call(&mut self, request: Request<pb::ListResourcesRequest>) -> Self::Future {
        let (api, messages) = (self.api.clone(), Arc::clone(&self.messages));
        Box::pin(async move {
            let list = api.list_resources(request).await?.into_inner();
            *locked(&messages) = Some(Messages::One(list));
            Ok(Response::new(EncodedParts::default()))
        })
    }
}

impl Messages {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EncodedParts, Status>>> {
        match self {
            Self::One(message) => {
                let message = std::mem::take(message);
                Poll::Ready((!message.0.is_empty()).then_some(Ok(message)))
            }
            Self::Watch(watch) => Pin::new(watch).poll_next(cx),
        }
    }
}

/// Messages, framed as gRPC does it, then the status.
struct ToldBody {
    /// `None`: the status is told.
    messages: Option<Messages>,
    /// What is left of the current message.
    parts: VecDeque<Bytes>,
}

impl http_body::Body for ToldBody {
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
            let status = match ready!(messages.poll_next(cx)) {
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
fn framed(message: EncodedParts) -> Result<VecDeque<Bytes>, Status> {
    let EncodedParts(parts) = message;
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
