//! A client that mirrors the registry by one watch and goes on with its token
//! after every crash. It must end up with what a list shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::{WatchResourcesRequest, WatchResourcesResponse};
use pulse_proto::pb::resource::v1::Resource;
use tonic::{Code, Streaming};

use super::Listed;
use crate::harness::view::client;
use crate::harness::within;

/// A watch that ends more often than this on its way to one revision gets nowhere.
const RESUMED_MAX: usize = 3;

#[derive(Debug)]
pub(super) struct Watcher {
    stream: Streaming<WatchResourcesResponse>,
    resources: BTreeMap<String, Resource>,
    token: String,
    /// The stream was complete up to here.
    revision: u64,
    /// The greatest revision of any event.
    newest: u64,
}

impl Watcher {
    pub(super) async fn open(registry: SocketAddr) -> anyhow::Result<Self> {
        let stream = watch(registry, "").await?;
        Ok(Self { stream, resources: BTreeMap::new(), token: String::new(), revision: 0, newest: 0 })
    }

    /// Goes on where the last token says.
    pub(super) async fn resume(&mut self, registry: SocketAddr) -> anyhow::Result<()> {
        if self.token.is_empty() {
            self.resources.clear();
        }
        self.stream = watch(registry, &self.token).await?;
        Ok(())
    }

    /// Takes what came before the end.
    pub(super) async fn drain(&mut self) {
        while let Ok(Some(message)) = self.stream.message().await {
            self.take(message);
        }
    }

    /// Follows to the list's revision, then is the same as the list. Returns how often the watch was ended and went on:
    /// revisions that turn out to be durable although their commit failed are not told one by one.
    pub(super) async fn audit(&mut self, registry: SocketAddr, listed: &Listed) -> anyhow::Result<usize> {
        let mut resumed = 0;
        ensure!(
            listed.revision >= self.newest,
            "revision {} is repeated after {}",
            listed.revision,
            self.newest
        );
        while self.revision < listed.revision {
            match within("the watch to come as far as the list", self.stream.message()).await {
                Err(status) if status.code() == Code::ResourceExhausted && resumed < RESUMED_MAX => {
                    self.resume(registry).await?;
                    resumed += 1;
                }
                message => self.take(message?.context("the watch goes on")?),
            }
        }
        ensure!(self.revision == listed.revision, "nobody writes between the list and this");
        for (id, resource) in &listed.resources {
            let mine = self.resources.get(id).with_context(|| format!("a gap: {id} was never told"))?;
            ensure!(mine.revision == resource.revision, "{id}: told {mine:?}, listed {resource:?}");
            ensure!(mine.tags == resource.tags, "{id}: told {mine:?}, listed {resource:?}");
        }
        let phantom = self.resources.keys().find(|id| !listed.resources.contains_key(*id));
        ensure!(phantom.is_none(), "a phantom: {phantom:?}");
        Ok(resumed)
    }

    fn take(&mut self, message: WatchResourcesResponse) {
        for event in message.events {
            self.newest = self.newest.max(event.revision);
            let kind = event.kind();
            let Some(resource) = event.resource else { continue };
            if kind == Kind::Removed {
                self.resources.remove(&resource.id);
            } else {
                self.resources.insert(resource.id.clone(), resource);
            }
        }
        if !message.resume_token.is_empty() {
            self.token = message.resume_token;
            self.revision = message.revision;
        }
    }
}

async fn watch(registry: SocketAddr, token: &str) -> anyhow::Result<Streaming<WatchResourcesResponse>> {
    let request =
        WatchResourcesRequest { resume_token: token.to_owned(), ..WatchResourcesRequest::default() };
    Ok(client(registry).await?.watch_resources(request).await?.into_inner())
}
