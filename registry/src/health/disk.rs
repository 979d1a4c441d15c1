//! A disk: the state and counters of the device it is in a pool, and its
//! temperature. Never offline, for a disk that failed is still there to be
//! pulled out; how bad it is stands in the severity.

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::{Disk, IngestRecord, Severity, Status};

use super::table::Table;
use super::unknown::UnknownKind;
use super::vdev;
use super::verdict::Verdict;

/// The states of a device, counted apart when unknown.
static STATES: Table =
    Table { title: "Disk state", unknown: UnknownKind::DiskState, rows: vdev::STATES.rows };

/// Degrees from which a disk on a bus is too warm, and far too warm.
pub(super) struct Heat {
    /// Empty for any other bus.
    pub(super) bus: &'static str,
    pub(super) warning: f64,
    pub(super) critical: f64,
}

/// Pulse's alert thresholds by kind of disk; where the kind is not known, its
/// thresholds for the health of any disk.
pub(super) static HEAT: [Heat; 4] = [
    Heat { bus: "NVME", warning: 70.0, critical: 80.0 },
    Heat { bus: "SCSI", warning: 65.0, critical: 75.0 },
    Heat { bus: "ATA", warning: 55.0, critical: 65.0 },
    Heat { bus: "", warning: 60.0, critical: 70.0 },
];

pub(super) fn judge(record: &IngestRecord, disk: &Disk, verdict: &mut Verdict<'_>) {
    let name = if disk.name.is_empty() { &record.name } else { &disk.name };
    let most = vdev::role_of(&disk.pool_role).map_or(Critical, |role| role.most);
    let stands_in = disk.spare_in_use == Some(true) && vdev::is_used_spare_state(&disk.vdev_state);
    let place = || [("pool", disk.pool.clone()), ("role", disk.pool_role.clone())];
    if stands_in {
        let summary = format!("Disk {name} is a hot spare and stands in for another disk.");
        verdict.reason("zfs_spare_in_use", Monitor, summary, place());
    } else if disk.missing {
        verdict.status(Status::Warning);
        let summary = format!("Disk {name} of pool {} is missing.", disk.pool);
        verdict.reason("zfs_device_missing", Critical.min(most), summary, place());
    } else if !disk.vdev_state.is_empty() || !disk.pool.is_empty() {
        state_of(name, disk, most, verdict);
    }
    let counts = [disk.read_errors, disk.write_errors, disk.checksum_errors].map(Option::unwrap_or_default);
    if counts.iter().any(|count| *count > 0) {
        let [read, write, checksum] = counts;
        verdict.reason(
            "zfs_device_errors",
            Warning.min(most),
            format!("Disk {name} counts {read} read, {write} write and {checksum} checksum errors."),
            [("read", read.to_string()), ("write", write.to_string()), ("checksum", checksum.to_string())],
        );
    }
    if let Some((celsius, limit, severity)) = heat(disk) {
        verdict.reason(
            "disk_temperature",
            severity,
            format!("Disk {name} is at {limit:.0} °C or more."),
            [("celsius", format!("{celsius:.0}")), ("threshold_celsius", format!("{limit:.0}"))],
        );
    }
}

fn state_of(name: &str, disk: &Disk, most: Severity, verdict: &mut Verdict<'_>) {
    let Some(row) = verdict.look_up(&STATES, &disk.vdev_state) else {
        verdict.status(Status::Unknown);
        return;
    };
    verdict.status(row.status);
    let severity = row.severity.min(most);
    if severity > Healthy {
        let code = if row.word == "INUSE" { "zfs_spare_in_use" } else { "zfs_device_state" };
        let shown = if row.word.is_empty() { "in a state nobody told" } else { row.word };
        verdict.reason(
            code,
            severity,
            format!("Disk {name} of pool {} is {shown}: {}.", disk.pool, row.meaning),
            [
                ("state", disk.vdev_state.clone()),
                ("pool", disk.pool.clone()),
                ("role", disk.pool_role.clone()),
            ],
        );
    }
}

fn heat(disk: &Disk) -> Option<(f64, f64, Severity)> {
    let celsius = disk.temperature_celsius?;
    let limits = HEAT.iter().find(|row| row.bus.is_empty() || row.bus.eq_ignore_ascii_case(&disk.bus))?;
    if celsius >= limits.critical {
        Some((celsius, limits.critical, Critical))
    } else if celsius >= limits.warning {
        Some((celsius, limits.warning, Warning))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Tables, example};

    fn judged(change: impl FnOnce(&mut Disk)) -> (Status, Vec<(&'static str, Severity)>) {
        let judgement = example::judge(&example::disk(change));
        let reasons = judgement.reasons.iter().map(|reason| (reason.code, reason.severity)).collect();
        (judgement.status, reasons)
    }

    #[test]
    fn every_state_in_every_role_is_judged_as_the_tables_say() {
        for role in vdev::ROLES {
            for row in STATES.rows {
                let (status, reasons) = judged(|disk| {
                    disk.pool_role = role.word.into();
                    disk.vdev_state = row.word.into();
                });
                let code = if row.word == "INUSE" { "zfs_spare_in_use" } else { "zfs_device_state" };
                let severity = row.severity.min(role.most);
                let expected = if severity == Healthy { vec![] } else { vec![(code, severity)] };
                assert_eq!((status, reasons), (row.status, expected), "{} {}", role.word, row.word);
            }
        }
    }

    #[test]
    fn a_disk_in_no_pool_is_online() {
        let (status, reasons) = judged(|disk| *disk = Disk { name: "sdx".into(), ..Disk::default() });
        assert_eq!((status, reasons), (Status::Online, vec![]));
    }

    #[test]
    fn a_used_spare_is_no_fault_and_a_missing_disk_is() {
        for state in ["UNAVAIL", "INUSE", "ONLINE"] {
            let (status, reasons) = judged(|disk| {
                disk.pool_role = "spare".into();
                disk.vdev_state = state.into();
                disk.spare_in_use = Some(true);
            });
            assert_eq!((status, reasons), (Status::Online, vec![("zfs_spare_in_use", Monitor)]), "{state}");
        }
        let faulted = |disk: &mut Disk| {
            disk.vdev_state = "FAULTED".into();
            disk.spare_in_use = Some(true);
        };
        assert_eq!(judged(faulted), (Status::Warning, vec![("zfs_device_state", Critical)]));
        let (status, reasons) = judged(|disk| disk.missing = true);
        assert_eq!((status, reasons), (Status::Warning, vec![("zfs_device_missing", Critical)]));
    }

    #[test]
    fn every_counter_warns() {
        let counters: [fn(&mut Disk); 3] = [
            |disk| disk.read_errors = Some(1),
            |disk| disk.write_errors = Some(u64::MAX),
            |disk| disk.checksum_errors = Some(1),
        ];
        for change in counters {
            assert_eq!(judged(change), (Status::Warning, vec![("zfs_device_errors", Warning)]));
        }
        assert_eq!(judged(|disk| disk.read_errors = Some(0)), (Status::Online, vec![]));
    }

    #[test]
    fn heat_is_judged_by_bus() {
        for row in &HEAT {
            let bus = if row.bus.is_empty() { "USB" } else { row.bus };
            for (celsius, expected) in [
                (row.warning - 0.1, None),
                (row.warning, Some(Warning)),
                (row.critical - 0.1, Some(Warning)),
                (row.critical, Some(Critical)),
            ] {
                let (_, reasons) = judged(|disk| {
                    disk.bus = bus.into();
                    disk.temperature_celsius = Some(celsius);
                });
                let expected: Vec<_> =
                    expected.map(|severity| ("disk_temperature", severity)).into_iter().collect();
                assert_eq!(reasons, expected, "{bus} {celsius}");
            }
        }
    }

    #[test]
    fn no_kind_of_disk_is_a_fault() {
        for kind in ["HDD", "SSD", "UNKNOWN", "", "TAPE"] {
            for bus in ["SCSI", "ATA", "NVME", "USB", "VIRTIO", "SAS", "UNKNOWN", ""] {
                let (status, reasons) = judged(|disk| {
                    disk.disk_type = kind.into();
                    disk.bus = bus.into();
                });
                assert_eq!((status, reasons), (Status::Online, vec![]), "{kind} {bus}");
            }
        }
    }

    #[test]
    fn a_state_nobody_knows_is_unknown_and_counted() {
        let tables = Tables::default();
        let record = example::disk(|disk| disk.vdev_state = "HUMMING".into());
        let judgement = example::judge_by(&tables, &record);
        assert_eq!((judgement.status, judgement.severity), (Status::Unknown, Monitor));
        assert_eq!(tables.unknown_values().count(UnknownKind::DiskState), 1);
    }
}
