//! One connection as it is kept. Every value in it has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, SectionName, UnixMillis};
use sha2::{Digest as _, Sha256};

use super::fingerprint::Fingerprint;
use crate::secret::Credential;

/// Bytes of the digest that an etag shows.
const ETAG_BYTES: usize = 12;

#[derive(Debug, Clone)]
pub struct Settings {
    pub id: ConnectionId,
    pub name: String,
    /// A name in lower case or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub credential: Credential,
    pub enabled: bool,
    pub poll_interval: Duration,
    pub labels: BTreeMap<String, String>,
    /// This server has offered SCRAM: it is not given the key in any other way again. Noted by us, so no part of the revision.
    pub scram_seen: bool,
    /// What is not read, by choice. Which sections there are is not known here.
    pub disabled_sections: BTreeSet<SectionName>,
    pub created_at: UnixMillis,
    pub updated_at: UnixMillis,
    /// Number of the store's write that made it what it is; never used twice in one store.
    pub revision: u64,
}

/// What makes the server trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// No TLS: only logins that keep the secret to themselves are possible.
    Off,
    SystemRoots,
    /// PEM text with the only roots that count.
    Ca(String),
    /// This certificate and no other.
    Pinned(Fingerprint),
    /// Any certificate. Visible in the status.
    Insecure,
}

impl Tls {
    pub const fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    pub const fn default_port(&self) -> u16 {
        if self.is_on() { 443 } else { 80 }
    }
}

impl Settings {
    /// Changes with every write. Says nothing about what was written: the revision is all that goes in.
    pub fn etag(&self) -> String {
        use std::fmt::Write as _;
        let digest = Sha256::new()
            .chain_update(b"connection etag\0")
            .chain_update(self.id.as_str())
            .chain_update(b"\0")
            .chain_update(self.revision.to_be_bytes())
            .finalize();
        digest.iter().take(ETAG_BYTES).fold(String::new(), |mut out, byte| {
            let _infallible = write!(out, "{byte:02x}");
            out
        })
    }

    /// The same server as far as its address goes.
    pub fn same_address(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }

    /// The same server would be asked, with the same trust: a secret given for one is good for the other.
    pub fn same_destination(&self, other: &Self) -> bool {
        self.same_address(other) && self.tls == other.tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::testing;

    #[test]
    fn etags_follow_the_revision_and_nothing_else() {
        let one = testing::settings("nas1");
        let mut two = one.clone();
        two.credential =
            Credential::ApiKey { username: None, key: crate::secret::Secret::new("1-somethingelse") };
        assert_eq!(one.etag(), two.etag());
        two.revision += 1;
        assert_ne!(one.etag(), two.etag());
        assert_ne!(one.etag(), testing::settings("nas2").etag());
    }
}
