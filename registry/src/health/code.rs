//! Every code that a reason of health can have: what rules and filters may name.

/// In the order of the alphabet.
pub const CODES: [&str; 54] = [
    "certificate_expired",
    "child_health",
    "connection_authenticating",
    "connection_backing_off",
    "connection_connecting",
    "connection_degraded",
    "connection_disabled",
    "connection_refused",
    "disk_temperature",
    "failover_disabled",
    "failover_status",
    "reboot_required",
    "resource_state",
    "service_stopped",
    "system_state",
    "task_disabled",
    "truenas_alert",
    "truenas_api",
    "truenas_certificate",
    "truenas_disk_temperature",
    "truenas_encrypted_dataset",
    "truenas_pool_capacity",
    "truenas_pool_upgraded",
    "truenas_quota",
    "truenas_replication",
    "truenas_scrub",
    "truenas_smart",
    "truenas_snapshot",
    "truenas_ups",
    "truenas_volume_status",
    UNKNOWN_VALUE,
    "zfs_dataset_locked",
    "zfs_dataset_quota",
    "zfs_dataset_readonly",
    "zfs_dataset_refquota",
    "zfs_dataset_unmounted",
    "zfs_device_errors",
    "zfs_device_missing",
    "zfs_device_state",
    "zfs_expansion_active",
    "zfs_expansion_canceled",
    "zfs_expansion_failed",
    "zfs_pool_capacity",
    "zfs_pool_state",
    "zfs_resilver_active",
    "zfs_resilver_canceled",
    "zfs_resilver_paused",
    "zfs_scan_errors",
    "zfs_scan_failed",
    "zfs_scrub_active",
    "zfs_scrub_canceled",
    "zfs_scrub_paused",
    "zfs_spare_in_use",
    "zfs_status_code",
];

pub(super) const UNKNOWN_VALUE: &str = "unknown_value";

pub fn is_known(code: &str) -> bool {
    CODES.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{dataset, host, native, scan};
    use super::*;

    #[test]
    fn the_codes_are_in_order_and_hold_those_of_the_tables() {
        assert!(CODES.is_sorted(), "it is searched");
        let scans = scan::SCANS.iter().chain(scan::EXPANSIONS).map(|row| row.code);
        let tables = scans
            .chain(dataset::CONDITIONS.iter().map(|row| row.code))
            .chain(native::CLASSES.iter().map(|row| row.code))
            .chain(host::CONNECTIONS.iter().map(|row| row.code));
        for code in tables.filter(|code| !code.is_empty()) {
            assert!(is_known(code), "{code}");
        }
    }
}
