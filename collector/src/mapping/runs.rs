//! When tasks last made or sent snapshots of a dataset: for lines on which ZFS itself is not asked. What a task did says nothing
//! of snapshots that others made.

use std::collections::BTreeMap;

use pulse_proto::model::{Task, UnixMillis};

use crate::snapshot::Snapshot;

/// Tasks that ended well, by the dataset they work on.
#[derive(Default)]
pub(super) struct Runs<'a> {
    made: BTreeMap<&'a str, Vec<&'a Task>>,
    sent: BTreeMap<&'a str, Vec<&'a Task>>,
}

impl<'a> Runs<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut runs = Self::default();
        for task in snapshot.snapshot_tasks().into_iter().flat_map(|tasks| tasks.iter()) {
            add(&mut runs.made, &task.facet, task.facet.source_datasets.iter());
        }
        for replication in snapshot.replications().into_iter().flat_map(|tasks| tasks.iter()) {
            let task = &replication.task.facet;
            // Of the two ends of a task over the network, one is here.
            let (sends, takes) = match task.transport.as_str() {
                "LOCAL" => (true, true),
                _ => (task.direction == "PUSH", task.direction == "PULL"),
            };
            let sources = task.source_datasets.iter().filter(|_| sends);
            let target = std::iter::once(&task.target).filter(|target| takes && !target.is_empty());
            add(&mut runs.sent, task, sources.chain(target));
        }
        runs
    }

    /// The latest end of a run that covered the dataset, those that make snapshots before those that send them.
    pub(super) fn newest(&self, dataset: &str) -> Option<(UnixMillis, &'static str)> {
        let made = latest(&self.made, dataset).map(|at| (at, "snapshot-task"));
        made.or_else(|| latest(&self.sent, dataset).map(|at| (at, "replication")))
    }
}

/// A run that failed, or is under way, may have made nothing.
fn add<'a>(
    runs: &mut BTreeMap<&'a str, Vec<&'a Task>>,
    task: &'a Task,
    datasets: impl Iterator<Item = &'a String>,
) {
    if task.state == "FINISHED" && task.state_since.is_some() {
        for dataset in datasets {
            runs.entry(dataset.trim_matches('/')).or_default().push(task);
        }
    }
}

fn latest(runs: &BTreeMap<&str, Vec<&Task>>, dataset: &str) -> Option<UnixMillis> {
    if runs.is_empty() {
        return None;
    }
    let above = std::iter::successors(Some(dataset), |name| name.rsplit_once('/').map(|(above, _)| above));
    let tasks = above.flat_map(|name| runs.get(name).into_iter().flatten().map(move |task| (name, task)));
    let covering = tasks.filter(|(name, task)| *name == dataset || task.recursive == Some(true));
    covering.filter(|(_, task)| !is_excluded(task, dataset)).filter_map(|(_, task)| task.state_since).max()
}

fn is_excluded(task: &Task, dataset: &str) -> bool {
    let below = |excluded: &String| {
        dataset.strip_prefix(excluded.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    task.excluded_datasets.iter().any(below)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::section::assemble;
    use crate::api::{Section, Tag};

    fn snapshot(tasks: &str, replications: &str) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (section, tag, reply) in [
            (Section::SnapshotTasks, Tag::SnapshotTasks, tasks),
            (Section::Replications, Tag::Replications, replications),
        ] {
            let read = assemble(section, &[(tag, Ok(reply))]);
            snapshot.apply(section, read, UnixMillis::new(1), Duration::from_mins(1));
        }
        snapshot
    }

    #[test]
    fn the_newest_snapshot_of_a_line_that_does_not_tell_it_is_that_of_its_tasks() {
        let tasks = r#"[
            {"id":1,"dataset":"tank","recursive":true,"exclude":["tank/tmp"],"state":{"state":"FINISHED","datetime":{"$date":5000}}},
            {"id":2,"dataset":"tank/a","recursive":false,"state":{"state":"FINISHED","datetime":{"$date":9000}}},
            {"id":3,"dataset":"tank/b","recursive":false,"state":{"state":"ERROR","datetime":{"$date":99000},"error":"full"}}]"#;
        let replications = r#"[
            {"id":1,"name":"push","direction":"PUSH","transport":"SSH","source_datasets":["tank/tmp"],"target_dataset":"far/x",
             "state":{"state":"FINISHED","datetime":{"$date":3000}}},
            {"id":2,"name":"pull","direction":"PULL","transport":"SSH","source_datasets":["far/y"],"target_dataset":"dr/y","recursive":true,
             "state":{"state":"FINISHED","datetime":{"$date":4000}}}]"#;
        let snapshot = snapshot(tasks, replications);
        let runs = Runs::of(&snapshot);
        for (dataset, expected) in [
            ("tank", Some((5_000, "snapshot-task"))),
            ("tank/a", Some((9_000, "snapshot-task"))),
            ("tank/a/deep", Some((5_000, "snapshot-task"))),
            ("tank/b", Some((5_000, "snapshot-task"))),
            ("tank/tmp", Some((3_000, "replication"))),
            ("tank/tmp/x", None),
            ("tank/tmpfiles", Some((5_000, "snapshot-task"))),
            ("dr/y/z", Some((4_000, "replication"))),
            ("far/x", None),
            ("far/y", None),
            ("other", None),
        ] {
            let expected = expected.map(|(at, source)| (UnixMillis::new(at), source));
            assert_eq!(runs.newest(dataset), expected, "{dataset}");
        }
    }
}
