//! The devices of a pool: state, presence and error counters over the whole
//! tree, in view of the role a device plays. One reason per kind of trouble,
//! however many devices have it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::Status::{Online, Unknown};
use pulse_proto::model::{Severity, Status, Vdev, VdevGroup};

use super::table::{Row, Table, row};
use super::unknown::UnknownKind;
use super::vdev_kind;
use super::verdict::{Verdict, quote};

/// Most devices a reason names; it counts them all.
const NAMED_MAX: usize = 8;

/// States of a device. The status is that of a disk which is this device.
pub(super) static STATES: Table = Table {
    title: "Device state",
    unknown: UnknownKind::VdevState,
    rows: &[
        row("ONLINE", Online, Healthy, "it works"),
        row("AVAIL", Online, Healthy, "it is a spare and idle"),
        row("INUSE", Online, Monitor, "it is a spare and stands in for another device"),
        row("DEGRADED", Status::Warning, Warning, "it works with errors or with a part missing"),
        row("FAULTED", Status::Warning, Critical, "it failed and is not used"),
        row("OFFLINE", Status::Warning, Critical, "it was taken offline"),
        row("CLOSED", Status::Warning, Critical, "it is not open"),
        row("UNAVAIL", Status::Warning, Critical, "it cannot be opened"),
        row("CANT_OPEN", Status::Warning, Critical, "it cannot be opened"),
        row("REMOVED", Status::Warning, Critical, "it was removed"),
        row("SPLIT", Status::Warning, Critical, "it was split off to another pool"),
        row("UNKNOWN", Unknown, Monitor, "the system cannot tell"),
        row("", Unknown, Monitor, "the system did not tell"),
    ],
};

/// A role of devices and the most its trouble can weigh.
pub(super) struct Role {
    pub(super) word: &'static str,
    pub(super) most: Severity,
    pub(super) meaning: &'static str,
}

const fn role(word: &'static str, most: Severity, meaning: &'static str) -> Role {
    Role { word, most, meaning }
}

pub(super) static ROLES: &[Role] = &[
    role("data", Critical, "holds the data"),
    role("special", Critical, "holds metadata and small blocks, the pool is lost without it"),
    role("dedup", Critical, "holds deduplication tables, the pool is lost without it"),
    role("log", Critical, "holds the newest synchronous writes"),
    role("cache", Warning, "holds copies only"),
    role("spare", Warning, "holds nothing until it is used"),
    role("spares", Warning, "holds nothing until it is used"),
];

pub(super) fn role_of(word: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.word.eq_ignore_ascii_case(word))
}

pub(super) fn is_spare(role: &str) -> bool {
    role.eq_ignore_ascii_case("spare") || role.eq_ignore_ascii_case("spares")
}

/// A used hot spare may read UNAVAIL, which is no fault of it.
pub(super) fn is_used_spare_state(state: &str) -> bool {
    ["ONLINE", "INUSE", "UNAVAIL", "CANT_OPEN", ""].iter().any(|word| word.eq_ignore_ascii_case(state))
}

pub(super) fn judge(pool: &str, groups: &[VdevGroup], verdict: &mut Verdict<'_>) {
    let used = used_spares(groups);
    let mut troubles = Troubles::default();
    for group in groups {
        let role = role_of(&group.role);
        if role.is_none() {
            verdict.unknown_word(UnknownKind::VdevRole, &group.role);
        }
        let place = Place {
            most: role.map_or(Critical, |role| role.most),
            used: is_spare(&group.role).then_some(&used),
        };
        for vdev in &group.vdevs {
            troubles.visit(vdev, &place, verdict);
        }
    }
    troubles.missing.tell(pool, "zfs_device_missing", "missing", verdict);
    troubles.state.tell(pool, "zfs_device_state", "not working as they should", verdict);
    troubles.errors.tell(pool, "zfs_device_errors", "counting errors", verdict);
    troubles.spares.tell(pool, "zfs_spare_in_use", "spares in use", verdict);
}

/// Names of the devices that stand in for another one: what a SPARE vdev
/// outside the spare group holds.
fn used_spares(groups: &[VdevGroup]) -> BTreeSet<&str> {
    fn gather<'a>(vdev: &'a Vdev, inside: bool, found: &mut BTreeSet<&'a str>) {
        if inside {
            found.extend([&vdev.guid, &vdev.disk, &vdev.name].map(String::as_str));
        }
        let inside = inside || vdev.kind.eq_ignore_ascii_case("SPARE");
        vdev.children.iter().for_each(|child| gather(child, inside, found));
    }
    let mut found = BTreeSet::new();
    for group in groups.iter().filter(|group| !is_spare(&group.role)) {
        group.vdevs.iter().for_each(|vdev| gather(vdev, false, &mut found));
    }
    found.remove("");
    found
}

/// Where in the pool a device stands.
struct Place<'a> {
    most: Severity,
    /// In the spare group: the names of what stands in elsewhere.
    used: Option<&'a BTreeSet<&'a str>>,
}

/// What was found at or below a device, so that an inner vdev which merely
/// repeats the trouble of its members is not named besides them.
struct Below {
    state: Severity,
    errors: bool,
}

#[derive(Default)]
struct Troubles {
    missing: Trouble,
    state: Trouble,
    errors: Trouble,
    spares: Trouble,
}

impl Troubles {
    fn visit(&mut self, vdev: &Vdev, place: &Place<'_>, verdict: &mut Verdict<'_>) -> Below {
        let mut below = Below { state: Healthy, errors: false };
        for child in &vdev.children {
            let found = self.visit(child, place, verdict);
            below.state = below.state.max(found.state);
            below.errors |= found.errors;
        }
        if !vdev.kind.is_empty() && !vdev_kind::is_known(&vdev.kind) {
            verdict.unknown_word(UnknownKind::VdevKind, &vdev.kind);
        }
        let own = self.state_of(vdev, place, below.state, verdict);
        below.state = below.state.max(own);
        let counts =
            [vdev.read_errors, vdev.write_errors, vdev.checksum_errors].map(Option::unwrap_or_default);
        if counts.iter().any(|count| *count > 0) {
            if !below.errors {
                let [read, write, checksum] = counts;
                let said = format!("{} {read} read, {write} write, {checksum} checksum", label(vdev));
                self.errors.note(Warning.min(place.most), said);
            }
            below.errors = true;
        }
        below
    }

    fn state_of(
        &mut self,
        vdev: &Vdev,
        place: &Place<'_>,
        below: Severity,
        verdict: &mut Verdict<'_>,
    ) -> Severity {
        let stands_in = place.used.is_some_and(|used| {
            [&vdev.guid, &vdev.disk, &vdev.name].iter().any(|name| used.contains(name.as_str()))
        });
        if stands_in && is_used_spare_state(&vdev.state) {
            self.spares.note(Monitor, label(vdev));
            return Monitor;
        }
        if vdev.missing {
            let severity = Critical.min(place.most);
            self.missing.note(severity, label(vdev));
            return severity;
        }
        let Some(row) = verdict.look_up(&STATES, &vdev.state) else { return Monitor };
        let severity = row.severity.min(place.most);
        if row.word == "INUSE" {
            self.spares.note(severity, label(vdev));
        } else if severity > below {
            self.state.note(severity, format!("{} {}", label(vdev), shown(row)));
        }
        severity
    }
}

/// One kind of trouble and the devices that have it.
#[derive(Default)]
struct Trouble(Vec<(Reverse<Severity>, String)>);

impl Trouble {
    fn note(&mut self, severity: Severity, device: String) {
        self.0.push((Reverse(severity), device));
    }

    fn tell(mut self, pool: &str, code: &'static str, what: &str, verdict: &mut Verdict<'_>) {
        let count = self.0.len();
        if count == 0 {
            return;
        }
        self.0.sort_unstable();
        let severity = self.0[0].0.0;
        let more = if count > NAMED_MAX { format!(" and {} more", count - NAMED_MAX) } else { String::new() };
        let named: Vec<_> = self.0.into_iter().take(NAMED_MAX).map(|(_, device)| device).collect();
        let devices = format!("{}{more}", named.join("; "));
        verdict.reason(
            code,
            severity,
            format!("Pool {pool} has devices {what}: {devices}."),
            [("count", count.to_string()), ("devices", devices)],
        );
    }
}

/// What people call a device: its disk, else what ZFS calls it.
fn label(vdev: &Vdev) -> String {
    let name = [&vdev.disk, &vdev.name, &vdev.guid].into_iter().find(|name| !name.is_empty());
    name.map_or_else(|| vdev.kind.to_lowercase(), |name| quote(name))
}

const fn shown(row: &'static Row) -> &'static str {
    if row.word.is_empty() { "not told" } else { row.word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Tables, example};

    /// As the API of the source publishes them, raw words of the newest line included.
    const PUBLISHED: &str =
        "ONLINE DEGRADED FAULTED OFFLINE UNAVAIL REMOVED SPLIT UNKNOWN CLOSED CANT_OPEN AVAIL INUSE";

    fn disk(name: &str, state: &str) -> Vdev {
        Vdev {
            name: name.into(),
            disk: name.into(),
            guid: format!("guid-{name}"),
            kind: "DISK".into(),
            state: state.into(),
            ..Vdev::default()
        }
    }

    fn group(role: &str, vdevs: Vec<Vdev>) -> VdevGroup {
        VdevGroup { role: role.into(), vdevs }
    }

    fn judged(groups: Vec<VdevGroup>) -> Vec<(&'static str, Severity)> {
        let judgement = example::judge(&example::pool(|pool| pool.groups = groups));
        judgement.reasons.into_iter().map(|reason| (reason.code, reason.severity)).collect()
    }

    #[test]
    fn every_published_state_has_a_row() {
        let mut rows: Vec<_> =
            STATES.rows.iter().map(|row| row.word).filter(|word| !word.is_empty()).collect();
        let mut published: Vec<_> = PUBLISHED.split_whitespace().collect();
        rows.sort_unstable();
        published.sort_unstable();
        assert_eq!(rows, published);
    }

    #[test]
    fn every_state_in_every_role_weighs_what_the_tables_say() {
        for role in ROLES {
            for row in STATES.rows {
                let code = if row.word == "INUSE" { "zfs_spare_in_use" } else { "zfs_device_state" };
                let severity = row.severity.min(role.most);
                let expected = if severity == Healthy { vec![] } else { vec![(code, severity)] };
                let got = judged(vec![group(role.word, vec![disk("sda", row.word)])]);
                assert_eq!(got, expected, "{} in {}", row.word, role.word);
            }
        }
    }

    #[test]
    fn every_counter_warns_in_every_role() {
        for role in ROLES {
            for at in 0..3 {
                let mut counts = [Some(0); 3];
                counts[at] = Some(1);
                let [read_errors, write_errors, checksum_errors] = counts;
                let sda = Vdev { read_errors, write_errors, checksum_errors, ..disk("sda", "ONLINE") };
                assert_eq!(judged(vec![group(role.word, vec![sda])]), [("zfs_device_errors", Warning)]);
            }
        }
    }

    #[test]
    fn a_missing_device_weighs_what_its_role_allows() {
        for role in ROLES {
            let gone = Vdev { missing: true, ..disk("sda", "UNAVAIL") };
            assert_eq!(judged(vec![group(role.word, vec![gone])]), [("zfs_device_missing", role.most)]);
        }
    }

    fn pool_with_used_spare(spare_state: &str, failed_state: &str) -> Vec<VdevGroup> {
        let spare = Vdev {
            kind: "SPARE".into(),
            name: "spare-0".into(),
            state: "ONLINE".into(),
            children: vec![disk("sda", failed_state), disk("sdz", "ONLINE")],
            ..Vdev::default()
        };
        let mirror = Vdev {
            kind: "MIRROR".into(),
            name: "mirror-0".into(),
            state: "ONLINE".into(),
            children: vec![spare, disk("sdb", "ONLINE")],
            ..Vdev::default()
        };
        let listed = Vdev { missing: true, ..disk("sdz", spare_state) };
        vec![group("data", vec![mirror]), group("spare", vec![listed])]
    }

    #[test]
    fn a_used_hot_spare_is_no_fault_however_it_is_shown() {
        for state in ["UNAVAIL", "INUSE", "ONLINE", "CANT_OPEN"] {
            assert_eq!(
                judged(pool_with_used_spare(state, "ONLINE")),
                [("zfs_spare_in_use", Monitor)],
                "{state}"
            );
        }
        let got = judged(pool_with_used_spare("UNAVAIL", "FAULTED"));
        assert_eq!(got, [("zfs_device_state", Critical), ("zfs_spare_in_use", Monitor)]);
    }

    #[test]
    fn a_failed_spare_is_a_fault_whether_or_not_it_is_used() {
        assert_eq!(
            judged(vec![group("spare", vec![disk("sdz", "UNAVAIL")])]),
            [("zfs_device_state", Warning)]
        );
        let mut used = pool_with_used_spare("FAULTED", "ONLINE");
        used[1].vdevs[0].missing = false;
        assert_eq!(judged(used), [("zfs_device_state", Warning)]);
    }

    #[test]
    fn an_inner_vdev_is_named_only_when_it_is_worse_than_its_members() {
        let raid = |state: &str, member: &str| Vdev {
            name: "raidz1-0".into(),
            kind: "RAIDZ1".into(),
            state: state.into(),
            checksum_errors: Some(3),
            children: vec![disk("sda", member), disk("sdb", "ONLINE")],
            ..Vdev::default()
        };
        let devices = |vdev: Vdev| {
            let record = example::pool(|pool| pool.groups = vec![group("data", vec![vdev])]);
            let judgement = example::judge(&record);
            let reason = judgement.reasons.into_iter().find(|reason| reason.code == "zfs_device_state");
            reason.map(|reason| reason.evidence["devices"].to_owned())
        };
        assert_eq!(devices(raid("DEGRADED", "FAULTED")).as_deref(), Some("sda FAULTED"));
        assert_eq!(devices(raid("FAULTED", "DEGRADED")).as_deref(), Some("raidz1-0 FAULTED; sda DEGRADED"));
        assert_eq!(devices(raid("ONLINE", "ONLINE")), None);
    }

    #[test]
    fn many_devices_make_one_reason_that_names_a_few() {
        let failed = (0..100).map(|n| disk(&format!("d{n:03}"), "FAULTED")).collect();
        let record = example::pool(|pool| pool.groups = vec![group("data", failed)]);
        let judgement = example::judge(&record);
        assert_eq!(judgement.reasons.len(), 1);
        assert_eq!(judgement.reasons[0].evidence.get("count"), Some("100"));
        assert!(judgement.reasons[0].summary.ends_with("d007 FAULTED and 92 more."));
    }

    #[test]
    fn words_nobody_knows_are_counted_each_and_told_once() {
        let tables = Tables::default();
        let record = example::pool(|pool| {
            let odd = Vdev { kind: "RAIDZ9".into(), ..disk("sdb", "ODDER") };
            pool.groups = vec![group("data", vec![disk("sda", "ODD"), odd]), group("tape", vec![])];
        });
        let judgement = example::judge_by(&tables, &record);
        assert_eq!(judgement.status, Online);
        assert_eq!(judgement.severity, Monitor);
        assert_eq!(judgement.reasons.len(), 3);
        assert_eq!(tables.unknown_values().count(UnknownKind::VdevKind), 1);
        assert_eq!(tables.unknown_values().count(UnknownKind::VdevState), 2);
        assert_eq!(tables.unknown_values().count(UnknownKind::VdevRole), 1);
    }
}
