//! What is wrong with a resource: its reasons, worst first, in words made of
//! their codes and evidence, so that names in them are known as names.

use pulse_proto::model::{AlertLevel, HealthReason, IngestRecord, Severity, Zfs};

use super::{Thing, machine, protection, storage};
use crate::context::fact::Fact;
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::vocabulary::is_common;
use crate::context::words;

/// Most reasons of one resource in one sentence.
const REASONS_MAX: usize = 4;

/// What continues "pool "tank": "; `{key:kind}` stands for evidence. Of several for one code the first whose evidence is
/// there is taken. A code without one is said with its summary, as a text of others.
static PHRASES: &[(&str, &str)] = &[
    ("zfs_pool_state", "state {state:state}"),
    ("zfs_status_code", "status {status_code:word}"),
    ("zfs_device_missing", "devices missing: {devices:word}"),
    ("zfs_device_missing", "missing"),
    ("zfs_device_state", "devices not working: {devices:word}"),
    ("zfs_device_state", "state {state:state}"),
    ("zfs_device_errors", "devices with errors: {devices:word}"),
    ("zfs_device_errors", "{read:number} read, {write:number} write and {checksum:number} checksum errors"),
    ("zfs_spare_in_use", "spare in use: {devices:word}"),
    ("zfs_spare_in_use", "a hot spare that stands in for another disk"),
    ("zfs_scan_errors", "{errors:number} errors found by the last scan that could not be repaired"),
    ("zfs_scan_failed", "the last scan failed"),
    ("zfs_scrub_active", "a scrub is running"),
    ("zfs_scrub_paused", "a scrub is paused"),
    ("zfs_scrub_canceled", "the last scrub was canceled"),
    ("zfs_resilver_active", "a resilver is running"),
    ("zfs_resilver_paused", "a resilver is paused"),
    ("zfs_resilver_canceled", "the last resilver was canceled"),
    ("zfs_expansion_active", "an expansion is running"),
    ("zfs_expansion_canceled", "the last expansion was canceled"),
    ("zfs_expansion_failed", "the last expansion failed"),
    (
        "zfs_pool_capacity",
        "{threshold_percent:number} % full or more ({used_bytes:size} of {total_bytes:size} used)",
    ),
    (
        "zfs_dataset_quota",
        "{threshold_percent:number} % of its quota used or more ({used_bytes:size} of {total_bytes:size})",
    ),
    (
        "zfs_dataset_refquota",
        "{threshold_percent:number} % of its quota without snapshots used or more ({used_bytes:size} of {total_bytes:size})",
    ),
    ("zfs_dataset_locked", "locked, its key is not loaded"),
    ("zfs_dataset_unmounted", "not mounted"),
    ("zfs_dataset_readonly", "read-only, and no replication task explains it"),
    ("disk_temperature", "{celsius:number} °C hot, limit {threshold_celsius:number} °C"),
    ("system_state", "state {state:state}"),
    ("failover_status", "failover status {state:state}"),
    ("failover_disabled", "a failover would not work now: {reasons:label}"),
    ("service_stopped", "services stopped that should run: {services:word}"),
    ("certificate_expired", "certificates expired: {certificates:label}"),
    ("reboot_required", "a reboot is wanted"),
    ("child_health", "{child:child} in it is not well"),
    ("resource_state", "state {state:state}"),
    ("task_disabled", "switched off"),
    ("connection_degraded", "the connection cannot read some sections"),
    ("connection_backing_off", "the connection failed and will be tried again"),
    ("connection_refused", "the connection was refused and waits for an operator"),
    ("connection_disabled", "the connection is switched off"),
    ("unknown_value", "{kind:word} {value:word} is not known to this release"),
];

/// Reasons that [`remedy`] says with more figures.
const SHOWN: [&str; 5] = [
    "zfs_scrub_active",
    "zfs_scrub_paused",
    "zfs_resilver_active",
    "zfs_resilver_paused",
    "zfs_expansion_active",
];

/// Reasons that say the state of the thing itself, the plainest first.
const STATES: [&str; 5] =
    ["zfs_pool_state", "zfs_device_state", "system_state", "failover_status", "resource_state"];

/// The worst reasons of at least that severity, then what one needs to act on them.
pub(crate) fn problem(thing: &Thing<'_>, least: Severity) -> Option<Fact> {
    let reasons = || thing.resource.reasons().iter().filter(|reason| reason.severity >= least);
    let worst = reasons().next()?;
    let is_task = thing.record.facets.protection_task.is_some();
    let shown = |code: &str| SHOWN.contains(&code) || (is_task && code == "resource_state");
    let mut told: Vec<&HealthReason> = reasons().filter(|reason| !shown(reason.code)).collect();
    // However many alerts there are, they do not hide the state.
    told.sort_by_key(|reason| STATES.iter().position(|code| *code == reason.code).unwrap_or(STATES.len()));
    let mut details: Vec<Statement> =
        told.iter().take(REASONS_MAX).map(|reason| phrase(reason, thing.record)).collect();
    let more = told.len().saturating_sub(REASONS_MAX);
    if more > 0 {
        details.push(say![words::count(more as u64, "more reason")]);
    }
    details.push(remedy(thing));
    let mut statement = say![severity(worst.severity), " "];
    statement.append(thing.called()).add(": ");
    statement.append(Statement::list(details.into_iter().filter(|detail| !detail.is_empty()), "; ")).add(".");
    if thing.resource.freshness != pulse_proto::model::Freshness::Fresh {
        statement.add(" That is what was last seen.");
    }
    let value = severity_word(worst.severity);
    Some(Fact::derived(worst.code, statement).with_value(value.into(), "severity").about(thing.origin()))
}

/// Begins a line.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical:",
        Severity::Warning => "Warning:",
        Severity::Monitor => "Monitor:",
        Severity::Healthy => "Healthy:",
    }
}

const fn severity_word(severity: Severity) -> &'static str {
    severity.token()
}

/// What a reason says, without the name of what it is about.
pub(crate) fn phrase(reason: &HealthReason, record: &IngestRecord) -> Statement {
    if let (Some(klass), Some(level)) = (reason.evidence.get("klass"), reason.evidence.get("level")) {
        let level = match AlertLevel::from_token(level) {
            Some(level) => Piece::from(level.token()),
            None => told(Kind::Word, level),
        };
        let mut statement = say!["alert ", told(Kind::Word, klass), " of level ", level];
        let native_id = reason.evidence.get("native_id");
        let incident = record.incidents.iter().find(|incident| Some(&*incident.native_id) == native_id);
        if let Some(incident) = incident.filter(|incident| !incident.text.is_empty()) {
            statement.add(", it says ").add(told(Kind::Text, &incident.text));
        }
        return statement;
    }
    let mut fitting = PHRASES.iter().filter(|(code, _)| *code == reason.code);
    fitting
        .find_map(|(_, template)| fill(template, reason))
        .unwrap_or_else(|| say![told(Kind::Sentence, &reason.summary)])
}

/// `None` when some evidence is missing.
fn fill(template: &'static str, reason: &HealthReason) -> Option<Statement> {
    let mut statement = Statement::default();
    let mut rest = template;
    while let Some((own, after)) = rest.split_once('{') {
        let (hole, next) = after.split_once('}')?;
        let (key, kind) = hole.split_once(':')?;
        if !own.is_empty() {
            statement.add(own);
        }
        statement.add(evidence(kind, reason.evidence.get(key)?)?);
        rest = next;
    }
    if !rest.is_empty() {
        statement.add(rest);
    }
    Some(statement)
}

fn evidence(kind: &str, value: &str) -> Option<Piece> {
    Some(match kind {
        "number" => Piece::Own(words::number(value.parse().ok()?)),
        "size" => Piece::Own(words::size(value.parse().ok()?)),
        "state" => super::state(value),
        "label" => told(Kind::Label, value),
        // A pool, or a disk as its kernel calls it.
        "child" if is_common(value) => told(Kind::Word, value),
        "child" => told(Kind::Path, value),
        _ => told(Kind::Word, value),
    })
}

/// What the next step depends on: redundancy and progress of a pool, where a disk is, why a task failed.
fn remedy(thing: &Thing<'_>) -> Statement {
    let facets = &thing.record.facets;
    if let Some(Zfs::Pool(pool)) = facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref()) {
        let redundancy = storage::redundancy(pool);
        let running = pool.scan.as_ref().filter(|scan| scan.state.eq_ignore_ascii_case("SCANNING"));
        let details = [redundancy, storage::scan(running), storage::expansion(pool.expansion.as_ref())];
        return Statement::list(details.into_iter().filter(|detail| !detail.is_empty()), "; ");
    }
    if let Some(disk) = &facets.physical_disk {
        return machine::device(thing, disk);
    }
    if let Some(task) = &facets.protection_task {
        return protection::outcome(task);
    }
    if let Some(app) = facets.app.as_ref().filter(|app| !app.error.is_empty()) {
        return say!["it says ", told(Kind::Text, &app.error)];
    }
    Statement::default()
}

/// Words for many resources with the same reason.
pub(crate) fn common(code: &'static str) -> Statement {
    let template = PHRASES.iter().find(|(known, template)| *known == code && !template.contains('{'));
    template.map_or_else(Statement::default, |(_, template)| say![*template])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_can_be_filled() {
        for (code, template) in PHRASES {
            let mut evidence = pulse_proto::model::Evidence::default();
            for hole in template.split('{').skip(1) {
                let (key, kind) =
                    hole.split_once('}').and_then(|(hole, _)| hole.split_once(':')).expect(template);
                assert!(["number", "size", "state", "label", "child", "word"].contains(&kind), "{template}");
                evidence = evidence.with(key, "7");
            }
            let reason = HealthReason { code, severity: Severity::Warning, summary: String::new(), evidence };
            assert!(fill(template, &reason).is_some_and(|statement| !statement.is_empty()), "{template}");
        }
    }
}
