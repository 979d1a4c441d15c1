//! Pools and datasets.

use std::time::Duration;

use pulse_proto::model::{Dataset, Expansion, Pool, Scan};

use super::{Thing, capacity, protection, state, used_percent};
use crate::context::fact::Fact;
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::redundancy;
use crate::context::words;

pub(crate) fn pool(thing: &Thing<'_>, pool: &Pool) -> Option<Fact> {
    let told_state = if pool.state.is_empty() { &thing.record.state } else { &pool.state };
    let mut details = Vec::new();
    if pool.boot_pool {
        details.push(say!["boot pool"]);
    }
    if !told_state.is_empty() {
        details.push(say![state(told_state)]);
    }
    if let Some(sizes) = &thing.record.capacity {
        details.push(capacity(sizes));
    }
    details.push(redundancy(pool));
    details.push(scan(pool.scan.as_ref()));
    details.push(expansion(pool.expansion.as_ref()));
    if let Some(percent @ 30..=100) = pool.fragmentation_percent {
        details.push(say![words::percent(percent.into()), " fragmented"]);
    }
    let value = used_percent(thing.record.capacity.as_ref());
    Some(thing.fact("pool", thing.sentence(details)?).with_value(value, "percent"))
}

/// "raidz2, 1 of 2 spare drives of redundancy left".
pub(crate) fn redundancy(pool: &Pool) -> Statement {
    match redundancy::of(pool) {
        None => Statement::default(),
        Some(found) if found.lost => say!["more drives gone than ", found.layout, " can lose"],
        Some(found) if found.spare == 0 => say![found.layout, " without redundancy"],
        Some(found) if found.left == found.spare => {
            say![
                found.layout,
                " with full redundancy (",
                words::digits(found.spare),
                " of ",
                words::count(found.spare, "spare drive"),
                " left)"
            ]
        }
        Some(found) => {
            say![
                found.layout,
                " with ",
                words::digits(found.left),
                " of ",
                words::count(found.spare, "spare drive"),
                " of redundancy left"
            ]
        }
    }
}

/// "resilver running, 37 % done, about 5 h left".
pub(crate) fn scan(scan: Option<&Scan>) -> Statement {
    let Some(scan) = scan else { return Statement::default() };
    let what = match scan.function.to_ascii_uppercase().as_str() {
        "SCRUB" => "scrub",
        "RESILVER" => "resilver",
        _ => return Statement::default(),
    };
    let ended = |words: &'static str| {
        let mut ended = say!["last ", what, words];
        if let Some(at) = scan.end_time {
            ended.add(" ").add(Piece::Ago(at));
        }
        ended
    };
    match scan.state.to_ascii_uppercase().as_str() {
        "SCANNING" => {
            let mut running = say![what, if scan.pause_time.is_some() { " paused" } else { " running" }];
            running.append(progress(scan.percentage, scan.seconds_left));
            errors(&mut running, scan);
            running
        }
        "FINISHED" => {
            let mut finished = ended(" ended");
            errors(&mut finished, scan);
            finished
        }
        "CANCELED" => ended(" was canceled"),
        "FAILED" => ended(" failed"),
        _ => Statement::default(),
    }
}

fn errors(statement: &mut Statement, scan: &Scan) {
    match scan.errors {
        None => {}
        Some(0) => {
            statement.add(" without errors");
        }
        Some(count) => {
            statement.add(" with ").add(words::count(count, "error"));
        }
    }
}

pub(crate) fn expansion(expansion: Option<&Expansion>) -> Statement {
    let running = expansion.filter(|expansion| expansion.state.eq_ignore_ascii_case("SCANNING"));
    let Some(expansion) = running else { return Statement::default() };
    let mut statement = say!["expansion running"];
    statement.append(progress(expansion.percentage, expansion.seconds_left));
    if expansion.waiting_for_resilver {
        statement.add(", it waits for a resilver");
    }
    statement
}

fn progress(percentage: Option<f64>, seconds_left: Option<u64>) -> Statement {
    let mut progress = Statement::default();
    if let Some(percentage) = percentage.and_then(words::rounded_percent) {
        progress.add(", ").add(percentage).add(" % done");
    }
    if let Some(seconds) = seconds_left.filter(|seconds| *seconds > 0) {
        progress.add(", about ").add(words::span(Duration::from_secs(seconds))).add(" left");
    }
    progress
}

pub(crate) fn dataset(thing: &Thing<'_>, dataset: &Dataset) -> Option<Fact> {
    let used = dataset.used_bytes.or_else(|| thing.record.capacity.as_ref()?.used_bytes);
    let mut details = Vec::new();
    if dataset.kind.eq_ignore_ascii_case("VOLUME") {
        let size = dataset.volsize_bytes.map(|bytes| say![" of ", words::size(bytes)]).unwrap_or_default();
        let mut volume = say!["volume"];
        volume.append(size);
        details.push(volume);
    }
    if let Some(used) = used {
        details.push(say![words::size(used), " used"]);
    }
    if let Some(bytes @ 1..) = dataset.used_by_snapshots_bytes {
        details.push(say![words::size(bytes), " of it by snapshots"]);
    }
    if let Some(quota) = dataset.quota_bytes.filter(|quota| *quota > 0) {
        details.push(quota_of("quota ", quota, dataset.used_bytes));
    }
    if let Some(quota) = dataset.refquota_bytes.filter(|quota| *quota > 0) {
        details.push(quota_of("quota without snapshots ", quota, dataset.used_by_dataset_bytes));
    }
    details.push(snapshots(dataset));
    details.extend(conditions(dataset).map(|condition| say![condition]));
    let value = used.map(words::digits).unwrap_or_default();
    Some(thing.fact("dataset", thing.sentence(details)?).with_value(value, "bytes"))
}

fn quota_of(what: &'static str, quota: u64, used: Option<u64>) -> Statement {
    let mut statement = say![what, words::size(quota)];
    if let Some(percent) = used.and_then(|used| words::share(used, quota)) {
        statement.add(" (").add(words::percent(percent)).add(" used)");
    }
    statement
}

/// "48 snapshots, the newest 2 h ago".
pub(crate) fn snapshots(dataset: &Dataset) -> Statement {
    let mut statement = match dataset.snapshot_count {
        Some(0) => return say!["no snapshots"],
        Some(count) => say![words::count(count, "snapshot")],
        None => Statement::default(),
    };
    if let Some(at) = dataset.newest_snapshot_at {
        statement
            .add(if statement.is_empty() { "newest snapshot " } else { ", the newest " })
            .add(Piece::Ago(at));
    }
    statement
}

fn conditions(dataset: &Dataset) -> impl Iterator<Item = &'static str> {
    let locked = dataset.locked == Some(true);
    [
        (dataset.encrypted == Some(true) && !locked, "encrypted and unlocked"),
        (locked, "encrypted and locked"),
        (dataset.mounted == Some(false) && !dataset.kind.eq_ignore_ascii_case("VOLUME"), "not mounted"),
        (dataset.replication_target, "a target of replication"),
        (dataset.readonly == Some(true), "read-only"),
    ]
    .into_iter()
    .filter_map(|(holds, words)| holds.then_some(words))
}

/// Settings of a dataset that matter when it behaves oddly.
pub(crate) fn dataset_settings(thing: &Thing<'_>, dataset: &Dataset) -> Option<Fact> {
    let mut details = Vec::new();
    if !dataset.mountpoint.is_empty() {
        details.push(say!["mounted at ", told(Kind::Path, &dataset.mountpoint)]);
    }
    if !dataset.compression.is_empty() {
        let mut compression = say!["compression ", told(Kind::Word, &dataset.compression)];
        if let Some(ratio) = dataset.compress_ratio.and_then(words::tenths) {
            compression.add(" with ratio ").add(ratio);
        }
        details.push(compression);
    }
    if let Some(bytes) = dataset.recordsize_bytes {
        details.push(say!["record size ", words::size(bytes)]);
    }
    for (what, word) in [("sync ", &dataset.sync), ("deduplication ", &dataset.deduplication)] {
        if !word.is_empty() {
            details.push(say![what, told(Kind::Word, word)]);
        }
    }
    if !dataset.comments.is_empty() {
        details.push(say!["comment ", told(Kind::Text, &dataset.comments)]);
    }
    Some(thing.fact("dataset_settings", thing.sentence(details)?))
}

/// How a pool is built, and how it is kept.
pub(crate) fn pool_settings(thing: &Thing<'_>, pool: &Pool) -> Option<Fact> {
    let mut details = Vec::new();
    if !pool.vdev_layout.is_empty() {
        details.push(say!["layout ", told(Kind::Word, &pool.vdev_layout)]);
    }
    for group in &pool.groups {
        let devices = group.vdevs.iter().map(|vdev| vdev.children.len().max(1) as u64).sum();
        details.push(say![words::count(devices, "device"), " with the role ", super::role(&group.role)]);
    }
    if let (Some(size), Some(allocated)) = (pool.size_bytes, pool.allocated_bytes) {
        details.push(say![words::size(allocated), " of ", words::size(size), " raw allocated"]);
    }
    if let Some(schedule) = &pool.scrub_schedule {
        let off = schedule.enabled == Some(false);
        details.push(match protection::period(&schedule.schedule) {
            _ if off => say!["scrubs by schedule are switched off"],
            Some(period) => say!["a scrub is due every ", words::span(period)],
            None => Statement::default(),
        });
    }
    if pool.upgrade_available {
        details.push(say!["new features can be switched on"]);
    }
    if !pool.status_detail.is_empty() {
        details.push(say!["the system says ", told(Kind::Text, &pool.status_detail)]);
    }
    Some(thing.fact("pool_settings", thing.sentence(details)?))
}
