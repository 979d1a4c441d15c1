//! The newest of what one NAS said, section by section, and how the reading of each went.
//!
//! Pure: results and `now` in, state out. A failed read keeps what was known. Knows no call, no session and no record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{SectionOutcome, SectionReport, UnixMillis};

use crate::api::section::{Data, Part};
use crate::api::{
    Alert, Dataset, Disk, Pool, Replication, Section, SectionFailure, SectionRead, SkippedRow, System,
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
}

/// `None` is what was never read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    system: Option<Arc<System>>,
    pools: Option<Arc<Vec<Pool>>>,
    boot: Option<Arc<Pool>>,
    datasets: Option<Arc<Vec<Dataset>>>,
    replications: Option<Arc<Vec<Replication>>>,
    disks: Option<Arc<Vec<Disk>>>,
    alerts: Option<Arc<Vec<Alert>>>,
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
            Ok(SectionRead { data, skipped, notes }) => {
                let odd = match before.as_ref().map(|state| nameless(&state.skipped)) {
                    // An alert that nobody can read stays in the list: it must not keep all others from ending.
                    Some(before) if section == Section::Alerts && before == nameless(&skipped) => {
                        skipped.iter().filter(|row| row.name.is_some()).cloned().collect()
                    }
                    _ => skipped.clone(),
                };
                let changed = self.held.take(data, &odd);
                let lost = self.held.lost(section, &odd, &notes);
                if lost.is_none() {
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

    /// Whether everything of a section was seen at least once.
    pub fn was_whole(&self, section: Section) -> bool {
        self.whole.contains(&section)
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

    pub fn pools(&self) -> Option<&Arc<Vec<Pool>>> {
        self.held.pools.as_ref()
    }

    /// Belongs to the pools, and is read with them.
    pub fn boot(&self) -> Option<&Arc<Pool>> {
        self.held.boot.as_ref()
    }

    pub fn datasets(&self) -> Option<&Arc<Vec<Dataset>>> {
        self.held.datasets.as_ref()
    }

    /// Belong to the datasets, and are read with them.
    pub fn replications(&self) -> Option<&Arc<Vec<Replication>>> {
        self.held.replications.as_ref()
    }

    pub fn disks(&self) -> Option<&Arc<Vec<Disk>>> {
        self.held.disks.as_ref()
    }

    pub fn alerts(&self) -> Option<&Arc<Vec<Alert>>> {
        self.held.alerts.as_ref()
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
            Data::Pools { mut pools, boot } => {
                keep(&mut pools, self.pools.as_deref(), lost, |pool| &pool.name);
                let boot_changed = match boot {
                    Part::Kept => false,
                    Part::Read(None) => self.boot.take().is_some(),
                    Part::Read(Some(boot)) => replace(&mut self.boot, *boot),
                };
                replace(&mut self.pools, pools) || boot_changed
            }
            Data::Datasets { mut datasets, replications } => {
                keep(&mut datasets, self.datasets.as_deref(), lost, |dataset| &dataset.name);
                let replications_changed = match replications {
                    Part::Kept => false,
                    Part::Read(rows) => replace(&mut self.replications, rows),
                };
                replace(&mut self.datasets, datasets) || replications_changed
            }
            Data::Disks(mut disks) => {
                keep(&mut disks, self.disks.as_deref(), lost, |disk| &disk.name);
                replace(&mut self.disks, disks)
            }
            Data::Alerts(mut alerts) => {
                keep(&mut alerts, self.alerts.as_deref(), lost, |alert| &alert.uuid);
                replace(&mut self.alerts, alerts)
            }
        }
    }
}

impl Held {
    /// Why what was read is not all there is: rows that cannot be told from any that is held, or a part that never came.
    fn lost(&self, section: Section, skipped: &[SkippedRow], notes: &[String]) -> Option<String> {
        let unknown: Vec<&SkippedRow> = skipped
            .iter()
            .filter(|row| !row.name.as_deref().is_some_and(|name| self.has(section, name)))
            .collect();
        if let Some(first) = unknown.first() {
            return Some(format!("{} rows cannot be read; the first: {}", unknown.len(), first.why));
        }
        let boot_missing = section == Section::Pools && self.boot.is_none();
        notes.first().filter(|_| boot_missing).cloned()
    }

    fn has(&self, section: Section, name: &str) -> bool {
        fn any<T>(rows: Option<&Arc<Vec<T>>>, is: impl Fn(&T) -> bool) -> bool {
            rows.is_some_and(|rows| rows.iter().any(is))
        }
        match section {
            Section::System => self.system.is_some(),
            Section::Pools => any(self.pools.as_ref(), |pool| pool.name == name),
            Section::Datasets => {
                any(self.datasets.as_ref(), |dataset| dataset.name == name)
                    || any(self.replications.as_ref(), |task| task.name == name)
            }
            Section::Disks => any(self.disks.as_ref(), |disk| disk.name == name),
            Section::Alerts => any(self.alerts.as_ref(), |alert| alert.uuid == name),
        }
    }
}

fn nameless(skipped: &[SkippedRow]) -> usize {
    skipped.iter().filter(|row| row.name.is_none()).count()
}

/// A row that was there and could not be understood this time is not gone: what
/// was known of it stays.
fn keep<T: Clone>(
    rows: &mut Vec<T>,
    held: Option<&Vec<T>>,
    lost: Option<&BTreeSet<&str>>,
    name: impl Fn(&T) -> &String,
) {
    let is_lost = |name: &str| lost.is_none_or(|lost| lost.contains(name));
    let Some(held) = held.filter(|_| lost.is_none_or(|lost| !lost.is_empty())) else { return };
    let told: BTreeSet<String> = rows.iter().map(|row| name(row).clone()).collect();
    let kept = held.iter().filter(|row| is_lost(name(row)) && !told.contains(name(row)));
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
    use crate::api::pool::decode_pools;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis::new(seconds * 1_000)
    }

    fn pools(reply: &str) -> SectionRead {
        let pools = decode_pools(reply.as_bytes()).expect("a list").rows;
        SectionRead { data: Data::Pools { pools, boot: Part::Kept }, skipped: Vec::new(), notes: Vec::new() }
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
    }

    #[test]
    fn a_row_not_understood_this_time_is_not_gone() {
        let mut snapshot = Snapshot::default();
        let read = |reply: &str| {
            let decoded = decode_pools(reply.as_bytes()).expect("a list");
            let data = Data::Pools { pools: decoded.rows, boot: Part::Kept };
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
