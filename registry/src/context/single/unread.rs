//! The context of a system that has no record: nothing was ever read of it, or what it is could not be. What is known is
//! known of its connection.

use pulse_proto::model::ConnectionState;

use crate::alert::{Book, Case};
use crate::context::alerts as cases;
use crate::context::fact::{Basis, Fact};
use crate::context::fleet::reach;
use crate::context::pack::{Draft, Section};
use crate::context::piece::{Kind, Piece, say, told};
use crate::context::{say, words};
use crate::state::view::{Shard, View};

pub fn draft(view: &View, book: &Book, shard: &Shard) -> Draft {
    let section = |title, share, facts| {
        let hint = "a larger max_tokens";
        Section { title, share, facts, total: 0, hint }
    };
    let of_it = |case: &&Case| case.subject.connection == shard.connection;
    let alerts = book.urgent().map(|case| &**case).filter(of_it).take(cases::CASES_MAX);
    let blind = shard.sections.values().filter_map(|report| reach::unread(shard, report));
    let draft = Draft {
        head: vec![headline(shard)],
        sections: vec![
            section("State", 50, vec![remedy(shard)]),
            section("Alerts", 30, alerts.map(|case| cases::fact(case, view)).collect()),
            section("Blind spots", 30, blind.collect()),
            section("Identity", 20, labels(shard)),
        ],
    };
    draft.resting_on(Basis::of([shard]))
}

fn headline(shard: &Shard) -> Fact {
    let mut statement = say!["System ", reach::name(shard)];
    if shard.resources.is_empty() {
        statement.add(": it was never read, so nobody knows how it is");
    } else {
        let known = words::count(shard.resources.len() as u64, "resource");
        statement.add(": it was not read itself, ").add(known).add(" of it is known");
    }
    let status = shard.status.as_ref();
    statement.add("; its connection ").add(match status.map(|status| status.state) {
        Some(ConnectionState::Disabled) => "is switched off",
        Some(ConnectionState::Connecting | ConnectionState::Authenticating) => "is being made",
        Some(ConnectionState::Live | ConnectionState::Degraded) => "is there",
        Some(ConnectionState::BackingOff) => "failed and is tried again",
        Some(ConnectionState::Refused) => "was refused",
        None => "was not told of yet",
    });
    if let Some(at) = status.and_then(|status| status.since) {
        statement.add(", since ").add(Piece::Ago(at));
    }
    if let Some(reason) = status.map(|status| &status.reason).filter(|reason| !reason.is_empty()) {
        statement.add(", it says ").add(told(Kind::Text, reason));
    }
    statement.add(".");
    Fact::derived("unreachable", statement)
}

/// What has to be done, and who does it.
fn remedy(shard: &Shard) -> Fact {
    let words = match shard.status.as_ref().map(|status| status.state) {
        Some(ConnectionState::Disabled) => "An operator can switch the connection on again at its collector.",
        Some(ConnectionState::Connecting | ConnectionState::Authenticating) | None => {
            "That may take a minute: ask again."
        }
        Some(ConnectionState::Live | ConnectionState::Degraded) => {
            "See which sections cannot be read: its credential may have to be allowed more."
        }
        Some(ConnectionState::BackingOff) => {
            "It is tried again by itself: see whether the system is up, and whether its address, port and network are right."
        }
        Some(ConnectionState::Refused) => {
            "It is not tried again before an operator corrects it: the credential, what that may read, or the trust in the \
             certificate of the system."
        }
    };
    Fact::derived("remedy", say![words])
}

fn labels(shard: &Shard) -> Vec<Fact> {
    let labels = shard.status.iter().flat_map(|status| &status.labels);
    let label = |(key, value): (&String, &String)| {
        let statement = say!["Label ", told(Kind::Label, key), " is ", say::label_value(key, value), "."];
        Fact::derived("label", statement)
    };
    labels.map(label).collect()
}
