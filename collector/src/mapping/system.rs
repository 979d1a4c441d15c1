//! The record of the appliance itself. It is known by its connection: serials and
//! host ids repeat among clones, so none of them is given as its identity.

use std::time::Duration;

use pulse_proto::model::{
    Agent, Facets, Identity, IngestRecord, ResourceType, SectionOutcome, TrueNas, UnixMillis,
};

use super::ids::Ids;
use super::tags;
use crate::api::json::text;
use crate::api::{Section, System};
use crate::snapshot::Snapshot;

/// Some lines compute the boot time from the uptime, so it trembles.
const BOOT_TIME_STEP: Duration = Duration::from_mins(1);

/// `None` until it was read, so that what a registry knows from before is not
/// replaced by nothing. One that may not be read is there by name alone, for
/// the others to have a parent.
pub(super) fn record(ids: &Ids, connection_name: &str, snapshot: &Snapshot) -> Option<IngestRecord> {
    let unread = System::default();
    let outcome = snapshot.state(Section::System).map(|state| state.outcome);
    let never = matches!(outcome, Some(SectionOutcome::Forbidden | SectionOutcome::Unsupported));
    let system = match snapshot.system() {
        Some(system) => system,
        None if never => &unread,
        None => return None,
    };
    let fallback = || Some(text::line(connection_name)).filter(|name| !name.is_empty());
    let name = Some(system.hostname.clone())
        .filter(|name| !name.is_empty())
        .or_else(fallback)
        .unwrap_or_else(|| ids.system().to_string());
    let extras = &system.extras;
    Some(IngestRecord {
        source_id: ids.system(),
        parent_source_id: None,
        resource_type: ResourceType::Host,
        name,
        section: Section::System.name(),
        state: extras.state.clone(),
        identity: Identity {
            hostnames: Some(system.hostname.clone()).filter(|name| !name.is_empty()).into_iter().collect(),
            ..Identity::default()
        },
        capacity: None,
        tags: tags(&["truenas".into(), "zfs".into(), system.version.clone()]),
        incidents: Vec::new(),
        facets: Facets { agent: Some(agent(system)), truenas: Some(truenas(system)), ..Facets::default() },
    })
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

/// How it is spoken to is added by `Mapped::with_session`.
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
