//! Kills the registry under load, again and again, and audits what it said:
//! everything acknowledged is there, nothing is torn, revisions never go back,
//! what an operator was answered about alerts holds, and a watcher that resumes by its token misses nothing and dreams nothing.

mod ledger;
mod load;
mod operator;
mod subject;
mod watcher;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::resource::v1::Resource;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::ledger::Ledger;
use self::load::Ended;
use self::operator::Operator;
use self::subject::Subject;
use self::watcher::Watcher;
use crate::harness::feeder::Feeder;
use crate::harness::view::client;
use crate::harness::within;

/// How many batches may be acknowledged before a kill.
const ACKS_MAX: u32 = 30;
/// How long after the last of them the kill comes, in microseconds.
const KILL_DELAY_MAX_US: u64 = 3_000;
/// What the operator does before the load begins; under it he goes on until the kill.
const QUIET_DEEDS_MAX: usize = 12;
/// One end in so many is a polite one.
const POLITE_ONE_IN: u32 = 12;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kills: usize,
    pub connections: usize,
    pub disk: Disk,
}

/// What the registry writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Good,
    /// Now and then writes are short, there is no space, or a sync fails and loses what it was for.
    Failing,
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
    /// Times at which the disk failed and batches were refused.
    pub refusals: usize,
    /// Starts that the disk prevented.
    pub failed_starts: usize,
    /// Acknowledgements, silences and changes of a rule that were answered, and those that were on their way.
    pub answered_deeds: usize,
    pub unanswered_deeds: usize,
}

/// Fails with what was lost, torn or repeated.
pub async fn run(plan: Plan, mut progress: impl FnMut(&Report)) -> anyhow::Result<Report> {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let folder = tempfile::tempdir()?;
    let mut report = Report::default();
    let mut registry =
        Subject::start(&folder.path().join("registry"), plan.disk, &mut rng, &mut report).await?;
    let mut ledger = Ledger::new(plan.connections);
    let mut watcher = Watcher::open(registry.grpc()).await?;
    let mut operator = Operator::begin(registry.grpc(), rng.random()).await?;
    for round in 0..=plan.kills {
        let after = || format!("after kill {round}");
        let mut feeder = opened(&registry, &mut ledger, &mut report).await.with_context(after)?;
        audit(&registry, &ledger, &mut watcher, &mut report).await.with_context(after)?;
        operator.audit(registry.grpc(), true).await.with_context(after)?;
        if round == plan.kills {
            break;
        }
        let mut acks = rng.random_range(0..=ACKS_MAX);
        let delay = Duration::from_micros(rng.random_range(0..=KILL_DELAY_MAX_US));
        if plan.disk == Disk::Good {
            operator
                .work(registry.grpc(), rng.random_range(0..=QUIET_DEEDS_MAX))
                .await
                .with_context(after)?;
        }
        loop {
            let ended = tokio::select! {
                ended = load::until(&mut feeder, &mut ledger, &mut rng, acks, delay) => ended?,
                failed = operator.work(registry.grpc(), usize::MAX) => return failed.map(|()| report).with_context(after),
            };
            match ended {
                Ended::Due(acked) => {
                    report.acked_batches += acked;
                    break;
                }
                Ended::Refused(acked) => {
                    ensure!(plan.disk == Disk::Failing, "a batch was refused on a disk that works");
                    report.acked_batches += acked;
                    report.refusals += 1;
                    acks = acks.saturating_sub(u32::try_from(acked)?);
                    // What was refused may be durable all the same; nothing else may have changed.
                    feeder = opened(&registry, &mut ledger, &mut report).await.with_context(after)?;
                    let audited = audit(&registry, &ledger, &mut watcher, &mut report).await;
                    let told = || format!("when the disk had failed after kill {round}");
                    audited.with_context(told)?;
                    operator.audit(registry.grpc(), false).await.with_context(told)?;
                }
            }
        }
        if rng.random_ratio(1, POLITE_ONE_IN) {
            registry.terminate().await?;
        } else {
            registry.kill9().await?;
        }
        report.acked_batches += load::drain(&mut feeder, &mut ledger).await;
        watcher.drain().await;
        registry.up(&mut rng, &mut report).await?;
        watcher.resume(registry.grpc()).await.with_context(|| format!("resume after kill {round}"))?;
        report.kills += 1;
        (report.answered_deeds, report.unanswered_deeds) = (operator.answered, operator.unanswered);
        report.resumed_watches += 1;
        progress(&report);
    }
    Ok(report)
}

/// A stream, once the registry can say what it holds.
async fn opened(registry: &Subject, ledger: &mut Ledger, report: &mut Report) -> anyhow::Result<Feeder> {
    let names = ledger.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let feeder = within("the store to work again", async {
        loop {
            // Every attempt has the registry ask its disk.
            match Feeder::open(registry.grpc(), "crash", &names).await {
                Err(error) if is_unavailable(&error) => {}
                other => break other,
            }
        }
    })
    .await?;
    report.unheard_batches += ledger.welcome(&feeder.welcome)?;
    Ok(feeder)
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tonic::Status>().is_some_and(|status| status.code() == tonic::Code::Unavailable)
}

/// A list and the watch show what was acknowledged, and nothing else.
async fn audit(
    registry: &Subject,
    ledger: &Ledger,
    watcher: &mut Watcher,
    report: &mut Report,
) -> anyhow::Result<()> {
    let listed = list(registry.grpc()).await?;
    ledger.audit(&listed)?;
    report.audited_records += listed.resources.len();
    report.resumed_watches += watcher.audit(registry.grpc(), &listed).await?;
    Ok(())
}

/// Everything, of one revision.
struct Listed {
    revision: u64,
    resources: BTreeMap<String, Resource>,
}

async fn list(registry: SocketAddr) -> anyhow::Result<Listed> {
    let mut client = client(registry).await?;
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
