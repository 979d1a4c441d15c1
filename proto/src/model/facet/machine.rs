//! Machines, their parts and their disks.

use crate::model::UnixMillis;

/// Facts of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    pub hostname: String,
    pub platform: String,
    pub os_name: String,
    pub os_version: String,
    pub cpu_model: String,
    pub cpu_count: Option<u32>,
    pub physical_cores: Option<u32>,
    pub memory_total_bytes: Option<u64>,
    pub ecc_memory: Option<bool>,
    pub boot_time: Option<UnixMillis>,
    pub timezone: String,
    pub manufacturer: String,
    pub product: String,
    pub serial: String,
    pub interfaces: Vec<NetworkInterface>,
}

/// Facts only a TrueNAS system has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrueNas {
    pub hostname: String,
    pub version: String,
    pub product_type: String,
    pub transport: String,
    pub api_version: String,
    pub host_id: String,
    pub global_id: String,
    pub system_state: String,
    pub reboot_required_reasons: Vec<String>,
    pub failover_status: String,
    pub failover_node: String,
    pub failover_licensed: Option<bool>,
    pub failover_disabled_reasons: Vec<String>,
    pub services: Vec<Service>,
    pub certificates: Vec<Certificate>,
    pub ups: Option<Ups>,
    pub update: Option<SoftwareUpdate>,
}

/// Measured values of one moment. What was not told is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub observed_at: Option<UnixMillis>,
    pub cpu_percent: Option<f64>,
    pub memory_total_bytes: Option<u64>,
    /// Without what the ZFS cache would give back; `None` when the size of that cache is not known.
    pub memory_used_bytes: Option<u64>,
    pub memory_available_bytes: Option<u64>,
    pub memory_arc_bytes: Option<u64>,
    pub load_1m: Option<f64>,
    pub load_5m: Option<f64>,
    pub load_15m: Option<f64>,
    pub network_receive_bytes_per_second: Option<u64>,
    pub network_send_bytes_per_second: Option<u64>,
    pub disk_read_bytes_per_second: Option<u64>,
    pub disk_write_bytes_per_second: Option<u64>,
    pub cpu_temperature_celsius: Option<f64>,
    pub uptime_seconds: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    /// Starts with the machine.
    pub enabled: Option<bool>,
    pub state: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkInterface {
    pub name: String,
    /// As told: PHYSICAL, BRIDGE, LINK_AGGREGATION, VLAN ...
    pub kind: String,
    pub link_state: String,
    pub media: String,
    pub mac_address: String,
    /// With prefix length.
    pub addresses: Vec<String>,
    pub mtu: Option<u32>,
    pub description: String,
    pub members: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Certificate {
    pub name: String,
    pub common_name: String,
    pub issuer: String,
    pub alternative_names: Vec<String>,
    pub not_after: Option<UnixMillis>,
    pub expired: Option<bool>,
}

/// An uninterruptible power supply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ups {
    pub identifier: String,
    pub mode: String,
    pub driver: String,
    pub description: String,
    pub charge_percent: Option<f64>,
    pub load_percent: Option<f64>,
    pub runtime_seconds: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoftwareUpdate {
    pub state: String,
    pub available: Option<bool>,
    /// The version offered; empty when none is.
    pub version: String,
    pub train: String,
    pub download_percent: Option<f64>,
    pub error: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    pub dev_path: String,
    pub name: String,
    pub model: String,
    pub serial: String,
    pub wwn: String,
    pub disk_type: String,
    pub bus: String,
    pub size_bytes: Option<u64>,
    /// The real rotation rate; `None` for solid state or when not told.
    pub rpm: Option<u32>,
    pub pool: String,
    pub pool_role: String,
    /// State of its vdev, as told; empty when it is in no pool.
    pub vdev_state: String,
    pub zfs_guid: String,
    pub read_errors: Option<u64>,
    pub write_errors: Option<u64>,
    pub checksum_errors: Option<u64>,
    pub missing: bool,
    /// Finite.
    pub temperature_celsius: Option<f64>,
    pub identifier: String,
    pub spare_in_use: Option<bool>,
    pub temperature_min_celsius: Option<f64>,
    pub temperature_max_celsius: Option<f64>,
    pub temperature_average_celsius: Option<f64>,
    pub temperature_critical_celsius: Option<f64>,
    pub enclosure_slot: Option<u32>,
}
