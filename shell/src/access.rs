//! Who may do what: roles, what each method and route needs, credentials, and
//! the guard that stands before every call on both ports. Refuses to know what
//! a method does.

pub mod book;
pub mod cli;
pub mod config;
pub mod guard;
pub mod host;
pub mod inside;
pub mod issuer;
pub(crate) mod layer;
mod pace;
mod refusal;
pub mod service_account;
pub mod session;
pub mod table;
pub mod token;

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use http::Extensions;
use serde::{Deserialize, Serialize};

pub use layer::{GuardLayer, RefusedPage};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Streams records into the registry, and nothing else.
    Ingest,
    /// Reads.
    Viewer,
    /// Reads, acknowledges, silences, links, refreshes.
    Operator,
    /// Everything but streaming records.
    Admin,
}

impl Role {
    pub fn allows(self, needed: Self) -> bool {
        let rank = |role| match role {
            Self::Ingest => 0,
            Self::Viewer => 1,
            Self::Operator => 2,
            Self::Admin => 3,
        };
        if needed == Self::Ingest || self == Self::Ingest {
            return self == needed;
        }
        rank(self) >= rank(needed)
    }

    pub const fn token(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a credential is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub role: Role,
    /// Only what carries all of these labels is seen; with `ingest`, may be brought. Empty: everything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For `ingest`: the only collector that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    /// For `ingest`: the only connections that it may bring. Empty: any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connections: BTreeSet<String>,
}

impl Grant {
    /// A label that what is seen is limited to although it keeps nothing apart: what another shows could be in it.
    pub fn unkept_label(&self, kept: Option<&BTreeSet<String>>) -> Option<&str> {
        let sees = self.role != Role::Ingest;
        let mut labels = self.labels.keys().map(String::as_str);
        kept.filter(|_| sees).and_then(|kept| labels.find(|label| !kept.contains(*label)))
    }
}

/// Who makes a call; travels with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// e.g. `token:3f2a9c01/core`, `certificate:uri:spiffe://...`, `service-account:...`, or `anyone`.
    pub name: String,
    /// `None`: nobody is asked who he is, and everybody may do everything.
    pub grant: Option<Grant>,
}

impl Caller {
    pub fn anyone() -> Self {
        Self { name: "anyone".to_owned(), grant: None }
    }

    /// The guard has put him there; a call from inside the process is anyone's.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(Self::anyone)
    }

    /// The labels that everything he sees must carry; empty: he sees everything.
    pub fn scope(&self) -> BTreeMap<String, String> {
        self.grant.as_ref().map(|grant| grant.labels.clone()).unwrap_or_default()
    }

    /// Whether he may stream as this collector.
    pub fn may_be(&self, collector: &str) -> bool {
        let bound = self.grant.as_ref().and_then(|grant| grant.collector.as_deref());
        bound.is_none_or(|bound| bound == collector)
    }

    /// Whether he may stream records of this connection.
    pub fn may_bring(&self, connection: &str) -> bool {
        self.grant
            .as_ref()
            .is_none_or(|grant| grant.connections.is_empty() || grant.connections.contains(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_contain_each_other_and_ingest_stands_alone() {
        use Role::{Admin, Ingest, Operator, Viewer};
        let table = [
            (Ingest, [true, false, false, false]),
            (Viewer, [false, true, false, false]),
            (Operator, [false, true, true, false]),
            (Admin, [false, true, true, true]),
        ];
        for (role, allowed) in table {
            for (needed, allowed) in [Ingest, Viewer, Operator, Admin].into_iter().zip(allowed) {
                assert_eq!(role.allows(needed), allowed, "{role:?} {needed:?}");
            }
        }
    }

    #[test]
    fn an_ingest_grant_is_for_its_collector_and_connections() {
        let grant = Grant {
            role: Role::Ingest,
            labels: BTreeMap::new(),
            collector: Some("c1".to_owned()),
            connections: BTreeSet::from(["nas".to_owned()]),
        };
        let caller = Caller { name: "token:1".to_owned(), grant: Some(grant) };
        assert!(caller.may_be("c1") && !caller.may_be("c2"));
        assert!(caller.may_bring("nas") && !caller.may_bring("nas2"));
        assert!(Caller::anyone().may_be("c2") && Caller::anyone().may_bring("nas2"));
    }
}
