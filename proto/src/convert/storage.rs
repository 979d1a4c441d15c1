//! The storage facet, both ways: pools with their vdev trees, and datasets.

use super::mirror::Mirror;
use super::value::{LIST_MAX, at_most, finite, line, percent, prose, time, timestamp_to_wire};
use super::{At as _, ProtocolError};
use crate::model::facet::{VDEV_DEPTH_MAX, VDEVS_MAX};
use crate::model::{Dataset, Expansion, Pool, Scan, Storage, StorageTopology, Vdev, VdevGroup, Zfs};
use crate::pb::resource::v1 as wire;

impl TryFrom<wire::StorageFacet> for Storage {
    type Error = ProtocolError;

    fn try_from(facet: wire::StorageFacet) -> Result<Self, ProtocolError> {
        let wire::StorageFacet { topology, r#type, pool, path, zfs } = facet;
        let zfs = match zfs {
            None => None,
            Some(wire::storage_facet::Zfs::ZfsPool(pool)) => Some(Zfs::Pool(pool.try_into().at("zfs_pool")?)),
            Some(wire::storage_facet::Zfs::ZfsDataset(dataset)) => {
                Some(Zfs::Dataset(dataset.try_into().at("zfs_dataset")?))
            }
        };
        let topology = StorageTopology::from_wire(topology).at("topology")?;
        let fits = match zfs {
            None => true,
            Some(Zfs::Pool(_)) => topology == StorageTopology::Pool,
            Some(Zfs::Dataset(_)) => topology == StorageTopology::Dataset,
        };
        if !fits {
            return Err(ProtocolError::invalid("does not fit the ZFS facts that come with it").at("topology"));
        }
        Ok(Self {
            topology,
            kind: line(r#type).at("type")?,
            pool: line(pool).at("pool")?,
            path: line(path).at("path")?,
            zfs,
        })
    }
}

impl From<&Storage> for wire::StorageFacet {
    fn from(facet: &Storage) -> Self {
        let Storage { topology, kind, pool, path, zfs } = facet;
        Self {
            topology: topology.to_wire(),
            r#type: kind.clone(),
            pool: pool.clone(),
            path: path.clone(),
            zfs: zfs.as_ref().map(|zfs| match zfs {
                Zfs::Pool(pool) => wire::storage_facet::Zfs::ZfsPool(pool.into()),
                Zfs::Dataset(dataset) => wire::storage_facet::Zfs::ZfsDataset(dataset.into()),
            }),
        }
    }
}

impl TryFrom<wire::ZfsPool> for Pool {
    type Error = ProtocolError;

    fn try_from(facet: wire::ZfsPool) -> Result<Self, ProtocolError> {
        let wire::ZfsPool {
            name,
            guid,
            state,
            status_code,
            status_detail,
            boot_pool,
            size_bytes,
            allocated_bytes,
            free_bytes,
            freeing_bytes,
            fragmentation_percent,
            autotrim,
            scan,
            expansion,
            groups,
            vdev_layout,
            dedup_table_size_bytes,
            upgrade_available,
            scrub_schedule,
        } = facet;
        at_most(groups.len(), LIST_MAX).at("groups")?;
        let mut budget = VDEVS_MAX;
        let mut decoded = Vec::with_capacity(groups.len());
        for (i, group) in groups.into_iter().enumerate() {
            let wire::VdevGroup { role, vdevs } = group;
            let at = |error: ProtocolError| error.at_index("groups", i);
            let role = line(role).map_err(|error| at(error.at("role")))?;
            let vdevs = vdevs_from_wire("vdevs", vdevs, VDEV_DEPTH_MAX, &mut budget).map_err(at)?;
            decoded.push(VdevGroup { role, vdevs });
        }
        Ok(Self {
            name: line(name).at("name")?,
            guid: line(guid).at("guid")?,
            state: line(state).at("state")?,
            status_code: line(status_code).at("status_code")?,
            status_detail: prose(status_detail).at("status_detail")?,
            boot_pool,
            size_bytes,
            allocated_bytes,
            free_bytes,
            freeing_bytes,
            fragmentation_percent,
            autotrim: line(autotrim).at("autotrim")?,
            scan: scan.map(Scan::try_from).transpose().at("scan")?,
            expansion: expansion.map(Expansion::try_from).transpose().at("expansion")?,
            groups: decoded,
            vdev_layout: line(vdev_layout).at("vdev_layout")?,
            dedup_table_size_bytes,
            upgrade_available,
            scrub_schedule: Mirror::read(scrub_schedule).at("scrub_schedule")?,
        })
    }
}

impl From<&Pool> for wire::ZfsPool {
    fn from(facet: &Pool) -> Self {
        let Pool {
            name,
            guid,
            state,
            status_code,
            status_detail,
            boot_pool,
            size_bytes,
            allocated_bytes,
            free_bytes,
            freeing_bytes,
            fragmentation_percent,
            autotrim,
            scan,
            expansion,
            groups,
            vdev_layout,
            dedup_table_size_bytes,
            upgrade_available,
            scrub_schedule,
        } = facet;
        Self {
            name: name.clone(),
            guid: guid.clone(),
            state: state.clone(),
            status_code: status_code.clone(),
            status_detail: status_detail.clone(),
            boot_pool: *boot_pool,
            size_bytes: *size_bytes,
            allocated_bytes: *allocated_bytes,
            free_bytes: *free_bytes,
            freeing_bytes: *freeing_bytes,
            fragmentation_percent: *fragmentation_percent,
            autotrim: autotrim.clone(),
            scan: scan.as_ref().map(Into::into),
            expansion: expansion.as_ref().map(Into::into),
            groups: groups
                .iter()
                .map(|VdevGroup { role, vdevs }| wire::VdevGroup {
                    role: role.clone(),
                    vdevs: vdevs.iter().map(Into::into).collect(),
                })
                .collect(),
            vdev_layout: vdev_layout.clone(),
            dedup_table_size_bytes: *dedup_table_size_bytes,
            upgrade_available: *upgrade_available,
            scrub_schedule: scrub_schedule.write(),
        }
    }
}

/// `depth` and `budget` bound what a hostile tree can cost.
fn vdevs_from_wire(
    field: &str,
    vdevs: Vec<wire::Vdev>,
    depth: usize,
    budget: &mut usize,
) -> Result<Vec<Vdev>, ProtocolError> {
    if vdevs.is_empty() {
        return Ok(Vec::new());
    }
    if depth == 0 {
        return Err(ProtocolError::invalid(format!("nested deeper than {VDEV_DEPTH_MAX}")));
    }
    *budget = budget
        .checked_sub(vdevs.len())
        .ok_or_else(|| ProtocolError::invalid(format!("more than {VDEVS_MAX} vdevs")))?;
    let mut decoded = Vec::with_capacity(vdevs.len());
    for (i, vdev) in vdevs.into_iter().enumerate() {
        decoded.push(vdev_from_wire(vdev, depth - 1, budget).map_err(|error| error.at_index(field, i))?);
    }
    Ok(decoded)
}

fn vdev_from_wire(vdev: wire::Vdev, depth: usize, budget: &mut usize) -> Result<Vdev, ProtocolError> {
    let wire::Vdev {
        name,
        guid,
        r#type,
        state,
        path,
        disk,
        read_errors,
        write_errors,
        checksum_errors,
        slow_ios,
        size_bytes,
        missing,
        children,
    } = vdev;
    Ok(Vdev {
        name: line(name).at("name")?,
        guid: line(guid).at("guid")?,
        kind: line(r#type).at("type")?,
        state: line(state).at("state")?,
        path: line(path).at("path")?,
        disk: line(disk).at("disk")?,
        read_errors,
        write_errors,
        checksum_errors,
        slow_ios,
        size_bytes,
        missing,
        children: vdevs_from_wire("children", children, depth, budget)?,
    })
}

impl From<&Vdev> for wire::Vdev {
    fn from(vdev: &Vdev) -> Self {
        let Vdev {
            name,
            guid,
            kind,
            state,
            path,
            disk,
            read_errors,
            write_errors,
            checksum_errors,
            slow_ios,
            size_bytes,
            missing,
            children,
        } = vdev;
        Self {
            name: name.clone(),
            guid: guid.clone(),
            r#type: kind.clone(),
            state: state.clone(),
            path: path.clone(),
            disk: disk.clone(),
            read_errors: *read_errors,
            write_errors: *write_errors,
            checksum_errors: *checksum_errors,
            slow_ios: *slow_ios,
            size_bytes: *size_bytes,
            missing: *missing,
            children: children.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::ZfsScan> for Scan {
    type Error = ProtocolError;

    fn try_from(facet: wire::ZfsScan) -> Result<Self, ProtocolError> {
        let wire::ZfsScan {
            function,
            state,
            start_time,
            end_time,
            pause_time,
            percentage,
            bytes_total,
            bytes_issued,
            errors,
            seconds_left,
        } = facet;
        Ok(Self {
            function: line(function).at("function")?,
            state: line(state).at("state")?,
            start_time: time(start_time).at("start_time")?,
            end_time: time(end_time).at("end_time")?,
            pause_time: time(pause_time).at("pause_time")?,
            percentage: percent(percentage).at("percentage")?,
            bytes_total,
            bytes_issued,
            errors,
            seconds_left,
        })
    }
}

impl From<&Scan> for wire::ZfsScan {
    fn from(facet: &Scan) -> Self {
        let Scan {
            function,
            state,
            start_time,
            end_time,
            pause_time,
            percentage,
            bytes_total,
            bytes_issued,
            errors,
            seconds_left,
        } = facet;
        Self {
            function: function.clone(),
            state: state.clone(),
            start_time: start_time.map(timestamp_to_wire),
            end_time: end_time.map(timestamp_to_wire),
            pause_time: pause_time.map(timestamp_to_wire),
            percentage: *percentage,
            bytes_total: *bytes_total,
            bytes_issued: *bytes_issued,
            errors: *errors,
            seconds_left: *seconds_left,
        }
    }
}

impl TryFrom<wire::ZfsExpansion> for Expansion {
    type Error = ProtocolError;

    fn try_from(facet: wire::ZfsExpansion) -> Result<Self, ProtocolError> {
        let wire::ZfsExpansion {
            state,
            percentage,
            start_time,
            end_time,
            seconds_left,
            waiting_for_resilver,
        } = facet;
        Ok(Self {
            state: line(state).at("state")?,
            percentage: percent(percentage).at("percentage")?,
            start_time: time(start_time).at("start_time")?,
            end_time: time(end_time).at("end_time")?,
            seconds_left,
            waiting_for_resilver,
        })
    }
}

impl From<&Expansion> for wire::ZfsExpansion {
    fn from(facet: &Expansion) -> Self {
        let Expansion { state, percentage, start_time, end_time, seconds_left, waiting_for_resilver } = facet;
        Self {
            state: state.clone(),
            percentage: *percentage,
            start_time: start_time.map(timestamp_to_wire),
            end_time: end_time.map(timestamp_to_wire),
            seconds_left: *seconds_left,
            waiting_for_resilver: *waiting_for_resilver,
        }
    }
}

impl TryFrom<wire::ZfsDataset> for Dataset {
    type Error = ProtocolError;

    fn try_from(facet: wire::ZfsDataset) -> Result<Self, ProtocolError> {
        let wire::ZfsDataset {
            name,
            pool,
            kind,
            mountpoint,
            mounted,
            readonly,
            encrypted,
            locked,
            key_loaded,
            encryption_root,
            used_bytes,
            available_bytes,
            quota_bytes,
            refquota_bytes,
            reservation_bytes,
            refreservation_bytes,
            used_by_children_bytes,
            used_by_dataset_bytes,
            used_by_snapshots_bytes,
            used_by_refreservation_bytes,
            compression,
            compress_ratio,
            volsize_bytes,
            recordsize_bytes,
            deduplication,
            sync,
            replication_target,
            comments,
            snapshot_count,
            newest_snapshot_at,
            newest_snapshot_source,
        } = facet;
        Ok(Self {
            name: line(name).at("name")?,
            pool: line(pool).at("pool")?,
            kind: line(kind).at("kind")?,
            mountpoint: line(mountpoint).at("mountpoint")?,
            mounted,
            readonly,
            encrypted,
            locked,
            key_loaded,
            encryption_root: line(encryption_root).at("encryption_root")?,
            used_bytes,
            available_bytes,
            quota_bytes,
            refquota_bytes,
            reservation_bytes,
            refreservation_bytes,
            used_by_children_bytes,
            used_by_dataset_bytes,
            used_by_snapshots_bytes,
            used_by_refreservation_bytes,
            compression: line(compression).at("compression")?,
            compress_ratio: finite(compress_ratio).at("compress_ratio")?,
            volsize_bytes,
            recordsize_bytes,
            deduplication: line(deduplication).at("deduplication")?,
            sync: line(sync).at("sync")?,
            replication_target,
            comments: prose(comments).at("comments")?,
            snapshot_count,
            newest_snapshot_at: time(newest_snapshot_at).at("newest_snapshot_at")?,
            newest_snapshot_source: line(newest_snapshot_source).at("newest_snapshot_source")?,
        })
    }
}

impl From<&Dataset> for wire::ZfsDataset {
    fn from(facet: &Dataset) -> Self {
        let Dataset {
            name,
            pool,
            kind,
            mountpoint,
            mounted,
            readonly,
            encrypted,
            locked,
            key_loaded,
            encryption_root,
            used_bytes,
            available_bytes,
            quota_bytes,
            refquota_bytes,
            reservation_bytes,
            refreservation_bytes,
            used_by_children_bytes,
            used_by_dataset_bytes,
            used_by_snapshots_bytes,
            used_by_refreservation_bytes,
            compression,
            compress_ratio,
            volsize_bytes,
            recordsize_bytes,
            deduplication,
            sync,
            replication_target,
            comments,
            snapshot_count,
            newest_snapshot_at,
            newest_snapshot_source,
        } = facet;
        Self {
            name: name.clone(),
            pool: pool.clone(),
            kind: kind.clone(),
            mountpoint: mountpoint.clone(),
            mounted: *mounted,
            readonly: *readonly,
            encrypted: *encrypted,
            locked: *locked,
            key_loaded: *key_loaded,
            encryption_root: encryption_root.clone(),
            used_bytes: *used_bytes,
            available_bytes: *available_bytes,
            quota_bytes: *quota_bytes,
            refquota_bytes: *refquota_bytes,
            reservation_bytes: *reservation_bytes,
            refreservation_bytes: *refreservation_bytes,
            used_by_children_bytes: *used_by_children_bytes,
            used_by_dataset_bytes: *used_by_dataset_bytes,
            used_by_snapshots_bytes: *used_by_snapshots_bytes,
            used_by_refreservation_bytes: *used_by_refreservation_bytes,
            compression: compression.clone(),
            compress_ratio: *compress_ratio,
            volsize_bytes: *volsize_bytes,
            recordsize_bytes: *recordsize_bytes,
            deduplication: deduplication.clone(),
            sync: sync.clone(),
            replication_target: *replication_target,
            comments: comments.clone(),
            snapshot_count: *snapshot_count,
            newest_snapshot_at: newest_snapshot_at.map(timestamp_to_wire),
            newest_snapshot_source: newest_snapshot_source.clone(),
        }
    }
}
