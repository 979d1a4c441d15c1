//! Records of shares, each under the dataset its path lies in.

use std::collections::BTreeSet;

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{Facets, Identity, IngestRecord, ResourceType, Share, SourceId};

use super::ids::Ids;
use super::{Draft, tags};
use crate::api::json::text;
use crate::api::{Item, Section};
use crate::snapshot::Snapshot;

/// Where the appliance mounts its pools.
const MOUNTS: &str = "/mnt/";

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    let datasets = snapshot.datasets().map(|datasets| datasets.as_slice()).unwrap_or_default();
    let known: BTreeSet<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let shares = [
        (Section::SmbShares, snapshot.smb_shares()),
        (Section::NfsShares, snapshot.nfs_shares()),
        (Section::IscsiShares, snapshot.iscsi_shares()),
    ];
    for (section, shares) in shares {
        for share in shares.into_iter().flat_map(|shares| shares.iter()) {
            draft.add(section, &share.name, record(ids, section, share, &known, draft));
        }
    }
}

fn record(
    ids: &Ids,
    section: Section,
    share: &Item<Share>,
    known: &BTreeSet<&str>,
    draft: &Draft,
) -> Result<IngestRecord, ProtocolError> {
    let mut facet = share.facet.clone();
    let (dataset, below) = place(&facet, known);
    facet.dataset = text::line(&dataset);
    facet.relative_path = text::line(&below);
    let pool = dataset.split('/').next().unwrap_or_default();
    let here = |id: Result<SourceId, ProtocolError>| id.ok().filter(|id| draft.records.contains_key(id));
    let parent = here(ids.dataset(&dataset)).or_else(|| here(ids.pool(pool))).unwrap_or_else(|| ids.system());
    let word = match (facet.enabled, facet.locked) {
        (Some(false), _) => "DISABLED",
        (_, Some(true)) => "LOCKED",
        (Some(true), _) => "ENABLED",
        (None, _) => "",
    };
    Ok(IngestRecord {
        source_id: ids.share(&facet.protocol, &share.id)?,
        parent_source_id: Some(parent),
        resource_type: ResourceType::NetworkShare,
        name: share.shown_name(),
        section: section.name(),
        state: word.to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: tags(&["truenas".into(), "share".into(), facet.protocol.clone()]),
        incidents: Vec::new(),
        facets: Facets { network_share: Some(Box::new(facet)), ..Facets::default() },
    })
}

/// The dataset the appliance tells, else the longest known one that the path lies in, and what of the path is below it.
fn place(share: &Share, known: &BTreeSet<&str>) -> (String, String) {
    if !share.dataset.is_empty() {
        return (share.dataset.clone(), share.relative_path.clone());
    }
    // A path that climbs leads elsewhere than its beginning says.
    let climbs = share.path.split('/').any(|part| part == "..");
    let Some(path) = share.path.strip_prefix(MOUNTS).filter(|_| !climbs) else {
        return (String::new(), String::new());
    };
    let path = path.trim_end_matches('/');
    let mut candidates =
        std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above));
    match candidates.find(|name| known.contains(name)) {
        Some(name) => (name.to_owned(), path[name.len()..].trim_start_matches('/').to_owned()),
        None => (String::new(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_placed_in_the_longest_dataset() {
        let known = BTreeSet::from(["tank", "tank/media", "tank/media/films"]);
        for (path, dataset, below) in [
            ("/mnt/tank/media/films/new/4k", "tank/media/films", "new/4k"),
            ("/mnt/tank/media/films/", "tank/media/films", ""),
            ("/mnt/tank/mediafiles", "tank", "mediafiles"),
            ("/mnt/tank", "tank", ""),
            ("/mnt/other/x", "", ""),
            ("/mnt/tank/../etc", "", ""),
            ("/mnt/tank/media/..", "", ""),
            ("/mnt/tank/media/..films", "tank/media", "..films"),
            ("/home", "", ""),
            ("", "", ""),
        ] {
            let share = Share { path: path.to_owned(), ..Share::default() };
            assert_eq!(place(&share, &known), (dataset.to_owned(), below.to_owned()), "{path}");
        }
        let told = Share {
            dataset: "a/b".into(),
            relative_path: "c".into(),
            path: "/mnt/tank".into(),
            ..Share::default()
        };
        assert_eq!(place(&told, &known), ("a/b".to_owned(), "c".to_owned()));
    }
}
