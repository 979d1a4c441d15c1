//! Datasets and volumes, as `pool.dataset.query` (flat or tree, with repeats)
//! and `zfs.resource.query` word them. Told apart by their shape.

use std::collections::BTreeMap;

use pulse_proto::model::UnixMillis;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::item::Row;
use super::json::{Fields, rows, unsigned};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded, Line, SkippedRow};

pub const SPEC: Spec = Spec {
    token: "datasets",
    role: "DATASET_READ",
    cadence: 5,
    large: true,
    collections: &["pool.dataset.query"],
    plan: |ask| vec![call(ask)],
    assemble: |replies| Ok(Data::Datasets(replies.rows(Tag::Datasets, decode_datasets)?)),
};

impl Row for Dataset {
    fn key(&self) -> &str {
        &self.name
    }
}

/// Properties of a dataset that records carry.
const PROPERTIES: [&str; 21] = [
    "used",
    "available",
    "usedbychildren",
    "usedbydataset",
    "usedbysnapshots",
    "usedbyrefreservation",
    "quota",
    "refquota",
    "reservation",
    "refreservation",
    "compression",
    "compressratio",
    "readonly",
    "dedup",
    "sync",
    "recordsize",
    "volsize",
    "encryption",
    "keystatus",
    "encryptionroot",
    "mountpoint",
];

/// The preferred dataset call of 25.10 and later, seven times smaller than the other.
pub const ZFS_RESOURCE_QUERY: &str = "zfs.resource.query";

fn call(ask: &Ask<'_>) -> Planned {
    let Ask { dialect, unavailable } = ask;
    // By REST nothing but the tree is as small.
    let modern = dialect.line >= Line::V25_10 && dialect.transport.is_rpc();
    let dataset_query = |params| required(Tag::Datasets, "pool.dataset.query", "/pool/dataset", params);
    if modern && !unavailable.contains(ZFS_RESOURCE_QUERY) {
        let mut properties = PROPERTIES.to_vec();
        properties.extend(["mounted", "snapshots_changed"]);
        let query = json!([{"paths": [], "properties": properties, "get_user_properties": false,
            "get_source": false, "nest_results": false, "get_children": true}]);
        return required(Tag::Datasets, ZFS_RESOURCE_QUERY, "", query);
    }
    if modern {
        // Any filter makes it walk all, and without retrieve_children it builds no tree: a flat list.
        let mut properties = PROPERTIES.to_vec();
        properties.push("mounted");
        return dataset_query(json!([[["type", "in", ["FILESYSTEM", "VOLUME"]]], {"extra": {
            "retrieve_children": false, "retrieve_user_props": false, "properties": properties}}]));
    }
    dataset_query(json!([[], {"extra": {
        "flat": false, "retrieve_user_props": false, "properties": PROPERTIES}}]))
}

/// Zero means never.
fn seconds(told: u64) -> Option<UnixMillis> {
    told.checked_mul(1_000).filter(|millis| *millis > 0).map(UnixMillis::new)
}

/// Deepest nesting followed; ZFS itself stops at 50.
const DEPTH_MAX: usize = 64;
/// Pools the appliance keeps for itself.
const INTERNAL_POOLS: [&str; 2] = ["boot-pool", "freenas-boot"];
/// Children of a pool that the appliance keeps for itself.
const INTERNAL_CHILDREN: [&str; 5] =
    [".system", "ix-apps", "ix-applications", ".ix-virt", ".truenas_containers"];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Full path, e.g. `tank/media`; the pool's root dataset has the pool's name.
    pub name: SmolStr,
    pub pool: SmolStr,
    /// FILESYSTEM or VOLUME.
    pub kind: SmolStr,
    pub mountpoint: SmolStr,
    /// `None` when not told, which is not "unmounted".
    pub mounted: Option<bool>,
    pub readonly: Option<bool>,
    pub encrypted: Option<bool>,
    pub locked: Option<bool>,
    /// `None` when there is no key.
    pub key_loaded: Option<bool>,
    pub encryption_root: SmolStr,
    pub used: Option<u64>,
    pub available: Option<u64>,
    pub quota: Option<u64>,
    pub refquota: Option<u64>,
    pub reservation: Option<u64>,
    pub refreservation: Option<u64>,
    pub used_by_children: Option<u64>,
    pub used_by_dataset: Option<u64>,
    pub used_by_snapshots: Option<u64>,
    pub used_by_refreservation: Option<u64>,
    pub compression: SmolStr,
    pub compress_ratio: Option<f64>,
    pub volsize: Option<u64>,
    pub recordsize: Option<u64>,
    pub deduplication: SmolStr,
    pub sync: SmolStr,
    pub comments: SmolStr,
    /// When snapshots last came or went.
    pub snapshots_changed: Option<UnixMillis>,
}

/// Every dataset once, by name, however often and deep the reply repeats it.
pub fn decode_datasets(reply: &[u8]) -> Result<Decoded<Dataset>, DecodeError> {
    let mut found: BTreeMap<String, Dataset> = BTreeMap::new();
    let mut skipped: Vec<SkippedRow> = Vec::new();
    rows::each(reply, |index, row| match row {
        Err(lost) => skipped.push(lost),
        Ok(value) => walk(index, &value, &mut found, &mut skipped),
    })?;
    Ok(Decoded { rows: found.into_values().collect(), skipped })
}

fn walk(index: usize, row: &Value, found: &mut BTreeMap<String, Dataset>, skipped: &mut Vec<SkippedRow>) {
    let mut open = vec![(row, 0)];
    while let Some((value, depth)) = open.pop() {
        let fields = Fields::of(value);
        if depth < DEPTH_MAX {
            let children = fields.list("children");
            open.extend(children.iter().map(|child| (child, depth + 1)));
        }
        match decode_dataset(value) {
            Ok(dataset) if is_internal(&dataset) => {}
            Ok(dataset) => {
                found.entry(dataset.name.to_string()).or_insert(dataset);
            }
            Err(why) => skipped.push(rows::skipped(index, value, why)),
        }
    }
}

fn is_internal(dataset: &Dataset) -> bool {
    let mut parts = dataset.name.split('/');
    let pool = parts.next().unwrap_or_default();
    INTERNAL_POOLS.contains(&pool) || parts.next().is_some_and(|child| INTERNAL_CHILDREN.contains(&child))
}

fn decode_dataset(row: &Value) -> Result<Dataset, String> {
    let fields = Fields::require(row)?;
    let name = fields.name("name").or_else(|| fields.name("id")).ok_or("has no name")?;
    let pool = fields.name("pool").unwrap_or_else(|| name.split('/').next().unwrap_or(&name).to_owned());
    // zfs.resource.query keeps the properties apart; pool.dataset.query mixes them in.
    let properties = fields.object("properties");
    let from = properties.unwrap_or(fields);
    let encryption = encryption_of(fields, from, properties.is_some());
    Ok(Dataset {
        kind: fields.line("type").to_ascii_uppercase().into(),
        mountpoint: mountpoint(&from.line("mountpoint")).into(),
        mounted: from.bool("mounted"),
        readonly: from.bool("readonly"),
        encrypted: encryption.encrypted,
        locked: encryption.locked,
        key_loaded: encryption.key_loaded,
        encryption_root: encryption.root.into(),
        used: from.u64("used"),
        available: from.u64("available"),
        quota: from.nonzero("quota"),
        refquota: from.nonzero("refquota"),
        reservation: from.nonzero("reservation"),
        refreservation: from.nonzero("refreservation"),
        used_by_children: from.u64("usedbychildren"),
        used_by_dataset: from.u64("usedbydataset"),
        used_by_snapshots: from.u64("usedbysnapshots"),
        used_by_refreservation: from.u64("usedbyrefreservation"),
        compression: from.line("compression").to_ascii_lowercase().into(),
        compress_ratio: from.f64("compressratio"),
        volsize: from.nonzero("volsize"),
        recordsize: from.get("recordsize").and_then(record_size),
        deduplication: either(from, "dedup", "deduplication").to_ascii_lowercase().into(),
        sync: from.line("sync").to_ascii_lowercase().into(),
        comments: fields.prose("comments").into(),
        snapshots_changed: from.get("snapshots_changed").and_then(unsigned).and_then(seconds),
        name: name.into(),
        pool: pool.into(),
    })
}

fn either(fields: Fields<'_>, first: &str, second: &str) -> String {
    let told = fields.line(first);
    if told.is_empty() { fields.line(second) } else { told }
}

fn mountpoint(told: &str) -> String {
    if matches!(told, "none" | "-") { String::new() } else { told.to_owned() }
}

/// Bytes, or a text such as `128K`.
fn record_size(value: &Value) -> Option<u64> {
    unsigned(value).filter(|bytes| *bytes > 0).or_else(|| {
        let text = super::json::word(value)?;
        let (digits, factor) = match text.trim().trim_end_matches(['B', 'b']).strip_suffix(['K', 'k']) {
            Some(digits) => (digits, 1_024),
            None => (text.trim().trim_end_matches(['B', 'b']).strip_suffix(['M', 'm'])?, 1_024 * 1_024),
        };
        digits.trim().parse::<u64>().ok()?.checked_mul(factor)
    })
}

#[derive(Default)]
struct Encryption {
    encrypted: Option<bool>,
    locked: Option<bool>,
    key_loaded: Option<bool>,
    root: String,
}

/// `zfs.resource.query` tells no locked and key_loaded: they follow from
/// `encryption` and `keystatus`.
fn encryption_of(fields: Fields<'_>, from: Fields<'_>, resource: bool) -> Encryption {
    if resource {
        let key_status = from.line("keystatus").to_ascii_lowercase();
        let cipher = from.line("encryption").to_ascii_lowercase();
        let encrypted = match (cipher.as_str(), key_status.as_str()) {
            ("", "") => None,
            ("off", _) | ("", "none" | "-") => Some(false),
            _ => Some(true),
        };
        let key_loaded = match (encrypted, key_status.as_str()) {
            (Some(true), "available") => Some(true),
            (Some(true), "unavailable") => Some(false),
            _ => None,
        };
        let locked = match encrypted {
            Some(false) => Some(false),
            _ => key_loaded.map(|loaded| !loaded),
        };
        let root = Some(from.line("encryptionroot")).filter(|root| !matches!(root.as_str(), "-" | "none"));
        return Encryption { encrypted, locked, key_loaded, root: root.unwrap_or_default() };
    }
    let encrypted = fields.bool("encrypted");
    Encryption {
        encrypted,
        locked: fields.bool("locked"),
        // Says false of datasets that have no key at all.
        key_loaded: fields.bool("key_loaded").filter(|_| encrypted != Some(false)),
        root: fields.line("encryption_root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &str) -> Decoded<Dataset> {
        decode_datasets(reply.as_bytes()).expect("a list")
    }

    #[test]
    fn a_tree_with_repeats_gives_each_dataset_once() {
        let decoded = read(
            r#"[{"name":"t","children":[{"name":"t/a","children":[{"name":"t/a/b"},{"type":"VOLUME"}]}]},
                {"name":"t/a","children":[{"name":"t/a/b"}]},{"name":"t/a/b"},{"name":"t/.system"},{"name":"boot-pool/ROOT"}]"#,
        );
        let names: Vec<_> = decoded.rows.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["t", "t/a", "t/a/b"]);
        assert_eq!(decoded.rows[2].pool, "t");
        assert_eq!(decoded.skipped.len(), 1);
    }

    #[test]
    fn locked_follows_from_the_key_where_it_is_not_told() {
        for (encryption, keystatus, expected) in [
            ("off", "none", (Some(false), Some(false), None)),
            ("aes-256-gcm", "available", (Some(true), Some(false), Some(true))),
            ("aes-256-gcm", "unavailable", (Some(true), Some(true), Some(false))),
            ("", "unavailable", (Some(true), Some(true), Some(false))),
            ("", "none", (Some(false), Some(false), None)),
            ("", "", (None, None, None)),
        ] {
            let decoded = read(&format!(
                r#"[{{"name":"t","properties":{{"encryption":{{"raw":"{encryption}"}},"keystatus":{{"raw":"{keystatus}"}}}}}}]"#
            ));
            let dataset = &decoded.rows[0];
            assert_eq!(
                (dataset.encrypted, dataset.locked, dataset.key_loaded),
                expected,
                "{encryption} {keystatus}"
            );
        }
    }

    #[test]
    fn sizes_written_for_people_are_read() {
        let decoded = read(
            r#"[{"name":"t","recordsize":{"value":"128K","rawvalue":"128K"},"quota":{"parsed":null,"rawvalue":"0"}}]"#,
        );
        assert_eq!(decoded.rows[0].recordsize, Some(131_072));
        assert_eq!(decoded.rows[0].quota, None);
    }
}
