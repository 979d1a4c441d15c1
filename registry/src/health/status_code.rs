//! The table of ZFS status codes: what `zpool status` explains, per code.
//! Knows nothing of the pool that has one.

use pulse_proto::model::Severity::{Critical, Healthy, Monitor, Warning};
use pulse_proto::model::Status::{Offline, Online};

use super::table::{Table, row};
use super::unknown::UnknownKind;

/// A code never makes a pool better than its state says. The codes of a
/// suspended pool make it offline: releases before 24.10 say ONLINE there.
pub(super) static CODES: Table = Table {
    title: "Pool status code",
    unknown: UnknownKind::PoolStatusCode,
    rows: &[
        row("", Online, Healthy, "no code was told"),
        row("OK", Online, Healthy, "nothing is wrong"),
        row("CORRUPT_CACHE", Online, Warning, "the cache file of the pool is damaged"),
        row("MISSING_DEV_R", Online, Warning, "a device is missing and its data is held elsewhere"),
        row("MISSING_DEV_NR", Online, Critical, "a device is missing and nothing replaces it"),
        row(
            "CORRUPT_LABEL_R",
            Online,
            Warning,
            "a device has a damaged label and its data is held elsewhere",
        ),
        row("CORRUPT_LABEL_NR", Online, Critical, "a device has a damaged label and nothing replaces it"),
        row("BAD_GUID_SUM", Online, Critical, "the set of devices is not the one the pool was made of"),
        row("CORRUPT_POOL", Online, Critical, "the metadata of the pool is damaged"),
        row("CORRUPT_DATA", Online, Critical, "data is damaged and cannot be repaired"),
        row("FAILING_DEV", Online, Warning, "a device had errors that were repaired"),
        row("VERSION_NEWER", Online, Critical, "the pool is of a newer version than the system can read"),
        row("HOSTID_MISMATCH", Online, Warning, "the pool was last used by another system"),
        row("HOSTID_ACTIVE", Online, Critical, "another system is using the pool now"),
        row("HOSTID_REQUIRED", Online, Critical, "the pool wants a host id and the system has none"),
        row("IO_FAILURE_WAIT", Offline, Critical, "the pool is suspended and waits for its devices"),
        row("IO_FAILURE_CONTINUE", Offline, Critical, "the pool is suspended and refuses writes"),
        row("IO_FAILURE_MMP", Offline, Critical, "the pool is suspended because another system may use it"),
        row("BAD_LOG", Online, Critical, "the intent log cannot be read, recent writes may be lost"),
        row("ERRATA", Online, Warning, "the pool needs a repair that a ZFS erratum describes"),
        row("UNSUP_FEAT_READ", Online, Critical, "the pool uses features the system cannot read"),
        row("UNSUP_FEAT_WRITE", Online, Warning, "the pool uses features that allow reading only"),
        row("FAULTED_DEV_R", Online, Warning, "a device failed and its data is held elsewhere"),
        row("FAULTED_DEV_NR", Online, Critical, "a device failed and nothing replaces it"),
        row("VERSION_OLDER", Online, Monitor, "the pool is of an older version, an upgrade is possible"),
        row("FEAT_DISABLED", Online, Healthy, "newer features are available and not enabled"),
        row("RESILVERING", Online, Warning, "a device is being rebuilt"),
        row("OFFLINE_DEV", Online, Warning, "a device was taken offline"),
        row("REMOVED_DEV", Online, Warning, "a device was removed"),
        row("REBUILDING", Online, Warning, "a device is being rebuilt in sequence"),
        row("REBUILD_SCRUB", Online, Monitor, "a rebuild ended, a scrub should check it"),
        row("NON_NATIVE_ASHIFT", Online, Monitor, "a device works at a block size that is not its own"),
        row("COMPATIBILITY_ERR", Online, Monitor, "the compatibility property of the pool cannot be read"),
        row("INCOMPATIBLE_FEAT", Online, Monitor, "features outside the compatibility property are enabled"),
        row("LOCKED_SED_DISKS", Online, Warning, "self-encrypting disks of the pool are locked"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::example;
    use pulse_proto::model::Status;

    /// As the API of the source publishes them.
    const PUBLISHED: &str = "OK CORRUPT_CACHE MISSING_DEV_R MISSING_DEV_NR CORRUPT_LABEL_R CORRUPT_LABEL_NR \
        BAD_GUID_SUM CORRUPT_POOL CORRUPT_DATA FAILING_DEV VERSION_NEWER HOSTID_MISMATCH HOSTID_ACTIVE \
        HOSTID_REQUIRED IO_FAILURE_WAIT IO_FAILURE_CONTINUE IO_FAILURE_MMP BAD_LOG ERRATA UNSUP_FEAT_READ \
        UNSUP_FEAT_WRITE FAULTED_DEV_R FAULTED_DEV_NR VERSION_OLDER FEAT_DISABLED RESILVERING OFFLINE_DEV \
        REMOVED_DEV REBUILDING REBUILD_SCRUB NON_NATIVE_ASHIFT COMPATIBILITY_ERR INCOMPATIBLE_FEAT \
        LOCKED_SED_DISKS";

    /// What the newest middleware itself calls beyond recovery.
    const NOT_RECOVERABLE: &str = "MISSING_DEV_NR CORRUPT_LABEL_NR CORRUPT_POOL VERSION_NEWER UNSUP_FEAT_READ \
        FAULTED_DEV_NR IO_FAILURE_MMP BAD_GUID_SUM";

    /// And what it calls recoverable, which it warns of.
    const RECOVERABLE: &str = "MISSING_DEV_R CORRUPT_LABEL_R FAULTED_DEV_R CORRUPT_DATA BAD_LOG IO_FAILURE_WAIT \
        IO_FAILURE_CONTINUE FAILING_DEV";

    #[test]
    fn every_published_code_has_a_row() {
        let mut rows: Vec<_> =
            CODES.rows.iter().map(|row| row.word).filter(|word| !word.is_empty()).collect();
        let mut published: Vec<_> = PUBLISHED.split_whitespace().collect();
        rows.sort_unstable();
        published.sort_unstable();
        assert_eq!(rows, published);
    }

    #[test]
    fn no_code_is_milder_than_the_middleware_has_it() {
        for code in NOT_RECOVERABLE.split_whitespace() {
            assert_eq!(CODES.find(code).map(|row| row.severity), Some(Critical), "{code}");
        }
        for code in RECOVERABLE.split_whitespace() {
            assert!(CODES.find(code).is_some_and(|row| row.severity >= Warning), "{code}");
        }
    }

    #[test]
    fn every_code_is_judged_on_an_online_pool() {
        for row in CODES.rows {
            let judgement = example::judge(&example::pool(|pool| pool.status_code = row.word.into()));
            assert_eq!(judgement.severity, row.severity, "{}", row.word);
            let status = match (row.status, row.severity) {
                (Online, Warning | Critical) => Status::Warning,
                (status, _) => status,
            };
            assert_eq!(judgement.status, status, "{}", row.word);
            let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.code).collect();
            let expected: &[&str] = if row.severity == Healthy { &[] } else { &["zfs_status_code"] };
            assert_eq!(reasons, expected, "{}", row.word);
        }
    }
}
