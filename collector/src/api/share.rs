//! What is shared: SMB, NFS and iSCSI, each in the words of its own call.

use pulse_proto::model::Share;
use serde_json::{Value, json};

use super::item::{ENTRIES_MAX, Item, id, words};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, optional_with, required};
use super::section::{Data, Part, Replies, SectionFailure, Spec};
use super::{DecodeError, Decoded};

pub const SMB: Spec = Spec {
    token: "smb_shares",
    role: "SHARING_SMB_READ",
    cadence: 10,
    large: false,
    collections: &["sharing.smb.query"],
    plan: |_| vec![required(Tag::SmbShares, "sharing.smb.query", "/sharing/smb", json!([[], {}]))],
    assemble: |replies| Ok(Data::SmbShares(replies.rows(Tag::SmbShares, decode_smb)?)),
};

pub const NFS: Spec = Spec {
    token: "nfs_shares",
    role: "SHARING_NFS_READ",
    cadence: 10,
    large: false,
    collections: &["sharing.nfs.query"],
    plan: |_| vec![required(Tag::NfsShares, "sharing.nfs.query", "/sharing/nfs", json!([[], {}]))],
    assemble: |replies| Ok(Data::NfsShares(replies.rows(Tag::NfsShares, decode_nfs)?)),
};

pub const ISCSI: Spec = Spec {
    token: "iscsi_shares",
    role: "SHARING_ISCSI_TARGET_READ",
    cadence: 10,
    large: false,
    collections: &["iscsi.target.query", "iscsi.extent.query", "iscsi.targetextent.query"],
    plan: iscsi,
    assemble: assemble_iscsi,
};

fn iscsi(_: &Ask<'_>) -> Vec<Planned> {
    let all = || json!([[], {}]);
    vec![
        required(Tag::IscsiTargets, "iscsi.target.query", "/iscsi/target", all()),
        optional_with(Tag::IscsiExtents, "iscsi.extent.query", "/iscsi/extent", all()),
        optional_with(Tag::IscsiTargetExtents, "iscsi.targetextent.query", "/iscsi/targetextent", all()),
    ]
}

/// What is mounted elsewhere and only passed on.
const EXTERNAL: &str = "EXTERNAL";

fn base(fields: Fields<'_>, id: &str, protocol: &str) -> Share {
    let path = fields.line("path");
    let dataset = fields.line("dataset");
    Share {
        protocol: protocol.to_owned(),
        id: text::line(id),
        path: if path.starts_with(EXTERNAL) { String::new() } else { path },
        relative_path: if dataset.is_empty() { String::new() } else { fields.line("relative_path") },
        dataset,
        comment: fields.line("comment"),
        enabled: fields.bool("enabled"),
        locked: fields.bool("locked"),
        ..Share::default()
    }
}

fn decode_smb(reply: &[u8]) -> Result<Decoded<Item<Share>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let name = fields.name("name").unwrap_or_else(|| id.clone());
        let audit = fields.object("audit").and_then(|audit| audit.bool("enable"));
        let facet = Share {
            purpose: fields.line("purpose"),
            // 25.10 has one word where releases before had two.
            read_only: fields.bool("readonly").or_else(|| fields.bool("ro")),
            browsable: fields.bool("browsable"),
            access_based_enumeration: fields
                .bool("access_based_share_enumeration")
                .or_else(|| fields.bool("abe")),
            audit_enabled: audit,
            ..base(fields, &id, "smb")
        };
        Ok(Item { id, name, facet })
    })
}

fn decode_nfs(reply: &[u8]) -> Result<Decoded<Item<Share>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let mut share = base(fields, &id, "nfs");
        // CORE shares several paths at once.
        let paths = words(fields, "paths");
        if share.path.is_empty() {
            share.path = paths.first().cloned().unwrap_or_default();
        }
        let facet = Share {
            read_only: fields.bool("ro").or_else(|| fields.bool("readonly")),
            expose_snapshots: fields.bool("expose_snapshots"),
            aliases: words(fields, "aliases")
                .into_iter()
                .chain(paths.into_iter().skip(1))
                .take(ENTRIES_MAX)
                .collect(),
            hosts: words(fields, "hosts"),
            networks: words(fields, "networks"),
            security: words(fields, "security"),
            map_root_user: fields.line("maproot_user"),
            map_root_group: fields.line("maproot_group"),
            map_all_user: fields.line("mapall_user"),
            map_all_group: fields.line("mapall_group"),
            ..share
        };
        let name = if facet.path.is_empty() { id.clone() } else { facet.path.clone() };
        Ok(Item { id, name, facet })
    })
}

struct Extent {
    id: String,
    path: String,
    enabled: Option<bool>,
    read_only: Option<bool>,
    locked: Option<bool>,
}

fn decode_extents(reply: &[u8]) -> Result<Vec<Extent>, DecodeError> {
    let read = rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let path =
            ["path", "disk", "name"].map(|key| fields.line(key)).into_iter().find(|path| !path.is_empty());
        Ok(Extent {
            id: id(fields)?,
            path: path.unwrap_or_default(),
            enabled: fields.bool("enabled"),
            read_only: fields.bool("ro"),
            locked: fields.bool("locked"),
        })
    })?;
    Ok(read.rows)
}

/// Which extent stands in which target, by their ids.
fn decode_pairs(reply: &[u8]) -> Result<Vec<(String, String)>, DecodeError> {
    let read = rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let of = |key: &str| fields.name(key).or_else(|| fields.object(key)?.name("id"));
        Ok((of("target").ok_or("has no target")?, of("extent").ok_or("has no extent")?))
    })?;
    Ok(read.rows)
}

fn assemble_iscsi(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    let extents = match replies.optional(Tag::IscsiExtents, decode_extents) {
        Part::Read(extents) => extents,
        Part::Kept => Vec::new(),
    };
    let pairs = match replies.optional(Tag::IscsiTargetExtents, decode_pairs) {
        Part::Read(pairs) => pairs,
        Part::Kept => Vec::new(),
    };
    let targets = replies.rows(Tag::IscsiTargets, |reply| {
        rows::list(reply, |row| {
            let fields = Fields::require(row)?;
            let id = id(fields)?;
            let name = fields.name("name").unwrap_or_else(|| id.clone());
            let own: Vec<&Extent> = pairs
                .iter()
                .filter(|(target, _)| *target == id)
                .filter_map(|(_, extent)| extents.iter().find(|known| known.id == *extent))
                .take(ENTRIES_MAX)
                .collect();
            Ok(Item { facet: target(fields, &id, &own), id, name })
        })
    })?;
    Ok(Data::IscsiShares(targets))
}

fn target(fields: Fields<'_>, id: &str, extents: &[&Extent]) -> Share {
    // Volumes are told as `zvol/tank/vm` or `/dev/zvol/tank/vm`, where a blank is a plus; files by their path.
    let volume = |extent: &&Extent| {
        let path = extent.path.strip_prefix("/dev/").unwrap_or(&extent.path);
        path.strip_prefix("zvol/").map(|name| name.replace('+', " "))
    };
    let groups = fields.list("groups").iter().map(Fields::of).map(|group| group.line("authmethod"));
    let all = |is: fn(&Extent) -> Option<bool>| {
        let told: Vec<bool> = extents.iter().filter_map(|extent| is(extent)).collect();
        (!told.is_empty()).then(|| told.iter().all(|is| *is))
    };
    let mut security: Vec<String> = groups.filter(|word| !word.is_empty()).collect();
    security.sort_unstable();
    security.dedup();
    Share {
        protocol: "iscsi".to_owned(),
        id: text::line(id),
        path: extents.first().map(|extent| extent.path.clone()).unwrap_or_default(),
        dataset: extents.first().and_then(volume).unwrap_or_default(),
        comment: fields.line("alias"),
        enabled: all(|extent| extent.enabled),
        locked: all(|extent| extent.locked),
        read_only: all(|extent| extent.read_only),
        purpose: fields.get("mode").and_then(Value::as_str).map(text::line).unwrap_or_default(),
        networks: words(fields, "auth_networks"),
        security,
        extents: extents.iter().map(|extent| extent.path.clone()).collect(),
        ..Share::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::section::assemble;
    use crate::api::{CallFailure, Section};

    #[test]
    fn smb_and_nfs_of_all_lines() {
        let smb = br#"[{"id":3,"name":"media","path":"/mnt/tank/media/x","comment":"c","ro":true,"abe":false,"browsable":true,"enabled":true,
            "locked":false,"audit":{"enable":true}},{"id":4,"name":"new","purpose":"TIMEMACHINE_SHARE","path":"EXTERNAL:x","readonly":false,
            "access_based_share_enumeration":true,"dataset":"tank/n","relative_path":"d"}]"#;
        let rows = decode_smb(smb).expect("a list").rows;
        let (old, new) = (&rows[0].facet, &rows[1].facet);
        assert_eq!(
            (old.read_only, old.audit_enabled, old.access_based_enumeration),
            (Some(true), Some(true), Some(false))
        );
        assert_eq!(
            (new.path.as_str(), new.dataset.as_str(), new.relative_path.as_str()),
            ("", "tank/n", "d")
        );
        let nfs = br#"[{"id":1,"paths":["/mnt/vol/a","/mnt/vol/b"],"hosts":[],"security":["SYS"],"maproot_user":"root"}]"#;
        let core = decode_nfs(nfs).expect("a list").rows.remove(0);
        assert_eq!((core.name.as_str(), core.facet.aliases[0].as_str()), ("/mnt/vol/a", "/mnt/vol/b"));
    }

    #[test]
    fn an_extent_on_a_volume_is_attached_to_it_however_its_path_begins() {
        let targets = r#"[{"id":1,"name":"t"}]"#;
        let pairs = r#"[{"target":1,"extent":9}]"#;
        for (path, dataset) in [
            ("zvol/tank/vm", "tank/vm"),
            ("/dev/zvol/tank/vm", "tank/vm"),
            ("/dev/zvol/tank/a+b", "tank/a b"),
            ("/mnt/tank/file", ""),
        ] {
            let extents = format!(r#"[{{"id":9,"path":"{path}"}}]"#);
            let replies = [
                (Tag::IscsiTargets, Ok(targets.to_owned())),
                (Tag::IscsiExtents, Ok(extents)),
                (Tag::IscsiTargetExtents, Ok(pairs.to_owned())),
            ];
            let Data::IscsiShares(rows) = assemble(Section::IscsiShares, &replies).expect("read").data else {
                panic!("targets")
            };
            assert_eq!(rows[0].facet.dataset, dataset, "{path}");
        }
    }

    #[test]
    fn a_target_is_told_with_its_extents_or_without() {
        let targets = r#"[{"id":1,"name":"vmware","alias":"a","mode":"ISCSI","groups":[{"authmethod":"CHAP"}]},{"id":2,"name":"empty"}]"#;
        let extents = r#"[{"id":9,"type":"DISK","disk":"zvol/tank/vm","path":"zvol/tank/vm","enabled":true,"ro":false,"locked":false}]"#;
        let pairs = r#"[{"id":1,"target":1,"extent":9,"lunid":0}]"#;
        let mut replies = vec![
            (Tag::IscsiTargets, Ok(targets)),
            (Tag::IscsiExtents, Ok(extents)),
            (Tag::IscsiTargetExtents, Ok(pairs)),
        ];
        let read = assemble(Section::IscsiShares, &replies).expect("targets are there");
        let Data::IscsiShares(rows) = read.data else { panic!("targets") };
        assert_eq!((rows[0].facet.dataset.as_str(), rows[0].facet.enabled), ("tank/vm", Some(true)));
        assert_eq!((rows[1].facet.extents.len(), rows[1].facet.enabled), (0, None));
        replies[1].1 = Err(CallFailure::Forbidden);
        let read = assemble(Section::IscsiShares, &replies).expect("targets are there");
        let Data::IscsiShares(rows) = read.data else { panic!("targets") };
        assert_eq!(rows[0].facet.dataset, "");
    }
}
