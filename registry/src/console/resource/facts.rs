//! What is known of a resource, by topic, in words and figures.

use pulse_proto::model::{
    Agent, App, Dataset, Disk, IngestRecord, Metrics, Pool, Share, Task, TrueNas, UnixMillis, Vm, Zfs,
};

use crate::console::figure::{Units, When};

#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub facts: Vec<Fact>,
}

#[derive(Debug)]
pub struct Fact {
    pub name: &'static str,
    pub text: String,
    pub at: Option<When>,
}

/// Gathers what is known; what is not leaves no line.
struct Facts {
    facts: Vec<Fact>,
    units: Units,
    now: UnixMillis,
}

impl Facts {
    fn text(&mut self, name: &'static str, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.facts.push(Fact { name, text: text.to_owned(), at: None });
        }
        self
    }

    fn any<T: ToString>(&mut self, name: &'static str, value: Option<T>) -> &mut Self {
        self.text(name, &value.map(|value| value.to_string()).unwrap_or_default())
    }

    fn size(&mut self, name: &'static str, bytes: Option<u64>) -> &mut Self {
        let text = bytes.map(|bytes| self.units.size(bytes));
        self.any(name, text)
    }

    fn celsius(&mut self, name: &'static str, value: Option<f64>) -> &mut Self {
        self.any(name, value.map(|value| format!("{value:.0} °C")))
    }

    fn percent(&mut self, name: &'static str, value: Option<f64>) -> &mut Self {
        self.any(name, value.map(|value| format!("{value:.0} %")))
    }

    fn is(&mut self, name: &'static str, value: Option<bool>) -> &mut Self {
        self.any(name, value.map(|value| if value { "yes" } else { "no" }))
    }

    fn at(&mut self, name: &'static str, at: Option<UnixMillis>) -> &mut Self {
        if let Some(at) = at {
            let when = When { at, now: self.now };
            self.facts.push(Fact { name, text: when.date(), at: Some(when) });
        }
        self
    }

    fn list(&mut self, name: &'static str, all: &[String]) -> &mut Self {
        self.text(name, &all.join(", "))
    }
}

pub(super) fn sections(record: &IngestRecord, units: Units, now: UnixMillis) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |title, tell: &dyn Fn(&mut Facts)| {
        let mut facts = Facts { facts: Vec::new(), units, now };
        tell(&mut facts);
        if !facts.facts.is_empty() {
            sections.push(Section { title, facts: facts.facts });
        }
    };
    let facets = &record.facets;
    if let Some(agent) = &facets.agent {
        add("Machine", &|facts| machine(facts, agent));
    }
    if let Some(truenas) = &facets.truenas {
        add("TrueNAS", &|facts| appliance(facts, truenas));
        add("Services", &|facts| services(facts, truenas));
    }
    if let Some(metrics) = &facets.metrics {
        add("Load", &|facts| load(facts, metrics));
    }
    match facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref()) {
        Some(Zfs::Pool(told)) => add("Pool", &|facts| pool(facts, told)),
        Some(Zfs::Dataset(told)) => add("Dataset", &|facts| dataset(facts, told)),
        None => {}
    }
    if let Some(told) = &facets.physical_disk {
        add("Disk", &|facts| disk(facts, told));
    }
    if let Some(told) = &facets.app {
        add("App", &|facts| app(facts, told));
    }
    if let Some(told) = &facets.vm {
        add("Virtual machine", &|facts| vm(facts, told));
    }
    if let Some(told) = &facets.network_share {
        add("Share", &|facts| share(facts, told));
    }
    if let Some(told) = &facets.protection_task {
        add("Task", &|facts| task(facts, told));
    }
    sections
}

fn machine(facts: &mut Facts, agent: &Agent) {
    facts
        .text("Host name", &agent.hostname)
        .text("Software", &format!("{} {}", agent.os_name, agent.os_version))
        .text("Model", format!("{} {}", agent.manufacturer, agent.product).trim())
        .text("Serial", &agent.serial)
        .text("Processor", &agent.cpu_model)
        .any("Cores", agent.physical_cores)
        .any("Threads", agent.cpu_count)
        .size("Memory", agent.memory_total_bytes)
        .is("ECC memory", agent.ecc_memory)
        .at("Up since", agent.boot_time);
    for interface in &agent.interfaces {
        let state = interface.link_state.trim_start_matches("LINK_STATE_").to_lowercase();
        let words =
            [state.as_str(), interface.media.as_str(), &interface.addresses.join(", ")].map(str::to_owned);
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        facts.text("Network", &format!("{}: {}", interface.name, words.join(" · ")));
    }
}

fn appliance(facts: &mut Facts, truenas: &TrueNas) {
    facts
        .text("Edition", &truenas.product_type)
        .text("State", &truenas.system_state)
        .text("Read by", &format!("{} {}", truenas.transport, truenas.api_version))
        .text("Failover", &truenas.failover_status)
        .text("Controller", &truenas.failover_node)
        .list("No failover because", &truenas.failover_disabled_reasons)
        .list("Reboot needed for", &truenas.reboot_required_reasons);
    if let Some(update) = &truenas.update {
        facts.text("Update", &format!("{} {}", update.state.to_lowercase(), update.version));
    }
    if let Some(ups) = &truenas.ups {
        facts
            .text("UPS", &format!("{} {}", ups.identifier, ups.description))
            .percent("UPS charge", ups.charge_percent);
    }
    for certificate in &truenas.certificates {
        facts.at("Certificate ends", certificate.not_after);
        if let Some(last) = facts.facts.last_mut() {
            last.text = format!("{}: {}", certificate.name, last.text);
        }
    }
}

fn services(facts: &mut Facts, truenas: &TrueNas) {
    let by = |wanted: &dyn Fn(&str, bool) -> bool| {
        let all = truenas.services.iter();
        let names = all.filter(|service| wanted(&service.state, service.enabled == Some(true)));
        names.map(|service| service.name.clone()).collect::<Vec<_>>()
    };
    facts
        .list("Running", &by(&|state, _| state == "RUNNING"))
        .list("Stopped, but meant to run", &by(&|state, enabled| state != "RUNNING" && enabled))
        .list("Off", &by(&|state, enabled| state != "RUNNING" && !enabled));
}

fn load(facts: &mut Facts, metrics: &Metrics) {
    let per_second = |bytes: Option<u64>, units: Units| bytes.map(|bytes| format!("{}/s", units.size(bytes)));
    let loads = [metrics.load_1m, metrics.load_5m, metrics.load_15m];
    let loads: Vec<String> = loads.into_iter().flatten().map(|load| format!("{load:.2}")).collect();
    let units = facts.units;
    facts
        .percent("CPU", metrics.cpu_percent)
        .text("Load over 1, 5, 15 min", &loads.join(", "))
        .size("Memory used", metrics.memory_used_bytes)
        .size("ARC", metrics.memory_arc_bytes)
        .celsius("CPU temperature", metrics.cpu_temperature_celsius)
        .any("Network in", per_second(metrics.network_receive_bytes_per_second, units))
        .any("Network out", per_second(metrics.network_send_bytes_per_second, units))
        .any("Disks read", per_second(metrics.disk_read_bytes_per_second, units))
        .any("Disks write", per_second(metrics.disk_write_bytes_per_second, units))
        .at("Measured", metrics.observed_at);
}

fn pool(facts: &mut Facts, pool: &Pool) {
    facts
        .text("State", &pool.state)
        .text("Status", &pool.status_code)
        .text("", &pool.status_detail)
        .text("Layout", &pool.vdev_layout)
        .size("Raw size", pool.size_bytes)
        .size("Raw allocated", pool.allocated_bytes)
        .size("Raw free", pool.free_bytes)
        .size("Being freed", pool.freeing_bytes.filter(|bytes| *bytes > 0))
        .any("Fragmentation", pool.fragmentation_percent.map(|percent| format!("{percent} %")))
        .size("Dedup table", pool.dedup_table_size_bytes.filter(|bytes| *bytes > 0))
        .text("Autotrim", &pool.autotrim)
        .text("GUID", &pool.guid);
    if let Some(schedule) = &pool.scrub_schedule {
        facts.text("Scrub schedule", &schedule.schedule).is("Scrub scheduled", schedule.enabled);
    }
    if let Some(scan) = &pool.scan {
        facts
            .at("Scan began", scan.start_time)
            .at("Scan ended", scan.end_time)
            .any("Scan errors", scan.errors);
    }
    if let Some(expansion) = &pool.expansion {
        facts.text("Expansion", &expansion.state).percent("Expanded", expansion.percentage);
    }
    facts.is("Newer features available", pool.upgrade_available.then_some(true));
}

fn dataset(facts: &mut Facts, dataset: &Dataset) {
    facts
        .text("Kind", &dataset.kind.to_lowercase())
        .text("Mounted at", &dataset.mountpoint)
        .is("Mounted", dataset.mounted)
        .is("Read-only", dataset.readonly)
        .is("Replication target", dataset.replication_target.then_some(true))
        .is("Encrypted", dataset.encrypted)
        .is("Locked", dataset.locked)
        .text("Encryption root", &dataset.encryption_root)
        .size("Used", dataset.used_bytes)
        .size("Available", dataset.available_bytes)
        .size("Used by itself", dataset.used_by_dataset_bytes)
        .size("Used by children", dataset.used_by_children_bytes)
        .size("Used by snapshots", dataset.used_by_snapshots_bytes)
        .size("Quota", dataset.quota_bytes.filter(|bytes| *bytes > 0))
        .size("Reservation", dataset.reservation_bytes.filter(|bytes| *bytes > 0))
        .size("Volume size", dataset.volsize_bytes)
        .text("Compression", &dataset.compression)
        .any("Compressed by", dataset.compress_ratio.map(|ratio| format!("{ratio:.2} times")))
        .text("Deduplication", &dataset.deduplication)
        .text("Sync", &dataset.sync)
        .any("Snapshots", dataset.snapshot_count)
        .at("Newest snapshot", dataset.newest_snapshot_at)
        .text("Comment", &dataset.comments);
}

fn disk(facts: &mut Facts, disk: &Disk) {
    facts
        .text("Model", &disk.model)
        .text("Serial", &disk.serial)
        .text("Kind", format!("{} {}", disk.bus, disk.disk_type).trim())
        .size("Size", disk.size_bytes)
        .any("Speed", disk.rpm.map(|rpm| format!("{rpm} rpm")))
        .text("Pool", &disk.pool)
        .text("Role", &disk.pool_role)
        .text("State in the pool", &disk.vdev_state)
        .any("Read errors", disk.read_errors)
        .any("Write errors", disk.write_errors)
        .any("Checksum errors", disk.checksum_errors)
        .is("The device is gone", disk.missing.then_some(true))
        .celsius("Temperature", disk.temperature_celsius)
        .celsius("Coolest in 7 days", disk.temperature_min_celsius)
        .celsius("Hottest in 7 days", disk.temperature_max_celsius)
        .celsius("Too hot from", disk.temperature_critical_celsius)
        .any("Slot", disk.enclosure_slot)
        .text("Device", &disk.dev_path)
        .text("World wide name", &disk.wwn);
}

fn app(facts: &mut Facts, app: &App) {
    facts
        .text("State", &app.state)
        .text("Title", &app.title)
        .text("Version", &app.version)
        .text("Program version", &app.human_version)
        .text("Newest version", &app.latest_version)
        .is("Update available", app.upgrade_available)
        .text("Error", &app.error)
        .any("Containers", app.container_count)
        .list("Images", &app.images)
        .list("Pages", &app.portals);
    for port in &app.ports {
        let host = port.host_port.map(|port| port.to_string()).unwrap_or_default();
        facts.any("Port", port.container_port.map(|inner| format!("{host} to {inner}/{}", port.protocol)));
    }
}

fn vm(facts: &mut Facts, vm: &Vm) {
    facts
        .text("State", &vm.state)
        .text("Description", &vm.description)
        .any("Virtual CPUs", vm.vcpus)
        .any("Cores", vm.cores)
        .any("Threads", vm.threads)
        .size("Memory", vm.memory_bytes)
        .is("Starts by itself", vm.autostart)
        .text("Boot loader", &vm.bootloader)
        .any("Disks", vm.disk_count)
        .any("Network interfaces", vm.nic_count)
        .text("Image", &vm.image)
        .text("Dataset", &vm.dataset)
        .list("Addresses", &vm.addresses);
}

fn share(facts: &mut Facts, share: &Share) {
    facts
        .text("Protocol", &share.protocol.to_uppercase())
        .text("Path", &share.path)
        .text("Dataset", &share.dataset)
        .is("Enabled", share.enabled)
        .is("Locked", share.locked)
        .is("Read-only", share.read_only)
        .text("Purpose", &share.purpose)
        .text("Comment", &share.comment)
        .list("Hosts", &share.hosts)
        .list("Networks", &share.networks)
        .list("Extents", &share.extents);
}

fn task(facts: &mut Facts, task: &Task) {
    facts
        .text("Kind", &task.kind)
        .text("Description", &task.description)
        .is("Enabled", task.enabled)
        .text("Schedule", &task.schedule)
        .text("State", &task.state)
        .at("Since", task.state_since)
        .text("Message", &task.message)
        .percent("Done", task.progress_percent)
        .list("Sources", &task.source_datasets)
        .text("Target", &task.target)
        .text("Remote", &task.remote)
        .text("Direction", &task.direction)
        .text("Transport", &task.transport)
        .text("Newest snapshot", &task.last_snapshot)
        .text("Kept for", &task.retention)
        .list("Warnings", &task.warnings);
}
