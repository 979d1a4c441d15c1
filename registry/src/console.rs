//! The console: pages for people over the same views and books that the gRPC
//! services answer from, each page of one revision. Owns what is shown and how;
//! asks the query functions, judges nothing, knows no store.

pub mod address;
pub mod alerts;
pub mod assets;
pub mod changes;
pub mod collector;
pub mod connections;
pub mod csrf;
pub mod figure;
pub mod filter;
pub mod fleet;
pub mod infrastructure;
pub mod layout;
pub mod look;
pub mod resource;
pub mod routes;
pub mod storage;
pub mod systems;

use std::sync::Arc;

use askama::Template;
use pulse_shell::access::guard::Guard;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::collector::{Addresses, Collectors};
use self::csrf::Csrf;
use crate::alert::feed::AlertFeed;
use crate::alert::task;
use crate::clock::Clock;
use crate::notify::Board;
use crate::state::Feed;

/// Pages made at the same time; others wait their turn.
const PAGES_AT_ONCE: usize = 4;
/// Pages that hear of changes at the same time.
const STREAMS_MAX: usize = 1_000;

/// What the console asks, and whom.
#[derive(Clone)]
pub struct Sources {
    pub feed: Feed,
    pub alerts: AlertFeed,
    /// `None`: alerts are switched off.
    pub core: Option<task::Handle>,
    pub deliveries: Option<Arc<Board>>,
    pub guard: Guard,
    pub clock: Clock,
    pub draining: CancellationToken,
    /// Names by which browsers may call where nobody is asked who he is.
    pub allowed_hosts: Arc<[String]>,
    pub collectors: Addresses,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    sources: Sources,
    /// Making a page takes a processor for a moment: nobody else waits for it.
    pages: Semaphore,
    streams: Arc<Semaphore>,
    csrf: Csrf,
    collectors: Collectors,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Console")
    }
}

impl Console {
    pub fn new(sources: Sources) -> Self {
        let collectors = Collectors::new(&sources.collectors);
        Self(Arc::new(Inner {
            sources,
            pages: Semaphore::new(PAGES_AT_ONCE),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            csrf: Csrf::default(),
            collectors,
        }))
    }

    fn sources(&self) -> &Sources {
        &self.0.sources
    }

    fn csrf(&self) -> &Csrf {
        &self.0.csrf
    }

    fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    fn collectors(&self) -> &Collectors {
        &self.0.collectors
    }

    /// Makes a page where it holds up nobody; `None` when that panicked.
    async fn make<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = self.0.pages.acquire().await.ok()?;
        let made = tokio::task::spawn_blocking(work).await.ok();
        drop(permit);
        made
    }
}

/// A page that says why there is none.
#[derive(Debug, Template)]
#[template(path = "console/refused.html")]
pub struct Refused {
    css: &'static str,
    icon: &'static str,
    title: String,
    text: String,
    offers_sign_in: bool,
}

impl Refused {
    pub fn page(title: &str, text: &str, offers_sign_in: bool) -> String {
        let page = Self {
            css: assets::css(),
            icon: assets::icon(),
            title: title.to_owned(),
            text: text.to_owned(),
            offers_sign_in,
        };
        page.render().unwrap_or_default()
    }
}
