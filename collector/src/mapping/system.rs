//! The appliance itself. Keyed by its connection: hostnames and serials repeat
//! among clones and spares.

use std::time::Duration;

use pulse_proto::model::{Agent, Identity, IngestRecord, ResourceType, SectionOutcome, TrueNas, UnixMillis};

use super::place::{Places, bare, tags};
use crate::api::{Section, System};
use crate::snapshot::Snapshot;

/// Some lines compute the boot time from the uptime, so it trembles.
const BOOT_TIME_STEP: Duration = Duration::from_mins(1);

/// `None` until it was read, so that what the registry knows from before is not overwritten with nothing. One that may
/// not be read is there by name alone, for its pools to have a parent.
pub(super) fn record(
    places: &Places,
    name: &str,
    snapshot: &Snapshot,
) -> Option<Result<IngestRecord, String>> {
    let outcome = snapshot.state(Section::System).map(|state| state.outcome);
    let never = matches!(outcome, Some(SectionOutcome::Forbidden | SectionOutcome::Unsupported));
    match snapshot.system() {
        Some(system) => Some(told(places, name, system)),
        None if never => Some(told(places, name, &System::default())),
        None => None,
    }
}

fn told(places: &Places, name: &str, system: &System) -> Result<IngestRecord, String> {
    let shown = if system.hostname.is_empty() { name } else { &system.hostname };
    if shown.is_empty() {
        return Err("a system without hostname and name".to_owned());
    }
    let mut record = bare(places.system(), None, ResourceType::Host, shown, Section::System);
    record.state.clone_from(&system.extras.state);
    record.tags = tags(["truenas".to_owned(), "zfs".to_owned(), system.version.clone()]);
    if !system.hostname.is_empty() {
        record.identity = Identity { hostnames: vec![system.hostname.clone()], ..Identity::default() };
    }
    record.facets.agent = Some(agent(system));
    record.facets.truenas = Some(truenas(system));
    Ok(record)
}

fn agent(system: &System) -> Agent {
    Agent {
        hostname: system.hostname.clone(),
        platform: "truenas".to_owned(),
        os_name: "TrueNAS".to_owned(),
        os_version: system.version.clone(),
        cpu_model: system.cpu_model.clone(),
        cpu_count: system.cores,
        physical_cores: system.physical_cores,
        memory_total_bytes: system.physmem,
        ecc_memory: system.ecc_memory,
        boot_time: system.boot_time.map(steady),
        timezone: system.timezone.clone(),
        manufacturer: system.manufacturer.clone(),
        product: system.product.clone(),
        serial: system.serial.clone(),
    }
}

fn truenas(system: &System) -> TrueNas {
    let extras = &system.extras;
    TrueNas {
        hostname: system.hostname.clone(),
        version: system.version.clone(),
        product_type: extras.product_type.clone(),
        transport: String::new(),
        api_version: String::new(),
        host_id: extras.host_id.clone(),
        global_id: extras.global_id.clone(),
        system_state: extras.state.clone(),
        reboot_required_reasons: extras.reboot_required_reasons.clone(),
        failover_status: extras.failover_status.clone(),
    }
}

fn steady(time: UnixMillis) -> UnixMillis {
    let step = u64::try_from(BOOT_TIME_STEP.as_millis()).unwrap_or(u64::MAX);
    UnixMillis::new((time.get() + step / 2) / step * step)
}
