//! Watches the registry all the time and remembers what must never be told, however briefly: that something is gone which is still
//! there, that something is offline because nobody can reach it, that a revision is taken back.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::{ResourceEvent, WatchResourcesRequest, WatchResourcesResponse};
use pulse_proto::pb::resource::v1::{Resource, ResourceType, Status, storage_facet};

use tokio::sync::watch;

use super::model;
use crate::harness::view::client;

/// A connection, and what the model calls the thing.
type Gone = (String, String);

#[derive(Clone, Debug)]
pub(super) struct Witness(watch::Sender<Seen>);

#[derive(Debug, Default)]
struct Seen {
    revision: u64,
    gone: BTreeSet<Gone>,
    wrong: Option<String>,
}

impl Witness {
    /// Until this registry ends. Returns when it watches.
    pub(super) async fn follow(&self, registry: SocketAddr) -> anyhow::Result<()> {
        let request = WatchResourcesRequest::default();
        let mut stream = client(registry).await?.watch_resources(request).await?.into_inner();
        let seen = self.0.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                seen.send_modify(|seen| seen.take(message));
            }
        });
        Ok(())
    }

    /// What has gone since this was last asked, up to a revision that will have been told.
    pub(super) async fn take_gone(&self, revision: u64) -> BTreeSet<Gone> {
        let mut told = self.0.subscribe();
        // The sender lives in `self`, so this ends only by the value itself.
        drop(told.wait_for(|seen| seen.revision >= revision).await);
        let mut gone = BTreeSet::new();
        self.0.send_modify(|seen| gone = std::mem::take(&mut seen.gone));
        gone
    }

    /// The first thing that should not have been told.
    pub(super) fn wrong(&self) -> Option<String> {
        self.0.borrow().wrong.clone()
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self(watch::Sender::new(Seen::default()))
    }
}

impl Seen {
    fn take(&mut self, message: WatchResourcesResponse) {
        let (told, before) = (message.revision, self.revision);
        // What was told was durable: no kill takes it back.
        let wrong = (told > 0 && told < before).then(|| format!("revision {told} was told after {before}"));
        self.wrong = self.wrong.take().or(wrong);
        self.revision = before.max(told);
        // What is told anew under another id in the same breath is not gone.
        let kept: BTreeSet<Gone> =
            message.events.iter().filter(|event| event.kind() != Kind::Removed).filter_map(told_of).collect();
        for event in message.events {
            let kind = event.kind();
            let Some(resource) = event.resource else { continue };
            if kind == Kind::Removed {
                self.gone.extend(
                    Some((resource.connection.clone(), model::key(&resource)))
                        .filter(|gone| !kept.contains(gone)),
                );
            } else if self.wrong.is_none() {
                self.wrong = offline_without_reason(&resource);
            }
        }
    }
}

fn told_of(event: &ResourceEvent) -> Option<Gone> {
    let resource = event.resource.as_ref()?;
    Some((resource.connection.clone(), model::key(resource)))
}

/// A NAS that cannot be reached makes what it has stale, never offline.
fn offline_without_reason(resource: &Resource) -> Option<String> {
    let zfs = resource.storage.as_ref().and_then(|storage| storage.zfs.as_ref());
    let has_reason = match (resource.r#type(), zfs) {
        (_, Some(storage_facet::Zfs::ZfsDataset(told))) => {
            told.locked == Some(true) || told.mounted == Some(false)
        }
        (ResourceType::Host, _) => false,
        _ => !matches!(resource.state.as_str(), "ONLINE" | "DEGRADED" | "RUNNING"),
    };
    (resource.status() == Status::Offline && !has_reason).then(|| {
        format!(
            "{} of {} was told offline: {:?}",
            model::key(resource),
            resource.connection_name,
            resource.reasons
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(revision: u64, kind: Kind, resource: Resource) -> WatchResourcesResponse {
        let event = ResourceEvent { kind: kind.into(), resource: Some(resource), ..ResourceEvent::default() };
        WatchResourcesResponse { events: vec![event], revision, ..WatchResourcesResponse::default() }
    }

    fn host(status: Status) -> Resource {
        let (connection, kind) = ("nas".to_owned(), ResourceType::Host.into());
        Resource { connection, r#type: kind, status: status.into(), ..Resource::default() }
    }

    #[test]
    fn what_must_not_be_told_is_remembered() {
        let mut seen = Seen::default();
        seen.take(told(3, Kind::Added, host(Status::Warning)));
        seen.take(told(4, Kind::Removed, host(Status::Offline)));
        assert_eq!(seen.gone, BTreeSet::from([("nas".to_owned(), "host".to_owned())]));
        assert_eq!(seen.wrong, None, "as last known");
        seen.take(told(2, Kind::Added, host(Status::Warning)));
        assert!(seen.wrong.is_some_and(|wrong| wrong.contains("revision 2")));
        let mut seen = Seen::default();
        seen.take(told(1, Kind::Changed, host(Status::Offline)));
        assert!(seen.wrong.is_some_and(|wrong| wrong.contains("offline")));
    }
}
