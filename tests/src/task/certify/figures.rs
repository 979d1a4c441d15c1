//! The figures that were promised, and what they have to be.

use serde::Deserialize;

use super::super::bench::Name;

/// Which side of the target is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    AtLeast,
    AtMost,
}

#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub bench: Name,
    pub figure: &'static str,
    pub good: Good,
    pub value: f64,
    pub unit: &'static str,
}

const fn at_least(bench: Name, figure: &'static str, value: f64, unit: &'static str) -> Target {
    Target { bench, figure, good: Good::AtLeast, value, unit }
}
const fn at_most(bench: Name, figure: &'static str, value: f64, unit: &'static str) -> Target {
    Target { bench, figure, good: Good::AtMost, value, unit }
}

#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    at_least(Name::Ingest, "ratio_vs_etcd", 3.0, "x"),
    at_least(Name::Ingest, "unchanged_resources_per_s", 2_000_000.0, "1/s"),
    at_least(Name::Watch, "ratio_vs_etcd_16", 5.0, "x"),
    at_most(Name::List, "full_list_50k_server_cpu_ms", 100.0, "ms"),
    at_most(Name::List, "page_500_p99_ms", 2.0, "ms"),
    at_most(Name::List, "get_p99_ms", 1.0, "ms"),
    at_most(Name::Restart, "ready_ms_1m", 3_000.0, "ms"),
    at_most(Name::Restart, "bytes_per_resource_1m", 1_500.0, "B"),
    at_most(Name::Context, "p99_ms_1m", 50.0, "ms"),
    at_least(Name::Context, "coverage_4k_percent", 100.0, "%"),
    at_most(Name::Fleet, "collector_rss_mb", 400.0, "MB"),
    at_most(Name::Fleet, "collector_cores", 0.5, "cores"),
    at_least(Name::Fleet, "bytes_ratio_vs_naive", 10.0, "x"),
    at_most(Name::Console, "slowest_page_p50_ms", 100.0, "ms"),
    at_most(Name::Console, "slowest_page_p99_ms", 100.0, "ms"),
    at_most(Name::Console, "largest_page_kb", 100.0, "kB"),
    // What changed is what it costs, not what there is: less than one look at everything.
    at_most(Name::Alerts, "evaluation_ratio_vs_pass", 1.0, "x"),
];

/// A line that a bench prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    pub figure: String,
    pub value: f64,
}

/// The figures among what a bench printed.
pub fn read(output: &str) -> Vec<Measured> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Target {
    pub fn is_met(&self, value: f64) -> bool {
        match self.good {
            Good::AtLeast => value >= self.value,
            Good::AtMost => value <= self.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_from_its_good_side() {
        let (least, most) = (at_least(Name::Ingest, "a", 3.0, ""), at_most(Name::List, "b", 3.0, ""));
        for (value, met_least, met_most) in [(2.9, false, true), (3.0, true, true), (3.1, true, false)] {
            assert_eq!((least.is_met(value), most.is_met(value)), (met_least, met_most), "{value}");
        }
        assert!(!least.is_met(f64::NAN) && !most.is_met(f64::NAN));
    }

    #[test]
    fn figures_are_found_among_other_lines() {
        let text = "warming up\n{\"figure\":\"a\",\"value\":1.5,\"unit\":\"x\",\"reference\":0.0,\"ratio\":0.0}\n{}\n";
        let read = read(text);
        assert_eq!(read.len(), 1);
        assert!((read[0].value - 1.5).abs() < f64::EPSILON);
    }
}
