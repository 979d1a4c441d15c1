//! The rules that come with the registry. Thresholds are those of Pulse; each
//! can be changed, overridden for some resources, or switched off.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::Severity;

use super::{CONFIRMATIONS_DEFAULT, Rule, RuleId};
use crate::alert::condition::{AgeOf, Condition, Counter, Metric};
use crate::query::filter::Filter;

const DAY: Duration = Duration::from_hours(24);
/// As Pulse waits before a measured value fires.
const SUSTAINED: Duration = Duration::from_secs(5);
const MIN_DELTA: f64 = 2.0;

struct Row {
    id: &'static str,
    name: &'static str,
    selector: &'static str,
    condition: When,
    /// `None`: that of the health reason.
    severity: Option<Severity>,
    hold: Duration,
    enabled: bool,
    raise: u32,
    description: &'static str,
    remedy: &'static str,
}

enum When {
    /// Codes of health, from warning on.
    Reasons(&'static [&'static str]),
    /// Of which only these count.
    Severe(&'static [&'static str], Severity),
    /// Trigger, clear, critical.
    Above(Metric, f64, f64, Option<f64>),
    Below(Metric, f64, f64, Option<f64>),
    Older(AgeOf, Duration),
    Full(Duration),
    Grows(Counter),
    Expression(&'static str),
    Reach,
}

const POOL: &str = "topology = pool";
const DATASET: &str = "topology = dataset";
const DISK: &str = "type = physical_disk";
const SYSTEM: &str = "type = host";
const APP: &str = "type = app_container";
const MACHINE: &str = "type = vm OR type = system_container";
const SHARE: &str = "type = network_share";
const TASK: &str = "type = protection_task";

const fn row(
    id: &'static str,
    name: &'static str,
    selector: &'static str,
    condition: When,
    description: &'static str,
    remedy: &'static str,
) -> Row {
    Row {
        id,
        name,
        selector,
        condition,
        severity: None,
        hold: Duration::ZERO,
        enabled: true,
        raise: CONFIRMATIONS_DEFAULT,
        description,
        remedy,
    }
}

impl Row {
    const fn at(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    const fn after(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// In the source's own words: nobody waits for them to be said twice.
    const fn at_once(mut self) -> Self {
        self.raise = 1;
        self
    }

    const fn off(mut self) -> Self {
        self.enabled = false;
        self
    }
}

use Severity::{Critical, Monitor, Warning};
use When::{Above, Below, Expression, Full, Grows, Older, Reach, Reasons, Severe};

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row("system-unreachable", "System is not reached", SYSTEM, Reach,
        "Nothing fresh is known of the system, or it refuses the connection. Everything below it stays quiet meanwhile.",
        "Check power, network and the connection's status in the collector (pulse-collector connections list)."),
    row("system-state", "System is not ready", SYSTEM, Reasons(&["system_state"]),
        "The system boots or shuts down.", "Wait for the end of the boot, or find out who stopped it.").after(Duration::from_mins(10)),
    row("system-failover", "Failover does not work", SYSTEM, Reasons(&["failover_status", "failover_disabled"]),
        "The pair of controllers would not take over, or is busy doing so.", "See the reasons on the failover page of the system."),
    row("system-service", "A service is down", SYSTEM, Reasons(&["service_stopped"]),
        "A service that starts with the system does not run.", "Start the service, or take it out of the start."),
    row("system-certificate", "A certificate expires", SYSTEM, Older(AgeOf::Certificate, Duration::from_hours(14 * 24)),
        "A certificate of the system expires within two weeks, or has expired.", "Renew the certificate.").at(Warning),
    row("system-reboot", "A reboot is required", SYSTEM, Severe(&["reboot_required"], Monitor),
        "The system wants a reboot.", "Reboot when it suits.").at(Monitor),
    row("system-update", "An update is offered", SYSTEM, Older(AgeOf::Update, Duration::ZERO),
        "An update has been offered for 30 days.", "Plan the update.").at(Monitor).after(Duration::from_hours(30 * 24)),
    row("system-cpu", "Processor is busy", SYSTEM, Above(Metric::Cpu, 80.0, 75.0, Some(90.0)),
        "The processor is busy.", "See which process or app takes it.").at(Warning).after(SUSTAINED),
    row("system-memory", "Memory runs out", SYSTEM, Above(Metric::Memory, 85.0, 80.0, Some(95.0)),
        "Memory in use, without what the ZFS cache gives back.", "See which app or machine takes it.").at(Warning).after(SUSTAINED),
    row("system-temperature", "Processor is hot", SYSTEM, Above(Metric::CpuTemperature, 80.0, 75.0, Some(90.0)),
        "The processor is hot.", "Check fans, dust and room.").at(Warning).after(SUSTAINED),
    row("system-ups-charge", "UPS battery is low", SYSTEM, Below(Metric::UpsCharge, 50.0, 60.0, Some(20.0)),
        "The battery of the power supply is discharging or worn.", "Restore mains power, or prepare to shut down.").at(Warning),

    row("pool-state", "Pool is not well", POOL, Reasons(&["zfs_pool_state", "zfs_status_code"]),
        "The pool is degraded, faulted, suspended or says that it needs attention.", "Replace what failed; zpool status on the system tells what.").at_once(),
    row("pool-device", "A device of a pool failed", POOL, Reasons(&["zfs_device_state", "zfs_device_missing"]),
        "A device of the pool is missing or not online, also where the pool still says ONLINE.", "Replace or bring back the device.").at_once(),
    row("pool-errors", "Devices of a pool have errors", POOL, Reasons(&["zfs_device_errors"]),
        "Read, write or checksum errors were counted.", "Check cables and SMART, scrub, then clear the counters."),
    row("pool-errors-growing", "Errors of a pool grow", POOL, Grows(Counter::Errors),
        "Error counters of the pool's devices grew within a day.", "Find the device whose counters move and replace it.").at(Critical),
    row("pool-scan", "A scrub found errors or failed", POOL, Reasons(&["zfs_scan_errors", "zfs_scan_failed", "zfs_resilver_canceled"]),
        "The last scrub or resilver found errors or did not end.", "See zpool status -v for damaged files; restore them, scrub again.").at_once(),
    row("pool-resilver", "A pool is being rebuilt", POOL, Reasons(&["zfs_resilver_active", "zfs_resilver_paused"]),
        "A resilver runs: redundancy is reduced until it ends.", "Wait; do not pull further disks."),
    row("pool-expansion", "A raidz expansion failed", POOL, Reasons(&["zfs_expansion_failed"]),
        "The expansion of a raidz did not end well.", "See zpool status."),
    row("pool-usage", "Pool is full", POOL, Above(Metric::CapacityUsed, 85.0, 80.0, Some(95.0)),
        "Usable capacity in use. One case for the pool, none for each of its datasets.", "Delete data or snapshots, or add devices.").at(Warning).after(SUSTAINED),
    row("pool-forecast", "Pool is full soon", POOL, Full(Duration::from_hours(7 * 24)),
        "The pool is full within a week if it fills up like in the last one.", "Plan capacity now.").at(Warning),
    row("pool-scrub-age", "Pool was not scrubbed", POOL, Older(AgeOf::Scrub, Duration::from_hours(40 * 24)),
        "The last scrub ended more than 40 days ago.", "Start a scrub and check its schedule.").at(Warning),

    row("dataset-locked", "Dataset is locked", DATASET, Reasons(&["zfs_dataset_locked"]),
        "The dataset is encrypted and its key is not loaded.", "Unlock it."),
    row("dataset-unmounted", "Dataset is not mounted", DATASET, Reasons(&["zfs_dataset_unmounted"]),
        "The dataset has a mountpoint and is not mounted.", "Mount it, or see why it does not mount."),
    row("dataset-readonly", "Dataset is read-only", DATASET, Reasons(&["zfs_dataset_readonly"]),
        "The dataset is read-only and no replication writes it.", "Make it writable, or override this rule where it is meant so."),
    row("dataset-quota", "Quota is used up", DATASET, Above(Metric::QuotaUsed, 85.0, 80.0, Some(95.0)),
        "Used bytes of the dataset's quota.", "Delete data or raise the quota.").at(Warning).after(SUSTAINED),
    row("dataset-refquota", "Own quota is used up", DATASET, Above(Metric::RefquotaUsed, 85.0, 80.0, Some(95.0)),
        "Used bytes of the dataset's own quota (refquota).", "Delete data or raise the quota.").at(Warning).after(SUSTAINED),
    row("dataset-snapshot-age", "Snapshots are missing", DATASET, Older(AgeOf::Snapshot, Duration::from_hours(8 * 24)),
        "The newest snapshot that a task makes is older than 8 days.", "Check the snapshot task.").at(Warning),
    row("volume-overcommit", "Thin volume outgrows its pool", DATASET, Above(Metric::Overcommit, 100.0, 95.0, None),
        "A volume without reservation may still grow by more than is free: its users would see errors.",
        "Add capacity, or reserve it.").at(Warning),

    row("disk-state", "Disk failed", DISK, Reasons(&["zfs_device_state", "zfs_device_missing"]),
        "The disk is missing or its pool does not use it any more.", "Replace the disk.").at_once(),
    row("disk-errors", "Disk has errors", DISK, Reasons(&["zfs_device_errors"]),
        "Read, write or checksum errors of the disk were counted.", "Check cables and SMART; replace it if they come back."),
    row("disk-errors-growing", "Errors of a disk grow", DISK, Grows(Counter::Errors),
        "Error counters of the disk grew within a day.", "Replace the disk.").at(Critical),
    row("disk-temperature-nvme", "NVMe disk is hot", "type = physical_disk AND bus = NVME", Above(Metric::Temperature, 70.0, 65.0, Some(80.0)),
        "Temperature of an NVMe disk.", "Check airflow and heat sink.").at(Warning).after(SUSTAINED),
    row("disk-temperature-sas", "SAS disk is hot", "type = physical_disk AND bus = SCSI", Above(Metric::Temperature, 65.0, 60.0, Some(75.0)),
        "Temperature of a SAS disk.", "Check fans and airflow.").at(Warning).after(SUSTAINED),
    row("disk-temperature", "Disk is hot", "type = physical_disk AND NOT (bus = NVME OR bus = SCSI)", Above(Metric::Temperature, 55.0, 50.0, Some(65.0)),
        "Temperature of any other disk.", "Check fans and airflow.").at(Warning).after(SUSTAINED),

    row("app-failed", "App failed", APP, Severe(&["resource_state"], Critical),
        "The app crashed or cannot work.", "See its logs on the system."),
    row("app-stopped", "App is stopped", APP, Expression("state = STOPPED"),
        "The app does not run.", "Start it, or switch this off for it.").at(Warning).after(SUSTAINED),
    row("vm-failed", "Virtual machine failed", MACHINE, Severe(&["resource_state"], Critical),
        "The machine crashed or cannot work.", "See its log on the system."),
    row("vm-stopped", "Virtual machine is stopped", MACHINE, Expression("status = offline"),
        "The machine does not run. Off by default: many are started when they are needed.", "Start it.").at(Warning).off(),
    row("share-unavailable", "Share is not available", SHARE, Reasons(&["resource_state"]),
        "The share cannot be used, for example since its dataset is locked.", "Unlock the dataset."),
    row("task-failed", "Protection task failed", TASK, Reasons(&["resource_state"]),
        "The last run of a replication, snapshot, sync or backup failed, or it is held back.", "See the message of the task.").at_once(),
    row("task-age", "Protection task did not run", TASK, Older(AgeOf::Success, Duration::from_hours(8 * 24)),
        "The last good run of a scheduled task is older than 8 days.", "Check its schedule and the job log.").at(Warning),
];

/// All of them, in the order of the documentation.
pub fn rules() -> Vec<Rule> {
    ROWS.iter().filter_map(built).collect()
}

/// A row that does not parse is left out; a test sees to it that none is.
fn built(row: &Row) -> Option<Rule> {
    let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    let metric = |metric, trigger, clear, critical| Condition::Metric {
        metric,
        trigger,
        clear,
        critical,
        min_delta: MIN_DELTA,
    };
    let condition = match row.condition {
        Reasons(codes) => Condition::Reason { codes: owned(codes), min: Warning },
        Severe(codes, min) => Condition::Reason { codes: owned(codes), min },
        Above(what, trigger, clear, critical) | Below(what, trigger, clear, critical) => {
            metric(what, trigger, clear, critical)
        }
        Older(of, limit) => Condition::Age { of, limit },
        Full(full_within) => Condition::Forecast { full_within },
        Grows(counter) => Condition::Growth { counter, by: 1, calm_after: DAY },
        Expression(text) => Condition::Expression(Filter::parse(text).ok()?, text.to_owned()),
        Reach => Condition::Reach,
    };
    Some(Rule {
        id: RuleId::parse(row.id).ok()?,
        name: row.name.to_owned(),
        description: row.description.to_owned(),
        remedy: Arc::from(row.remedy),
        built_in: true,
        modified: false,
        enabled: row.enabled,
        selector: Filter::parse(row.selector).ok()?,
        selector_text: row.selector.to_owned(),
        severity: row.severity,
        hold: row.hold,
        raise: row.raise,
        clear: CONFIRMATIONS_DEFAULT,
        condition,
        overrides: Vec::new(),
        version: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    #[test]
    fn every_rule_that_comes_along_is_one_that_an_operator_could_write() {
        let rules = rules();
        assert_eq!(rules.len(), ROWS.len(), "a row does not parse");
        for rule in &rules {
            assert_eq!(wire::parse(wire::show(rule)).as_ref(), Ok(rule), "{}", rule.id);
            assert!(!rule.description.is_empty() && !rule.remedy.is_empty(), "{}", rule.id);
        }
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rules.len(), "an id twice");
    }
}
