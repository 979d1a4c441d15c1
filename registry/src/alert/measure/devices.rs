//! What counts errors of a resource, device by device.

use std::borrow::Cow;

use pulse_proto::model::{ResourceType, Vdev};

use super::Lens;

/// Read, write and checksum errors, as told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::alert) struct Errors(pub(in crate::alert) [Option<u64>; 3]);

impl Errors {
    /// What is not told is as in the other.
    pub(in crate::alert) fn or(self, other: Self) -> Self {
        let mut own = self;
        own.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = own.or(other));
        own
    }

    /// Zero wherever anything is told; all of it where nothing is.
    pub(in crate::alert) fn zero(self) -> Self {
        if self == Self::default() {
            return Self([Some(0); 3]);
        }
        Self(self.0.map(|told| told.map(|_| 0)))
    }

    /// Those that are zero, and nothing of the others.
    pub(in crate::alert) fn zeros(self) -> Self {
        Self(self.0.map(|told| told.filter(|count| *count == 0)))
    }

    /// Those that the other does not tell.
    pub(in crate::alert) fn untold_by(self, other: Self) -> Self {
        let mut own = self;
        own.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = own.filter(|_| other.is_none()));
        own
    }

    pub(in crate::alert) fn is_any(self) -> bool {
        self.0.iter().flatten().any(|count| *count > 0)
    }
}

/// One device of a pool, or a disk.
pub(in crate::alert) struct DeviceErrors<'a> {
    /// Tells it from the others of the resource.
    pub(in crate::alert) key: Cow<'a, str>,
    pub(in crate::alert) name: Cow<'a, str>,
    pub(in crate::alert) errors: Errors,
}

impl Lens<'_> {
    /// What counts errors of the resource; none where nobody tells of any.
    pub(in crate::alert) fn devices(&self) -> Vec<DeviceErrors<'_>> {
        if self.is(ResourceType::PhysicalDisk) {
            let errors = self.resource.document.disk_errors().map(Errors);
            // A disk is itself.
            let disk = |errors| DeviceErrors {
                key: Cow::Borrowed(""),
                name: Cow::Borrowed(self.resource.display_name()),
                errors,
            };
            return errors.filter(|told| *told != Errors::default()).map(disk).into_iter().collect();
        }
        let Some(pool) = self.pool() else { return Vec::new() };
        let mut devices: Vec<DeviceErrors<'_>> = Vec::new();
        let mut todo: Vec<&Vdev> = pool.groups.iter().flat_map(|group| &group.vdevs).collect();
        while let Some(vdev) = todo.pop() {
            if vdev.children.is_empty() {
                let [guid, name, path] = [&vdev.guid, &vdev.name, &vdev.path].map(String::as_str);
                let mut key = Cow::Borrowed(first_of([guid, name, path]));
                if devices.iter().any(|known| known.key == key) {
                    key = Cow::Owned(format!("{key}#{}", devices.len()));
                }
                let name = first_of([name, path, guid]);
                let errors = Errors([vdev.read_errors, vdev.write_errors, vdev.checksum_errors]);
                devices.push(DeviceErrors { key, name: Cow::Borrowed(name), errors });
            }
            todo.extend(&vdev.children);
        }
        devices
    }
}

fn first_of(words: [&str; 3]) -> &str {
    words.into_iter().find(|word| !word.is_empty()).unwrap_or_default()
}
