//! Connections for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, UnixMillis};

use super::{Settings, Tls};
use crate::secret::{Credential, Secret};

pub(crate) const PLANTED: &str = "7-PlAnTeDsEcReTPlAnTeDsEcReTPlAnTeDsEcReTPlAnTeDsEcReTPlAnTeDsEcRe";

/// A connection whose id, name and host are the same word.
pub(crate) fn settings(word: &str) -> Settings {
    Settings {
        id: ConnectionId::parse(word).expect("the word is an id"),
        name: word.to_owned(),
        host: word.to_owned(),
        port: 443,
        tls: Tls::SystemRoots,
        credential: Credential::ApiKey { username: Some("pulse".into()), key: Secret::new(PLANTED) },
        enabled: true,
        poll_interval: Duration::from_mins(1),
        labels: BTreeMap::from([("site".to_owned(), "lab".to_owned())]),
        scram_seen: false,
        disabled_sections: BTreeSet::new(),
        created_at: UnixMillis::new(1_000),
        updated_at: UnixMillis::new(1_000),
        revision: 1,
    }
}

pub(crate) const CA_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUB7p7aoW8cdMglpDArQe0iP9qaCwwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTIzMTUzMDEzWhgPMjEy
NjEwMzAxNTMwMTNaMBkxFzAVBgNVBAMMDlRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEkicu2+dpnHoDnFdnwE7B60Z7aOg2C4VXOB3v7eq3
IwrA0OU6GIahnP374i10LigW09VJOEnk9oVfCbvID6I/oaNTMFEwHQYDVR0OBBYE
FKm6alv9kPQ5Gl+4KLclxh4MHlJPMB8GA1UdIwQYMBaAFKm6alv9kPQ5Gl+4KLcl
xh4MHlJPMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAJNFtQug
WB3nFrwKw+mmr7JxYK1M2Uy1V4W2xfHeCPxnAiAPQ+8e+kY0WIVj2Z4aSkTQm58V
g7fbGP3WT7ptz9nzHQ==
-----END CERTIFICATE-----";
