//! What matters most of a resource beside its health, in a few words. Knows nothing of tables.

use pulse_proto::pb::resource::v1::{Capacity, Metrics, PhysicalDiskFacet, ProtectionTaskFacet, Resource};
use pulse_shell::table::size;

/// Longest message quoted in a table.
const MESSAGE_CHARS_MAX: usize = 60;

pub(super) fn of(resource: &Resource) -> String {
    if let Some(disk) = &resource.physical_disk {
        return disk_detail(disk, resource.capacity.as_ref());
    }
    if let Some(task) = &resource.protection_task {
        return task_detail(task);
    }
    if let Some(share) = &resource.network_share {
        return share.path.clone();
    }
    if let Some(app) = &resource.app {
        let version = if app.human_version.is_empty() { &app.version } else { &app.human_version };
        let newer = if app.upgrade_available == Some(true) { ", upgrade available" } else { "" };
        return format!("{version}{newer}");
    }
    if let Some(vm) = &resource.vm {
        return vm.memory_bytes.map(|bytes| format!("{} memory", size(bytes))).unwrap_or_default();
    }
    if let Some(metrics) = &resource.metrics {
        return busy(metrics);
    }
    used(resource.capacity.as_ref())
}

/// "1.5 TiB of 4.0 TiB (37 %)".
pub(super) fn used(capacity: Option<&Capacity>) -> String {
    let Some(capacity) = capacity else { return String::new() };
    match (capacity.used_bytes, capacity.total_bytes) {
        (Some(used), Some(total)) if total > 0 => {
            format!("{} of {} ({} %)", size(used), size(total), percent(used, total))
        }
        (_, Some(total)) => size(total),
        _ => String::new(),
    }
}

fn disk_detail(disk: &PhysicalDiskFacet, capacity: Option<&Capacity>) -> String {
    let heat = disk.temperature_celsius.map(|degrees| format!("{degrees:.0} °C"));
    [Some(used(capacity)).filter(|text| !text.is_empty()), heat]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

fn task_detail(task: &ProtectionTaskFacet) -> String {
    if task.enabled == Some(false) {
        return "switched off".to_owned();
    }
    if !task.message.is_empty() {
        return task.message.chars().take(MESSAGE_CHARS_MAX).collect();
    }
    if let Some(percent) = task.progress_percent {
        return format!("{percent:.0} %");
    }
    task.last_snapshot.clone()
}

fn busy(metrics: &Metrics) -> String {
    let cpu = metrics.cpu_percent.map(|percent| format!("CPU {percent:.0} %"));
    let memory = match (metrics.memory_used_bytes, metrics.memory_total_bytes) {
        (Some(used), Some(total)) if total > 0 => Some(format!("memory {} %", percent(used, total))),
        _ => None,
    };
    [cpu, memory].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Rounded to whole ones.
fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100 + u128::from(whole) / 2)
        .checked_div(u128::from(whole))
        .and_then(|percent| u64::try_from(percent).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_says_what_matters_of_it() {
        let disk = PhysicalDiskFacet { temperature_celsius: Some(34.4), ..PhysicalDiskFacet::default() };
        let capacity = Capacity { total_bytes: Some(1 << 40), ..Capacity::default() };
        let resource =
            Resource { physical_disk: Some(disk), capacity: Some(capacity), ..Resource::default() };
        assert_eq!(of(&resource), "1.0 TiB, 34 °C");
        let task = ProtectionTaskFacet { message: "no route".to_owned(), ..ProtectionTaskFacet::default() };
        assert_eq!(of(&Resource { protection_task: Some(task), ..Resource::default() }), "no route");
        let metrics = Metrics {
            cpu_percent: Some(12.3),
            memory_used_bytes: Some(3),
            memory_total_bytes: Some(4),
            ..Metrics::default()
        };
        assert_eq!(of(&Resource { metrics: Some(metrics), ..Resource::default() }), "CPU 12 %, memory 75 %");
        assert_eq!(of(&Resource::default()), "");
    }
}
