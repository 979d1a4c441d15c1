//! The newest of what one NAS said, section by section, and how the reading of each went.
//!
//! Pure: results and `now` in, state out. A failed read keeps what was known. Knows no call, no session and no record.

mod suspects;
mod transit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    App, Certificate, Metrics, NetworkInterface, ScrubSchedule, SectionOutcome, SectionReport, Service,
    Share, SoftwareUpdate, Task, UnixMillis, Ups, Vm,
};

use crate::api::item::Row;
use crate::api::section::Data;
use crate::api::{
    Alert, Dataset, Disk, Instance, Item, Pool, Replication, Section, SectionFailure, SectionRead,
    SkippedRow, Snapshots, System, Temperature,
};

/// Boot times less apart than this are one.
const BOOT_TIME_TREMBLE: Duration = Duration::from_mins(2);

/// What is known of one NAS. Cheap to clone: readers share what has not changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    held: Held,
    states: BTreeMap<Section, SectionState>,
    /// Sections that were read whole at least once.
    whole: BTreeSet<Section>,
    /// Alerts that are held only because a row without a name may be one of them.
    suspects: BTreeSet<String>,
}

/// `None` is what was never read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    system: Option<Arc<System>>,
    boot: Option<Arc<Pool>>,
    /// Disks between the list and a pool, as last known.
    transit: Option<Arc<Vec<Disk>>>,
    metrics: Option<Arc<Metrics>>,
    ups: Option<Arc<Option<Ups>>>,
    update: Option<Arc<SoftwareUpdate>>,
    lists: Lists,
}

/// Sections that are lists of rows, each under its own name.
macro_rules! lists {
    ($($section:ident $field:ident: $row:ty),+ $(,)?) => {
        #[derive(Clone, Debug, Default, PartialEq)]
        struct Lists { $($field: Option<Arc<Vec<$row>>>),+ }

        impl Lists {
            /// Does it differ from what was held?
            fn take(&mut self, data: Data, lost: Option<&BTreeSet<&str>>) -> bool {
                match data {
                    $(Data::$section(rows) => take_rows(&mut self.$field, rows, lost),)+
                    Data::Boot(_) | Data::System { .. } | Data::Metrics(_) | Data::Ups(_) | Data::Update(_) => false,
                }
            }

            fn is_same(&self, other: &Self) -> bool {
                true $(&& same(self.$field.as_ref(), other.$field.as_ref()))+
            }

            fn forget(&mut self, section: Section) {
                match section {
                    $(Section::$section => self.$field = None,)+
                    Section::Boot | Section::System | Section::Metrics | Section::Ups | Section::Update => {}
                }
            }

            fn has(&self, section: Section, key: &str) -> bool {
                match section {
                    $(Section::$section => has_row(self.$field.as_deref(), key),)+
                    Section::Boot | Section::System | Section::Metrics | Section::Ups | Section::Update => false,
                }
            }
        }

        impl Snapshot {
            $(pub fn $field(&self) -> Option<&Arc<Vec<$row>>> {
                self.held.lists.$field.as_ref()
            })+
        }
    };
}

lists! {
    Pools pools: Pool,
    Alerts alerts: Alert,
    Datasets datasets: Dataset,
    Disks disks: Disk,
    Replications replications: Replication,
    Services services: Service,
    Interfaces interfaces: NetworkInterface,
    Apps apps: Item<App>,
    Vms vms: Item<Vm>,
    Instances instances: Item<Instance>,
    SmbShares smb_shares: Item<Share>,
    NfsShares nfs_shares: Item<Share>,
    IscsiShares iscsi_shares: Item<Share>,
    SnapshotTasks snapshot_tasks: Item<Task>,
    CloudSyncs cloud_syncs: Item<Task>,
    RsyncTasks rsync_tasks: Item<Task>,
    CloudBackups cloud_backups: Item<Task>,
    Scrubs scrubs: Item<ScrubSchedule>,
    Temperatures temperatures: Temperature,
    Certificates certificates: Certificate,
    Snapshots snapshots: Snapshots,
}

/// How the reading of one section goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionState {
    pub outcome: SectionOutcome,
    /// Last complete read.
    pub observed_at: Option<UnixMillis>,
    /// Since when the outcome is what it is; fresh and unchanged count as one.
    pub since: UnixMillis,
    pub interval: Duration,
    /// Empty when nothing went wrong.
    pub error: String,
    /// Rows of the last complete read that could not be read.
    pub skipped: Vec<SkippedRow>,
}

impl SectionState {
    fn is_closed(&self) -> bool {
        use SectionOutcome::{Disabled, Forbidden, Unsupported};
        matches!(self.outcome, Forbidden | Unsupported | Disabled)
    }
}

impl Snapshot {
    /// Takes the result of a read that ended `now`; `interval` is how often the section is read at present.
    pub fn apply(
        &mut self,
        section: Section,
        result: Result<SectionRead, SectionFailure>,
        now: UnixMillis,
        interval: Duration,
    ) {
        let before = self.states.remove(&section);
        let was_complete = before.as_ref().is_some_and(|state| state.outcome.is_complete());
        let (outcome, error, observed_at, skipped) = match result {
            Ok(SectionRead { data, skipped, notes: _ }) => {
                // An alert that nobody can read stays in the list: it must not keep those from ending that were there beside it.
                let unread = nameless(&skipped);
                let seen =
                    before.as_ref().is_some_and(|state| unread > 0 && unread <= nameless(&state.skipped));
                let lasting = section == Section::Alerts && seen;
                let odd = if lasting { self.suspected(&skipped) } else { skipped.clone() };
                let told = suspects::keys_of_alerts(&data);
                let disks = self.held.known_disks(section);
                let changed = self.held.take(data, &odd);
                self.held.follow(disks.as_deref());
                if section == Section::Alerts {
                    self.suspect(&told, &skipped);
                }
                let lost = self.held.lost(section, &skipped);
                if lost.is_none() || lasting {
                    self.whole.insert(section);
                }
                let outcome = match &lost {
                    Some(_) => SectionOutcome::Partial,
                    None if was_complete && !changed => SectionOutcome::Unchanged,
                    None => SectionOutcome::Fresh,
                };
                (outcome, lost.unwrap_or_default(), Some(now), skipped)
            }
            Err(failure) => {
                let (outcome, error) = match failure {
                    SectionFailure::Failed(why) => (SectionOutcome::Failed, why),
                    SectionFailure::Forbidden => {
                        (SectionOutcome::Forbidden, format!("the login lacks the role {}", section.role()))
                    }
                    SectionFailure::Unsupported => {
                        (SectionOutcome::Unsupported, "this release has no such method".to_owned())
                    }
                };
                let (observed_at, skipped) = before
                    .as_ref()
                    .map(|state| (state.observed_at, state.skipped.clone()))
                    .unwrap_or_default();
                (outcome, error, observed_at, skipped)
            }
        };
        let goes_on = before
            .filter(|state| state.outcome == outcome || (was_complete && outcome.is_complete()))
            .map(|state| state.since);
        let state =
            SectionState { outcome, observed_at, since: goes_on.unwrap_or(now), interval, error, skipped };
        self.states.insert(section, state);
    }

    /// Takes these sections for switched off, and no others: what they brought is forgotten.
    pub fn disable(&mut self, disabled: &BTreeSet<Section>, now: UnixMillis) {
        self.states
            .retain(|section, state| state.outcome != SectionOutcome::Disabled || disabled.contains(section));
        for section in disabled {
            self.held.forget(*section);
            self.whole.remove(section);
            if *section == Section::Alerts {
                self.suspects.clear();
            }
            let since = self.states.get(section).filter(|state| state.outcome == SectionOutcome::Disabled);
            let state = SectionState {
                outcome: SectionOutcome::Disabled,
                observed_at: None,
                since: since.map_or(now, |state| state.since),
                interval: Duration::ZERO,
                error: "switched off for this connection".to_owned(),
                skipped: Vec::new(),
            };
            self.states.insert(*section, state);
        }
    }

    /// Nothing will come from there: it may not be read, is not there, or is switched off.
    pub fn is_closed(&self, section: Section) -> bool {
        self.states.get(&section).is_some_and(SectionState::is_closed)
    }

    /// Whether everything of a section was seen at least once.
    pub fn was_whole(&self, section: Section) -> bool {
        self.whole.contains(&section)
    }

    /// Cheap: both give the same records. May say no where they do.
    pub fn is_same(&self, other: &Self) -> bool {
        let closed = |snapshot: &Self| -> BTreeSet<Section> {
            snapshot
                .states
                .iter()
                .filter(|(_, state)| state.is_closed())
                .map(|(section, _)| *section)
                .collect()
        };
        self.held.is_same(&other.held) && self.whole == other.whole && closed(self) == closed(other)
    }

    pub fn state(&self, section: Section) -> Option<&SectionState> {
        self.states.get(&section)
    }

    /// In the order of sections; those never tried are not in it.
    pub fn reports(&self) -> Vec<SectionReport> {
        self.states
            .iter()
            .map(|(section, state)| SectionReport {
                section: section.name(),
                outcome: state.outcome,
                observed_at: state.observed_at,
                since: Some(state.since),
                interval: state.interval,
                error: state.error.clone(),
            })
            .collect()
    }

    pub fn system(&self) -> Option<&Arc<System>> {
        self.held.system.as_ref()
    }

    /// Disks that are told neither by their list nor by the pool they have a place in, as last known.
    pub fn disks_in_transit(&self) -> &[Disk] {
        self.held.transit.as_deref().map(Vec::as_slice).unwrap_or_default()
    }

    /// The pool that the appliance starts from; not among the pools.
    pub fn boot(&self) -> Option<&Arc<Pool>> {
        self.held.boot.as_ref()
    }

    pub fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.held.metrics.as_ref()
    }

    /// `Some(None)` when it is known that there is none.
    pub fn ups(&self) -> Option<&Arc<Option<Ups>>> {
        self.held.ups.as_ref()
    }

    pub fn update(&self) -> Option<&Arc<SoftwareUpdate>> {
        self.held.update.as_ref()
    }
}

impl Held {
    /// Does it differ from what was held?
    fn take(&mut self, data: Data, skipped: &[SkippedRow]) -> bool {
        // A row without a name may be any of those that were held.
        let lost: Option<BTreeSet<&str>> = skipped.iter().map(|row| row.name.as_deref()).collect();
        let lost = lost.as_ref();
        match data {
            Data::System { mut info, extras } => {
                let held = self.system.as_ref().map(|system| system.extras.clone()).unwrap_or_default();
                info.extras = extras.over(&held);
                info.boot_time = steady(self.system.as_ref().and_then(|held| held.boot_time), info.boot_time);
                replace(&mut self.system, *info)
            }
            Data::Boot(boot) => replace(&mut self.boot, *boot),
            Data::Metrics(metrics) => replace(&mut self.metrics, *metrics),
            Data::Ups(ups) => replace(&mut self.ups, ups),
            Data::Update(update) => replace(&mut self.update, update),
            rows => self.lists.take(rows, lost),
        }
    }
}

impl Held {
    fn forget(&mut self, section: Section) {
        match section {
            Section::System => self.system = None,
            Section::Boot => self.boot = None,
            Section::Metrics => self.metrics = None,
            Section::Ups => self.ups = None,
            Section::Update => self.update = None,
            other => {
                if matches!(other, Section::Pools | Section::Disks) {
                    self.transit = None;
                }
                self.lists.forget(other);
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        same(self.system.as_ref(), other.system.as_ref())
            && same(self.boot.as_ref(), other.boot.as_ref())
            && same(self.transit.as_ref(), other.transit.as_ref())
            && same(self.metrics.as_ref(), other.metrics.as_ref())
            && same(self.ups.as_ref(), other.ups.as_ref())
            && same(self.update.as_ref(), other.update.as_ref())
            && self.lists.is_same(&other.lists)
    }
}

impl Held {
    /// Before a reading that may tell of disks: all of them, listed, missed or between the two.
    fn known_disks(&self, section: Section) -> Option<Vec<Disk>> {
        if !matches!(section, Section::Disks | Section::Pools) {
            return None;
        }
        let lists = [self.lists.disks.as_ref(), self.transit.as_ref()];
        let mut disks: Vec<Disk> =
            lists.into_iter().flatten().flat_map(|disks| disks.iter()).cloned().collect();
        disks.extend(self.lists.pools.as_ref().map(|pools| transit::lost(pools)).unwrap_or_default());
        Some(disks)
    }

    fn follow(&mut self, before: Option<&[Disk]>) {
        let (Some(before), Some(listed), Some(pools)) = (before, &self.lists.disks, &self.lists.pools) else {
            return;
        };
        replace(&mut self.transit, transit::disks(before.iter(), listed, pools));
    }
}

/// Shared, so equal.
fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Held {
    /// Why what was read is not all there is: rows that cannot be told from any that is held.
    fn lost(&self, section: Section, skipped: &[SkippedRow]) -> Option<String> {
        let unknown: Vec<&SkippedRow> = skipped
            .iter()
            .filter(|row| !row.name.as_deref().is_some_and(|name| self.lists.has(section, name)))
            .collect();
        let first = unknown.first()?;
        Some(format!("{} rows cannot be read; the first: {}", unknown.len(), first.why))
    }
}

fn has_row<T: Row>(rows: Option<&Vec<T>>, key: &str) -> bool {
    rows.is_some_and(|rows| rows.iter().any(|row| row.key() == key || row.alias() == key))
}

fn take_rows<T: Row + Clone + PartialEq>(
    held: &mut Option<Arc<Vec<T>>>,
    mut rows: Vec<T>,
    lost: Option<&BTreeSet<&str>>,
) -> bool {
    keep(&mut rows, held.as_deref(), lost);
    rows.shrink_to_fit();
    replace(held, rows)
}

fn nameless(skipped: &[SkippedRow]) -> usize {
    skipped.iter().filter(|row| row.name.is_none()).count()
}

/// A row that was there and could not be understood this time is not gone: what
/// was known of it stays.
fn keep<T: Row + Clone>(rows: &mut Vec<T>, held: Option<&Vec<T>>, lost: Option<&BTreeSet<&str>>) {
    let is_lost = |row: &&T| lost.is_none_or(|lost| lost.contains(row.key()) || lost.contains(row.alias()));
    let Some(held) = held.filter(|_| lost.is_none_or(|lost| !lost.is_empty())) else { return };
    let told: BTreeSet<String> = rows.iter().map(|row| row.key().to_owned()).collect();
    let kept = held.iter().filter(|row| is_lost(row) && !told.contains(row.key()));
    rows.extend(kept.cloned());
}

/// Some lines compute the boot time from the uptime: it trembles, and is
/// taken for another only when it is clearly another.
fn steady(held: Option<UnixMillis>, told: Option<UnixMillis>) -> Option<UnixMillis> {
    let (Some(before), Some(now)) = (held, told) else { return told };
    if now.since(before).max(before.since(now)) < BOOT_TIME_TREMBLE { Some(before) } else { Some(now) }
}

/// Equal values stay shared with older snapshots.
fn replace<T: PartialEq>(held: &mut Option<Arc<T>>, new: T) -> bool {
    let changed = held.as_deref() != Some(&new);
    if changed {
        *held = Some(Arc::new(new));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::alert::decode_alerts;
    use crate::api::pool::decode_pools;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis::new(seconds * 1_000)
    }

    fn pools(reply: &str) -> SectionRead {
        let pools = decode_pools(reply.as_bytes()).expect("a list").rows;
        SectionRead { data: Data::Pools(pools), skipped: Vec::new(), notes: Vec::new() }
    }

    #[test]
    fn outcomes_and_since() {
        let failed = || Err(SectionFailure::Failed("late".to_owned()));
        let mut snapshot = Snapshot::default();
        for (now, result, outcome, since, observed) in [
            (1, failed(), SectionOutcome::Failed, 1, None),
            (2, failed(), SectionOutcome::Failed, 1, None),
            (3, Ok(pools(r#"[{"name":"tank"}]"#)), SectionOutcome::Fresh, 3, Some(3)),
            (4, Ok(pools(r#"[{"name":"tank"}]"#)), SectionOutcome::Unchanged, 3, Some(4)),
            (5, Ok(pools(r#"[{"name":"other"}]"#)), SectionOutcome::Fresh, 3, Some(5)),
            (6, failed(), SectionOutcome::Failed, 6, Some(5)),
            (7, Err(SectionFailure::Forbidden), SectionOutcome::Forbidden, 7, Some(5)),
            (8, Ok(pools(r#"[{"name":"other"}]"#)), SectionOutcome::Fresh, 8, Some(8)),
        ] {
            snapshot.apply(Section::Pools, result, at(now), MINUTE);
            let state = snapshot.state(Section::Pools).expect("was read");
            assert_eq!(
                (state.outcome, state.since, state.observed_at),
                (outcome, at(since), observed.map(at)),
                "at {now}"
            );
            assert_eq!(state.error.is_empty(), state.outcome.is_complete());
        }
        assert_eq!(snapshot.reports().len(), 1);
        assert!(snapshot.disks().is_none());
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_an_equal_read_shares_it() {
        let mut snapshot = Snapshot::default();
        snapshot.apply(Section::Pools, Ok(pools(r#"[{"name":"tank"}]"#)), at(1), MINUTE);
        let before = snapshot.clone();
        snapshot.apply(Section::Pools, Err(SectionFailure::Failed("late".to_owned())), at(2), MINUTE);
        assert_eq!(snapshot.pools(), before.pools());
        snapshot.apply(Section::Pools, Ok(pools(r#"[{"name":"tank"}]"#)), at(3), MINUTE);
        let (old, new) = (before.pools().expect("read"), snapshot.pools().expect("read"));
        assert!(Arc::ptr_eq(old, new));
        assert!(snapshot.is_same(&before));
        snapshot.apply(Section::Disks, Err(SectionFailure::Forbidden), at(4), MINUTE);
        assert!(!snapshot.is_same(&before), "nothing is waited for there");
    }

    #[test]
    fn a_row_not_understood_this_time_is_not_gone() {
        let mut snapshot = Snapshot::default();
        let read = |reply: &str| {
            let decoded = decode_pools(reply.as_bytes()).expect("a list");
            let data = Data::Pools(decoded.rows);
            Ok(SectionRead { data, skipped: decoded.skipped, notes: Vec::new() })
        };
        let names = |snapshot: &Snapshot| {
            let pools = snapshot.pools().expect("read");
            pools.iter().map(|pool| (pool.name.clone(), pool.status.clone())).collect::<Vec<_>>()
        };
        let both = r#"[{"name":"a","status":"FAULTED"},{"name":"b","status":"ONLINE"}]"#;
        snapshot.apply(Section::Pools, read(both), at(1), MINUTE);
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let damaged = format!(r#"[{{"name":"b","status":"DEGRADED"}},{{"name":"a","x":{deep}}}]"#);
        snapshot.apply(Section::Pools, read(&damaged), at(2), MINUTE);
        let pair = |name: &str, status: &str| (name.to_owned(), status.to_owned());
        assert_eq!(names(&snapshot), [pair("b", "DEGRADED"), pair("a", "FAULTED")]);
        snapshot.apply(Section::Pools, read(r#"[{"name":"b"}]"#), at(3), MINUTE);
        assert_eq!(names(&snapshot), [pair("b", "")]);
    }

    #[test]
    fn an_alert_that_cannot_be_read_is_told_as_long_as_it_is_there() {
        let alert =
            |uuid: &str| format!(r#"{{"uuid":"{uuid}","klass":"X","level":"CRITICAL","formatted":"bad"}}"#);
        let read = |rows: &[String]| {
            let decoded = decode_alerts(format!("[{}]", rows.join(",")).as_bytes()).expect("a list");
            let data = Data::Alerts(decoded.rows);
            Ok(SectionRead { data, skipped: decoded.skipped, notes: Vec::new() })
        };
        let held = |snapshot: &Snapshot| -> Vec<String> {
            let alerts = snapshot.alerts().expect("read");
            let mut keys: Vec<_> = alerts.iter().map(|alert| alert.key().to_owned()).collect();
            keys.sort();
            keys
        };
        let garbage = || "7".to_owned();
        let mut snapshot = Snapshot::default();
        snapshot.apply(Section::Alerts, read(&[alert("a"), alert("b"), alert("c")]), at(1), MINUTE);
        for (now, rows, kept) in [
            (2, vec![garbage(), alert("b"), alert("c")], vec!["a", "b", "c"]),
            (3, vec![garbage(), alert("b"), alert("c")], vec!["a", "b", "c"]),
            (4, vec![alert("b"), garbage()], vec!["a", "b"]),
            (5, vec![alert("b"), garbage(), alert("d")], vec!["a", "b", "d"]),
            (6, vec![garbage(), garbage(), alert("d")], vec!["a", "b", "d"]),
            (7, vec![garbage(), alert("d")], vec!["a", "b", "d"]),
        ] {
            snapshot.apply(Section::Alerts, read(&rows), at(now), MINUTE);
            let state = snapshot.state(Section::Alerts).expect("was read");
            assert_eq!((state.outcome, state.since), (SectionOutcome::Partial, at(2)), "at {now}");
            assert!(state.error.contains("cannot be read"), "{}", state.error);
            assert_eq!(held(&snapshot), kept, "at {now}");
        }
        snapshot.apply(Section::Alerts, read(&[alert("d")]), at(8), MINUTE);
        let state = snapshot.state(Section::Alerts).expect("was read");
        assert_eq!((state.outcome, state.error.as_str()), (SectionOutcome::Fresh, ""));
        assert_eq!(held(&snapshot), ["d"]);
    }

    #[test]
    fn a_section_that_is_switched_off_is_forgotten_and_said_to_be_off_until_it_is_on_again() {
        let mut snapshot = Snapshot::default();
        let tank = || Ok(pools(r#"[{"name":"tank"}]"#));
        snapshot.apply(Section::Pools, tank(), at(1), MINUTE);
        let off = BTreeSet::from([Section::Pools]);
        for now in [2, 3] {
            snapshot.disable(&off, at(now));
            let state = snapshot.state(Section::Pools).expect("told");
            assert_eq!((state.outcome, state.since), (SectionOutcome::Disabled, at(2)));
            assert!(snapshot.pools().is_none() && snapshot.is_closed(Section::Pools));
            assert!(!snapshot.was_whole(Section::Pools));
        }
        snapshot.disable(&BTreeSet::new(), at(4));
        assert!(snapshot.state(Section::Pools).is_none(), "not tried yet");
        snapshot.apply(Section::Pools, tank(), at(5), MINUTE);
        assert!(snapshot.pools().is_some());
    }

    #[test]
    fn a_trembling_boot_time_is_one_and_a_reboot_another() {
        for (before, now, expected) in [
            (None, Some(at(1_000)), Some(at(1_000))),
            (Some(at(1_000)), Some(at(1_001)), Some(at(1_000))),
            (Some(at(1_000)), Some(at(999)), Some(at(1_000))),
            (Some(at(1_000)), Some(at(1_120)), Some(at(1_120))),
            (Some(at(1_000)), None, None),
        ] {
            assert_eq!(steady(before, now), expected);
        }
    }
}
