//! How full is too full, for pools and for datasets with a quota of their own.
//! A dataset without one fills its pool, and the pool says so.

use pulse_proto::model::Severity::{Critical, Monitor, Warning};
use pulse_proto::model::{Dataset, IngestRecord, Pool, Severity};

use super::verdict::Verdict;

/// From this share on, in percent, worst first. 85 and 95 are the alert
/// thresholds of Pulse, 80 is where its alerts clear.
pub(super) const LIMITS: [(u64, Severity); 3] = [(95, Critical), (85, Warning), (80, Monitor)];

/// The limit that `used` of `total` has reached; an empty total reaches none.
pub(super) fn reached(used: u64, total: u64) -> Option<(u64, Severity)> {
    let share = |percent: u64| u128::from(used) * 100 >= u128::from(total) * u128::from(percent);
    LIMITS.into_iter().find(|(percent, _)| total > 0 && share(*percent))
}

/// Usable capacity where it is known, else what the devices hold.
pub(super) fn judge_pool(name: &str, record: &IngestRecord, pool: &Pool, verdict: &mut Verdict<'_>) {
    let usable = record.capacity.and_then(|capacity| Some((capacity.used_bytes?, capacity.total_bytes?)));
    let raw = || Some((pool.allocated_bytes?, pool.size_bytes?));
    let Some((used, total)) = usable.or_else(raw) else { return };
    tell("zfs_pool_capacity", ("Pool", name), "capacity", used, total, verdict);
}

pub(super) fn judge_dataset(name: &str, dataset: &Dataset, verdict: &mut Verdict<'_>) {
    let quota = dataset.used_bytes.zip(dataset.quota_bytes);
    let refquota = dataset.used_by_dataset_bytes.zip(dataset.refquota_bytes);
    let subject = ("Dataset", name);
    if let Some((used, total)) = quota {
        tell("zfs_dataset_quota", subject, "quota", used, total, verdict);
    }
    if let Some((used, total)) = refquota {
        tell("zfs_dataset_refquota", subject, "own quota (refquota)", used, total, verdict);
    }
}

fn tell(
    code: &'static str,
    (kind, name): (&str, &str),
    of_what: &str,
    used: u64,
    total: u64,
    verdict: &mut Verdict<'_>,
) {
    let Some((percent, severity)) = reached(used, total) else { return };
    verdict.reason(
        code,
        severity,
        format!("{kind} {name} uses {percent} % or more of its {of_what}."),
        [
            ("threshold_percent", percent.to_string()),
            ("used_bytes", used.to_string()),
            ("total_bytes", total.to_string()),
        ],
    );
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::Capacity;

    use super::*;
    use crate::health::example;

    /// Used of 1000, and what that means.
    const CASES: [(u64, Option<Severity>); 9] = [
        (0, None),
        (799, None),
        (800, Some(Monitor)),
        (849, Some(Monitor)),
        (850, Some(Warning)),
        (949, Some(Warning)),
        (950, Some(Critical)),
        (1000, Some(Critical)),
        (2000, Some(Critical)),
    ];

    #[test]
    fn each_limit_begins_exactly_where_it_says() {
        for (used, expected) in CASES {
            assert_eq!(reached(used, 1000).map(|(_, severity)| severity), expected, "{used}");
        }
        assert_eq!(reached(5, 0), None);
        assert_eq!(reached(u64::MAX, u64::MAX), Some((95, Critical)));
    }

    #[test]
    fn a_pool_is_judged_by_usable_capacity_before_raw() {
        for (used, expected) in CASES {
            let mut record = example::pool(|pool| {
                pool.allocated_bytes = Some(used);
                pool.size_bytes = Some(1000);
            });
            let raw = example::judge(&record).reasons.first().map(|reason| reason.severity);
            assert_eq!(raw, expected, "raw {used}");
            record.capacity = Some(Capacity {
                used_bytes: Some(1),
                total_bytes: Some(100),
                raw_used_bytes: Some(used),
                ..Capacity::default()
            });
            assert!(example::judge(&record).reasons.is_empty(), "usable {used}");
        }
    }

    #[test]
    fn a_dataset_is_judged_by_its_quotas_only() {
        for (used, expected) in CASES {
            let quota = example::dataset(|dataset| {
                dataset.used_bytes = Some(used);
                dataset.quota_bytes = Some(1000);
            });
            let refquota = example::dataset(|dataset| {
                dataset.used_by_dataset_bytes = Some(used);
                dataset.refquota_bytes = Some(1000);
            });
            for (record, code) in [(quota, "zfs_dataset_quota"), (refquota, "zfs_dataset_refquota")] {
                let got = example::judge(&record).reasons.first().map(|r| (r.code, r.severity));
                assert_eq!(got, expected.map(|severity| (code, severity)), "{used}");
            }
        }
        let full = example::dataset(|dataset| {
            dataset.used_bytes = Some(1000);
            dataset.available_bytes = Some(0);
        });
        assert!(example::judge(&full).reasons.is_empty());
    }
}
