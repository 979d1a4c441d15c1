//! Native alerts of the source: their level decides, their class names the
//! reason. A dismissed alert counts for nothing: somebody has seen it.

use pulse_proto::model::AlertLevel::{Alert, Critical, Emergency, Error, Info, Notice, Warning};
use pulse_proto::model::{AlertLevel, Incident, Severity};

use super::verdict::{Verdict, quote};

pub(super) static LEVELS: [(AlertLevel, Severity); 7] = [
    (Info, Severity::Monitor),
    (Notice, Severity::Monitor),
    (Warning, Severity::Warning),
    (Error, Severity::Critical),
    (Critical, Severity::Critical),
    (Alert, Severity::Critical),
    (Emergency, Severity::Critical),
];

/// Classes that share a prefix share a reason code.
pub(super) struct ClassRow {
    pub(super) prefix: &'static str,
    pub(super) code: &'static str,
    /// News of something that went well weighs nothing, unless an operator
    /// gave the class a level of warning or above.
    pub(super) good_news: bool,
}

const fn class(prefix: &'static str, code: &'static str) -> ClassRow {
    ClassRow { prefix, code, good_news: false }
}

const fn news(prefix: &'static str, code: &'static str) -> ClassRow {
    ClassRow { prefix, code, good_news: true }
}

/// The first prefix that fits decides.
pub(super) static CLASSES: &[ClassRow] = &[
    class("VolumeStatus", "truenas_volume_status"),
    class("BootPoolStatus", "truenas_volume_status"),
    class("ZpoolCapacity", "truenas_pool_capacity"),
    news("PoolUpgraded", "truenas_pool_upgraded"),
    news("ScrubStarted", "truenas_scrub"),
    class("Scrub", "truenas_scrub"),
    class("Quota", "truenas_quota"),
    class("Snapshot", "truenas_snapshot"),
    news("ReplicationSuccess", "truenas_replication"),
    class("Replication", "truenas_replication"),
    class("EncryptedDataset", "truenas_encrypted_dataset"),
    class("DiskTemperature", "truenas_disk_temperature"),
    class("SMART", "truenas_smart"),
    news("UPSOnline", "truenas_ups"),
    class("UPS", "truenas_ups"),
    class("Certificate", "truenas_certificate"),
    class("ApiKeyRevoked", "truenas_api"),
    class("RESTAPIUsage", "truenas_api"),
    class("", "truenas_alert"),
];

pub(super) fn judge(incidents: &[Incident], verdict: &mut Verdict<'_>) {
    for incident in incidents.iter().filter(|incident| !incident.dismissed) {
        let (code, severity) = weigh(&incident.klass, incident.level);
        let klass = quote(&incident.klass);
        let named = if klass.is_empty() { String::new() } else { format!(" {klass}") };
        let text = quote(&incident.text);
        let said = if text.is_empty() { ".".to_owned() } else { format!(": {text}") };
        verdict.reason(
            code,
            severity,
            format!("Native alert{named} of level {}{said}", incident.level),
            [
                ("klass", klass),
                ("level", incident.level.to_string()),
                ("native_id", incident.native_id.clone()),
                ("node", incident.node.clone()),
            ],
        );
    }
}

fn weigh(klass: &str, level: AlertLevel) -> (&'static str, Severity) {
    let severity = LEVELS.iter().find(|row| row.0 == level).map_or(Severity::Critical, |row| row.1);
    let row = CLASSES.iter().find(|row| klass.starts_with(row.prefix));
    let code = row.map_or("truenas_alert", |row| row.code);
    if row.is_some_and(|row| row.good_news) && severity <= Severity::Monitor {
        return (code, Severity::Healthy);
    }
    (code, severity)
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::Status;

    use super::*;
    use crate::health::example;

    /// Storage classes as the API of the source publishes them, and where they go.
    const PUBLISHED: [(&str, &str); 25] = [
        ("VolumeStatus", "truenas_volume_status"),
        ("BootPoolStatus", "truenas_volume_status"),
        ("ZpoolCapacityNotice", "truenas_pool_capacity"),
        ("ZpoolCapacityWarning", "truenas_pool_capacity"),
        ("ZpoolCapacityCritical", "truenas_pool_capacity"),
        ("PoolUpgraded", "truenas_pool_upgraded"),
        ("ScrubPaused", "truenas_scrub"),
        ("ScrubStarted", "truenas_scrub"),
        ("ScrubNotStarted", "truenas_scrub"),
        ("QuotaWarning", "truenas_quota"),
        ("QuotaCritical", "truenas_quota"),
        ("SnapshotCount", "truenas_snapshot"),
        ("SnapshotTotalCount", "truenas_snapshot"),
        ("SnapshotFailed", "truenas_snapshot"),
        ("ReplicationFailed", "truenas_replication"),
        ("ReplicationSuccess", "truenas_replication"),
        ("EncryptedDataset", "truenas_encrypted_dataset"),
        ("DiskTemperatureTooHot", "truenas_disk_temperature"),
        ("SMART", "truenas_smart"),
        ("SMARTUncorrectedErrors", "truenas_smart"),
        ("UPSOnBattery", "truenas_ups"),
        ("UPSOnline", "truenas_ups"),
        ("CertificateIsExpiring", "truenas_certificate"),
        ("ApiKeyRevoked", "truenas_api"),
        ("RESTAPIUsage", "truenas_api"),
    ];

    fn incident(klass: &str, level: AlertLevel) -> Incident {
        Incident {
            provider: "truenas".into(),
            native_id: "a1".into(),
            klass: klass.into(),
            level,
            text: "Something is up.\nMore of it.".into(),
            args_json: String::new(),
            node: "Controller A".into(),
            dismissed: false,
            one_shot: false,
            started_at: None,
        }
    }

    #[test]
    fn every_level_is_judged_as_its_row_says() {
        assert_eq!(LEVELS.map(|(level, _)| level).as_slice(), AlertLevel::ALL);
        assert!(LEVELS.is_sorted_by_key(|row| row.1));
        for (level, severity) in LEVELS {
            for mut record in [example::pool(|_| {}), example::dataset(|_| {}), example::host(|_| {})] {
                record.incidents = vec![incident("VolumeStatus", level)];
                let judgement = example::judge(&record);
                assert_eq!(judgement.severity, severity, "{level}");
                let lifted = if severity >= Severity::Warning { Status::Warning } else { Status::Online };
                assert_eq!(judgement.status, lifted, "{level}");
                record.incidents[0].dismissed = true;
                assert!(example::judge(&record).reasons.is_empty(), "{level}");
            }
        }
    }

    #[test]
    fn every_published_class_has_its_code() {
        for (klass, code) in PUBLISHED {
            assert_eq!(weigh(klass, Warning), (code, Severity::Warning), "{klass}");
        }
        assert_eq!(weigh("SomethingNew", Error), ("truenas_alert", Severity::Critical));
        for row in CLASSES {
            assert_eq!(weigh(row.prefix, Critical), (row.code, Severity::Critical), "{}", row.prefix);
        }
    }

    #[test]
    fn good_news_weigh_nothing_until_an_operator_says_otherwise() {
        for row in CLASSES.iter().filter(|row| row.good_news) {
            assert_eq!(weigh(row.prefix, Info), (row.code, Severity::Healthy), "{}", row.prefix);
            assert_eq!(weigh(row.prefix, Warning), (row.code, Severity::Warning), "{}", row.prefix);
        }
    }

    #[test]
    fn the_summary_is_one_sentence() {
        let mut record = example::pool(|_| {});
        record.incidents = vec![incident("VolumeStatus", Alert)];
        let judgement = example::judge(&record);
        let expected = "Native alert VolumeStatus of level alert: Something is up.";
        assert_eq!(judgement.reasons[0].summary, expected);
    }
}
