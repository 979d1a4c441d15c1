//! `bench alerts`: what it costs to ask the rules while a fleet changes, and to
//! ask them of everything after a start. The figures are the registry's own; how
//! many alerts fire in the end is checked against what was sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pulse_proto::pb::registry::v1::{
    Alert, AlertRule, AlertState, SummarizeAlertsRequest, UpdateAlertRuleRequest,
};
use tokio::time::Instant;

use super::bed::Bed;
use super::load::Load;
use super::record::{Shape, connection_id};
use super::times::millis;
use super::usage::Shares;
use super::{BATCH, as_f64};
use crate::harness::alerts::{AlertMirror, client};
use crate::task::bench::Figure;

const MINUTE: Duration = Duration::from_mins(1);
const MINUTE_MS: f64 = 60_000.0;
/// While alerts settle, sources say this often that nothing changed.
const BEAT: Duration = Duration::from_millis(1_500);
/// Between two readings of the metrics while rules are asked.
const LOOK: Duration = Duration::from_millis(50);
/// The log says so at the end of a pass over everything.
const PASSED: &str = "alerts are evaluated anew";

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub resources: u64,
    pub per_connection: u32,
    /// Changed in `time`, evenly, in batches of [`BATCH`].
    pub changes: u64,
    pub time: Duration,
    /// Rounds of heartbeats of every connection in that time.
    pub beats: u32,
    /// Starts, and passes over everything, of which the median counts.
    pub passes: usize,
}

impl Plan {
    /// One in a hundred changes in a minute, and every connection is heard of twice.
    pub const FULL: Self = Self {
        resources: 1_000_000,
        per_connection: 1_000,
        changes: 10_000,
        time: MINUTE,
        beats: 2,
        passes: 3,
    };
    pub const QUICK: Self =
        Self { resources: 20_000, changes: 200, time: Duration::from_secs(2), passes: 1, ..Self::FULL };
}

#[derive(Debug)]
pub struct Measured {
    /// Of evaluation in a minute of changes.
    pub minute_ms: f64,
    /// Changed resources in that minute.
    pub changed: u64,
    /// Looks that time made due in it.
    pub due: f64,
    /// Of the whole process, ingest included.
    pub process_cores: f64,
    /// One look at everything by the same rules: what a registry that evaluates once a minute would pay.
    pub pass_ms: f64,
    /// From the start of the process to its first answer, and of the pass that it then makes.
    pub ready_ms: f64,
    pub cold_ms: f64,
    /// Alerts that fire in the end.
    pub firing: u64,
}

impl Measured {
    /// Who looks at everything by the same rules once a minute, and no more often, pays a pass.
    pub fn figures(&self) -> [Figure; 5] {
        let Self { minute_ms, pass_ms, cold_ms, ready_ms, .. } = *self;
        let per_change = |ms: f64| ms * 1e3 / as_f64(self.changed);
        let share = |ms: f64| ms * 100.0 / MINUTE_MS;
        [
            Figure::new("evaluation_ms_per_minute", "ms", minute_ms, pass_ms),
            Figure::new("evaluation_us_per_change", "us", per_change(minute_ms), per_change(pass_ms)),
            Figure::new("evaluation_core_percent", "%", share(minute_ms), share(pass_ms)),
            Figure::new("evaluation_ratio_vs_pass", "x", minute_ms / pass_ms, 1.0),
            // Beside the time that the registry takes to read what it kept.
            Figure::new("cold_start_ms", "ms", cold_ms, ready_ms),
        ]
    }
}

pub async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let mut bed = Bed::start_with("").await?;
    let shape = Arc::new(Shape::with_alerts()?);
    let mut load = Load::open_with(&bed.address(), 1, plan.per_connection, Arc::clone(&shape)).await?;
    load.grow(plan.resources).await?;
    settle(&bed, &mut load, &shape).await?;

    let before = Cost::of(&bed).await?;
    let shares = Shares::begin(bed.pid()?)?;
    let sent = change(&mut load, plan).await?;
    let (process_cores, _) = shares.end()?;
    let spent = Cost::of_changes(&bed, before, sent).await?;
    let firing = settle(&bed, &mut load, &shape).await?;

    let mut passes = Vec::new();
    for at in 0..plan.passes {
        passes.push(pass(&bed, at).await?);
    }
    let (mut ready, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..plan.passes {
        bed.registry.kill9().await?;
        let began = Instant::now();
        bed.registry.up().await?;
        ready.push(millis(began.elapsed()));
        bed.registry.process().logs("that all is evaluated", |line| line.contains(PASSED)).await;
        cold.push(bed.metrics().await?.get("pulse_registry_alert_pass_seconds") * 1e3);
    }
    let again = count_firing(&bed).await?;
    ensure!(again == firing, "{firing} alerts fired before the starts, {again} after");
    Ok(Measured {
        minute_ms: spent.seconds * 1e3,
        changed: sent,
        due: spent.due,
        process_cores,
        pass_ms: median(passes)?,
        ready_ms: median(ready)?,
        cold_ms: median(cold)?,
        firing,
    })
}

/// Evaluation since the start of the process.
#[derive(Clone, Copy, Debug)]
struct Cost {
    seconds: f64,
    changed: f64,
    due: f64,
}

impl Cost {
    async fn of(bed: &Bed) -> anyhow::Result<Self> {
        let metrics = bed.metrics().await?;
        let seconds =
            |why| metrics.get(&format!("pulse_registry_alert_evaluation_seconds_sum{{why=\"{why}\"}}"));
        let looks = |why| metrics.get(&format!("pulse_registry_alert_evaluations_total{{why=\"{why}\"}}"));
        Ok(Self { seconds: seconds("change") + seconds("due"), changed: looks("change"), due: looks("due") })
    }

    /// Since `before`, when all that was acknowledged was looked at, too: rules are asked after the
    /// acknowledgement.
    async fn of_changes(bed: &Bed, before: Self, sent: u64) -> anyhow::Result<Self> {
        let mut spent = Self::of(bed).await?.since(before);
        let looked = async {
            let mut ticks = tokio::time::interval(LOOK);
            while spent.changed < as_f64(sent) {
                ticks.tick().await;
                spent = Self::of(bed).await?.since(before);
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(MINUTE, looked).await {
            Ok(ended) => ended?,
            Err(_) => bail!("{sent} resources changed, {} were looked at", spent.changed),
        }
        Ok(spent)
    }

    fn since(self, before: Self) -> Self {
        Self {
            seconds: self.seconds - before.seconds,
            changed: self.changed - before.changed,
            due: self.due - before.due,
        }
    }
}

/// The changes of a minute, paced, and heartbeats between them.
async fn change(load: &mut Load, plan: Plan) -> anyhow::Result<u64> {
    let batches = u32::try_from(plan.changes / u64::from(BATCH))?;
    let mut ticks = tokio::time::interval(plan.time / batches);
    let mut sent = 0;
    for at in 0..batches {
        ticks.tick().await;
        if (at * plan.beats) % batches < plan.beats {
            load.beat().await?;
        }
        sent += load.change_batches(1).await?.records;
    }
    ticks.tick().await;
    Ok(sent)
}

/// Waits until exactly that fires which was sent; says how many alerts that are.
pub async fn settle(bed: &Bed, load: &mut Load, shape: &Shape) -> anyhow::Result<u64> {
    let hot = hot(load, shape);
    let sealed = usize::try_from(load.connections())?;
    let mut mirror = AlertMirror::open(bed.registry.grpc(), "", "").await?;
    let settled = mirror.until("what was sent to fire", |mirror| {
        let count = |rule| firing(mirror, rule).count();
        // Which ones is asked only when the numbers fit.
        mirror.listed
            && count("disk-temperature") == hot.len()
            && count("dataset-readonly") == sealed
            && firing(mirror, "disk-temperature").all(|disk| hot.contains(&disk))
    });
    let beating = async {
        let mut ticks = tokio::time::interval(BEAT);
        loop {
            ticks.tick().await;
            load.beat().await?;
        }
    };
    tokio::select! {
        settled = settled => settled?,
        ended = beating => return ended,
    }
    let firing = count_firing(bed).await?;
    ensure!(
        firing == (hot.len() + sealed) as u64,
        "{firing} fire, {} hot disks and {sealed} datasets",
        hot.len()
    );
    Ok(firing)
}

/// Connection and name of every disk that is too hot.
fn hot(load: &Load, shape: &Shape) -> BTreeSet<(String, String)> {
    let of_slice = |((connection, slice), change): ((u32, u32), u32)| {
        let records = slice * BATCH..(slice + 1) * BATCH;
        let hot = records.filter(move |record| shape.is_hot(*record, change));
        hot.map(move |record| (connection_id(connection), format!("sd{record:03}")))
    };
    load.changes().into_iter().flat_map(of_slice).collect()
}

/// Connection and name of what a rule fires for.
fn firing(mirror: &AlertMirror, rule: &str) -> impl Iterator<Item = (String, String)> {
    let fires = move |alert: &&Alert| alert.rule_id == rule && alert.state() == AlertState::Firing;
    let name = |alert: &Alert| (alert.connection.clone(), alert.resource_name.clone());
    mirror.alerts.values().filter(fires).map(name)
}

async fn count_firing(bed: &Bed) -> anyhow::Result<u64> {
    let request = SummarizeAlertsRequest { filter: "state = firing".to_owned() };
    let summary = client(bed.registry.grpc()).await?.summarize_alerts(request).await?.into_inner();
    let by_state = summary.by_state.iter().filter(|count| count.state() == AlertState::Firing);
    Ok(by_state.map(|count| u64::try_from(count.count).unwrap_or_default()).sum())
}

/// A changed rule has everything looked at: milliseconds of evaluation, commits left aside.
async fn pass(bed: &Bed, at: usize) -> anyhow::Result<f64> {
    const SUM: &str = "pulse_registry_alert_evaluation_seconds_sum{why=\"pass\"}";
    let process = bed.registry.process();
    let before = bed.metrics().await?.get(SUM);
    let known = process.log().matches(PASSED).count();
    let rule = AlertRule {
        id: "pool-usage".to_owned(),
        description: format!("Looked at anew, {at}."),
        ..AlertRule::default()
    };
    let request = UpdateAlertRuleRequest { rule: Some(rule), ..UpdateAlertRuleRequest::default() };
    client(bed.registry.grpc()).await?.update_alert_rule(request).await?;
    process.logs_times("that all is evaluated", known + 1, |line| line.contains(PASSED)).await;
    Ok((bed.metrics().await?.get(SUM) - before) * 1e3)
}

fn median(mut values: Vec<f64>) -> anyhow::Result<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("a measurement")
}
