//! What a gRPC client sees of the registry: a mirror kept by WatchResources that
//! tests can wait on.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{ResourceChange, WatchResourcesRequest, WatchResourcesResponse};
use pulse_proto::pb::resource::v1::{Resource, Status};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Channel;

use super::PATIENCE;

/// Resources that a failed wait names.
const SHOWN_MAX: usize = 50;

/// A watcher's mirror of the resources that match a filter.
#[derive(Debug)]
pub struct Mirror {
    stream: Streaming<WatchResourcesResponse>,
    pub resources: BTreeMap<String, Resource>,
    pub resume_token: String,
    /// Every status each resource ever showed, without repetition in a row.
    pub statuses: BTreeMap<String, Vec<Status>>,
    pub listed: bool,
    /// What the events said of the timeline, as they came.
    pub changes: Vec<ResourceChange>,
}

/// Connects to the registry.
pub async fn client(addr: SocketAddr) -> anyhow::Result<ResourceServiceClient<Channel>> {
    ResourceServiceClient::connect(format!("http://{addr}")).await.context("connect to the registry")
}

/// A resource without the times that move without a revision: two readers may see it at different ones.
#[must_use]
pub fn still(mut resource: Resource) -> Resource {
    resource.observed_at = None;
    for part in &mut resource.source_status {
        part.last_seen = None;
    }
    resource
}

impl Mirror {
    /// Watches from the beginning, or from a resume token.
    pub async fn open(addr: SocketAddr, filter: &str, resume_token: &str) -> anyhow::Result<Self> {
        let request = WatchResourcesRequest {
            filter: filter.to_owned(),
            resume_token: resume_token.to_owned(),
            read_mask: None,
        };
        let stream = client(addr).await?.watch_resources(request).await?.into_inner();
        Ok(Self {
            stream,
            resources: BTreeMap::new(),
            resume_token: resume_token.to_owned(),
            statuses: BTreeMap::new(),
            listed: false,
            changes: Vec::new(),
        })
    }

    /// Applies one message of the stream.
    pub async fn step(&mut self) -> anyhow::Result<()> {
        let Some(message) = self.stream.message().await? else { bail!("the watch ended") };
        for event in message.events {
            let kind = event.kind();
            self.changes.extend(event.changes);
            let resource = event.resource.context("an event carries its resource")?;
            match kind {
                Kind::Existing | Kind::Added | Kind::Changed => {
                    let seen = self.statuses.entry(resource.id.clone()).or_default();
                    if seen.last() != Some(&resource.status()) {
                        seen.push(resource.status());
                    }
                    self.resources.insert(resource.id.clone(), resource);
                }
                Kind::Removed => {
                    self.resources.remove(&resource.id);
                }
                Kind::Unspecified => bail!("an event without a kind"),
            }
        }
        self.listed |= message.initial_list_end;
        if !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
        }
        Ok(())
    }

    /// Follows the stream until `holds`, or fails the test.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let all = async {
            while !holds(self) {
                self.step().await?;
            }
            anyhow::Ok(())
        };
        let followed = timeout(PATIENCE, all).await.context("it did not come");
        followed.flatten().with_context(|| {
            let brief = |r: &Resource| format!("{} {} {:?} {:?}", r.technology, r.name, r.state, r.status());
            format!(
                "while waiting {PATIENCE:?} for {what}; the list was {}; known: {:#?}",
                if self.listed { "whole" } else { "not whole yet" },
                self.resources.values().take(SHOWN_MAX).map(brief).collect::<Vec<_>>()
            )
        })
    }

    /// The resource with this name and technology.
    pub fn named(&self, technology: &str, name: &str) -> Option<&Resource> {
        self.resources.values().find(|r| r.technology == technology && r.name == name)
    }
}
