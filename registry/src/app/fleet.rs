//! The fleet itself under `/metrics`: systems, pools, disks and how fresh each
//! connection is, read from one view at each scrape. Owns which facts are told
//! and that there is an end to them; knows no gRPC and judges nothing.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use pulse_proto::model::{Freshness, ResourceType, SectionOutcome, Severity, StorageTopology};

use crate::clock::Clock;
use crate::state::view::{Shard, View};
use crate::state::{Feed, Resource};

/// How a reading ends that leaves something unknown and should not.
const UNREAD: [SectionOutcome; 3] =
    [SectionOutcome::Failed, SectionOutcome::Forbidden, SectionOutcome::Partial];

/// How a disk is attached decides how warm it may be. Anything else is told as `other`.
const BUSES: [&str; 3] = ["nvme", "scsi", "ata"];

type Series<L> = Family<L, Gauge<f64, AtomicU64>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfConnection {
    connection: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unread {
    connection: String,
    name: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSystem {
    connection: String,
    system: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    connection: String,
    system: String,
    version: String,
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    connection: String,
    system: String,
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolState {
    connection: String,
    system: String,
    pool: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDisk {
    connection: String,
    system: String,
    disk: String,
    serial: String,
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskHeat {
    connection: String,
    system: String,
    disk: String,
    serial: String,
    pool: String,
    bus: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskErrors {
    connection: String,
    system: String,
    disk: String,
    serial: String,
    pool: String,
    kind: &'static str,
}

/// All series of one scrape.
#[derive(Debug, Default)]
struct Scrape {
    connection_freshness: Series<OfConnection>,
    connection_age: Series<OfConnection>,
    connection_sections_unread: Series<Unread>,
    system_info: Series<Build>,
    system_severity: Series<OfSystem>,
    system_cpu: Series<OfSystem>,
    system_memory: Series<OfSystem>,
    system_memory_used: Series<OfSystem>,
    pool_state: Series<PoolState>,
    pool_severity: Series<OfPool>,
    pool_size: Series<OfPool>,
    pool_used: Series<OfPool>,
    pool_available: Series<OfPool>,
    disk_severity: Series<OfDisk>,
    disk_temperature: Series<DiskHeat>,
    disk_errors: Series<DiskErrors>,
    made: usize,
    left_out: usize,
    series_max: usize,
}

/// Reads the view that the feed holds when Prometheus asks.
pub(super) struct FleetMetrics {
    feed: OnceLock<Feed>,
    clock: Clock,
    /// Series of one scrape, at most; 0: none are made.
    series_max: usize,
}

impl FleetMetrics {
    pub(super) fn new(clock: Clock, series_max: usize) -> Self {
        Self { feed: OnceLock::new(), clock, series_max }
    }

    /// Nothing is told before.
    pub(super) fn follow(&self, feed: Feed) {
        drop(self.feed.set(feed));
    }
}

impl fmt::Debug for FleetMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetMetrics").field("series_max", &self.series_max).finish_non_exhaustive()
    }
}

impl Collector for FleetMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(feed) = self.feed.get().filter(|_| self.series_max > 0) else { return Ok(()) };
        let mut scrape = Scrape { series_max: self.series_max, ..Scrape::default() };
        scrape.take(&feed.view(), self.clock.now().get());
        scrape.write(&mut encoder)
    }
}

impl Scrape {
    /// What is worth most comes first, where not everything has room.
    fn take(&mut self, view: &View, now_ms: u64) {
        view.shards().for_each(|shard| self.connection(shard, now_ms));
        for shard in view.shards() {
            of_type(shard, ResourceType::Host).for_each(|host| self.system(host));
        }
        for shard in view.shards() {
            let system = system_of(shard);
            let pools = of_type(shard, ResourceType::Storage);
            let is_pool = |found: &&Resource| found.document.topology() == Some(StorageTopology::Pool);
            pools.filter(is_pool).for_each(|pool| self.pool(&system, pool));
        }
        for shard in view.shards() {
            let system = system_of(shard);
            of_type(shard, ResourceType::PhysicalDisk).for_each(|disk| self.disk(&system, disk));
        }
    }

    fn set<L>(&mut self, series: impl Fn(&Self) -> &Series<L>, labels: &L, value: f64)
    where
        L: Clone + std::hash::Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static,
    {
        if self.made >= self.series_max {
            self.left_out += 1;
            return;
        }
        self.made += 1;
        series(self).get_or_create(labels).set(value);
    }

    fn connection(&mut self, shard: &Shard, now_ms: u64) {
        let name = shard.status.as_ref().map(|status| status.name.clone()).unwrap_or_default();
        let labels = OfConnection { connection: shard.connection.to_string(), name };
        // A host is what is read most often; without one, the worst of all says how it is.
        let hosts = of_type(shard, ResourceType::Host).map(|host| host.freshness).max();
        let freshness = hosts.or_else(|| shard.resources.iter().map(|found| found.freshness).max());
        // What was never read is as little heard of as what is lost.
        let freshness = freshness.unwrap_or(Freshness::Lost);
        let place = Freshness::ALL.iter().position(|one| *one == freshness).unwrap_or_default();
        self.set(|s| &s.connection_freshness, &labels, number(place as u64));
        let newest = shard.sections.values().filter_map(|report| report.observed_at).max();
        if let Some(newest) = newest {
            let age = now_ms.saturating_sub(newest.get());
            self.set(|s| &s.connection_age, &labels, number(age) / 1_000.0);
        }
        for outcome in UNREAD {
            let OfConnection { connection, name } = labels.clone();
            let ended_so = shard.sections.values().filter(|report| report.outcome == outcome).count();
            let unread = Unread { connection, name, outcome: outcome.token() };
            self.set(|s| &s.connection_sections_unread, &unread, number(ended_so as u64));
        }
    }

    fn system(&mut self, host: &Resource) {
        let labels =
            OfSystem { connection: host.connection.to_string(), system: host.display_name().to_owned() };
        let OfSystem { connection, system } = labels.clone();
        let (version, model) = (host.document.version().to_owned(), host.document.model().to_owned());
        self.set(|s| &s.system_info, &Build { connection, system, version, model }, 1.0);
        self.set(|s| &s.system_severity, &labels, rank(host.severity));
        if let Some(percent) = host.document.cpu_percent() {
            self.set(|s| &s.system_cpu, &labels, percent / 100.0);
        }
        if let Some((used, total)) = host.document.memory() {
            self.set(|s| &s.system_memory, &labels, number(total));
            self.set(|s| &s.system_memory_used, &labels, number(used));
        }
    }

    fn pool(&mut self, system: &str, pool: &Resource) {
        let connection = pool.connection.to_string();
        let labels = OfPool { connection, system: system.to_owned(), pool: pool.name().to_owned() };
        let OfPool { connection, system, pool: name } = labels.clone();
        let state = PoolState { connection, system, pool: name, state: pool.document.state().to_owned() };
        self.set(|s| &s.pool_state, &state, 1.0);
        self.set(|s| &s.pool_severity, &labels, rank(pool.severity));
        let capacity = pool.document.capacity().unwrap_or_default();
        if let Some(total) = capacity.total_bytes {
            self.set(|s| &s.pool_size, &labels, number(total));
        }
        if let Some(used) = capacity.used_bytes {
            self.set(|s| &s.pool_used, &labels, number(used));
        }
        if let Some(available) = capacity.available_bytes {
            self.set(|s| &s.pool_available, &labels, number(available));
        }
    }

    fn disk(&mut self, system: &str, found: &Resource) {
        let labels = OfDisk {
            connection: found.connection.to_string(),
            system: system.to_owned(),
            disk: found.name().to_owned(),
            serial: found.document.serial().to_owned(),
            pool: found.document.pool().to_owned(),
        };
        self.set(|s| &s.disk_severity, &labels, rank(found.severity));
        if let Some(celsius) = found.document.temperature_celsius() {
            let OfDisk { connection, system, disk, serial, pool } = labels.clone();
            let bus = bus(found.document.bus());
            let heat = DiskHeat { connection, system, disk, serial, pool, bus };
            self.set(|s| &s.disk_temperature, &heat, celsius);
        }
        let counts = found.document.disk_errors().unwrap_or_default();
        let kinds = ["read", "write", "checksum"].into_iter().zip(counts);
        for (kind, count) in kinds {
            let Some(count) = count else { continue };
            let OfDisk { connection, system, disk, serial, pool } = labels.clone();
            let errors = DiskErrors { connection, system, disk, serial, pool, kind };
            self.set(|s| &s.disk_errors, &errors, number(count));
        }
    }

    fn write(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let e = encoder;
        put(
            e,
            "connection_freshness",
            "0: read in time, 1: stale, 2: lost, or never read",
            &self.connection_freshness,
        )?;
        put(
            e,
            "connection_age_seconds",
            "Since any section of it was last read completely",
            &self.connection_age,
        )?;
        put(
            e,
            "connection_sections_unread",
            "Sections of which the last reading did not bring everything, by its outcome: failed, forbidden, partial",
            &self.connection_sections_unread,
        )?;
        put(e, "system_info", "1, with what the system says of itself", &self.system_info)?;
        put(e, "system_severity", "0: healthy, 1: monitor, 2: warning, 3: critical", &self.system_severity)?;
        put(e, "system_cpu_ratio", "Processor time in use, 0 to 1", &self.system_cpu)?;
        put(e, "system_memory_bytes", "Memory there is", &self.system_memory)?;
        put(e, "system_memory_used_bytes", "Memory in use, the ARC apart", &self.system_memory_used)?;
        put(e, "pool_state", "1, with the state that ZFS tells", &self.pool_state)?;
        put(e, "pool_severity", "0: healthy, 1: monitor, 2: warning, 3: critical", &self.pool_severity)?;
        put(e, "pool_size_bytes", "What can be stored, used and available together", &self.pool_size)?;
        put(e, "pool_used_bytes", "What is stored", &self.pool_used)?;
        put(e, "pool_available_bytes", "What can still be stored", &self.pool_available)?;
        put(e, "disk_severity", "0: healthy, 1: monitor, 2: warning, 3: critical", &self.disk_severity)?;
        put(
            e,
            "disk_temperature_celsius",
            "Temperature of the disk, by its bus: nvme, scsi, ata, other",
            &self.disk_temperature,
        )?;
        put(e, "disk_errors", "Errors that ZFS counts for the disk, by kind", &self.disk_errors)?;
        let left_out = Gauge::<f64, AtomicU64>::default();
        left_out.set(number(self.left_out as u64));
        let help = "Series of the fleet for which there was no room, see metrics.fleet_series_max";
        let metric = e.encode_descriptor("fleet_series_left_out", help, None, MetricType::Gauge)?;
        left_out.encode(metric)
    }
}

fn put<L>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, series: &Series<L>) -> fmt::Result
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + fmt::Debug,
{
    series.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn of_type(shard: &Shard, wanted: ResourceType) -> impl Iterator<Item = &Resource> {
    let resources = shard.resources.iter().map(AsRef::as_ref);
    resources.filter(move |found: &&Resource| found.resource_type() == wanted)
}

/// What people call the machine of a connection.
fn system_of(shard: &Shard) -> String {
    of_type(shard, ResourceType::Host).next().map(|host| host.display_name().to_owned()).unwrap_or_default()
}

fn bus(told: &str) -> &'static str {
    BUSES.into_iter().find(|bus| bus.eq_ignore_ascii_case(told)).unwrap_or("other")
}

fn rank(severity: Severity) -> f64 {
    number(Severity::ALL.iter().position(|one| *one == severity).unwrap_or_default() as u64)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other number; 53 bits are exact to a byte for 8 PiB"
)]
const fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pulse_proto::model::{ConnectionId, Revision};

    use super::*;
    use crate::state::view::Rows;

    fn scrape(series_max: usize) -> Scrape {
        let never_read = |id: &str| Shard {
            connection: ConnectionId::parse(id).unwrap(),
            status: None,
            sections: std::collections::BTreeMap::new(),
            resources: Arc::new(Rows::default()),
        };
        let view = View::of(Revision(1), ["a", "b"].map(never_read));
        let mut scrape = Scrape { series_max, ..Scrape::default() };
        scrape.take(&view, 0);
        scrape
    }

    #[test]
    fn an_appliance_that_was_never_read_is_told_as_one_that_is_lost() {
        let scrape = scrape(10);
        let labels = OfConnection { connection: "a".to_owned(), name: String::new() };
        let told = scrape.connection_freshness.get(&labels).map(|series| series.get());
        assert_eq!(told, Some(2.0));
        assert_eq!((scrape.made, scrape.left_out), (8, 0));
    }

    #[test]
    fn a_bus_is_one_of_four_whatever_an_appliance_calls_it() {
        for (told, bus) in
            [("NVME", "nvme"), ("Scsi", "scsi"), ("ATA", "ata"), ("USB", "other"), ("", "other")]
        {
            assert_eq!(super::bus(told), bus, "{told}");
        }
    }

    #[test]
    fn series_beyond_the_cap_are_counted_and_not_made() {
        let scrape = scrape(1);
        assert_eq!((scrape.made, scrape.left_out), (1, 7));
    }
}
