//! A registry of its own for one measurement: the real process on loopback, its
//! data beside the build, where a sync reaches the disk.

use std::path::PathBuf;

use anyhow::Context as _;
use prost::Message as _;
use pulse_proto::pb::registry::v1::{ListResourcesRequest, ListResourcesResponse};
use tempfile::TempDir;

use super::record::shows;
use super::wire::Client;
use crate::harness::fleet::Service;
use crate::harness::http_get;
use crate::harness::usage::Usage;
use crate::task;

/// More watches than the default, so that 1,000 and one that checks find room. Alerts have a bench of their own.
const SETTINGS: &str = "[watch]\nmax_watchers = 1100\n[alerts]\nenabled = false";
pub const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";

/// A folder on the disk of the build: /tmp may be memory.
pub fn folder() -> anyhow::Result<TempDir> {
    let target = task::root().join("target");
    std::fs::create_dir_all(&target)?;
    tempfile::Builder::new().prefix("bench-").tempdir_in(target).context("a folder for the bench")
}

#[derive(Debug)]
pub struct Bed {
    pub registry: Service,
    /// Kept last: it goes when the process is down.
    folder: TempDir,
}

/// `/metrics` as it was read.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Of a series by its name and labels as they are written; 0 before its first value.
    pub fn get(&self, series: &str) -> f64 {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value).unwrap_or_default()
    }
}

/// What is measured is how fast answers come, from one address.
pub const UNPACED: &str = "\n[limits]\nrequests_per_second = 0\n";

impl Bed {
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(SETTINGS).await
    }

    /// With settings of a registry beyond addresses and data.
    pub async fn start_with(settings: &str) -> anyhow::Result<Self> {
        let folder = folder()?;
        let settings = format!("{settings}{UNPACED}");
        let registry = Service::start("pulse-registry", &folder.path().join("registry"), &settings).await?;
        Ok(Self { registry, folder })
    }

    pub fn address(&self) -> String {
        self.registry.grpc().to_string()
    }

    pub fn pid(&self) -> anyhow::Result<u32> {
        self.registry.process().pid()
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.pid()?)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.address()).await
    }

    /// What the registry counts of itself.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        let (status, body) = http_get(self.registry.process().http_addr(), "/metrics").await?;
        anyhow::ensure!(status == 200, "metrics: {status}");
        Ok(Metrics(body))
    }

    /// One page, decoded.
    pub async fn page(&self, filter: &str, size: i32) -> anyhow::Result<ListResourcesResponse> {
        let request = ListResourcesRequest {
            page_size: size,
            filter: filter.to_owned(),
            ..ListResourcesRequest::default()
        };
        Ok(ListResourcesResponse::decode(self.client().await?.unary(LIST, request).await?)?)
    }

    /// Lists all that matches, and counts the resources that show what `change` says; anything else fails.
    pub async fn audit(&self, filter: &str, change: impl Fn(u32, u32) -> Option<u32>) -> anyhow::Result<u64> {
        let mut client = self.client().await?;
        let mut request = ListResourcesRequest {
            page_size: 1_000,
            filter: filter.to_owned(),
            ..ListResourcesRequest::default()
        };
        let mut count = 0;
        loop {
            let page = ListResourcesResponse::decode(client.unary(LIST, request.clone()).await?)?;
            for resource in &page.resources {
                let (connection, record, right) =
                    shows(resource, &change).with_context(|| format!("not one of these: {}", resource.id))?;
                anyhow::ensure!(
                    right,
                    "record {record} of connection {connection} lacks its last acked change"
                );
                count += 1;
            }
            if page.next_page_token.is_empty() {
                anyhow::ensure!(
                    u64::try_from(page.total_size)? == count,
                    "{count} of {} listed",
                    page.total_size
                );
                return Ok(count);
            }
            request.page_token = page.next_page_token;
        }
    }
}
