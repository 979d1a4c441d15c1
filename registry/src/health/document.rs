//! `docs/health.md`, written from the tables themselves, so that neither can
//! change without the other. `cargo xtask docs` writes it anew.

use std::fmt::Write as _;

use pulse_proto::model::Severity;

use super::table::Table;
use super::{
    capacity, dataset, disk, freshness, host, native, pool, scan, status_code, vdev, vdev_kind, workload,
};

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from registry/src/health. Do not edit. -->

# Health

Three axes, never mixed:

- **state**: what the source says, kept as told.
- **severity**: healthy < monitor < warning < critical, with reasons. It is the worst of its reasons; more trouble never makes it better.
- **freshness**: fresh, stale or lost, by the age of what was last read. It changes neither state nor severity.

The one-word **status** is derived: what the state stands for; `online` becomes `warning` when a reason is warning or critical; anything not fresh is `warning`, never `offline`, \
and the last known state and severity stay visible.

A word that no table below holds never fails a record: where it is the state of the thing itself the status is `unknown`, \
and everywhere it gives the reason `unknown_value` (monitor) and is counted.
";

/// The tables of words, in the order of the document.
pub(super) fn tables() -> [&'static Table; 10] {
    [
        &pool::STATES,
        &status_code::CODES,
        &vdev::STATES,
        &host::STATES,
        &host::FAILOVER,
        &workload::APPS,
        &workload::MACHINES,
        &workload::SHARES,
        &workload::TASKS,
        &workload::OTHERS,
    ]
}

/// The whole document.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    age(&mut out);
    for table in tables() {
        words(&mut out, table);
        match table.title {
            "Pool status code" => {
                let text = format!(
                    "A code never makes a pool better than its state. The codes of a suspended pool make it offline even where the state says \
                     ONLINE, as releases before 24.10 do. `{}` means nothing on a boot pool.",
                    pool::BOOT_POOL_CODE
                );
                note(&mut out, &text);
            }
            "Device state" => {
                note(
                    &mut out,
                    "A hot spare that stands in for another device may read `UNAVAIL`, which is no fault (`zfs_spare_in_use`, monitor). A missing device is critical \
                     (`zfs_device_missing`), a device with read, write or checksum errors is a warning (`zfs_device_errors`), both as \
                     far as its role allows. A disk has the state of its device; a disk in no pool is online.",
                );
                roles(&mut out);
                kinds(&mut out);
            }
            _ => {}
        }
    }
    scans(&mut out);
    capacities(&mut out);
    datasets(&mut out);
    disks(&mut out);
    connections(&mut out);
    alerts(&mut out);
    codes(&mut out);
    out
}

fn kinds(out: &mut String) {
    heading(out, "Device kind", &["word", "meaning"]);
    for kind in vdev_kind::KINDS {
        line(out, &[&word(kind.word), kind.meaning]);
    }
    note(out, "The state of a device is judged whatever its kind; a kind that is not here is counted.");
}

fn heading(out: &mut String, title: &str, columns: &[&str]) {
    let rule = "---|".repeat(columns.len());
    let _ = write!(out, "\n## {title}\n\n| {} |\n|{rule}\n", columns.join(" | "));
}

fn line(out: &mut String, cells: &[&str]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn note(out: &mut String, text: &str) {
    let _ = write!(out, "\n{text}\n");
}

/// A word of the source or a code, as code.
fn word(word: &str) -> String {
    if word.is_empty() { "(nothing)".to_owned() } else { format!("`{word}`") }
}

fn code(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!("`{code}`") }
}

fn age(out: &mut String) {
    heading(out, "Freshness", &["freshness", "age of the last complete read of its section"]);
    let minutes = pulse_proto::model::section::STALE_AFTER_MIN.as_secs() / 60;
    let intervals = pulse_proto::model::section::STALE_AFTER_INTERVALS;
    let hours = freshness::LOST_AFTER_MIN.as_secs() / 3600;
    let limits = freshness::LOST_AFTER_STALE_LIMITS;
    line(out, &["fresh", &format!("up to the stale limit: {intervals} intervals, at least {minutes} min")]);
    line(
        out,
        &["stale", &format!("up to {limits} stale limits, at least {hours} h; or never read, only tried")],
    );
    line(out, &["lost", "above that; or its section was never reported"]);
    note(out, "A read that failed, was forbidden or is not supported makes nothing stale before its limit.");
}

fn words(out: &mut String, table: &Table) {
    heading(out, table.title, &["word", "status", "severity", "meaning"]);
    for row in table.rows {
        line(out, &[&word(row.word), row.status.token(), row.severity.token(), row.meaning]);
    }
}

fn roles(out: &mut String) {
    heading(out, "Device role", &["role", "trouble weighs at most", "meaning"]);
    for role in vdev::ROLES {
        line(out, &[&word(role.word), role.most.token(), role.meaning]);
    }
}

fn scans(out: &mut String) {
    heading(out, "Scrub and resilver", &["function", "state", "severity", "code", "meaning"]);
    for row in scan::SCANS {
        let state = if row.paused { format!("`{}`, paused", row.state) } else { word(row.state) };
        line(out, &[&word(row.function), &state, row.severity.token(), &code(row.code), row.meaning]);
    }
    for nothing in scan::NOTHING {
        line(out, &[&word(nothing), "any", Severity::Healthy.token(), "", "no scan ever ran"]);
    }
    line(out, &["any", "any", Severity::Critical.token(), "`zfs_scan_errors`", "it found errors"]);
    heading(out, "Raidz expansion", &["state", "severity", "code", "meaning"]);
    for row in scan::EXPANSIONS {
        line(out, &[&word(row.state), row.severity.token(), &code(row.code), row.meaning]);
    }
}

fn capacities(out: &mut String) {
    heading(out, "Capacity", &["used, from", "severity"]);
    for (percent, severity) in capacity::LIMITS {
        line(out, &[&format!("{percent} %"), severity.token()]);
    }
    note(
        out,
        "Of a pool's usable capacity, raw where usable is not known (`zfs_pool_capacity`); of a dataset's own quota (`zfs_dataset_quota`) \
         or refquota (`zfs_dataset_refquota`). A dataset without one is its pool's matter.",
    );
}

fn datasets(out: &mut String) {
    heading(out, "Dataset", &["a dataset that is", "status", "severity", "code"]);
    for row in dataset::CONDITIONS {
        line(out, &[row.condition, row.status.token(), row.severity.token(), &code(row.code)]);
    }
    note(out, "The first that fits. What the source did not tell is no fault.");
}

fn disks(out: &mut String) {
    heading(out, "Disk temperature", &["bus", "warning from °C", "critical from °C"]);
    for row in &disk::HEAT {
        let bus = if row.bus.is_empty() { "any other".to_owned() } else { word(row.bus) };
        line(out, &[&bus, &row.warning.to_string(), &row.critical.to_string()]);
    }
}

fn connections(out: &mut String) {
    heading(out, "Connection, on its system", &["state", "status", "code", "the connection"]);
    for row in &host::CONNECTIONS {
        line(out, &[&word(row.state.token()), row.status.token(), &code(row.code), row.meaning]);
    }
    note(
        out,
        "These reasons inform and have no weight: how well a system can be reached is no part of its severity. A system also has the severity \
         of its worst pool or disk from warning on (`child_health`), and monitor when it wants a reboot (`reboot_required`).",
    );
}

fn alerts(out: &mut String) {
    heading(out, "Native alert level", &["level", "severity"]);
    for (level, severity) in native::LEVELS {
        line(out, &[&word(level.token()), severity.token()]);
    }
    note(out, "Dismissed alerts do not count.");
    heading(out, "Native alert class", &["class begins with", "code", "weight"]);
    for row in native::CLASSES {
        let weight = if row.good_news { "none below warning: good news" } else { "that of its level" };
        let prefix = if row.prefix.is_empty() { "anything else".to_owned() } else { word(row.prefix) };
        line(out, &[&prefix, &code(row.code), weight]);
    }
}

fn codes(out: &mut String) {
    let codes: Vec<String> = super::code::CODES.iter().map(|code| word(code)).collect();
    note(
        out,
        &format!("## Reason codes\n\nAll that a reason can have, and a rule may name: {}.", codes.join(", ")),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Set by `cargo xtask docs` to write the file instead of comparing it.
    const UPDATE: &str = "PULSE_UPDATE_DOCS";

    #[test]
    fn the_document_is_what_the_tables_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/health.md");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, markdown()).expect("write docs/health.md");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == markdown(), "docs/health.md is out of date: run `cargo xtask docs`");
    }
}
