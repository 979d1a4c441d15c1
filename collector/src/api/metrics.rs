//! How busy the appliance is: the newest figures of `reporting.realtime`. They are pushed, not asked for; nobody needs them
//! more often than the system is looked at.

use pulse_proto::model::Metrics;
use serde_json::Value;

use super::item::percent;
use super::json::{Fields, float};
use super::section::{Data, Spec};

pub const SPEC: Spec = Spec {
    token: "metrics",
    role: "REPORTING_READ",
    cadence: 1,
    large: false,
    collections: &[],
    plan: |_| Vec::new(),
    assemble: |_| Ok(Data::Metrics(Box::default())),
};

/// The event source, without arguments.
pub const REALTIME: &str = "reporting.realtime";

/// The fields of one event. `None` when nothing in them is understood.
pub fn decode(fields: &Value) -> Option<Metrics> {
    let fields = Fields::of(fields);
    let memory = fields.object("memory");
    let virtual_memory = fields.object("virtual_memory");
    let total = memory.and_then(|m| m.u64("physical_memory_total")).or_else(|| virtual_memory?.u64("total"));
    let available =
        memory.and_then(|m| m.u64("physical_memory_available")).or_else(|| virtual_memory?.u64("available"));
    let arc = memory.and_then(|m| m.u64("arc_size")).or_else(|| fields.object("zfs")?.u64("arc_size"));
    // Without the size of the cache nobody can tell what of the memory is in use; nor from figures that contradict each other.
    let used = total
        .zip(available)
        .zip(arc)
        .and_then(|((total, available), arc)| total.checked_sub(available)?.checked_sub(arc));
    let interfaces = |key| total_of(fields.object("interfaces"), key);
    let disks = |key| disk_rate(fields.object("disks").or_else(|| fields.object("disls")), key);
    let metrics = Metrics {
        cpu_percent: fields.object("cpu").and_then(usage),
        memory_total_bytes: total,
        memory_used_bytes: used,
        memory_available_bytes: available,
        memory_arc_bytes: arc,
        network_receive_bytes_per_second: interfaces("received_bytes_rate"),
        network_send_bytes_per_second: interfaces("sent_bytes_rate"),
        disk_read_bytes_per_second: disks("read_bytes"),
        disk_write_bytes_per_second: disks("write_bytes"),
        cpu_temperature_celsius: fields.object("cpu").and_then(hottest),
        ..Metrics::default()
    };
    (metrics != Metrics::default()).then_some(metrics)
}

/// `{"cpu": {usage}, "cpu0": …}` from 25.04 on, `{"average": {usage}, "0": …}` before.
fn usage(cpu: Fields<'_>) -> Option<f64> {
    percent(["cpu", "average"].into_iter().find_map(|key| cpu.object(key)?.f64("usage")))
}

fn hottest(cpu: Fields<'_>) -> Option<f64> {
    let modern = cpu.entries().filter_map(|(_, core)| Fields::of(core).f64("temp"));
    let old = cpu.object("temperature_celsius");
    let old = old.iter().flat_map(|cores| cores.entries()).filter_map(|(_, value)| float(value));
    let hot = modern.chain(old).filter(|degrees| (1.0..150.0).contains(degrees)).reduce(f64::max);
    hot.map(|degrees| (degrees * 10.0).round() / 10.0)
}

fn total_of(named: Option<Fields<'_>>, key: &str) -> Option<u64> {
    let rates: Vec<f64> = named?.entries().filter_map(|(_, one)| Fields::of(one).f64(key)).collect();
    if rates.is_empty() { None } else { rate(rates.iter().sum()) }
}

/// Of all disks at once, or one by one on some releases.
fn disk_rate(disks: Option<Fields<'_>>, key: &str) -> Option<u64> {
    disks?.f64(key).and_then(rate).or_else(|| total_of(disks, key))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn rate(bytes: f64) -> Option<u64> {
    (0.0..1e15).contains(&bytes).then_some(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_generations() {
        let modern = json!({"cpu": {"cpu": {"usage": 12.34, "temp": null}, "cpu0": {"usage": 1, "temp": 45.25}},
            "memory": {"arc_size": 50, "physical_memory_total": 100, "physical_memory_available": 20},
            "interfaces": {"a": {"received_bytes_rate": 1.5, "sent_bytes_rate": 2}, "b": {"received_bytes_rate": 1}},
            "disks": {"busy": 1, "read_bytes": 7.2, "write_bytes": 0}});
        let told = decode(&modern).expect("understood");
        assert_eq!((told.cpu_percent, told.cpu_temperature_celsius), (Some(12.3), Some(45.3)));
        assert_eq!((told.memory_used_bytes, told.memory_arc_bytes), (Some(30), Some(50)));
        assert_eq!(
            (told.network_receive_bytes_per_second, told.network_send_bytes_per_second),
            (Some(3), Some(2))
        );
        assert_eq!((told.disk_read_bytes_per_second, told.disk_write_bytes_per_second), (Some(7), Some(0)));

        let old = json!({"cpu": {"average": {"usage": 50}, "temperature_celsius": {"0": 40, "1": 42}},
            "virtual_memory": {"total": 100, "available": 20}, "zfs": {"arc_size": 10}});
        let told = decode(&old).expect("understood");
        assert_eq!((told.cpu_percent, told.memory_used_bytes), (Some(50.0), Some(70)));
        assert_eq!(told.cpu_temperature_celsius, Some(42.0));
    }

    #[test]
    fn memory_without_the_cache_is_unknown_and_never_full() {
        let told = decode(&json!({"virtual_memory": {"total": 100, "available": 0}})).expect("understood");
        assert_eq!((told.memory_used_bytes, told.memory_total_bytes), (None, Some(100)));
        assert_eq!(decode(&json!({"failed_to_connect": true})), None);
    }

    #[test]
    fn memory_figures_that_contradict_each_other_say_nothing_of_what_is_used() {
        for (total, available, arc) in [(100, 120, 10), (100, 95, 10), (0, 1, 0)] {
            let memory = json!({"memory": {"physical_memory_total": total, "physical_memory_available": available,
                "arc_size": arc}});
            assert_eq!(decode(&memory).expect("understood").memory_used_bytes, None, "{memory}");
        }
    }
}
