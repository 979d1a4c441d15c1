//! Facets whose wire form has the same fields as the model: one line names them, and both ways follow from their types. A field
//! that only one side has does not compile.

use super::value::{LIST_MAX, at_most, line, timestamp_from_wire, timestamp_to_wire};
use super::{At as _, ProtocolError};
use crate::model::{self, UnixMillis};
use crate::pb::resource::v1 as wire;

/// A value that looks alike on both sides.
pub(super) trait Mirror: Sized {
    type Wire;

    fn read(wire: Self::Wire) -> Result<Self, ProtocolError>;
    fn write(&self) -> Self::Wire;
}

macro_rules! plain {
    ($($kind:ty),+) => {$(
        impl Mirror for $kind {
            type Wire = Self;

            fn read(wire: Self) -> Result<Self, ProtocolError> {
                Ok(wire)
            }

            fn write(&self) -> Self {
                *self
            }
        }
    )+};
}

plain!(bool, u32, u64);

impl Mirror for f64 {
    type Wire = Self;

    fn read(wire: Self) -> Result<Self, ProtocolError> {
        if wire.is_finite() { Ok(wire) } else { Err(ProtocolError::invalid("must be a finite number")) }
    }

    fn write(&self) -> Self {
        *self
    }
}

impl Mirror for String {
    type Wire = Self;

    fn read(wire: Self) -> Result<Self, ProtocolError> {
        line(wire)
    }

    fn write(&self) -> Self {
        self.clone()
    }
}

impl Mirror for UnixMillis {
    type Wire = prost_types::Timestamp;

    fn read(wire: Self::Wire) -> Result<Self, ProtocolError> {
        timestamp_from_wire(&wire)
    }

    fn write(&self) -> Self::Wire {
        timestamp_to_wire(*self)
    }
}

impl<T: Mirror> Mirror for Option<T> {
    type Wire = Option<T::Wire>;

    fn read(wire: Self::Wire) -> Result<Self, ProtocolError> {
        wire.map(T::read).transpose()
    }

    fn write(&self) -> Self::Wire {
        self.as_ref().map(T::write)
    }
}

impl<T: Mirror> Mirror for Vec<T> {
    type Wire = Vec<T::Wire>;

    fn read(wire: Self::Wire) -> Result<Self, ProtocolError> {
        at_most(wire.len(), LIST_MAX)?;
        wire.into_iter().enumerate().map(|(i, one)| T::read(one).map_err(|e| e.at(&i.to_string()))).collect()
    }

    fn write(&self) -> Self::Wire {
        self.iter().map(T::write).collect()
    }
}

macro_rules! mirror {
    ($($model:ident = $wire:ident { $($field:ident),+ $(,)? })+) => {$(
        impl Mirror for model::$model {
            type Wire = wire::$wire;

            fn read(wire: Self::Wire) -> Result<Self, ProtocolError> {
                let wire::$wire { $($field),+ } = wire;
                Ok(Self { $($field: Mirror::read($field).at(stringify!($field))?),+ })
            }

            fn write(&self) -> Self::Wire {
                let Self { $($field),+ } = self;
                wire::$wire { $($field: Mirror::write($field)),+ }
            }
        }

        impl TryFrom<wire::$wire> for model::$model {
            type Error = ProtocolError;

            fn try_from(facet: wire::$wire) -> Result<Self, ProtocolError> {
                Mirror::read(facet)
            }
        }

        impl From<&model::$model> for wire::$wire {
            fn from(facet: &model::$model) -> Self {
                facet.write()
            }
        }
    )+};
}

mirror! {
    Agent = AgentFacet {
        hostname, platform, os_name, os_version, cpu_model, cpu_count, physical_cores, memory_total_bytes, ecc_memory,
        boot_time, timezone, manufacturer, product, serial, interfaces,
    }
    TrueNas = TrueNasFacet {
        hostname, version, product_type, transport, api_version, host_id, global_id, system_state,
        reboot_required_reasons, failover_status, failover_node, failover_licensed, failover_disabled_reasons, services,
        certificates, ups, update,
    }
    Metrics = Metrics {
        observed_at, cpu_percent, memory_total_bytes, memory_used_bytes, memory_available_bytes, memory_arc_bytes,
        load_1m, load_5m, load_15m, network_receive_bytes_per_second, network_send_bytes_per_second,
        disk_read_bytes_per_second, disk_write_bytes_per_second, cpu_temperature_celsius, uptime_seconds,
    }
    Service = Service { name, enabled, state }
    NetworkInterface = NetworkInterface {
        name, kind, link_state, media, mac_address, addresses, mtu, description, members,
    }
    Certificate = Certificate { name, common_name, issuer, alternative_names, not_after, expired }
    Ups = Ups { identifier, mode, driver, description, charge_percent, load_percent, runtime_seconds }
    SoftwareUpdate = SoftwareUpdate { state, available, version, train, download_percent, error }
    Disk = PhysicalDiskFacet {
        dev_path, name, model, serial, wwn, disk_type, bus, size_bytes, rpm, pool, pool_role, vdev_state, zfs_guid,
        read_errors, write_errors, checksum_errors, missing, temperature_celsius, identifier, spare_in_use,
        temperature_min_celsius, temperature_max_celsius, temperature_average_celsius, temperature_critical_celsius,
        enclosure_slot,
    }
    App = AppFacet {
        id, state, title, train, version, human_version, latest_version, upgrade_available, image_updates_available,
        custom, error, container_count, containers, ports, volumes, images, networks, host_addresses, portals,
    }
    AppContainer = AppContainer { id, service_name, image, state }
    AppPort = AppPort { container_port, protocol, host_port, host_address }
    AppVolume = AppVolume { source, destination, mode, kind }
    Vm = VmFacet {
        id, uuid, description, state, domain_state, vcpus, cores, threads, memory_bytes, min_memory_bytes, autostart,
        cpu_mode, cpu_model, bootloader, disk_count, nic_count, display_count, cdrom_count, usb_count, pci_count, image,
        dataset, addresses,
    }
    Share = NetworkShareFacet {
        protocol, id, path, dataset, relative_path, comment, enabled, locked, read_only, purpose, browsable,
        access_based_enumeration, audit_enabled, expose_snapshots, aliases, hosts, networks, security, map_root_user,
        map_root_group, map_all_user, map_all_group, extents,
    }
    Task = ProtectionTaskFacet {
        kind, id, description, enabled, automatic, schedule, state, state_since, message, progress_percent, direction,
        transport, source_datasets, target, remote, recursive, last_snapshot, retention, naming_schema, locked,
        warnings, excluded_datasets,
    }
    ScrubSchedule = ScrubSchedule { enabled, schedule, threshold_days }
}
