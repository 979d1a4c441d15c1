//! The stream of a watch: its messages, then the reason why it ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use pulse_proto::encoded::EncodedParts;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::watch::task::End;

/// Ends with a status, also when the reader had not taken all messages. When
/// it is dropped the watch ends.
#[derive(Debug)]
pub struct WatchStream {
    messages: mpsc::Receiver<EncodedParts>,
    end: Option<JoinHandle<End>>,
}

impl WatchStream {
    pub(super) const fn new(messages: mpsc::Receiver<EncodedParts>, end: JoinHandle<End>) -> Self {
        Self { messages, end: Some(end) }
    }
}

impl Stream for WatchStream {
    type Item = Result<EncodedParts, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.messages.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(end).poll(cx));
        self.end = None;
        let status = ended.map_or_else(|_panicked| Status::internal("the watch failed"), Status::from);
        Poll::Ready(Some(Err(status)))
    }
}
