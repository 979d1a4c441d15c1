//! A system: its own state, its pair, a pending reboot, its worst pool or
//! disk, and how well it can be reached. That last one shows in the status
//! and informs; it says nothing about the system's severity.

use pulse_proto::model::ConnectionState::{
    Authenticating, BackingOff, Connecting, Degraded, Disabled, Live, Refused,
};
use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::Status::{Online, Unknown};
use pulse_proto::model::{ConnectionState, Service, Status, TrueNas};

use super::table::{Table, row};
use super::unknown::UnknownKind;
use super::verdict::{Verdict, quote};
use super::workload;
use crate::state::judge::Subject;

pub(super) static STATES: Table = Table {
    title: "System state",
    unknown: UnknownKind::SystemState,
    rows: &[
        row("READY", Online, Healthy, "it works"),
        row("", Online, Healthy, "the system did not tell"),
        row("BOOTING", Status::Warning, Warning, "it is not ready yet"),
        row("SHUTTING_DOWN", Status::Warning, Warning, "it is about to go"),
    ],
};

pub(super) static FAILOVER: Table = Table {
    title: "Failover status",
    unknown: UnknownKind::FailoverStatus,
    rows: &[
        row("SINGLE", Online, Healthy, "it has no partner"),
        row("", Online, Healthy, "the system did not tell"),
        row("MASTER", Online, Healthy, "it is the active controller"),
        row("BACKUP", Online, Monitor, "it is the standby controller, its pools are elsewhere"),
        row("ELECTING", Status::Warning, Warning, "the controllers decide who is active"),
        row("IMPORTING", Status::Warning, Warning, "it takes over the pools"),
        row("ERROR", Status::Warning, Critical, "failover does not work"),
    ],
};

/// How a connection's state shows on its system.
pub(super) struct ConnectionRow {
    pub(super) state: ConnectionState,
    pub(super) status: Status,
    pub(super) code: &'static str,
    /// Continues the sentence "The connection ...".
    pub(super) meaning: &'static str,
}

const fn connection(
    state: ConnectionState,
    status: Status,
    code: &'static str,
    meaning: &'static str,
) -> ConnectionRow {
    ConnectionRow { state, status, code, meaning }
}

pub(super) static CONNECTIONS: [ConnectionRow; 7] = [
    connection(Live, Online, "", "is live"),
    connection(Connecting, Online, "connection_connecting", "is being set up"),
    connection(Authenticating, Online, "connection_authenticating", "is logging in"),
    connection(Degraded, Status::Warning, "connection_degraded", "cannot read some sections"),
    connection(BackingOff, Status::Warning, "connection_backing_off", "failed and will be tried again"),
    connection(Refused, Status::Warning, "connection_refused", "was refused and waits for a correction"),
    connection(Disabled, Status::Warning, "connection_disabled", "is switched off"),
];

pub(super) fn judge(subject: &Subject<'_>, verdict: &mut Verdict<'_>) {
    let record = subject.record;
    let name = &record.name;
    match &record.facets.truenas {
        Some(truenas) => judge_truenas(name, truenas, verdict),
        None => workload::judge(record, verdict),
    }
    if let Some(child) = subject.worst_child.filter(|child| child.severity >= Warning) {
        verdict.reason(
            "child_health",
            child.severity,
            format!("{} of system {name} is in {} health.", child.name, child.severity),
            [("child", child.name.to_owned()), ("severity", child.severity.to_string())],
        );
    }
    if let Some(row) = CONNECTIONS.iter().find(|row| Some(row.state) == subject.connection) {
        verdict.status(row.status);
        if !row.code.is_empty() {
            verdict.reason(
                row.code,
                Healthy,
                format!("The connection to {name} {}; severity is what was last seen.", row.meaning),
                [("connection_state", row.state.to_string())],
            );
        }
    }
}

fn judge_truenas(name: &str, truenas: &TrueNas, verdict: &mut Verdict<'_>) {
    for (table, word, code, what) in [
        (&STATES, &truenas.system_state, "system_state", "is"),
        (&FAILOVER, &truenas.failover_status, "failover_status", "has failover status"),
    ] {
        match verdict.look_up(table, word) {
            None if table.unknown == UnknownKind::SystemState => verdict.status(Unknown),
            None => {}
            Some(row) => {
                verdict.status(row.status);
                if row.severity > Healthy {
                    let summary = format!("System {name} {what} {}: {}.", row.word, row.meaning);
                    verdict.reason(code, row.severity, summary, [("state", word.clone())]);
                }
            }
        }
    }
    let stopped = |service: &&Service| service.enabled == Some(true) && service.state == "STOPPED";
    let stopped: Vec<&str> =
        truenas.services.iter().filter(stopped).map(|service| service.name.as_str()).collect();
    if !stopped.is_empty() {
        let names = stopped.join(", ");
        verdict.reason(
            "service_stopped",
            Warning,
            format!("On system {name} what should run does not: {}.", quote(&names)),
            [("services", names)],
        );
    }
    let expired: Vec<&str> = truenas
        .certificates
        .iter()
        .filter(|certificate| certificate.expired == Some(true))
        .map(|certificate| certificate.name.as_str())
        .collect();
    if !expired.is_empty() {
        let names = expired.join(", ");
        verdict.reason(
            "certificate_expired",
            Warning,
            format!("On system {name} certificates have expired: {}.", quote(&names)),
            [("certificates", names)],
        );
    }
    if let Some(first) = truenas.failover_disabled_reasons.first()
        && truenas.failover_licensed == Some(true)
    {
        verdict.reason(
            "failover_disabled",
            Warning,
            format!("System {name} would not fail over now: {}.", quote(first)),
            [("reasons", truenas.failover_disabled_reasons.join(", "))],
        );
    }
    if let Some(first) = truenas.reboot_required_reasons.first() {
        let more = truenas.reboot_required_reasons.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        verdict.reason(
            "reboot_required",
            Monitor,
            format!("System {name} wants a reboot: {}{more}.", quote(first).trim_end_matches('.')),
            [("reasons", truenas.reboot_required_reasons.len().to_string())],
        );
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{Freshness, Severity};

    use super::*;
    use crate::health::{Tables, example};
    use crate::state::judge::{Judge as _, Judgement, WorstChild};

    fn judged(change: impl FnOnce(&mut TrueNas)) -> Judgement {
        example::judge(&example::host(change))
    }

    #[test]
    fn every_published_word_has_a_row() {
        for state in ["BOOTING", "READY", "SHUTTING_DOWN"] {
            assert!(STATES.find(state).is_some(), "{state}");
        }
        for status in ["MASTER", "BACKUP", "ELECTING", "IMPORTING", "ERROR", "SINGLE"] {
            assert!(FAILOVER.find(status).is_some(), "{status}");
        }
        for state in ConnectionState::ALL {
            assert_eq!(CONNECTIONS.iter().filter(|row| row.state == *state).count(), 1, "{state}");
        }
    }

    #[test]
    fn services_certificates_and_failover_count_only_when_something_is_wrong() {
        let service = |name: &str, enabled, state: &str| Service {
            name: name.to_owned(),
            enabled: Some(enabled),
            state: state.to_owned(),
        };
        let codes = |judgement: &Judgement| judgement.reasons.iter().map(|r| r.code).collect::<Vec<_>>();
        let judgement = judged(|truenas| {
            truenas.services = vec![
                service("nfs", false, "STOPPED"),
                service("ssh", true, "RUNNING"),
                service("ups", true, "UNKNOWN"),
            ];
            truenas.failover_disabled_reasons = vec!["NO_LICENSE".to_owned()];
        });
        assert_eq!((judgement.severity, codes(&judgement)), (Healthy, vec![]));
        let judgement = judged(|truenas| {
            truenas.services = vec![service("cifs", true, "STOPPED")];
            truenas.failover_licensed = Some(true);
            truenas.failover_disabled_reasons = vec!["MISMATCH_DISKS".to_owned()];
            let (name, expired) = ("old".to_owned(), Some(true));
            truenas.certificates =
                vec![pulse_proto::model::Certificate { name, expired, ..Default::default() }];
        });
        assert_eq!(judgement.severity, Warning);
        assert_eq!(codes(&judgement), ["certificate_expired", "failover_disabled", "service_stopped"]);
    }

    #[test]
    fn every_state_is_judged_as_its_row_says() {
        for row in STATES.rows {
            let judgement = judged(|truenas| truenas.system_state = row.word.into());
            assert_eq!((judgement.status, judgement.severity), (row.status, row.severity), "{}", row.word);
        }
        for row in FAILOVER.rows {
            let judgement = judged(|truenas| truenas.failover_status = row.word.into());
            assert_eq!((judgement.status, judgement.severity), (row.status, row.severity), "{}", row.word);
        }
    }

    #[test]
    fn the_connection_shows_in_the_status_and_leaves_the_severity() {
        let record = example::host(|_| {});
        for row in &CONNECTIONS {
            let subject = Subject { connection: Some(row.state), ..example::subject(&record) };
            let judgement = Tables::default().judge(&subject);
            assert_eq!((judgement.status, judgement.severity), (row.status, Healthy), "{}", row.state);
            assert_eq!(judgement.reasons.len(), usize::from(!row.code.is_empty()), "{}", row.state);
            let stale = Tables::default().judge(&Subject { freshness: Freshness::Stale, ..subject });
            assert_eq!((stale.status, stale.severity), (Status::Warning, Healthy), "{}", row.state);
        }
    }

    #[test]
    fn the_worst_child_counts_from_warning_on() {
        let record = example::host(|_| {});
        for severity in Severity::ALL {
            let worst_child = Some(WorstChild { name: "tank", severity: *severity });
            let judgement = Tables::default().judge(&Subject { worst_child, ..example::subject(&record) });
            let (status, expected) =
                if *severity >= Warning { (Status::Warning, *severity) } else { (Online, Healthy) };
            assert_eq!((judgement.status, judgement.severity), (status, expected));
        }
    }

    #[test]
    fn a_pending_reboot_is_something_to_watch() {
        let judgement = judged(|truenas| {
            truenas.reboot_required_reasons = vec!["FIPS was switched on.".into(), "Update".into()];
        });
        assert_eq!((judgement.status, judgement.severity), (Online, Monitor));
        assert_eq!(
            judgement.reasons[0].summary,
            "System nas wants a reboot: FIPS was switched on (and 1 more)."
        );
    }

    #[test]
    fn words_nobody_knows_are_counted() {
        let tables = Tables::default();
        let record = example::host(|truenas| {
            truenas.system_state = "DREAMING".into();
            truenas.failover_status = "JUGGLING".into();
        });
        let judgement = example::judge_by(&tables, &record);
        assert_eq!((judgement.status, judgement.severity), (Unknown, Monitor));
        assert_eq!(judgement.reasons.len(), 2);
    }
}
