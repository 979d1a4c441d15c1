//! Source ids, as Pulse writes them. Knows nothing of how ids of resources are
//! derived from them.

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{ConnectionId, SourceId};

/// The ids of one connection's things.
pub(super) struct Ids {
    system: SourceId,
}

impl Ids {
    pub(super) fn new(connection: &ConnectionId) -> Self {
        let system = SourceId::parse(&format!("system:{connection}"))
            .expect("a connection id is shorter and stricter than a source id");
        Self { system }
    }

    pub(super) fn system(&self) -> SourceId {
        self.system.clone()
    }

    /// Fails when a name cannot stand in an id: control characters, or too long.
    pub(super) fn pool(&self, name: &str) -> Result<SourceId, ProtocolError> {
        self.under("pool", name)
    }

    pub(super) fn dataset(&self, name: &str) -> Result<SourceId, ProtocolError> {
        self.under("dataset", name)
    }

    pub(super) fn disk(&self, name: &str) -> Result<SourceId, ProtocolError> {
        self.under("disk", name)
    }

    /// Of a kind that is known by the id its source gives it: app, vm, instance.
    pub(super) fn workload(&self, kind: &str, id: &str) -> Result<SourceId, ProtocolError> {
        self.under(kind, id)
    }

    pub(super) fn share(&self, protocol: &str, id: &str) -> Result<SourceId, ProtocolError> {
        self.under("share", &of_kind(protocol, id))
    }

    pub(super) fn task(&self, kind: &str, id: &str) -> Result<SourceId, ProtocolError> {
        self.under("task", &of_kind(kind, id))
    }

    fn under(&self, kind: &str, name: &str) -> Result<SourceId, ProtocolError> {
        if name.is_empty() {
            return Err(ProtocolError::missing().at("name"));
        }
        SourceId::parse(&format!("{}/{kind}:{name}", self.system)).map_err(|error| error.at("name"))
    }
}

/// Empty for an empty id, which is none.
fn of_kind(kind: &str, id: &str) -> String {
    if id.is_empty() { String::new() } else { format!("{kind}:{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_pulse_writes_them() {
        let ids = Ids::new(&ConnectionId::parse("conn-1").expect("an id"));
        let text = |id: Result<SourceId, ProtocolError>| id.expect("an id").to_string();
        assert_eq!(ids.system().as_str(), "system:conn-1");
        assert_eq!(text(ids.pool("tank")), "system:conn-1/pool:tank");
        assert_eq!(text(ids.dataset("tank/apps/db")), "system:conn-1/dataset:tank/apps/db");
        assert_eq!(text(ids.disk("sda")), "system:conn-1/disk:sda");
        assert_eq!(text(ids.workload("app", "plex")), "system:conn-1/app:plex");
        assert_eq!(text(ids.share("smb", "3")), "system:conn-1/share:smb:3");
        assert_eq!(text(ids.task("cloud-sync", "1")), "system:conn-1/task:cloud-sync:1");
        assert!(ids.share("smb", "").is_err());
        for bad in ["", "a\u{7}", &"x".repeat(1_024)] {
            assert!(ids.pool(bad).is_err(), "{bad:?}");
        }
    }
}
