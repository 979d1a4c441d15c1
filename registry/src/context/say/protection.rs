//! Shares, and the tasks that protect data.

use std::net::IpAddr;
use std::time::Duration;

use pulse_proto::model::{Share, Task};

use super::{Thing, names, names_by, state};
use crate::context::fact::Fact;
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::words;

/// Most names in one sentence.
const NAMES_MAX: usize = 3;

pub(crate) fn task(thing: &Thing<'_>, task: &Task) -> Option<Fact> {
    let mut details = vec![outcome(task)];
    if task.enabled == Some(false) {
        details.push(say!["switched off"]);
    }
    details.push(route(task));
    if let Some(period) = period(&task.schedule) {
        details.push(say!["it should run every ", words::span(period)]);
    }
    if !task.last_snapshot.is_empty() {
        details.push(say!["last snapshot ", told(Kind::Path, &task.last_snapshot)]);
    }
    let value = task.state_since.map(|at| words::digits(at.get())).unwrap_or_default();
    Some(thing.fact("task", thing.sentence(details)?).with_value(value, "unix_ms"))
}

/// "last run failed 3 h ago", "running since 3 h ago".
pub(crate) fn outcome(task: &Task) -> Statement {
    let run = Run::of(task);
    let mut statement = match run {
        Run::Untold => return Statement::default(),
        Run::Good => say!["last run went well"],
        Run::Bad => say!["last run failed"],
        Run::Active => say!["running"],
        Run::Never => say!["has not run yet"],
        Run::Other => say!["state ", state(&task.state)],
    };
    if let Some(at) = task.state_since {
        statement.add(match run {
            Run::Good | Run::Bad | Run::Untold => " ",
            Run::Active | Run::Other => " since ",
            Run::Never => ", waiting since ",
        });
        statement.add(Piece::Ago(at));
    }
    if let Some(percent) = task.progress_percent.and_then(words::rounded_percent) {
        statement.add(", ").add(percent).add(" % done");
    }
    if !task.message.is_empty() {
        statement.add(", it says ").add(told(Kind::Text, &task.message));
    }
    statement
}

/// What the last run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Good,
    Bad,
    Active,
    Never,
    Other,
    Untold,
}

impl Run {
    pub(crate) fn of(task: &Task) -> Self {
        match task.state.to_ascii_uppercase().as_str() {
            "" => Self::Untold,
            "FINISHED" | "SUCCESS" => Self::Good,
            "ERROR" | "FAILED" | "ABORTED" => Self::Bad,
            "RUNNING" => Self::Active,
            "PENDING" => Self::Never,
            _ => Self::Other,
        }
    }

    /// It has begun or waits, and came to nothing yet.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Never | Self::Other)
    }
}

fn route(task: &Task) -> Statement {
    let mut route = Statement::default();
    if !task.source_datasets.is_empty() {
        route.add("from ").append(names(Kind::Path, &task.source_datasets, NAMES_MAX));
    }
    if !task.target.is_empty() {
        route.add(if route.is_empty() { "to " } else { " to " }).add(told(Kind::Path, &task.target));
    }
    if !task.remote.is_empty() {
        if !route.is_empty() {
            route.add(", ");
        }
        route
            .add(if task.direction == "PULL" { "pulled from " } else { "on " })
            .add(told(Kind::System, &task.remote));
    }
    route
}

/// How often a task runs, read from its cron schedule; `None` when it has none or a rare one.
pub(crate) fn period(schedule: &str) -> Option<Duration> {
    if !schedule.bytes().all(|byte| byte.is_ascii_digit() || b" */,-".contains(&byte)) {
        return None;
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [_minute, hour, day, month, weekday] = fields[..] else { return None };
    let days = |days: u64| Some(Duration::from_hours(days * 24));
    match (hour, day, month, weekday) {
        (_, _, month, _) if month != "*" => days(366),
        (_, day, _, _) if day != "*" && !day.starts_with("*/") => days(31),
        (_, _, _, weekday) if weekday != "*" && !weekday.contains([',', '-']) => days(7),
        (_, _, _, weekday) if weekday != "*" => days(4),
        (_, day, _, _) if day != "*" => days(day.trim_start_matches("*/").parse().unwrap_or(31)),
        ("*", ..) => Some(Duration::from_hours(1)),
        (hour, ..) if hour.starts_with("*/") => {
            Some(Duration::from_hours(hour.trim_start_matches("*/").parse().unwrap_or(24)))
        }
        _ => days(1),
    }
}

pub(crate) fn share(thing: &Thing<'_>, share: &Share) -> Option<Fact> {
    let mut details = Vec::new();
    if !share.path.is_empty() {
        details.push(say!["path ", told(Kind::Path, &share.path)]);
    }
    if !share.extents.is_empty() {
        let mut extents = say!["serves "];
        extents.append(names(Kind::Path, &share.extents, NAMES_MAX));
        details.push(extents);
    }
    for (holds, words) in [
        (share.enabled == Some(true), "enabled"),
        (share.enabled == Some(false), "disabled"),
        (share.locked == Some(true), "its dataset is locked"),
        (share.read_only == Some(true), "read-only"),
    ] {
        if holds {
            details.push(say![words]);
        }
    }
    if !share.comment.is_empty() {
        details.push(say!["comment ", told(Kind::Text, &share.comment)]);
    }
    let users = [&share.map_root_user, &share.map_all_user];
    for user in users.into_iter().filter(|user| !user.is_empty()) {
        details.push(say!["maps clients to user ", told(Kind::User, user)]);
    }
    for (what, hosts) in [("for hosts ", &share.hosts), ("for networks ", &share.networks)] {
        if !hosts.is_empty() {
            let mut statement = say![what];
            statement.append(names_by(client_kind, hosts, NAMES_MAX));
            details.push(statement);
        }
    }
    Some(thing.fact("share", thing.sentence(details)?))
}

/// Who a share is for: a machine by its name, or by its address, as a network or by a pattern.
pub(crate) fn client_kind(host: &str) -> Kind {
    let is_name = host.parse::<IpAddr>().is_err() && !host.contains(['/', '*', '?']);
    if is_name { Kind::System } else { Kind::Address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_periods() {
        for (schedule, hours) in [
            ("0 * * * *", Some(1)),
            ("*/15 * * * *", Some(1)),
            ("0 */6 * * *", Some(6)),
            ("30 2 * * *", Some(24)),
            ("0 0 */3 * *", Some(72)),
            ("0 0 * * 0", Some(168)),
            ("0 0 * * 1-5", Some(96)),
            ("0 0 1 * *", Some(31 * 24)),
            ("0 0 1 1 *", Some(366 * 24)),
            ("", None),
            ("daily", None),
            ("not a schedule at all", None),
        ] {
            assert_eq!(period(schedule), hours.map(Duration::from_hours), "{schedule}");
        }
    }
}
