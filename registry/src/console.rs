//! The console: pages for people over the same views and books that the gRPC
//! services answer from, each page of one revision. Owns what is shown and how;
//! asks the query functions, judges nothing, knows no store.

pub mod address;
pub mod assets;
pub mod csrf;
pub mod figure;
pub mod filter;
pub mod infrastructure;
pub mod layout;
pub mod look;
pub mod routes;
pub mod storage;
pub mod systems;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::csrf::Csrf;
use crate::alert::feed::AlertFeed;
use crate::clock::Clock;
use crate::state::Feed;

/// Pages made at the same time; others wait their turn.
const PAGES_AT_ONCE: usize = 4;

/// What the console asks.
#[derive(Clone, Debug)]
pub struct Sources {
    pub feed: Feed,
    pub alerts: AlertFeed,
    pub clock: Clock,
    pub draining: CancellationToken,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Sources,
    /// Making a page takes a processor for a moment: nobody else waits for it.
    pages: Semaphore,
    csrf: Csrf,
}

impl Console {
    pub fn new(sources: Sources) -> Self {
        Self(Arc::new(Inner { sources, pages: Semaphore::new(PAGES_AT_ONCE), csrf: Csrf::default() }))
    }

    fn csrf(&self) -> &Csrf {
        &self.0.csrf
    }

    fn sources(&self) -> &Sources {
        &self.0.sources
    }

    /// Makes a page where it holds up nobody; `None` when that panicked.
    async fn make<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = self.0.pages.acquire().await.ok()?;
        let made = tokio::task::spawn_blocking(work).await.ok();
        drop(permit);
        made
    }
}
