//! The ways to an appliance without JSON-RPC: which is taken when, and that none is a way around anything.

use pulse_collector::rpc::{CallError, CloseReason, EventKind, Notice};
use pulse_collector::session::{ConnectError, FailureClass, Mode, Refusal, SessionOptions, connect};
use pulse_collector::transport::ws::Closed;
use pulse_collector::transport::{Security, TransportError};
use pulse_fixtures::appliance::Appliance;
use pulse_fixtures::fault::{Effect, Failure};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::READONLY_KEY_ID;
use serde_json::json;

use crate::support::{
    appliance, endpoint, key, key_of, log_in, pinned, plain_appliance, rest_appliance, wrong_key,
};

fn allow(nas: &Appliance, list: &[(&str, &str)]) {
    let list = list.iter().map(|(verb, what)| ((*verb).to_owned(), (*what).to_owned())).collect();
    nas.accounts(|accounts| accounts.keys.get_mut(&READONLY_KEY_ID).expect("its key").allow_list = list);
}

#[tokio::test]
async fn the_legacy_websocket_takes_the_same_calls_and_tells_the_same_events() {
    let nas = appliance(ApiLine::V24_10).await;
    let mut session = log_in(&nas).await.expect("a login");
    let mut notices = session.take_notices().expect("the first to ask");
    let pools = session.call("pool.query", &json!([[["name", "=", "tank"]], {}])).await.expect("pools");
    assert!(pools.0.get().contains("\"tank\""));
    session.subscribe("pool.query").await.expect("granted");
    nas.mutate(|world, now| world.degrade_pool(ApiLine::V24_10, "tank", now));
    let event = loop {
        match notices.recv().await.expect("the session is open") {
            Notice::Event(event) if event.collection == "pool.query" => break event,
            _ => {}
        }
    };
    assert_eq!(event.kind, EventKind::Changed);
    assert!(event.fields.expect("the pool").get().contains("DEGRADED"));

    nas.end_subscriptions("pool.query", &Failure::call(14, "EFAULT", "broken"));
    let reason = loop {
        if let Notice::Unsubscribed { reason, .. } = notices.recv().await.expect("open") {
            break reason;
        }
    };
    assert!(reason.expect("a reason").contains("broken"));
    assert_eq!((nas.stats().logins, nas.stats().sessions_opened), (1, 1));
}

#[tokio::test]
async fn refusals_over_the_legacy_websocket_are_sorted_as_over_json_rpc() {
    let nas = appliance(ApiLine::V24_10).await;
    let session = log_in(&nas).await.expect("a login");
    let answer = async |failure: Failure| {
        let fault = nas.faults().on_method("disk.query", Effect::Fail(failure));
        let error = session.call("disk.query", &json!([])).await.expect_err("as planted");
        nas.faults().clear(fault);
        error
    };
    assert!(matches!(answer(Failure::NotAuthorized).await, CallError::NotAuthorized { .. }));
    assert!(matches!(answer(Failure::NotAuthenticated).await, CallError::NotAuthenticated { .. }));
    assert!(matches!(answer(Failure::no_such_method("disk.query")).await, CallError::NoMethod { .. }));
    assert!(matches!(answer(Failure::invalid("a", "b")).await, CallError::Invalid { .. }));
    assert!(matches!(answer(Failure::busy()).await, CallError::Busy { .. }));
    assert!(matches!(answer(Failure::call(5, "EIO", "x")).await, CallError::Call { errno: Some(5), .. }));
    assert!(matches!(session.call("no.such", &json!([])).await, Err(CallError::NoMethod { .. })));
    allow(&nas, &[("CALL", "*")]);
    let session = log_in(&nas).await.expect("calls are allowed");
    let refused = session.subscribe("pool.query").await;
    assert!(matches!(refused, Err(CallError::NotAuthorized { .. })), "{refused:?}");
    session.call("core.ping", &json!([])).await.expect("which harms nothing else");
}

#[tokio::test]
async fn a_legacy_websocket_that_misbehaves_ends_like_any_other() {
    let nas = appliance(ApiLine::V24_10).await;
    for effect in [Effect::Duplicate, Effect::UnknownId] {
        let session = log_in(&nas).await.expect("a login");
        let fault = nas.faults().on_method("core.ping", effect);
        session.call("core.ping", &json!([])).await.expect("its own answer");
        nas.faults().clear(fault);
        session.close().await;
    }
    let session = log_in(&nas).await.expect("a login");
    nas.faults().on_method("core.ping", Effect::TruncateJson);
    let cut = session.call("core.ping", &json!([])).await;
    assert!(matches!(cut, Err(CallError::Malformed { .. })), "{cut:?}");
    nas.faults().on_method("auth.me", Effect::Close { code: 1007, reason: String::new() });
    let closed = session.call("auth.me", &json!([])).await;
    let by_server = CloseReason::Socket(Closed::ByServer { code: 1007, reason: String::new() });
    assert!(matches!(closed, Err(CallError::Closed(reason)) if reason == by_server));
}

#[tokio::test]
async fn rest_is_taken_only_when_there_is_no_websocket_at_all() {
    for status in [200, 400, 404, 405, 410, 500, 501] {
        let nas = appliance(ApiLine::V24_10).await;
        nas.faults().on_route("/websocket", Effect::Status(status));
        let session = log_in(&nas).await.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(session.info().mode, Mode::LegacyRest, "{status}");
    }
    for (status, class) in [
        (502, FailureClass::Unreachable),
        (503, FailureClass::Unreachable),
        (504, FailureClass::Unreachable),
        (401, FailureClass::Forbidden),
        (403, FailureClass::Forbidden),
        (429, FailureClass::Busy),
    ] {
        let nas = appliance(ApiLine::V24_10).await;
        nas.faults().on_route("/websocket", Effect::Status(status));
        let error = log_in(&nas).await.expect_err("no way");
        assert_eq!(error.class(), class, "{status}: {error:?}");
        assert_eq!((nas.stats().rest_requests, nas.stats().logins), (0, 0), "{status}");
    }
    assert_eq!(log_in(&rest_appliance().await).await.expect("over REST").info().mode, Mode::LegacyRest);
}

#[tokio::test]
async fn a_login_over_rest_that_meets_a_restart_is_no_login_too_many() {
    for (status, class, remedy) in [
        (502, FailureClass::Unreachable, "restarting its services"),
        (503, FailureClass::Unreachable, "restarting its services"),
        (504, FailureClass::Unreachable, "restarting its services"),
        (429, FailureClass::Busy, "too many logins"),
    ] {
        let nas = rest_appliance().await;
        nas.faults().on_route("/api/v2.0", Effect::Status(status));
        let error = log_in(&nas).await.expect_err("no way");
        assert_eq!(error.class(), class, "{status}: {error:?}");
        assert!(error.remedy().contains(remedy), "{status}: {}", error.remedy());
    }
}

#[tokio::test]
async fn a_refusal_over_the_legacy_websocket_is_no_reason_for_rest() {
    let nas = appliance(ApiLine::V24_10).await;
    let error = connect(&pinned(&nas), &wrong_key(&nas), &SessionOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(Refusal::Wrong)), "{error:?}");

    // A key that was made for REST only.
    nas.faults().clear_all();
    allow(&nas, &[("GET", "*")]);
    let error = log_in(&nas).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(Refusal::AllowList)), "{error:?}");
    assert!(error.class() == FailureClass::Forbidden && error.remedy().contains("SUBSCRIBE"));
    nas.faults().on_method("auth.login_with_api_key", Effect::busy());
    assert_eq!(log_in(&nas).await.unwrap_err().class(), FailureClass::Busy);
    assert_eq!(nas.stats().rest_requests, 0);
    nas.wait_for(|stats| stats.sessions_open == 0).await;
}

#[tokio::test]
async fn a_legacy_login_never_leaves_without_tls() {
    let nas = plain_appliance(ApiLine::V24_10, false).await;
    nas.faults().on_route("/api/current", Effect::Status(404));
    let plain = endpoint(&nas, Security::Plaintext);
    let error = connect(&plain, &key(&nas), &SessionOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::PlaintextRefused { mechanism: "legacy-api-key" }), "{error:?}");
    assert!(nas.stats().calls.is_empty() && nas.stats().rest_requests == 0, "{:?}", nas.stats());
}

#[tokio::test]
async fn a_new_line_without_its_websocket_is_not_read_by_an_older_way() {
    let options = SessionOptions::default();
    for hide in [false, true] {
        let nas = appliance(ApiLine::V25_10).await;
        let admin = key_of(&nas.admin_user(), nas.admin_api_key());
        nas.faults().on_route("/api/v25.10", Effect::Status(404));
        nas.faults().on_route("/api/current", Effect::Status(404));
        if hide {
            nas.faults().on_route("/api/versions", Effect::Status(404));
        }
        let error = connect(&pinned(&nas), &admin, &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::DowngradeRefused { status: 404, .. }), "{error:?}");
        assert_eq!(error.class(), FailureClass::Unsupported);
        let stats = nas.stats();
        // Where it lists what it speaks, nothing needs to be sent to find out.
        assert_eq!((stats.logins, stats.rest_requests), (u64::from(hide), 0));
        nas.wait_for(|stats| stats.sessions_open == 0).await;

        nas.faults().on_route("/websocket", Effect::Status(404));
        let error = connect(&pinned(&nas), &admin, &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::DowngradeRefused { .. }), "{error:?}");
    }
    let nas = appliance(ApiLine::V25_10).await;
    for status in [401, 403, 429, 500, 502, 503] {
        nas.faults().clear_all();
        nas.faults().on_route("/api/v25.10", Effect::Status(status));
        let error = log_in(&nas).await.unwrap_err();
        assert!(matches!(error, ConnectError::Transport(TransportError::UpgradeRefused { .. })), "{error:?}");
        let stats = nas.stats();
        assert_eq!(
            (stats.rest_requests, stats.requests_of("/websocket")),
            (0, 0),
            "{status} tells of neither"
        );
    }
}

#[tokio::test]
async fn what_the_legacy_websocket_says_of_its_version_decides() {
    for (version, legacy) in [
        ("TrueNAS-SCALE-24.04.2", true),
        ("TrueNAS-13.0-U6.1", true),
        ("TrueNAS-SCALE-25.04.0", false),
        ("25.10.1", false),
        ("", false),
    ] {
        let nas = appliance(ApiLine::V24_10).await;
        nas.faults().clear_all();
        nas.faults().on_method("system.version", Effect::Answer(json!(version)));
        match log_in(&nas).await {
            Ok(session) => {
                assert!(legacy, "{version}");
                assert_eq!(session.info().mode, Mode::LegacyWebsocket);
                assert_eq!(session.info().appliance_version, version);
            }
            Err(error) => {
                assert!(
                    !legacy && matches!(error, ConnectError::DowngradeRefused { .. }),
                    "{version}: {error:?}"
                );
                nas.wait_for(|stats| stats.sessions_open == 0).await;
            }
        }
    }
}

#[tokio::test]
async fn who_leads_elsewhere_says_nothing_of_what_the_nas_has() {
    for (location, is_there) in [("https://elsewhere.invalid/api", true), ("/ui/", false)] {
        let nas = rest_appliance().await;
        let session = log_in(&nas).await.expect("over REST");
        let redirect = Effect::Redirect { status: 302, location: location.to_owned() };
        nas.faults().on_route("/api/v2.0", redirect);
        match session.rest_get("/pool", &[]).await {
            Err(CallError::Closed(_)) => assert!(is_there, "{location}"),
            Err(CallError::NoMethod { .. }) => assert!(!is_there, "{location}"),
            other => panic!("{location}: {other:?}"),
        }
    }
}
