//! Every fault of an appliance, its network, its account and the services themselves, on every API line, while a pool is degraded: the
//! connection says why, nothing recovers by silence, nothing is called offline that is only unreachable, and afterwards everything is as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use pulse_fixtures::fault::{Change, Effect, Failure};
use serde_json::json;

use crate::fault::Outcome::{BacksOff, Nothing, Refused, SectionFails, SessionEnds, Unanswered};
use crate::fault::{Comes, Expected, Fault, everywhere, survives};

const NO_SOCKET: &str = "nothing is upgraded to a WebSocket";
const NO_ID: &str = "a response belongs to its request by itself";
const NO_LOGIN: &str = "each request carries its credential: nobody logs in";
const NO_EXPIRY: &str = "keys of 24.x do not expire";

macro_rules! cases {
    ($($name:ident: $fault:expr => $comes:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() -> anyhow::Result<()> {
                Box::pin(survives($fault, $comes)).await
            }
        )*

        fn all() -> Vec<(&'static str, Fault, Comes)> {
            vec![$((stringify!($name), $fault, $comes)),*]
        }
    };
}

cases! {
    connections_are_refused: Fault::Refuses => everywhere(BacksOff);
    tls_is_garbage: Fault::Connection(Effect::TlsGarbage) => everywhere(Refused);
    tls_hangs: Fault::Connection(Effect::HangInTls) => everywhere(BacksOff).rest(Unanswered);
    tcp_is_accepted_and_silent: Fault::Connection(Effect::HangBeforeTls) => everywhere(BacksOff).rest(Unanswered);
    the_websocket_closes_at_once: Fault::Connection(close_at_once()) => everywhere(BacksOff).not_over_rest(NO_SOCKET);
    the_websocket_is_silent: Fault::Connection(Effect::HangAfterUpgrade) => everywhere(BacksOff).not_over_rest(NO_SOCKET);
    the_certificate_is_another: Fault::OtherCertificate => everywhere(Refused);
    it_redirects_elsewhere: Fault::Route(elsewhere()) => everywhere(BacksOff);
    it_is_not_available: Fault::Route(Effect::Status(503)) => everywhere(BacksOff).rest(Unanswered);
    the_key_is_revoked: Fault::KeyRevoked => everywhere(Refused);
    the_key_has_expired: Fault::KeyExpired => everywhere(Refused).not_on_24(NO_EXPIRY);
    logins_are_too_many: Fault::Login(Effect::busy()) => everywhere(BacksOff).not_over_rest(NO_LOGIN);
    a_role_is_lost: Fault::RoleLost => everywhere(SectionFails);
    pools_hang: Fault::Section(Effect::Hang) => everywhere(SectionFails);
    pools_fail: Fault::Section(Effect::Fail(Failure::busy())) => everywhere(SectionFails);
    pools_are_half_a_json: Fault::Section(Effect::TruncateJson) => everywhere(SectionFails);
    pools_are_no_list: Fault::Section(Effect::Answer(json!({"not": "a list"}))) => everywhere(SectionFails);
    pools_are_another_text: Fault::Section(Effect::Text("hello".to_owned())) => everywhere(SectionFails);
    pools_are_garbage: Fault::Section(Effect::Garbage(vec![0xff; 64])) => everywhere(SessionEnds).rest(SectionFails);
    pools_break_off: Fault::Section(Effect::DropMidMessage) => everywhere(SessionEnds);
    pools_close_the_websocket: Fault::Section(close()) => everywhere(SessionEnds).not_over_rest(NO_SOCKET);
    pools_have_no_name: Fault::Section(without_name()) => everywhere(Nothing);
    pools_are_very_large: Fault::Section(Effect::Pad { bytes: 1_000_000 }) => everywhere(Nothing);
    pools_come_late: Fault::Section(Effect::Delay(Duration::from_millis(500))) => everywhere(Nothing);
    pools_trickle: Fault::Section(trickle()) => everywhere(Nothing);
    pools_come_twice: Fault::Section(Effect::Duplicate) => everywhere(Nothing).not_over_rest(NO_ID);
    pools_come_under_another_id: Fault::Section(Effect::UnknownId) => everywhere(Nothing).not_over_rest(NO_ID);
    the_registry_is_killed: Fault::RegistryDies => everywhere(Nothing);
    the_collector_is_killed: Fault::CollectorDies => everywhere(Nothing);
}

fn close_at_once() -> Effect {
    Effect::CloseAfterUpgrade { code: 1011, reason: "no".to_owned() }
}

fn close() -> Effect {
    Effect::Close { code: 1011, reason: "no".to_owned() }
}

fn elsewhere() -> Effect {
    Effect::Redirect { status: 302, location: "https://elsewhere.invalid/api".to_owned() }
}

fn trickle() -> Effect {
    Effect::Trickle { pieces: 4, pause: Duration::from_millis(50) }
}

fn without_name() -> Effect {
    Effect::Patch { path: "*.name".to_owned(), change: Change::Null }
}

/// Effects of the simulator by name. One that is new does not compile until it stands here, and then needs a case.
macro_rules! effects {
    ($($effect:ident),* $(,)?) => {
        const EFFECTS: &[&str] = &[$(stringify!($effect)),*];

        fn name(effect: &Effect) -> &'static str {
            match effect {
                $(Effect::$effect { .. } => stringify!($effect)),*
            }
        }
    };
}

effects! {
    HangBeforeTls, HangInTls, TlsGarbage, HangAfterUpgrade, CloseAfterUpgrade, Hang, Delay, Answer, Fail, Patch, Pad, DropMidMessage, Garbage, Text,
    TruncateJson, Trickle, Duplicate, UnknownId, Close, Status, Redirect,
}

#[test]
fn every_effect_of_the_simulator_stands_in_a_case() {
    let tried: BTreeSet<&str> = all().iter().filter_map(|(_, fault, _)| fault.effect()).map(name).collect();
    assert_eq!(tried, EFFECTS.iter().copied().collect());
}

#[test]
fn what_is_not_tried_over_a_transport_says_why_and_is_tried_over_another() {
    for (case, _, Comes { json_rpc, legacy, rest }) in all() {
        let mut is_tried = false;
        for expected in [json_rpc, legacy, rest] {
            match expected {
                Expected::Is(_) => is_tried = true,
                Expected::Meaningless(why) => assert!(!why.is_empty(), "{case}"),
            }
        }
        assert!(is_tried, "{case}");
    }
}
