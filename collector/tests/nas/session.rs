//! Negotiation, login and trust per API line, and every way they end badly.

use std::time::Duration;

use pulse_collector::api::dataset::decode_datasets;
use pulse_collector::rpc::CallError;
use pulse_collector::session::{ConnectError, FailureClass, Mode, SessionOptions, connect};
use pulse_collector::transport::redirect::Redirect;
use pulse_collector::transport::{Security, TlsCause, TransportError, Trust};
use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::tls::{TestCa, TlsMode};
use serde_json::json;

use crate::support::{
    admin_password, appliance, config, endpoint, impatient, key, log_in, pinned, plain_appliance,
    rest_appliance, start, wrong_key,
};

#[tokio::test]
async fn each_line_gets_its_best_mechanism() {
    for (line, mode, mechanism, api) in [
        (ApiLine::V24_10, Mode::LegacyWebsocket, "legacy-api-key", "websocket"),
        (ApiLine::V25_04, Mode::JsonRpcWebsocket, "api-key-plain", "current"),
        (ApiLine::V25_10, Mode::JsonRpcWebsocket, "api-key-plain", "v25.10."),
        (ApiLine::V26_0, Mode::JsonRpcWebsocket, "scram-sha-512", "v26.0."),
    ] {
        let nas = appliance(line).await;
        let session = log_in(&nas).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        let info = session.info();
        assert_eq!((info.mode, info.auth_mechanism.label()), (mode, mechanism), "{line}");
        assert!(info.api_version.starts_with(api), "{line}: {}", info.api_version);
        assert!(info.appliance_version.contains(line.name()), "{line}: {}", info.appliance_version);
        assert_eq!(info.peer_fingerprint.map(|seen| seen.to_string()), Some(nas.fingerprint_sha256()));
        let reply = session.call("core.ping", &json!([])).await.expect("a ping");
        assert_eq!(reply.0.get(), "\"pong\"");
        assert!(matches!(session.rest_get("/pool", &[]).await, Err(CallError::NoMethod { .. })));
        assert_eq!((nas.stats().logins, nas.stats().rest_requests), (1, 0), "{line}");
        session.close().await;
    }
}

#[tokio::test]
async fn without_any_websocket_an_old_line_is_read_over_rest() {
    let nas = rest_appliance().await;
    let session = log_in(&nas).await.expect("over REST");
    let info = session.info();
    assert_eq!(
        (info.mode, info.auth_mechanism.label(), info.api_version.as_str()),
        (Mode::LegacyRest, "rest-bearer-api-key", "v2.0")
    );
    assert_eq!(info.peer_fingerprint.map(|seen| seen.to_string()), Some(nas.fingerprint_sha256()));
    let reply = session.rest_get("/system/info", &[]).await.expect("over REST");
    assert!(reply.0.get().contains("24.10"));
    assert!(matches!(session.call("core.ping", &json!([])).await, Err(CallError::NoMethod { .. })));
    // A method with arguments: the body is the only one.
    nas.faults().on_method("disk.temperatures", Effect::Answer(json!({ "sda": 31 })));
    let reply = session.rest_post("/disk/temperatures", &json!(["sda"])).await.expect("over REST");
    assert_eq!(reply.0.get(), r#"{"sda":31}"#);
}

#[tokio::test]
async fn a_password_logs_in_too() {
    for (line, mechanism) in [
        (ApiLine::V24_10, "legacy-password"),
        (ApiLine::V25_10, "password-plain"),
        (ApiLine::V26_0, "password-plain"),
    ] {
        let nas = appliance(line).await;
        let session =
            connect(&pinned(&nas), &admin_password(&nas), &SessionOptions::default()).await.expect("a login");
        assert_eq!(session.info().auth_mechanism.label(), mechanism, "{line}");
    }
    let nas = rest_appliance().await;
    let session =
        connect(&pinned(&nas), &admin_password(&nas), &SessionOptions::default()).await.expect("a login");
    assert_eq!(session.info().auth_mechanism.label(), "rest-basic-password");
}

#[tokio::test]
async fn a_wrong_key_is_refused_once_and_never_shown() {
    for line in ApiLine::ALL {
        let nas = appliance(line).await;
        let error = connect(&pinned(&nas), &wrong_key(&nas), &SessionOptions::default()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::RefusedCredentials, "{line}: {error:?}");
        assert!(!format!("{error:?} {error} {}", error.remedy()).contains("xxxxxxxx"), "{line}");
        assert!(!error.remedy().is_empty());
        let stats = nas.stats();
        assert_eq!(stats.logins, 0);
        assert_eq!((stats.logins_refused, stats.rest_requests), (1, 0), "{line}: no second way is tried");
    }
}

#[tokio::test]
async fn revoked_and_expired_keys_are_refused() {
    for line in ApiLine::ALL {
        let nas = appliance(line).await;
        let open = log_in(&nas).await.expect("still good");
        nas.revoke_key();
        let error = log_in(&nas).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::RefusedCredentials, "{line}: {error:?}");
        nas.expire_key();
        let error = log_in(&nas).await.unwrap_err();
        // The oldest does not tell one from the other.
        let class = if line < ApiLine::V25_04 {
            FailureClass::RefusedCredentials
        } else {
            FailureClass::ExpiredCredentials
        };
        assert_eq!(error.class(), class, "{line}: {error:?}");
        nas.restore_key();
        log_in(&nas).await.expect("good again");
        open.close().await;
    }
}

#[tokio::test]
async fn an_address_that_the_nas_does_not_let_in_is_forbidden() {
    for line in ApiLine::ALL {
        let nas = appliance(line).await;
        nas.faults().on_connection(Effect::CloseAfterUpgrade { code: 1008, reason: "not allowed".into() });
        assert_eq!(log_in(&nas).await.unwrap_err().class(), FailureClass::Forbidden, "{line}");
        assert_eq!(nas.stats().rest_requests, 0, "{line}");
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_with_another_certificate() {
    for line in ApiLine::ALL {
        let (nas, other) = (appliance(line).await, appliance(line).await);
        let mut wrong = pinned(&nas);
        wrong.port = other.port();
        let error = connect(&wrong, &key(&nas), &SessionOptions::default()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Tls, "{line}: {error:?}");
        assert_eq!(error.observed().map(|seen| seen.to_string()), Some(other.fingerprint_sha256()));
        let stats = other.stats();
        assert!(stats.http_requests.is_empty() && stats.calls.is_empty(), "{line}: {stats:?}");
    }
}

#[tokio::test]
async fn a_changed_certificate_ends_trust_but_not_the_open_session() {
    let nas = appliance(ApiLine::V25_10).await;
    let before = pinned(&nas);
    let session = log_in(&nas).await.expect("the pinned certificate");
    nas.rotate_certificate().expect("a new certificate");
    session.call("core.ping", &json!([])).await.expect("this connection was trusted when it was made");
    let error = connect(&before, &key(&nas), &SessionOptions::default()).await.unwrap_err();
    let ConnectError::Transport(TransportError::Tls(failure)) = &error else { panic!("{error:?}") };
    assert!(matches!(failure.cause, TlsCause::PinMismatch { .. }), "{failure:?}");
    assert_eq!(failure.observed.map(|seen| seen.to_string()), Some(nas.fingerprint_sha256()));
    log_in(&nas).await.expect("the new pin");
}

#[tokio::test]
async fn an_authority_counts_for_its_own_names_only() {
    let ca = TestCa::generate().expect("an authority");
    let issued = ApplianceConfig { tls: TlsMode::Issued(ca.clone()), ..config(ApiLine::V26_0) };
    let nas = start(issued).await;
    let by = |pem: String| endpoint(&nas, Security::Tls(Trust::CustomCa(pem)));
    let options = SessionOptions::default();
    connect(&by(ca.pem()), &key(&nas), &options).await.expect("issued by the trusted authority");

    let other = TestCa::generate().expect("another authority").pem();
    for (endpoint, rotate, want) in [
        (by(other), false, "not signed by an authority"),
        (endpoint(&nas, Security::Tls(Trust::SystemRoots)), false, ""),
        (by(ca.pem()), true, "another name"),
    ] {
        if rotate {
            nas.rotate_certificate_for(&["elsewhere.example".to_owned()]).expect("a certificate");
        }
        let error = connect(&endpoint, &key(&nas), &options).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Tls, "{error:?}");
        assert!(error.to_string().contains(want), "{error}");
    }
    let anything = endpoint(&nas, Security::Tls(Trust::Insecure));
    connect(&anything, &key(&nas), &options).await.expect("asked not to check");
}

#[tokio::test]
async fn a_plain_key_never_leaves_without_tls() {
    for line in [ApiLine::V24_04, ApiLine::V24_10, ApiLine::V25_04, ApiLine::V25_10] {
        let nas = plain_appliance(line, false).await;
        let endpoint = endpoint(&nas, Security::Plaintext);
        let error = connect(&endpoint, &key(&nas), &SessionOptions::default()).await.unwrap_err();
        let stats = nas.stats();
        assert_eq!((stats.keys_revoked, stats.rest_requests), (0, 0), "{line}");
        assert_eq!(stats.logins + stats.logins_refused, 0, "{line}");
        assert_eq!(stats.calls_of("auth.login_ex") + stats.calls_of("auth.login_with_api_key"), 0, "{line}");
        if line >= ApiLine::V25_04 {
            assert_eq!(error.class(), FailureClass::PlaintextRefused, "{line}: {error:?}");
        }
    }
    let nas = plain_appliance(ApiLine::V26_0, false).await;
    let plain = endpoint(&nas, Security::Plaintext);
    let session =
        connect(&plain, &key(&nas), &SessionOptions::default()).await.expect("SCRAM shows no secret");
    assert_eq!(session.info().auth_mechanism.label(), "scram-sha-512");
}

#[tokio::test]
async fn scram_is_not_given_up_once_seen() {
    let nas = appliance(ApiLine::V26_0).await;
    nas.faults().on_method("auth.mechanism_choices", Effect::Answer(json!(["API_KEY_PLAIN"])));
    let options = SessionOptions { require_scram: true, ..SessionOptions::default() };
    let error = connect(&pinned(&nas), &key(&nas), &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::ScramStripped), "{error:?}");
    assert_eq!(nas.stats().calls_of("auth.login_ex"), 0);
}

#[tokio::test]
async fn redirects_are_told_and_never_followed() {
    let nas = plain_appliance(ApiLine::V25_10, true).await;
    let plain = endpoint(&nas, Security::Plaintext);
    let error = connect(&plain, &key(&nas), &SessionOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::PlaintextRefused, "{error:?}");
    assert!(error.remedy().contains("TLS"), "{}", error.remedy());

    for (nas, path, told) in [
        (rest_appliance().await, "/api/v2.0", false),
        (appliance(ApiLine::V24_10).await, "/websocket", true),
        (appliance(ApiLine::V25_10).await, "/api/versions", true),
        (appliance(ApiLine::V25_10).await, "/api/v25.10", true),
        (appliance(ApiLine::V26_0).await, "/api/v26.0", true),
    ] {
        let thief = appliance(nas.line()).await;
        let location = format!("https://{}:{}{path}", thief.host(), thief.port());
        nas.faults().on_route(path, Effect::Redirect { status: 307, location });
        let error = log_in(&nas).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Protocol, "{path}: {error:?}");
        assert_eq!(thief.stats().connections_accepted, 0, "{path}");
        assert_eq!(nas.stats().logins, 0, "{path}");
        let elsewhere =
            matches!(&error, ConnectError::Transport(TransportError::Redirect(Redirect::Elsewhere { .. })));
        assert_eq!(elsewhere, told, "{path}: {error:?}");
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline_of_its_step() {
    for effect in [Effect::HangBeforeTls, Effect::HangInTls, Effect::HangAfterUpgrade] {
        let nas = appliance(ApiLine::V25_10).await;
        nas.faults().on_connection(effect.clone());
        let error = connect(&pinned(&nas), &key(&nas), &impatient()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Unreachable, "{effect:?}: {error:?}");
    }
    let nas = appliance(ApiLine::V25_10).await;
    for hung in ["/api/versions", "/api/v25.10"] {
        let fault = nas.faults().on_route(hung, Effect::Hang);
        let error = connect(&pinned(&nas), &key(&nas), &impatient()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Unreachable, "{hung}: {error:?}");
        nas.faults().clear(fault);
    }
    nas.faults().on_method("auth.login_ex", Effect::Hang);
    let options = SessionOptions { login: Duration::from_millis(400), ..SessionOptions::default() };
    let error = connect(&pinned(&nas), &key(&nas), &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Login(CallError::Deadline { .. })), "{error:?}");
    nas.wait_for(|stats| stats.sessions_open == 0).await;
}

#[tokio::test]
async fn a_hung_call_costs_itself_only() {
    let nas = appliance(ApiLine::V25_10).await;
    let session = log_in(&nas).await.expect("a login");
    nas.faults().on_method("auth.me", Effect::Hang);
    let hung = session.call_within("auth.me", &json!([]), Duration::from_millis(300)).await;
    assert!(matches!(hung, Err(CallError::Deadline { .. })), "{hung:?}");
    session.call("core.ping", &json!([])).await.expect("the session goes on");
}

#[tokio::test]
async fn garbage_is_told_apart_from_tls_and_from_silence() {
    let nas = appliance(ApiLine::V25_10).await;
    let fault = nas.faults().on_connection(Effect::TlsGarbage);
    assert_eq!(log_in(&nas).await.unwrap_err().class(), FailureClass::Tls);
    nas.faults().clear(fault);

    for effect in [Effect::Text("{\"jsonrpc\":".into()), Effect::TruncateJson, Effect::Answer(json!(7))] {
        let fault = nas.faults().on_method("auth.login_ex", effect.clone());
        let error = log_in(&nas).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Protocol, "{effect:?}: {error:?}");
        nas.faults().clear(fault);
    }
    nas.faults().on_method("auth.login_ex", Effect::Garbage(vec![0xff; 64]));
    assert!(matches!(log_in(&nas).await, Err(ConnectError::Login(CallError::Closed(_)))));
}

#[tokio::test]
async fn a_drop_in_the_middle_of_a_message_ends_every_call() {
    let nas = appliance(ApiLine::V25_10).await;
    let fault = nas.faults().on_method("auth.login_ex", Effect::DropMidMessage);
    assert_eq!(log_in(&nas).await.unwrap_err().class(), FailureClass::Unreachable);
    nas.faults().clear(fault);

    let session = log_in(&nas).await.expect("a login");
    nas.faults().on_method("core.ping", Effect::Hang);
    nas.faults().set_next(1, pulse_fixtures::fault::Target::Method("auth.me".into()), Effect::DropMidMessage);
    let (params, hung) = (json!([]), json!([]));
    let (ping, me) = tokio::join!(session.call("core.ping", &hung), session.call("auth.me", &params));
    assert!(matches!(ping, Err(CallError::Closed(_))), "{ping:?}");
    assert!(matches!(me, Err(CallError::Closed(_))), "{me:?}");
    session.closed().await;
}

#[tokio::test]
async fn an_answer_that_comes_twice_or_for_nobody_harms_nothing() {
    let nas = appliance(ApiLine::V25_10).await;
    let session = log_in(&nas).await.expect("a login");
    for effect in [Effect::Duplicate, Effect::UnknownId] {
        nas.faults().set_next(1, pulse_fixtures::fault::Target::Method("core.ping".into()), effect);
        session.call("core.ping", &json!([])).await.expect("its own answer");
    }
    assert_eq!(session.call("core.ping", &json!([])).await.expect("a ping").0.get(), "\"pong\"");
}

#[tokio::test]
async fn a_rest_reply_of_thousands_of_datasets_is_read_whole() {
    let nas = rest_appliance().await;
    let property = "x".repeat(1_500);
    let rows: Vec<_> = (0..3_018)
        .map(|n| json!({ "name": format!("tank/d{n:04}"), "used": { "parsed": n }, "comments": { "value": property } }))
        .collect();
    nas.faults().on_method("pool.dataset.query", Effect::Answer(rows.into()));
    let session = log_in(&nas).await.expect("over REST");
    let query = [("extra.flat", "false"), ("extra.properties", r#"["used"]"#)];
    let reply = session.rest_get("/pool/dataset", &query).await.expect("read");
    assert!(reply.0.get().len() > 4 * 1024 * 1024, "larger than Pulse takes");
    let decoded = decode_datasets(reply.0.get().as_bytes()).expect("a list");
    assert_eq!((decoded.rows.len(), decoded.skipped.len()), (3_018, 0));
}
