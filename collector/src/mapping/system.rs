//! The record of the appliance itself. It is known by its connection: serials and
//! host ids repeat among clones, so none of them is given as its identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    Agent, Facets, Identity, IngestRecord, Metrics, ResourceType, SoftwareUpdate, TrueNas, UnixMillis,
};

use super::ids::Ids;
use super::tags;
use crate::api::item::ENTRIES_MAX;
use crate::api::json::text;
use crate::api::{Section, System};
use crate::snapshot::Snapshot;

/// Most addresses of one machine.
const ADDRESSES_MAX: usize = 64;

/// Some lines compute the boot time from the uptime, so it trembles.
const BOOT_TIME_STEP: Duration = Duration::from_mins(1);

/// `None` until it was read, so that what a registry knows from before is not
/// replaced by nothing. One that may not be read is there by name alone, for
/// the others to have a parent.
pub(super) fn record(ids: &Ids, connection_name: &str, snapshot: &Snapshot) -> Option<IngestRecord> {
    let unread = System::default();
    let never = snapshot.is_closed(Section::System);
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
        identity: identity(system, snapshot),
        capacity: None,
        tags: tags(&["truenas".into(), "zfs".into(), system.version.clone()]),
        incidents: Vec::new(),
        facets: Facets {
            agent: Some(Box::new(agent(system, snapshot))),
            truenas: Some(Box::new(truenas(system, snapshot))),
            metrics: Some(metrics(system, snapshot))
                .filter(|metrics| *metrics != Metrics::default())
                .map(Box::new),
            ..Facets::default()
        },
    })
}

/// Names and addresses. Never a serial or a host id: they repeat among clones.
fn identity(system: &System, snapshot: &Snapshot) -> Identity {
    let interfaces = snapshot.interfaces().map(|interfaces| interfaces.as_slice()).unwrap_or_default();
    let mut mac_addresses: Vec<String> = interfaces
        .iter()
        .map(|interface| interface.mac_address.to_lowercase())
        .filter(|address| !address.is_empty() && address != "00:00:00:00:00:00")
        .collect();
    bound(&mut mac_addresses);
    Identity {
        hostnames: Some(system.hostname.clone()).filter(|name| !name.is_empty()).into_iter().collect(),
        ip_addresses: addresses(snapshot),
        mac_addresses,
        ..Identity::default()
    }
}

/// What it can be reached by from elsewhere.
pub(super) fn addresses(snapshot: &Snapshot) -> Vec<String> {
    let interfaces = snapshot.interfaces().map(|interfaces| interfaces.as_slice()).unwrap_or_default();
    let mut addresses: Vec<String> = interfaces
        .iter()
        .flat_map(|interface| &interface.addresses)
        .map(|address| address.split('/').next().unwrap_or_default().to_owned())
        .filter(|address| is_its_own(address))
        .collect();
    bound(&mut addresses);
    addresses
}

fn bound(addresses: &mut Vec<String>) {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
}

/// No loopback and no link-local address: every machine has those.
fn is_its_own(address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
        Err(_) => false,
    }
}

/// What was measured last, and the load that the system tells of itself.
fn metrics(system: &System, snapshot: &Snapshot) -> Metrics {
    let [load_1m, load_5m, load_15m] = system.load.averages;
    let measured = snapshot.metrics().map(|metrics| Metrics::clone(metrics)).unwrap_or_default();
    Metrics { load_1m, load_5m, load_15m, uptime_seconds: system.load.uptime_seconds, ..measured }
}

fn rows<T: Clone>(list: Option<&Arc<Vec<T>>>) -> Vec<T> {
    list.into_iter().flat_map(|list| list.iter().take(ENTRIES_MAX)).cloned().collect()
}

fn agent(system: &System, snapshot: &Snapshot) -> Agent {
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
        interfaces: rows(snapshot.interfaces()),
    }
}

/// How it is spoken to is added by `Mapped::with_session`.
fn truenas(system: &System, snapshot: &Snapshot) -> TrueNas {
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
        failover_node: extras.failover_node.clone(),
        failover_licensed: extras.failover_licensed,
        failover_disabled_reasons: extras.failover_disabled_reasons.clone(),
        services: rows(snapshot.services()),
        certificates: rows(snapshot.certificates()),
        ups: snapshot.ups().and_then(|ups| Option::clone(ups)),
        update: snapshot.update().map(|update| SoftwareUpdate::clone(update)),
    }
}

fn steady(time: UnixMillis) -> UnixMillis {
    let step = u64::try_from(BOOT_TIME_STEP.as_millis()).unwrap_or(u64::MAX);
    UnixMillis::new((time.get() + step / 2) / step * step)
}
