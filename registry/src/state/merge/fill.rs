//! What a leading record does not tell, told by another: field by field, and
//! as a whole where only fields of one observation fit each other. Pure.

use pulse_proto::model::{Agent, Capacity, Disk, Facets, Identity, IngestRecord, Metrics};

/// A value that may not have been told.
trait Told {
    fn is_told(&self) -> bool;
}

impl Told for String {
    fn is_told(&self) -> bool {
        !self.is_empty()
    }
}

impl<T> Told for Vec<T> {
    fn is_told(&self) -> bool {
        !self.is_empty()
    }
}

impl<T> Told for Option<T> {
    fn is_told(&self) -> bool {
        self.is_some()
    }
}

/// Takes each group of fields from the other when none of the group is told.
macro_rules! fill {
    ($into:ident, $from:ident: $([$($field:ident),+]),+ $(,)?) => {
        $(if !($($into.$field.is_told())||+) {
            $($into.$field = $from.$field.clone();)+
        })+
    };
}

/// Fills `record` from a record of the same thing by another source. Metrics are not filled here: who measures best is
/// another question.
pub(super) fn record(record: &mut IngestRecord, other: &IngestRecord) {
    identity(&mut record.identity, &other.identity);
    if let Some(theirs) = &other.capacity {
        capacity(record.capacity.get_or_insert_default(), theirs);
    }
    record.tags.extend(other.tags.iter().cloned());
    record.tags.sort();
    record.tags.dedup();
    let known = |theirs: &pulse_proto::model::Incident| {
        record
            .incidents
            .iter()
            .any(|ours| (&ours.provider, &ours.native_id) == (&theirs.provider, &theirs.native_id))
    };
    let more: Vec<_> = other.incidents.iter().filter(|theirs| !known(theirs)).cloned().collect();
    record.incidents.extend(more);
    facets(&mut record.facets, &other.facets);
}

fn facets(ours: &mut Facets, theirs: &Facets) {
    let Facets {
        agent: their_agent,
        truenas,
        storage,
        physical_disk,
        app,
        vm,
        network_share,
        protection_task,
        metrics: _,
    } = theirs;
    match (&mut ours.agent, their_agent) {
        (Some(ours), Some(theirs)) => agent(ours, theirs),
        (ours @ None, theirs) => ours.clone_from(theirs),
        (Some(_), None) => {}
    }
    match (&mut ours.physical_disk, physical_disk) {
        (Some(ours), Some(theirs)) => disk(ours, theirs),
        (ours @ None, theirs) => ours.clone_from(theirs),
        (Some(_), None) => {}
    }
    // Only one source has such a facet of a host or a disk.
    macro_rules! whole {
        ($($field:ident),+) => { $(if ours.$field.is_none() { ours.$field.clone_from($field); })+ };
    }
    whole!(truenas, storage, app, vm, network_share, protection_task);
}

fn identity(ours: &mut Identity, theirs: &Identity) {
    let Identity { machine_id: _, dmi_uuid: _, hostnames, ip_addresses, mac_addresses } = theirs;
    fill!(ours, theirs: [machine_id], [dmi_uuid]);
    for (ours, theirs) in [
        (&mut ours.hostnames, hostnames),
        (&mut ours.ip_addresses, ip_addresses),
        (&mut ours.mac_addresses, mac_addresses),
    ] {
        let more: Vec<String> = theirs.iter().filter(|text| !ours.contains(text)).cloned().collect();
        ours.extend(more);
    }
}

/// Sizes of one kind belong together.
fn capacity(ours: &mut Capacity, theirs: &Capacity) {
    fill!(
        ours, theirs:
        [total_bytes, used_bytes, available_bytes],
        [raw_total_bytes, raw_used_bytes, raw_free_bytes],
    );
}

fn agent(ours: &mut Agent, theirs: &Agent) {
    fill!(
        ours, theirs:
        [hostname], [platform], [os_name, os_version], [cpu_model], [cpu_count], [physical_cores],
        [memory_total_bytes], [ecc_memory], [boot_time], [timezone], [manufacturer], [product], [serial],
        [interfaces],
    );
}

/// Its place in a pool is one observation, `missing` is never another's word.
fn disk(ours: &mut Disk, theirs: &Disk) {
    fill!(
        ours, theirs:
        [dev_path, name], [model], [serial], [wwn], [disk_type], [bus], [size_bytes], [rpm], [identifier],
        [
            pool, pool_role, vdev_state, zfs_guid, read_errors, write_errors, checksum_errors, spare_in_use
        ],
        [temperature_celsius],
        [temperature_min_celsius, temperature_max_celsius, temperature_average_celsius],
        [temperature_critical_celsius], [enclosure_slot],
    );
}

/// Figures that are read together are taken together.
pub(super) fn metrics(ours: &mut Metrics, theirs: &Metrics) {
    fill!(
        ours, theirs:
        [cpu_percent],
        [memory_total_bytes, memory_used_bytes, memory_available_bytes, memory_arc_bytes],
        [load_1m, load_5m, load_15m],
        [network_receive_bytes_per_second, network_send_bytes_per_second],
        [disk_read_bytes_per_second, disk_write_bytes_per_second],
        [cpu_temperature_celsius], [uptime_seconds],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_stays_and_what_is_not_is_filled() {
        let text = str::to_owned;
        let mut ours = Agent { hostname: text("nas1"), os_version: text("25.10"), ..Agent::default() };
        let theirs = Agent {
            hostname: text("other"),
            os_name: text("Linux"),
            cpu_model: text("Xeon"),
            cpu_count: Some(8),
            ..Agent::default()
        };
        agent(&mut ours, &theirs);
        assert_eq!(
            (ours.hostname.as_str(), ours.cpu_model.as_str(), ours.cpu_count),
            ("nas1", "Xeon", Some(8))
        );
        assert_eq!(
            (ours.os_name.as_str(), ours.os_version.as_str()),
            ("", "25.10"),
            "a name without its version is none"
        );
    }

    #[test]
    fn figures_of_one_observation_are_never_mixed() {
        let mut ours = Metrics { memory_used_bytes: Some(3), ..Metrics::default() };
        let theirs = Metrics {
            memory_used_bytes: Some(1),
            memory_total_bytes: Some(2),
            cpu_percent: Some(5.0),
            ..Metrics::default()
        };
        metrics(&mut ours, &theirs);
        assert_eq!(
            (ours.memory_used_bytes, ours.memory_total_bytes, ours.cpu_percent),
            (Some(3), None, Some(5.0))
        );

        let mut ours = Capacity { raw_total_bytes: Some(9), ..Capacity::default() };
        let theirs = Capacity {
            total_bytes: Some(4),
            raw_total_bytes: Some(8),
            raw_used_bytes: Some(1),
            ..Capacity::default()
        };
        capacity(&mut ours, &theirs);
        assert_eq!((ours.total_bytes, ours.raw_total_bytes, ours.raw_used_bytes), (Some(4), Some(9), None));

        let mut ours = Disk { vdev_state: "FAULTED".to_owned(), missing: true, ..Disk::default() };
        let theirs = Disk {
            pool: "tank".to_owned(),
            wwn: "0x5".to_owned(),
            checksum_errors: Some(0),
            ..Disk::default()
        };
        disk(&mut ours, &theirs);
        assert_eq!((ours.pool.as_str(), ours.checksum_errors, ours.wwn.as_str()), ("", None, "0x5"));
        assert!(ours.missing);
    }
}
