//! Systems and their disks.

use std::time::Duration;

use pulse_proto::model::{Agent, Disk, Metrics, NetworkInterface, TrueNas};

use super::{Thing, names, state};
use crate::context::fact::Fact;
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::words;

/// Most names in one sentence.
const NAMES_MAX: usize = 6;

pub(crate) fn host(thing: &Thing<'_>) -> Option<Fact> {
    let facets = &thing.record.facets;
    let mut details = Vec::new();
    let version = match (&facets.truenas, &facets.agent) {
        (Some(truenas), _) if !truenas.version.is_empty() => {
            say!["TrueNAS ", told(Kind::Word, &truenas.version)]
        }
        (_, Some(agent)) if !agent.os_version.is_empty() => {
            say![told(Kind::Word, &agent.os_name), " ", told(Kind::Word, &agent.os_version)]
        }
        _ => Statement::default(),
    };
    details.push(version);
    if let Some(truenas) = &facets.truenas {
        details.push(high_availability(truenas));
    }
    if let Some(metrics) = &facets.metrics {
        details.extend(load(metrics));
    }
    if let Some(update) = facets.truenas.as_ref().and_then(|truenas| truenas.update.as_ref())
        && update.available == Some(true)
    {
        details.push(say!["update to ", told(Kind::Word, &update.version), " available"]);
    }
    let cpu = facets.metrics.as_ref().and_then(|metrics| metrics.cpu_percent);
    let value = cpu.and_then(words::rounded_percent).unwrap_or_default();
    Some(thing.fact("system", thing.sentence(details)?).with_value(value, "percent"))
}

/// Nothing of a system without a partner.
pub(crate) fn high_availability(truenas: &TrueNas) -> Statement {
    if truenas.failover_licensed != Some(true) && matches!(truenas.failover_status.as_str(), "" | "SINGLE") {
        return Statement::default();
    }
    let mut statement = say!["HA controller"];
    if !truenas.failover_node.is_empty() {
        statement.add(" ").add(told(Kind::Word, &truenas.failover_node));
    }
    if !truenas.failover_status.is_empty() {
        statement.add(" is ").add(state(&truenas.failover_status));
    }
    match truenas.failover_disabled_reasons.first() {
        Some(_) => {
            let reasons = names(Kind::Label, &truenas.failover_disabled_reasons, NAMES_MAX);
            statement.add(", a failover would not work now because of ").append(reasons);
        }
        None => {
            statement.add(", a failover would work");
        }
    }
    statement
}

fn load(metrics: &Metrics) -> impl Iterator<Item = Statement> {
    let cpu = metrics.cpu_percent.and_then(words::rounded_percent);
    let cpu = cpu.map(|percent| say!["CPU ", percent, " %"]);
    let memory = metrics.memory_used_bytes.zip(metrics.memory_total_bytes).and_then(|(used, total)| {
        let percent = words::share(used, total)?;
        Some(say!["memory ", words::percent(percent), " of ", words::size(total), " used"])
    });
    let up = metrics.uptime_seconds.map(|seconds| say!["up for ", words::span(Duration::from_secs(seconds))]);
    [cpu, memory, up].into_iter().flatten()
}

/// What is behind the figures: hardware, network, services, certificates, power.
pub(crate) fn host_details(thing: &Thing<'_>) -> Vec<Fact> {
    let facets = &thing.record.facets;
    let mut facts = Vec::new();
    let mut add = |code, details: Vec<Statement>| {
        facts.extend(thing.sentence(details).map(|sentence| thing.fact(code, sentence)));
    };
    if let Some(agent) = &facets.agent {
        add("hardware", hardware(agent));
        add("network", interfaces(agent));
    }
    if let Some(metrics) = &facets.metrics {
        add("traffic", traffic(metrics));
    }
    if let Some(truenas) = &facets.truenas {
        add("edition", edition(truenas));
        add("services", services(truenas));
        if let Some(ups) = &truenas.ups {
            let mut details = vec![say!["UPS ", told(Kind::Label, &ups.identifier)]];
            let figure = |what: &'static str, value: Option<f64>| {
                value.and_then(words::rounded_percent).map(|value| say![what, value, " %"])
            };
            details.extend(figure("charge ", ups.charge_percent));
            details.extend(figure("load ", ups.load_percent));
            details.extend(ups.runtime_seconds.map(|seconds| {
                say!["runs for ", words::span(Duration::from_secs(seconds)), " without mains"]
            }));
            add("ups", details);
        }
        add("reboot", reboot(truenas));
    }
    facts.extend(certificates(thing));
    facts
}

fn reboot(truenas: &TrueNas) -> Vec<Statement> {
    if truenas.reboot_required_reasons.is_empty() {
        return Vec::new();
    }
    let mut statement = say!["a reboot is wanted: "];
    statement.append(names(Kind::Text, &truenas.reboot_required_reasons, 2));
    vec![statement]
}

fn edition(truenas: &TrueNas) -> Vec<Statement> {
    let mut details = Vec::new();
    for (what, word) in [
        ("edition ", &truenas.product_type),
        ("read through ", &truenas.transport),
        ("with API ", &truenas.api_version),
    ] {
        if !word.is_empty() {
            details.push(say![what, told(Kind::Word, word)]);
        }
    }
    if let Some(update) = &truenas.update
        && !update.state.is_empty()
    {
        details.push(say!["software update ", told(Kind::Word, &update.state)]);
    }
    details
}

fn hardware(agent: &Agent) -> Vec<Statement> {
    let mut details = Vec::new();
    for (what, kind, word) in [
        ("made by ", Kind::Word, &agent.manufacturer),
        ("product ", Kind::Word, &agent.product),
        ("serial ", Kind::Serial, &agent.serial),
        ("processor ", Kind::Word, &agent.cpu_model),
    ] {
        if !word.is_empty() {
            details.push(say![what, told(kind, word)]);
        }
    }
    details.extend(agent.cpu_count.map(|count| say![words::count(count.into(), "processor thread")]));
    details.extend(agent.memory_total_bytes.map(|bytes| say![words::size(bytes), " of memory"]));
    details.extend(agent.ecc_memory.map(|ecc| say![if ecc { "with ECC" } else { "without ECC" }]));
    details.extend(agent.boot_time.map(|at| say!["booted ", Piece::Ago(at)]));
    details
}

fn interfaces(agent: &Agent) -> Vec<Statement> {
    let interface = |interface: &NetworkInterface| {
        let up = match interface.link_state.as_str() {
            "LINK_STATE_UP" => " up",
            "LINK_STATE_DOWN" => " down",
            _ => " in an unknown state",
        };
        let mut statement = say!["interface ", told(Kind::Word, &interface.name), up];
        if !interface.addresses.is_empty() {
            statement.add(" at ").append(names(Kind::Address, &interface.addresses, 2));
        }
        statement
    };
    let mut all: Vec<&NetworkInterface> = agent.interfaces.iter().collect();
    // What is down is looked for first.
    all.sort_by_key(|interface| match interface.link_state.as_str() {
        "LINK_STATE_DOWN" => 0,
        "LINK_STATE_UP" => 2,
        _ => 1,
    });
    let more = all.len().saturating_sub(NAMES_MAX) as u64;
    let told = all.into_iter().take(NAMES_MAX).map(interface);
    told.chain((more > 0).then(|| say!["and ", words::count(more, "interface"), " more"])).collect()
}

fn traffic(metrics: &Metrics) -> Vec<Statement> {
    let rate = |what: &'static str, value: Option<u64>| {
        value.map(|bytes| say![what, words::size(bytes), " a second"])
    };
    let arc = metrics.memory_arc_bytes.map(|bytes| say!["ZFS cache ", words::size(bytes)]);
    let load = metrics.load_5m.and_then(words::tenths);
    let load = load.map(|load| say!["load average over 5 minutes ", load]);
    [
        load,
        arc,
        rate("network in ", metrics.network_receive_bytes_per_second),
        rate("network out ", metrics.network_send_bytes_per_second),
        rate("disks read ", metrics.disk_read_bytes_per_second),
        rate("disks write ", metrics.disk_write_bytes_per_second),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn services(truenas: &TrueNas) -> Vec<Statement> {
    let of = |wanted: &str| -> Vec<String> {
        let services = truenas.services.iter().filter(|service| service.state.eq_ignore_ascii_case(wanted));
        services.map(|service| service.name.clone()).collect()
    };
    let running = of("RUNNING");
    if running.is_empty() {
        return Vec::new();
    }
    let mut statement = say!["running services "];
    statement.append(names(Kind::Word, &running, 12));
    vec![statement]
}

fn certificates(thing: &Thing<'_>) -> Vec<Fact> {
    let Some(truenas) = &thing.record.facets.truenas else { return Vec::new() };
    let mut certificates: Vec<_> =
        truenas.certificates.iter().filter_map(|found| Some((found.not_after?, found))).collect();
    certificates.sort_by(|left, right| (left.0, &left.1.name).cmp(&(right.0, &right.1.name)));
    let fact = |(at, found): (pulse_proto::model::UnixMillis, &pulse_proto::model::Certificate)| {
        let statement = say![
            "Certificate ",
            told(Kind::Label, &found.name),
            " on ",
            super::system(thing.resource),
            if found.expired == Some(true) { " expired on " } else { " expires on " },
            words::day(at),
            ", ",
            Piece::Until(at),
            ".",
        ];
        thing.fact("certificate", statement).with_value(words::digits(at.get()), "unix_ms")
    };
    certificates.into_iter().map(fact).collect()
}

pub(crate) fn disk(thing: &Thing<'_>, disk: &Disk) -> Option<Fact> {
    let mut details = vec![device(thing, disk)];
    if !disk.vdev_state.is_empty() {
        details.push(say![state(&disk.vdev_state)]);
    }
    if disk.missing {
        details.push(say!["missing"]);
    }
    details.push(errors(disk));
    let celsius = disk.temperature_celsius.and_then(words::celsius);
    details.extend(celsius.clone().map(|celsius| say![celsius, " °C"]));
    let value = celsius.unwrap_or_default();
    Some(thing.fact("disk", thing.sentence(details)?).with_value(value, "celsius"))
}

/// What one needs to find the device and to order another: model, serial, size, slot, place in its pool.
pub(crate) fn device(thing: &Thing<'_>, disk: &Disk) -> Statement {
    let mut details = Vec::new();
    if !disk.serial.is_empty() {
        details.push(say!["serial ", told(Kind::Serial, &disk.serial)]);
    }
    if !disk.model.is_empty() {
        details.push(say!["model ", told(Kind::Word, &disk.model)]);
    }
    let size = disk.size_bytes.or_else(|| thing.record.capacity.as_ref()?.total_bytes);
    details.extend(size.map(|bytes| say![words::size(bytes)]));
    details.extend(disk.enclosure_slot.map(|slot| say!["slot ", words::digits(slot.into())]));
    if !disk.pool.is_empty() {
        let role = if disk.pool_role.is_empty() { "data" } else { &disk.pool_role };
        details.push(say![super::role(role), " device of pool ", told(Kind::Pool, &disk.pool)]);
    } else if disk.spare_in_use == Some(true) {
        details.push(say!["a hot spare in use"]);
    } else {
        details.push(say!["in no pool"]);
    }
    Statement::list(details, ", ")
}

pub(crate) fn errors(disk: &Disk) -> Statement {
    let counts = [disk.read_errors, disk.write_errors, disk.checksum_errors];
    if counts.iter().flatten().all(|count| *count == 0) {
        return Statement::default();
    }
    let [read, write, checksum] = counts.map(|count| words::number(count.unwrap_or_default()));
    say![read, " read, ", write, " write and ", checksum, " checksum errors"]
}

/// Memory in use, in percent.
pub(crate) fn memory_percent(metrics: &Metrics) -> Option<u64> {
    words::share(metrics.memory_used_bytes?, metrics.memory_total_bytes?)
}
