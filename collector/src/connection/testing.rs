//! Connections for tests.

use std::collections::BTreeMap;
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
        created_at: UnixMillis::new(1_000),
        updated_at: UnixMillis::new(1_000),
        revision: 1,
    }
}
