//! What many rows share: an id, a name, schedules, lists of words and the state of a job.

use pulse_proto::model::UnixMillis;

use super::json::{Fields, text, word};

/// Most entries kept of one list inside a row.
pub const ENTRIES_MAX: usize = 256;

/// A row whose facts are told as they are: its id at the source, its name, and the facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    pub id: String,
    pub name: String,
    pub facet: T,
}

impl<T> Item<T> {
    /// Its name, fit to be shown; its id when nothing is left of it.
    pub fn shown_name(&self) -> String {
        let name = text::line(&self.name);
        if name.is_empty() { text::line(&self.id) } else { name }
    }
}

/// What is known by a key that is its own among the rows of a section.
pub trait Row {
    fn key(&self) -> &str;

    /// What a row that cannot be read may be called by instead.
    fn alias(&self) -> &str {
        self.key()
    }
}

impl<T> Row for Item<T> {
    fn key(&self) -> &str {
        &self.id
    }

    fn alias(&self) -> &str {
        &self.name
    }
}

/// The `id`, else the `name`, untouched; which of the two a release gives may change, what it says does not.
pub fn id(fields: Fields<'_>) -> Result<String, String> {
    fields.name("id").or_else(|| fields.name("name")).ok_or_else(|| "has neither id nor name".to_owned())
}

/// A list of words, or a single one.
pub fn words(fields: Fields<'_>, key: &str) -> Vec<String> {
    let one = fields.get(key).filter(|value| !value.is_array()).and_then(word);
    let many = fields.list(key).iter().filter_map(word);
    let mut words: Vec<String> = one.into_iter().chain(many).map(|word| text::line(&word)).collect();
    words.retain(|word| !word.is_empty());
    words.truncate(ENTRIES_MAX);
    words
}

/// `{minute, hour, dom, month, dow}` as cron writes it; empty when there is none.
pub fn cron(fields: Fields<'_>) -> String {
    let Some(schedule) = fields.object("schedule") else { return String::new() };
    let part = |key| match schedule.line(key) {
        word if word.is_empty() => "*".to_owned(),
        word => word,
    };
    text::line(&["minute", "hour", "dom", "month", "dow"].map(part).join(" "))
}

/// How the last or present run of a task goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub state: String,
    pub since: Option<UnixMillis>,
    pub message: String,
    pub progress_percent: Option<f64>,
    pub last_snapshot: String,
    pub warnings: Vec<String>,
}

/// From `state`, either a word or `{state, datetime, error, reason, last_snapshot, progress}`, and from `job`, a row of jobs.
pub fn run(fields: Fields<'_>) -> Run {
    let job = fields.object("job");
    let state = fields.get("state");
    let Some(told) = state.map(Fields::of).filter(|state| state.has("state")) else {
        let word = state.filter(|state| !state.is_object()).and_then(word);
        return match (word, job) {
            (Some(word), _) => Run { state: text::line(&word), ..Run::default() },
            (None, Some(job)) => run_of_job(job),
            (None, None) => Run::default(),
        };
    };
    let message = ["error", "reason"].map(|key| told.line(key)).into_iter().find(|why| !why.is_empty());
    let progress = told.object("progress").and_then(sent_percent);
    Run {
        state: told.line("state"),
        since: told.time("datetime"),
        message: message.unwrap_or_default(),
        progress_percent: progress.or_else(|| job.and_then(job_percent)),
        last_snapshot: told.line("last_snapshot"),
        warnings: words(told, "warnings"),
    }
}

fn run_of_job(job: Fields<'_>) -> Run {
    let message = ["error", "exception"].map(|key| job.line(key)).into_iter().find(|why| !why.is_empty());
    let state = job.line("state");
    Run {
        since: job.time("time_finished").or_else(|| job.time("time_started")),
        message: message.unwrap_or_default(),
        progress_percent: job_percent(job).filter(|_| state == "RUNNING"),
        last_snapshot: String::new(),
        warnings: Vec::new(),
        state,
    }
}

fn job_percent(job: Fields<'_>) -> Option<f64> {
    percent(job.object("progress")?.f64("percent"))
}

/// Of a replication: bytes when told, else snapshots.
fn sent_percent(progress: Fields<'_>) -> Option<f64> {
    [("bytes_sent", "bytes_total"), ("snapshots_sent", "snapshots_total")].into_iter().find_map(
        |(sent, total)| {
            let (sent, total) = (progress.f64(sent)?, progress.f64(total).filter(|total| *total > 0.0)?);
            percent(Some(sent / total * 100.0))
        },
    )
}

/// To a tenth: what is shown, and no more changes than that.
pub fn percent(value: Option<f64>) -> Option<f64> {
    value.filter(|value| (0.0..=100.0).contains(value)).map(|value| (value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_told_by_state_or_by_job() {
        for (row, expected) in [
            (json!({}), ("", None, "", None)),
            (json!({"state": "{}", "job": null}), ("{}", None, "", None)),
            (
                json!({"state": {"state": "FINISHED", "datetime": {"$date": 5000}}}),
                ("FINISHED", Some(5_000), "", None),
            ),
            (
                json!({"state": {"state": "HOLD", "reason": "no\nspace", "error": null}}),
                ("HOLD", None, "no space", None),
            ),
            (
                json!({"state": {"state": "RUNNING", "progress": {"bytes_sent": 1, "bytes_total": 3}}}),
                ("RUNNING", None, "", Some(33.3)),
            ),
            (
                json!({"state": {"state": "RUNNING", "progress": {"snapshots_sent": 1, "snapshots_total": 2}}}),
                ("RUNNING", None, "", Some(50.0)),
            ),
            (
                json!({"job": {"state": "FAILED", "error": "E", "time_started": {"$date": 1000}, "progress": {"percent": 7}}}),
                ("FAILED", Some(1_000), "E", None),
            ),
            (
                json!({"job": {"state": "RUNNING", "progress": {"percent": 7}}}),
                ("RUNNING", None, "", Some(7.0)),
            ),
        ] {
            let run = run(Fields::of(&row));
            let since = expected.1.map(UnixMillis::new);
            assert_eq!(
                (run.state.as_str(), run.since, run.message.as_str(), run.progress_percent),
                (expected.0, since, expected.2, expected.3),
                "{row}"
            );
        }
    }

    #[test]
    fn warnings_of_a_run_are_kept_however_they_come() {
        for (told, expected) in [
            (json!(["a", "b\nc", 7, null]), vec!["a", "b c", "7"]),
            (json!("one"), vec!["one"]),
            (json!(null), vec![]),
            (json!({"x": 1}), vec![]),
        ] {
            let row = json!({"state": {"state": "FINISHED", "warnings": told}});
            assert_eq!(run(Fields::of(&row)).warnings, expected, "{row}");
        }
    }

    #[test]
    fn schedules_and_words() {
        let row = json!({"schedule": {"minute": "00", "hour": 3, "dow": "7", "month": null}, "a": ["x", 1, {}], "b": "y"});
        let fields = Fields::of(&row);
        assert_eq!(cron(fields), "00 3 * * 7");
        assert_eq!(cron(Fields::of(&json!({"schedule": null}))), "");
        assert_eq!(
            (words(fields, "a"), words(fields, "b")),
            (vec!["x".to_owned(), "1".to_owned()], vec!["y".to_owned()])
        );
    }
}
