//! The error counters of a resource as they were believed last, device by device,
//! and how far each has grown since somebody cleared it. Pure. What a read does not
//! tell is as it was; a device is gone when two reads do not list it.

use std::collections::BTreeMap;

use pulse_proto::model::UnixMillis;

use super::Counter;
use crate::alert::measure::{DeviceErrors, Errors};

/// Growth of a counter that is not forgotten yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::alert) struct Grown {
    pub(in crate::alert) from: u64,
    pub(in crate::alert) to: u64,
    pub(in crate::alert) at: UnixMillis,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::alert) struct Counted {
    /// By what tells them apart.
    pub(in crate::alert) devices: BTreeMap<Box<str>, Device>,
    /// As an earlier release kept it: of all devices together.
    pub(in crate::alert) earlier: BTreeMap<Counter, Grown>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::alert) struct Device {
    /// As believed; `None` was never told.
    pub(in crate::alert) errors: Errors,
    pub(in crate::alert) grown: BTreeMap<Counter, Grown>,
    /// When it was not listed for the first time. Begins anew after a restart.
    pub(in crate::alert) missing: Option<UnixMillis>,
}

impl Device {
    fn of(errors: Errors) -> Self {
        Self { errors, ..Self::default() }
    }

    fn see(&mut self, told: Errors, now: UnixMillis) {
        self.missing = None;
        // What was never told before has no base: it is taken as it is.
        let (before, after) = (self.errors.or(told), told.or(self.errors));
        for counter in Counter::ALL {
            let (Some(from), Some(to)) = (counter.of(before), counter.of(after)) else { continue };
            if to > from {
                let from = self.grown.get(counter).map_or(from, |known| known.from);
                self.grown.insert(*counter, Grown { from, to, at: now });
            } else if to < from {
                // Somebody cleared it.
                self.grown.remove(counter);
            }
        }
        self.errors = after;
    }
}

impl Counted {
    /// As they are told, taken for what was believed.
    pub(in crate::alert) fn plain(told: &[DeviceErrors<'_>]) -> Self {
        Self::with(told, |errors| errors)
    }

    /// All zero, of those that are told.
    pub(in crate::alert) fn zero(told: &[DeviceErrors<'_>]) -> Self {
        Self::with(told, Errors::zero)
    }

    fn with(told: &[DeviceErrors<'_>], as_believed: impl Fn(Errors) -> Errors) -> Self {
        let devices = told.iter().map(|one| (one.key.as_ref().into(), Device::of(as_believed(one.errors))));
        Self { devices: devices.collect(), earlier: BTreeMap::new() }
    }

    /// Takes in a read of that time. Whether another one is to decide what became of a device.
    pub(in crate::alert) fn see(
        &mut self,
        told: &[DeviceErrors<'_>],
        read_at: UnixMillis,
        now: UnixMillis,
    ) -> bool {
        for DeviceErrors { key, errors, .. } in told {
            match self.devices.get_mut(&**key) {
                Some(device) => device.see(*errors, now),
                // It was not there: what it brings did not grow here.
                None => drop(self.devices.insert(key.as_ref().into(), Device::of(*errors))),
            }
        }
        self.adopt_earlier();
        let is_listed = |key: &str| told.iter().any(|one| one.key == key);
        let mut waits = false;
        self.devices.retain(|key, device| {
            if is_listed(key) {
                return true;
            }
            let missing = *device.missing.get_or_insert(read_at);
            let is_gone = read_at > missing;
            waits |= !is_gone && !device.grown.is_empty();
            !is_gone
        });
        waits
    }

    /// Makes room for what is told and cannot be believed yet: counters begin with zero, and of any other number it is
    /// not known since when.
    pub(in crate::alert) fn expect(&mut self, told: &[DeviceErrors<'_>]) {
        for one in told {
            let device = self.devices.entry(one.key.as_ref().into()).or_default();
            device.errors = device.errors.or(one.errors.zeros());
        }
    }

    /// Whether more or less is told than is believed.
    pub(in crate::alert) fn differs(&self, told: &[DeviceErrors<'_>]) -> bool {
        let is_other = |one: &DeviceErrors<'_>| {
            self.devices.get(&*one.key).is_some_and(|device| one.errors.or(device.errors) != device.errors)
        };
        told.iter().any(is_other)
    }

    /// What all devices together grew by is that of the one that counts most, where it still stands so.
    fn adopt_earlier(&mut self) {
        for (counter, Grown { from, to, at }) in std::mem::take(&mut self.earlier) {
            if self.value(counter) != Some(to) {
                continue;
            }
            let worst = self.devices.values_mut().max_by_key(|device| counter.of(device.errors));
            if let Some(device) = worst
                && let Some(value) = counter.of(device.errors)
            {
                let from = value.saturating_sub(to.saturating_sub(from));
                device.grown.insert(counter, Grown { from, to: value, at });
            }
        }
    }

    /// Whether it says more than the resource itself does, where that shows nothing but zeros.
    pub(in crate::alert) fn is_needed(&self, told: &[DeviceErrors<'_>]) -> bool {
        let counts = |device: &Device| {
            device.errors.is_any() || !device.grown.is_empty() || device.errors == Errors::default()
        };
        !self.earlier.is_empty() || self.devices.values().any(counts) || *self != Self::plain(told)
    }

    /// All that is believed.
    pub(super) fn value(&self, counter: Counter) -> Option<u64> {
        let told = self.devices.values().filter_map(|device| counter.of(device.errors));
        told.reduce(u64::saturating_add)
    }

    /// What grew, of all devices whose growth is as young as asked for.
    pub(in crate::alert) fn grown(
        &self,
        counter: Counter,
        is_young: impl Fn(UnixMillis) -> bool,
    ) -> Option<Grown> {
        let devices = self.devices.values().filter_map(|device| device.grown.get(&counter));
        let all = devices.chain(self.earlier.get(&counter)).filter(|grown| is_young(grown.at));
        all.copied().reduce(|sum, one| Grown {
            from: sum.from.saturating_add(one.from),
            to: sum.to.saturating_add(one.to),
            at: sum.at.max(one.at),
        })
    }

    /// The devices that grew so lately, and when.
    pub(super) fn growing(
        &self,
        counter: Counter,
        is_young: impl Fn(UnixMillis) -> bool,
    ) -> impl Iterator<Item = (&str, UnixMillis)> {
        let grown =
            self.devices.iter().filter_map(move |(key, device)| Some((key, device.grown.get(&counter)?.at)));
        grown.map(|(key, at)| (&**key, at)).filter(move |(_, at)| is_young(*at))
    }

    /// Whether one that has errors does not tell how it stands: its own counter is not told, or no device is.
    pub(super) fn has_errors_untold(&self, told: &[DeviceErrors<'_>]) -> bool {
        self.devices.iter().any(|(key, device)| {
            let now = told.iter().find(|one| *one.key == **key).map(|one| one.errors);
            let now = now.or_else(|| told.is_empty().then(Errors::default));
            now.is_some_and(|now| device.errors.untold_by(now).is_any())
        })
    }

    /// Whether a device that grew is there and does not tell how it stands.
    pub(super) fn grew_and_is_silent(&self, counter: Counter, told: &[DeviceErrors<'_>]) -> bool {
        let silent = told.iter().filter(|one| counter.of(one.errors).is_none());
        silent.filter_map(|one| self.devices.get(&*one.key)).any(|device| device.grown.contains_key(&counter))
    }
}
