//! Pools, as `pool.query`, `zpool.query` and `boot.get_state` word them.

pub mod vdev;

use pulse_proto::model::UnixMillis;
use serde_json::{Value, json};

use super::item::Row;
use super::json::{Fields, rows};
use super::plan::{Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};
pub use vdev::{Group, Vdev};

pub const SPEC: Spec = Spec {
    token: "pools",
    role: "POOL_READ",
    cadence: 1,
    large: false,
    collections: &["pool.query", "zpool.query", "zfs.pool.scan", "pool.scan"],
    plan: |_| vec![required(Tag::Pools, "pool.query", "/pool", json!([[], {}]))],
    assemble: |replies| Ok(Data::Pools(replies.rows(Tag::Pools, decode_pools)?)),
};

impl Row for Pool {
    fn key(&self) -> &str {
        &self.name
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    pub name: String,
    /// Decimal text; empty for the boot pool.
    pub guid: String,
    pub path: String,
    /// As told; ONLINE ... SUSPENDED.
    pub status: String,
    pub status_code: String,
    pub status_detail: String,
    pub size: Option<u64>,
    pub allocated: Option<u64>,
    pub free: Option<u64>,
    pub freeing: Option<u64>,
    pub fragmentation_percent: Option<u32>,
    pub autotrim: String,
    pub dedup_table_size: Option<u64>,
    /// Told only when asked for.
    pub is_upgraded: Option<bool>,
    pub scan: Option<Scan>,
    pub expand: Option<Expand>,
    /// Empty when the pool is not imported.
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    pub function: String,
    pub state: String,
    pub start_time: Option<UnixMillis>,
    pub end_time: Option<UnixMillis>,
    pub pause: Option<UnixMillis>,
    pub percentage: Option<f64>,
    /// The whole: TrueNAS calls it `bytes_processed`.
    pub bytes_total: Option<u64>,
    pub bytes_issued: Option<u64>,
    pub errors: Option<u64>,
    pub total_secs_left: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expand {
    pub state: String,
    pub percentage: Option<f64>,
    pub start_time: Option<UnixMillis>,
    pub end_time: Option<UnixMillis>,
    pub total_secs_left: Option<u64>,
    pub waiting_for_resilver: bool,
}

pub fn decode_pools(reply: &[u8]) -> Result<Decoded<Pool>, DecodeError> {
    rows::list(reply, decode_pool)
}

pub(super) fn decode_pool(row: &Value) -> Result<Pool, String> {
    let fields = Fields::require(row)?;
    let properties = fields.object("properties");
    let size = |key| fields.u64(key).or_else(|| properties.and_then(|properties| properties.u64(key)));
    let name = fields.name("name").ok_or("has no name")?;
    let topology = fields.object("topology").or_else(|| fields.object("groups"));
    let mut status = fields.line("status");
    if !fields.entries().any(|(key, _)| key == "status") && fields.bool("healthy") == Some(true) {
        // CORE leaves the word out where nothing is wrong. Elsewhere `healthy` changed its meaning and decides nothing.
        "ONLINE".clone_into(&mut status);
    }
    Ok(Pool {
        guid: fields.line("guid"),
        path: fields.line("path"),
        status,
        status_code: fields.line("status_code"),
        status_detail: fields.prose("status_detail"),
        size: size("size"),
        allocated: size("allocated"),
        free: size("free"),
        freeing: size("freeing"),
        fragmentation_percent: size("fragmentation").and_then(|n| u32::try_from(n).ok()),
        autotrim: fields.get("autotrim").map_or_else(
            || properties.map(|properties| properties.line("autotrim")).unwrap_or_default(),
            |_| fields.line("autotrim"),
        ),
        dedup_table_size: fields.u64("dedup_table_size"),
        is_upgraded: fields.bool("is_upgraded"),
        scan: fields.object("scan").and_then(decode_scan),
        expand: fields.object("expand").and_then(decode_expand),
        groups: topology.map(vdev::decode_topology).transpose()?.unwrap_or_default(),
        name,
    })
}

/// `None` when no scan ever ran: null, or an object full of nulls.
fn decode_scan(fields: Fields<'_>) -> Option<Scan> {
    let scan = Scan {
        function: fields.line("function").to_ascii_uppercase(),
        state: fields.line("state").to_ascii_uppercase(),
        start_time: fields.time("start_time"),
        end_time: fields.time("end_time"),
        pause: fields.time("pause"),
        percentage: percent(fields),
        bytes_total: fields.u64("bytes_processed"),
        bytes_issued: fields.u64("bytes_issued"),
        errors: fields.u64("errors"),
        total_secs_left: fields.u64("total_secs_left"),
    };
    let ran = !matches!(scan.function.as_str(), "" | "NONE") || !matches!(scan.state.as_str(), "" | "NONE");
    ran.then_some(scan)
}

fn decode_expand(fields: Fields<'_>) -> Option<Expand> {
    let expand = Expand {
        state: fields.line("state").to_ascii_uppercase(),
        percentage: percent(fields),
        start_time: fields.time("start_time"),
        end_time: fields.time("end_time"),
        total_secs_left: fields.u64("total_secs_left"),
        waiting_for_resilver: fields.bool("waiting_for_resilver").unwrap_or(false),
    };
    (!matches!(expand.state.as_str(), "" | "NONE")).then_some(expand)
}

fn percent(fields: Fields<'_>) -> Option<f64> {
    fields.f64("percentage").map(|percent| percent.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_never_ran_is_none() {
        let reply = br#"[{"name":"a","scan":{"function":null,"state":null,"percentage":null}},
            {"name":"b","scan":null},{"name":"c","scan":{"function":"SCRUB","state":"FINISHED","percentage":100.0000001}},
            {"name":"d","healthy":true}, {"name":"e","healthy":true,"status":null}, {"guid":"1"}]"#;
        let decoded = decode_pools(reply).expect("a list");
        let scans: Vec<_> = decoded.rows.iter().map(|p| p.scan.as_ref().and_then(|s| s.percentage)).collect();
        assert_eq!(scans, [None, None, Some(100.0), None, None]);
        assert_eq!(decoded.rows[3].status, "ONLINE", "left out");
        assert_eq!(decoded.rows[4].status, "", "told as nothing");
        assert_eq!(decoded.skipped.len(), 1);
    }
}
