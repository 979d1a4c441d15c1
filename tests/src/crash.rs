//! Kills the registry under load, again and again, and audits what it said:
//! everything acknowledged is there, nothing is torn, revisions never go back,
//! and a watcher that resumes by its token misses nothing and dreams nothing.

mod ledger;
mod load;
mod watcher;

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::resource::v1::Resource;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::ledger::Ledger;
use self::watcher::Watcher;
use crate::harness::feeder::Feeder;
use crate::harness::fleet::Service;
use crate::harness::view::client;

/// How many batches may be acknowledged before a kill.
const ACKS_MAX: u32 = 30;
/// How long after the last of them the kill comes, in microseconds.
const KILL_DELAY_MAX_US: u64 = 3_000;
/// One end in so many is a polite one.
const POLITE_ONE_IN: u32 = 12;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kills: usize,
    pub connections: usize,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub kills: usize,
    pub acked_batches: usize,
    /// Batches that were durable although their acknowledgement never came.
    pub unheard_batches: usize,
    pub resumed_watches: usize,
    pub audited_records: usize,
}

/// Fails with what was lost, torn or repeated.
pub async fn run(plan: Plan, mut progress: impl FnMut(&Report)) -> anyhow::Result<Report> {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let folder = tempfile::tempdir()?;
    let mut registry = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let mut ledger = Ledger::new(plan.connections);
    let mut watcher = Watcher::open(registry.grpc()).await?;
    let mut report = Report::default();
    for round in 0..=plan.kills {
        let names = ledger.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut feeder = Feeder::open(registry.grpc(), "crash", &names).await?;
        report.unheard_batches += ledger.welcome(&feeder.welcome)?;
        let listed = list(&registry).await?;
        ledger.audit(&listed).with_context(|| format!("after kill {round}"))?;
        report.audited_records += listed.resources.len();
        watcher.audit(&listed).await.with_context(|| format!("after kill {round}"))?;
        if round == plan.kills {
            break;
        }
        let acks = rng.random_range(0..=ACKS_MAX);
        let delay = std::time::Duration::from_micros(rng.random_range(0..=KILL_DELAY_MAX_US));
        report.acked_batches += load::until(&mut feeder, &mut ledger, &mut rng, acks, delay).await?;
        if rng.random_ratio(1, POLITE_ONE_IN) {
            registry.terminate().await?;
        } else {
            registry.kill9().await?;
        }
        report.acked_batches += load::drain(&mut feeder, &mut ledger).await;
        watcher.drain().await;
        registry.up().await?;
        watcher.resume(registry.grpc()).await.with_context(|| format!("resume after kill {round}"))?;
        report.kills += 1;
        report.resumed_watches += 1;
        progress(&report);
    }
    Ok(report)
}

/// Everything, of one revision.
struct Listed {
    revision: u64,
    resources: BTreeMap<String, Resource>,
}

async fn list(registry: &Service) -> anyhow::Result<Listed> {
    let mut client = client(registry.grpc()).await?;
    let mut listed = Listed { revision: 0, resources: BTreeMap::new() };
    let mut page_token = String::new();
    loop {
        let request =
            ListResourcesRequest { page_size: 1_000, page_token, ..ListResourcesRequest::default() };
        let page = client.list_resources(request).await?.into_inner();
        listed.revision = page.revision;
        for resource in page.resources {
            let id = resource.id.clone();
            ensure!(listed.resources.insert(id.clone(), resource).is_none(), "{id} is listed twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(listed);
        }
    }
}
