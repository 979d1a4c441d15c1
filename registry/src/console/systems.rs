//! Every monitored system with what its connection brought, counted: the rows
//! of the infrastructure page and the cells of the heat grid.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{Capacity, Freshness, ResourceType, Severity, StorageTopology, UnixMillis};

use super::look::{Health, Look};
use crate::query::filter::{Filter, FilterError};
use crate::query::list::Listing;
use crate::query::order::Order;
use crate::state::view::profile::Dimension;
use crate::state::view::{Found, Shard, View};

/// The labels that a caller is limited to.
pub type Scope = BTreeMap<String, String>;

/// Whether something with these labels is within the limits of a caller.
pub fn carries(labels: &Scope, scope: &Scope) -> bool {
    scope.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[derive(Clone, Debug)]
pub struct System {
    pub host: Found,
    pub shard: Option<Arc<Shard>>,
    pub look: Look,
    /// The worst of itself and of all that is in it.
    pub worst: Health,
    pub counts: Counts,
}

/// What one connection brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub worst: Option<Severity>,
    /// Warning or critical, the system itself apart.
    pub attention: u64,
    pub hosts: u64,
    pub pools: u64,
    pub datasets: u64,
    pub disks: u64,
    pub shares: u64,
    pub apps: u64,
    pub vms: u64,
    pub tasks: u64,
    pub capacity: Capacity,
}

impl Counts {
    pub fn of(shard: &Shard) -> Self {
        let mut counts = Self::default();
        for (profile, tally) in shard.resources.tallies().iter() {
            counts.worst = counts.worst.max(Some(profile.severity()));
            let kind = profile.resource_type();
            if profile.severity() >= Severity::Warning && kind != ResourceType::Host {
                counts.attention += tally.count;
            }
            let count = match (kind, profile.topology()) {
                (ResourceType::Host, _) => &mut counts.hosts,
                (_, Some(StorageTopology::Pool)) => {
                    add(&mut counts.capacity, &tally.capacity());
                    &mut counts.pools
                }
                (_, Some(StorageTopology::Dataset)) => &mut counts.datasets,
                (ResourceType::PhysicalDisk, _) => &mut counts.disks,
                (ResourceType::NetworkShare, _) => &mut counts.shares,
                (ResourceType::AppContainer, _) => &mut counts.apps,
                (ResourceType::Vm | ResourceType::SystemContainer, _) => &mut counts.vms,
                (ResourceType::ProtectionTask, _) => &mut counts.tasks,
                _ => continue,
            };
            *count += tally.count;
        }
        counts
    }
}

fn add(sum: &mut Capacity, part: &Capacity) {
    for (sum, part) in [
        (&mut sum.total_bytes, part.total_bytes),
        (&mut sum.used_bytes, part.used_bytes),
        (&mut sum.available_bytes, part.available_bytes),
    ] {
        if let Some(part) = part {
            *sum = Some(sum.unwrap_or(0).saturating_add(part));
        }
    }
}

/// The systems that match, by name.
pub fn find(
    view: &Arc<View>,
    filter: &str,
    scope: &Scope,
    now: UnixMillis,
) -> Result<Vec<System>, FilterError> {
    let text =
        if filter.is_empty() { "type = host".to_owned() } else { format!("type = host AND ({filter})") };
    let filter = Filter::parse_within(&text, scope)?;
    let order = Order::parse("display_name").unwrap_or_default();
    let listing = Listing::find(Arc::clone(view), &filter, &order, usize::MAX);
    Ok(listing.from(0).map(|host| System::of(host, view, now)).collect())
}

impl System {
    pub fn of(host: Found, view: &View, now: UnixMillis) -> Self {
        let look = Look::of(&host, view, now);
        let shard = view.shard(&host.resource.connection).cloned();
        let counts = shard.as_deref().map(Counts::of).unwrap_or_default();
        // Of a connection with several systems nobody can say here what belongs to which.
        let counts = if counts.hosts == 1 { counts } else { Counts::default() };
        let worst = look.health.max(counts.worst.map_or(Health::Healthy, Health::of_severity));
        Self { host, shard, look, worst, counts }
    }

    pub fn name(&self) -> &str {
        self.host.resource.display_name()
    }

    pub fn is_old(&self) -> bool {
        self.host.resource.freshness != Freshness::Fresh
    }

    /// Of its hottest disk.
    pub fn hottest(&self) -> Option<f64> {
        let shard = self.shard.as_deref().filter(|_| self.counts.hosts == 1)?;
        let disks = shard.resources.any_of(Dimension::Type, 1 << ResourceType::PhysicalDisk as u32)?;
        let heat = disks.iter().filter_map(|row| shard.resources[row].document.temperature_celsius());
        heat.max_by(f64::total_cmp)
    }
}
