//! What runs on or is offered by a system (apps, machines, shares, tasks), and
//! whatever other sources bring: a word for the state is all there is.

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::Status::{Offline, Online, Unknown};
use pulse_proto::model::{IngestRecord, ResourceType, Status};

use super::table::{Table, row};
use super::unknown::UnknownKind;
use super::verdict::{Verdict, quote};

pub(super) static APPS: Table = Table {
    title: "App state",
    unknown: UnknownKind::WorkloadState,
    rows: &[
        row("RUNNING", Online, Healthy, "it works"),
        row("ACTIVE", Online, Healthy, "it works"),
        row("DEPLOYING", Status::Warning, Monitor, "it is being set up"),
        row("STOPPING", Status::Warning, Monitor, "it is being stopped"),
        row("CRASHED", Status::Warning, Critical, "it ended by itself"),
        row("ERROR", Status::Warning, Critical, "it cannot work"),
        row("STOPPED", Offline, Monitor, "it was stopped"),
        row("", Unknown, Healthy, "the source did not tell"),
    ],
};

pub(super) static MACHINES: Table = Table {
    title: "State of a virtual machine or container",
    unknown: UnknownKind::WorkloadState,
    rows: &[
        row("RUNNING", Online, Healthy, "it works"),
        row("ACTIVE", Online, Healthy, "it works"),
        row("STARTING", Status::Warning, Monitor, "it is being started"),
        row("STOPPING", Status::Warning, Monitor, "it is being stopped"),
        row("PAUSED", Status::Warning, Monitor, "it was paused"),
        row("SUSPENDED", Status::Warning, Monitor, "it was suspended"),
        row("FROZEN", Status::Warning, Monitor, "it was frozen"),
        row("ERROR", Status::Warning, Critical, "it cannot work"),
        row("CRASHED", Status::Warning, Critical, "it ended by itself"),
        row("PANICKED", Status::Warning, Critical, "its kernel gave up"),
        row("STOPPED", Offline, Monitor, "it was stopped"),
        row("SHUTOFF", Offline, Monitor, "it is switched off"),
        row("SHUTDOWN", Offline, Monitor, "it was shut down"),
        row("POWEROFF", Offline, Monitor, "it is switched off"),
        row("UNKNOWN", Unknown, Monitor, "the source cannot tell"),
        row("", Unknown, Healthy, "the source did not tell"),
    ],
};

pub(super) static SHARES: Table = Table {
    title: "Share state",
    unknown: UnknownKind::WorkloadState,
    rows: &[
        row("ENABLED", Online, Healthy, "it is offered"),
        row("", Online, Healthy, "the source did not tell"),
        row("LOCKED", Status::Warning, Warning, "its dataset is locked"),
        row("DISABLED", Offline, Monitor, "it is switched off"),
    ],
};

pub(super) static TASKS: Table = Table {
    title: "State of a protection task",
    unknown: UnknownKind::WorkloadState,
    rows: &[
        row("PENDING", Online, Healthy, "it has not run yet"),
        row("WAITING", Online, Healthy, "it waits for its turn"),
        row("RUNNING", Online, Healthy, "it runs"),
        row("FINISHED", Online, Healthy, "its last run went well"),
        row("SUCCESS", Online, Healthy, "its last run went well"),
        row("HOLD", Status::Warning, Warning, "it is held back"),
        row("ABORTED", Status::Warning, Warning, "its last run was broken off"),
        row("ERROR", Status::Warning, Critical, "its last run failed"),
        row("FAILED", Status::Warning, Critical, "its last run failed"),
        row("", Unknown, Healthy, "the source did not tell"),
    ],
};

pub(super) static OTHERS: Table = Table {
    title: "State of anything else",
    unknown: UnknownKind::WorkloadState,
    rows: &[
        row("ONLINE", Online, Healthy, "it works"),
        row("RUNNING", Online, Healthy, "it works"),
        row("READY", Online, Healthy, "it works"),
        row("WARNING", Status::Warning, Warning, "the source warns of it"),
        row("DEGRADED", Status::Warning, Warning, "it works in part"),
        row("OFFLINE", Offline, Critical, "it does not work"),
        row("STOPPED", Offline, Monitor, "it was stopped"),
        row("UNKNOWN", Unknown, Monitor, "the source cannot tell"),
        row("", Unknown, Healthy, "the source did not tell"),
    ],
};

const fn table(resource_type: ResourceType) -> &'static Table {
    match resource_type {
        ResourceType::AppContainer => &APPS,
        ResourceType::Vm | ResourceType::SystemContainer => &MACHINES,
        ResourceType::NetworkShare => &SHARES,
        ResourceType::ProtectionTask => &TASKS,
        _ => &OTHERS,
    }
}

pub(super) fn judge(record: &IngestRecord, verdict: &mut Verdict<'_>) {
    let Some(row) = verdict.look_up(table(record.resource_type), &record.state) else {
        verdict.status(Unknown);
        return;
    };
    let task = record.facets.protection_task.as_deref();
    // What was switched off is not missed: its last run is history.
    if task.is_some_and(|task| task.enabled == Some(false)) {
        verdict.status(Online);
        verdict.reason(
            "task_disabled",
            Healthy,
            format!("{} is switched off.", record.name),
            [("state", record.state.clone())],
        );
        return;
    }
    verdict.status(row.status);
    if row.severity > Healthy {
        let told = task
            .map(|task| task.message.as_str())
            .or_else(|| Some(record.facets.app.as_ref()?.error.as_str()));
        let told = told.filter(|told| !told.is_empty()).map(|told| format!(" It says: {}", quote(told)));
        verdict.reason(
            "resource_state",
            row.severity,
            format!("{} is {}: {}.{}", record.name, row.word, row.meaning, told.unwrap_or_default()),
            [("state", record.state.clone())],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Tables, example};

    #[test]
    fn every_state_is_judged_as_its_row_says() {
        for resource_type in ResourceType::ALL {
            for row in table(*resource_type).rows {
                let judgement = example::judge(&example::plain(*resource_type, row.word));
                let got = (judgement.status, judgement.severity);
                assert_eq!(got, (row.status, row.severity), "{resource_type} {}", row.word);
            }
        }
    }

    #[test]
    fn every_published_state_has_a_row() {
        for (table, published) in [
            (&APPS, "CRASHED DEPLOYING RUNNING STOPPED STOPPING ERROR"),
            (&MACHINES, "RUNNING STOPPED SUSPENDED ERROR UNKNOWN FROZEN STARTING STOPPING"),
            (&TASKS, "PENDING HOLD WAITING RUNNING FINISHED ERROR SUCCESS FAILED ABORTED"),
        ] {
            for word in published.split_whitespace() {
                assert!(table.find(word).is_some(), "{word}");
            }
        }
    }

    #[test]
    fn a_task_that_failed_says_why_unless_it_is_switched_off() {
        let failed = |enabled| {
            let mut record = example::plain(ResourceType::ProtectionTask, "ERROR");
            let message = "no route to host".to_owned();
            record.facets.protection_task = Some(Box::new(pulse_proto::model::Task {
                message,
                enabled: Some(enabled),
                ..Default::default()
            }));
            example::judge(&record)
        };
        let judgement = failed(true);
        assert_eq!((judgement.status, judgement.severity), (Status::Warning, Critical));
        assert!(judgement.reasons[0].summary.contains("no route to host"));
        assert_eq!((failed(false).status, failed(false).severity), (Online, Healthy));
    }

    #[test]
    fn a_state_nobody_knows_is_unknown_and_counted() {
        let tables = Tables::default();
        for resource_type in ResourceType::ALL {
            let judgement = example::judge_by(&tables, &example::plain(*resource_type, "HUMMING"));
            assert_eq!((judgement.status, judgement.severity), (Unknown, Monitor), "{resource_type}");
        }
        let expected = u64::try_from(ResourceType::ALL.len()).expect("few types");
        assert_eq!(tables.unknown_values().count(UnknownKind::WorkloadState), expected);
    }
}
