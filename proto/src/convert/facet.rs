//! Facets of machines and disks, both ways.

use super::value::{finite, line, lines, time, timestamp_to_wire};
use super::{At as _, ProtocolError};
use crate::model::{Agent, Disk, TrueNas};
use crate::pb::resource::v1 as wire;

impl TryFrom<wire::AgentFacet> for Agent {
    type Error = ProtocolError;

    fn try_from(facet: wire::AgentFacet) -> Result<Self, ProtocolError> {
        let wire::AgentFacet {
            hostname,
            platform,
            os_name,
            os_version,
            cpu_model,
            cpu_count,
            physical_cores,
            memory_total_bytes,
            ecc_memory,
            boot_time,
            timezone,
            manufacturer,
            product,
            serial,
        } = facet;
        Ok(Self {
            hostname: line(hostname).at("hostname")?,
            platform: line(platform).at("platform")?,
            os_name: line(os_name).at("os_name")?,
            os_version: line(os_version).at("os_version")?,
            cpu_model: line(cpu_model).at("cpu_model")?,
            cpu_count,
            physical_cores,
            memory_total_bytes,
            ecc_memory,
            boot_time: time(boot_time).at("boot_time")?,
            timezone: line(timezone).at("timezone")?,
            manufacturer: line(manufacturer).at("manufacturer")?,
            product: line(product).at("product")?,
            serial: line(serial).at("serial")?,
        })
    }
}

impl From<&Agent> for wire::AgentFacet {
    fn from(facet: &Agent) -> Self {
        let Agent {
            hostname,
            platform,
            os_name,
            os_version,
            cpu_model,
            cpu_count,
            physical_cores,
            memory_total_bytes,
            ecc_memory,
            boot_time,
            timezone,
            manufacturer,
            product,
            serial,
        } = facet;
        Self {
            hostname: hostname.clone(),
            platform: platform.clone(),
            os_name: os_name.clone(),
            os_version: os_version.clone(),
            cpu_model: cpu_model.clone(),
            cpu_count: *cpu_count,
            physical_cores: *physical_cores,
            memory_total_bytes: *memory_total_bytes,
            ecc_memory: *ecc_memory,
            boot_time: boot_time.map(timestamp_to_wire),
            timezone: timezone.clone(),
            manufacturer: manufacturer.clone(),
            product: product.clone(),
            serial: serial.clone(),
        }
    }
}

impl TryFrom<wire::TrueNasFacet> for TrueNas {
    type Error = ProtocolError;

    fn try_from(facet: wire::TrueNasFacet) -> Result<Self, ProtocolError> {
        let wire::TrueNasFacet {
            hostname,
            version,
            product_type,
            transport,
            api_version,
            host_id,
            global_id,
            system_state,
            reboot_required_reasons,
            failover_status,
        } = facet;
        Ok(Self {
            hostname: line(hostname).at("hostname")?,
            version: line(version).at("version")?,
            product_type: line(product_type).at("product_type")?,
            transport: line(transport).at("transport")?,
            api_version: line(api_version).at("api_version")?,
            host_id: line(host_id).at("host_id")?,
            global_id: line(global_id).at("global_id")?,
            system_state: line(system_state).at("system_state")?,
            reboot_required_reasons: lines(reboot_required_reasons).at("reboot_required_reasons")?,
            failover_status: line(failover_status).at("failover_status")?,
        })
    }
}

impl From<&TrueNas> for wire::TrueNasFacet {
    fn from(facet: &TrueNas) -> Self {
        let TrueNas {
            hostname,
            version,
            product_type,
            transport,
            api_version,
            host_id,
            global_id,
            system_state,
            reboot_required_reasons,
            failover_status,
        } = facet;
        Self {
            hostname: hostname.clone(),
            version: version.clone(),
            product_type: product_type.clone(),
            transport: transport.clone(),
            api_version: api_version.clone(),
            host_id: host_id.clone(),
            global_id: global_id.clone(),
            system_state: system_state.clone(),
            reboot_required_reasons: reboot_required_reasons.clone(),
            failover_status: failover_status.clone(),
        }
    }
}

impl TryFrom<wire::PhysicalDiskFacet> for Disk {
    type Error = ProtocolError;

    fn try_from(facet: wire::PhysicalDiskFacet) -> Result<Self, ProtocolError> {
        let wire::PhysicalDiskFacet {
            dev_path,
            name,
            model,
            serial,
            wwn,
            disk_type,
            bus,
            size_bytes,
            rpm,
            pool,
            pool_role,
            vdev_state,
            zfs_guid,
            read_errors,
            write_errors,
            checksum_errors,
            missing,
            temperature_celsius,
            identifier,
            spare_in_use,
        } = facet;
        Ok(Self {
            dev_path: line(dev_path).at("dev_path")?,
            name: line(name).at("name")?,
            model: line(model).at("model")?,
            serial: line(serial).at("serial")?,
            wwn: line(wwn).at("wwn")?,
            disk_type: line(disk_type).at("disk_type")?,
            bus: line(bus).at("bus")?,
            size_bytes,
            rpm,
            pool: line(pool).at("pool")?,
            pool_role: line(pool_role).at("pool_role")?,
            vdev_state: line(vdev_state).at("vdev_state")?,
            zfs_guid: line(zfs_guid).at("zfs_guid")?,
            read_errors,
            write_errors,
            checksum_errors,
            missing,
            temperature_celsius: finite(temperature_celsius).at("temperature_celsius")?,
            identifier: line(identifier).at("identifier")?,
            spare_in_use,
        })
    }
}

impl From<&Disk> for wire::PhysicalDiskFacet {
    fn from(facet: &Disk) -> Self {
        let Disk {
            dev_path,
            name,
            model,
            serial,
            wwn,
            disk_type,
            bus,
            size_bytes,
            rpm,
            pool,
            pool_role,
            vdev_state,
            zfs_guid,
            read_errors,
            write_errors,
            checksum_errors,
            missing,
            temperature_celsius,
            identifier,
            spare_in_use,
        } = facet;
        Self {
            dev_path: dev_path.clone(),
            name: name.clone(),
            model: model.clone(),
            serial: serial.clone(),
            wwn: wwn.clone(),
            disk_type: disk_type.clone(),
            bus: bus.clone(),
            size_bytes: *size_bytes,
            rpm: *rpm,
            pool: pool.clone(),
            pool_role: pool_role.clone(),
            vdev_state: vdev_state.clone(),
            zfs_guid: zfs_guid.clone(),
            read_errors: *read_errors,
            write_errors: *write_errors,
            checksum_errors: *checksum_errors,
            missing: *missing,
            temperature_celsius: *temperature_celsius,
            identifier: identifier.clone(),
            spare_in_use: *spare_in_use,
        }
    }
}
