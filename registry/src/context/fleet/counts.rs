//! How many there are of what, and how they are.

use std::collections::BTreeMap;

use pulse_proto::model::{Capacity, Freshness, ResourceType, Severity, Status, StorageTopology};

use crate::context::alerts;
use crate::context::fact::Fact;
use crate::context::piece::{Statement, say};
use crate::context::say;
use crate::context::words::{self, Own};
use crate::state::resource::Resource;
use crate::state::view::profile::Profile;
use crate::state::view::tally::Tallies;

#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Tallies);

/// What is told besides resources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    pub(super) is_filtered: bool,
    /// No resource is in trouble.
    pub(super) is_well: bool,
    /// Connections that may have what is asked for, where nothing matches.
    pub(super) unseen: u64,
    /// Connections of which no resource is known.
    pub(super) silent: u64,
    pub(super) alerts: alerts::Open,
}

/// The order in which they are told.
type Class = (u8, &'static str);

impl Counts {
    pub(super) fn of(tallies: &Tallies) -> Self {
        Self(tallies.clone())
    }

    pub(super) fn add(&mut self, resource: &Resource, profile: Profile) {
        self.0.count(resource, profile);
    }

    pub(super) fn add_all(&mut self, tallies: &Tallies) {
        tallies.iter().for_each(|(profile, tally)| self.0.add(*profile, tally));
    }

    fn sum(&self, holds: impl Fn(Profile) -> bool) -> u64 {
        self.0.iter().filter(|(profile, _)| holds(*profile)).map(|(_, tally)| tally.count).sum()
    }

    pub(super) fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    fn pools(&self) -> Capacity {
        let mut sum = crate::state::view::tally::Tally::default();
        let of_pools = self.0.iter().filter(|(profile, _)| profile.topology() == Some(StorageTopology::Pool));
        of_pools.for_each(|(_, tally)| sum.add(tally));
        sum.capacity()
    }

    fn by_class(&self) -> BTreeMap<Class, Vec<(Profile, u64)>> {
        let mut classes: BTreeMap<Class, Vec<(Profile, u64)>> = BTreeMap::new();
        for (profile, tally) in self.0.iter() {
            classes.entry(class(*profile)).or_default().push((*profile, tally.count));
        }
        classes
    }

    /// What is always said.
    pub(super) fn head(&self, beside: &Beside) -> Vec<Fact> {
        let Beside { is_filtered, silent, alerts, .. } = *beside;
        let total = self.sum(|_| true);
        if total == 0 && silent == 0 && alerts.all == 0 {
            let statement = match beside.unseen {
                _ if !is_filtered => say!["No system is known yet: nothing was taken in."],
                0 => say!["No resource matches the filter."],
                1 => say!["No resource matches the filter; 1 connection that tells nothing may have some."],
                unseen => {
                    let connections = words::count(unseen, "connection");
                    say!["No resource matches the filter; ", connections, " that tell nothing may have some."]
                }
            };
            return vec![Fact::derived("fleet", statement).with_value(words::digits(0), "resources")];
        }
        let what = if is_filtered { "Part of a fleet that matches the filter: " } else { "Fleet: " };
        let counts = self.by_class().into_iter().map(|((_, class), found)| {
            let count = found.iter().map(|(_, count)| count).sum();
            let mut statement = say![words::count(count, class)];
            if class == "pool" {
                let capacity = say::capacity(&self.pools());
                if !capacity.is_empty() {
                    statement.add(" with ").append(capacity);
                }
            }
            statement
        });
        let mut counts: Vec<Statement> = counts.collect();
        if silent > 0 {
            // Connections are there, and nothing was read of them.
            counts.push(say![words::count(silent, "connection"), ", of which no resource is known"]);
        }
        if counts.is_empty() {
            // What they are about is well, or gone.
            counts.push(say![words::count(alerts.all, "open alert")]);
        }
        let mut statement = say![what];
        statement.append(Statement::list(counts, ", ")).add(".");
        let fleet = Fact::derived("fleet", statement).with_value(words::digits(total), "resources");
        vec![fleet, self.health(beside)]
    }

    fn health(&self, beside: &Beside) -> Fact {
        let severities = [Severity::Critical, Severity::Warning, Severity::Monitor];
        let counts: Vec<(Severity, u64)> = severities
            .into_iter()
            .map(|severity| (severity, self.sum(|profile| profile.severity() == severity)))
            .collect();
        let old = self.sum(|profile| profile.freshness() != Freshness::Fresh);
        let Beside { silent, alerts: alerts::Open { firing, .. }, .. } = *beside;
        let is_well = beside.is_well && firing == 0 && silent == 0;
        let mut statement = if is_well { say!["Nothing is wrong now"] } else { say!["Health of resources"] };
        for (number, (severity, count)) in counts.iter().enumerate() {
            statement.add(if number == 0 { ": " } else { ", " });
            statement.add(words::number(*count)).add(" ").add(severity.token());
        }
        if firing > 0 {
            let words = if firing == 1 { " fires" } else { " fire" };
            statement.add("; ").add(words::count(firing, "alert")).add(words);
        }
        if silent > 0 {
            let words = if silent == 1 { " tells nothing" } else { " tell nothing" };
            statement.add("; ").add(words::count(silent, "connection")).add(words);
        }
        match old {
            0 if self.total() == 0 => statement.add("."),
            0 if silent > 0 => statement.add("; everything else is up to date."),
            0 => statement.add("; everything is up to date."),
            old => statement.add("; ").add(words::number(old)).add(" not up to date, shown as last seen."),
        };
        let worst =
            counts.iter().find(|(_, count)| *count > 0).map_or(Severity::Healthy, |(worst, _)| *worst);
        Fact::derived("health", statement).with_value(Own::from(worst.token()), "severity")
    }

    /// Each class with its statuses.
    pub(super) fn inventory(&self) -> Vec<Fact> {
        let line = |((_, class), found): (Class, Vec<(Profile, u64)>)| {
            let total: u64 = found.iter().map(|(_, count)| count).sum();
            let mut statement = say![words::count(total, class), ": "];
            let by_status = Status::ALL.iter().filter_map(|status| {
                let of = found.iter().filter(|(profile, _)| profile.status() == *status);
                let count: u64 = of.map(|(_, count)| count).sum();
                (count > 0).then(|| say![words::number(count), " ", status.token()])
            });
            statement.append(Statement::list(by_status, ", "));
            // A status says less than a severity.
            let critical = found.iter().filter(|(profile, _)| profile.severity() == Severity::Critical);
            let critical: u64 = critical.map(|(_, count)| count).sum();
            if critical > 0 {
                statement.add(", ").add(words::number(critical)).add(" of them critical");
            }
            statement.add(".");
            Fact::derived("inventory", statement).with_value(words::digits(total), class)
        };
        self.by_class().into_iter().map(line).collect()
    }
}

fn class(profile: Profile) -> Class {
    let (kind, topology) = (profile.resource_type(), profile.topology());
    let place = match (kind, topology) {
        (ResourceType::Host, _) => 0,
        (ResourceType::Storage, Some(StorageTopology::Dataset)) => 3,
        (ResourceType::Storage, _) => 1,
        (ResourceType::PhysicalDisk, _) => 2,
        (ResourceType::ProtectionTask, _) => 4,
        (ResourceType::NetworkShare, _) => 5,
        (ResourceType::AppContainer, _) => 6,
        (ResourceType::Vm, _) => 7,
        _ => 8,
    };
    (place, say::class(kind, topology))
}
