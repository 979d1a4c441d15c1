//! Every way a login goes, and what becomes of a connection whose login goes wrong: state, remedy, and when it is
//! tried again.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_collector::connection::Health;
use pulse_collector::rpc::CallError;
use pulse_collector::secret::Credential;
use pulse_collector::session::scram::ScramError;
use pulse_collector::session::{Budget, ConnectError, FailureClass, Refusal, SessionOptions, connect};
use pulse_collector::target::Options;
use pulse_collector::transport::{Security, Trust};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Change, Effect, Failure, Target};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::{Access, READONLY_USER};
use pulse_fixtures::server::tls::{TestCa, TlsMode};
use pulse_proto::model::ConnectionState;
use serde_json::{Value, json};

use crate::crew::{Crew, readable, settings};
use crate::support::{
    appliance, config, endpoint, key, key_of, log_in, password, pinned, plain_appliance, start, wrong_key,
};

const MINUTE: Duration = Duration::from_mins(1);
const LOGIN: &str = "auth.login_ex";

/// The next login call only.
fn answer_once(nas: &Appliance, effect: Effect) {
    nas.faults().set_next(1, Target::Method(LOGIN.to_owned()), effect);
}

fn generous() -> SessionOptions {
    SessionOptions { budget: Arc::new(Budget::new(1_000, MINUTE)), ..SessionOptions::default() }
}

async fn refusal(nas: &Appliance, credential: &Credential) -> Refusal {
    match connect(&pinned(nas), credential, &generous()).await {
        Err(ConnectError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// How a connection does whose login ends like this, and for how long it is left alone.
async fn fate(nas: &Appliance, credential: Credential, state: ConnectionState) -> (Health, Duration) {
    let crew = Crew::start(Options { session: generous(), ..Options::default() });
    crew.add(settings("one", nas, credential)).await;
    let health = crew.until_state("one", state).await;
    let wait = health.next_attempt_at.expect("there is always a next attempt").since(health.since);
    assert!(!health.reason.is_empty() && !health.remedy.is_empty(), "{health:?}");
    assert!(!health.transport.connected);
    crew.stop().await;
    (health, wait)
}

// SCRAM

#[tokio::test]
async fn scram_proves_the_key_and_is_tied_to_the_certificate() {
    let nas = appliance(ApiLine::V26_0).await;
    log_in(&nas).await.expect("a login");
    assert_eq!((nas.stats().logins, nas.stats().logins_bound), (1, 1));

    let unbound = SessionOptions { channel_binding: false, ..generous() };
    connect(&pinned(&nas), &key(&nas), &unbound).await.expect("behind a proxy that ends TLS");
    assert_eq!((nas.stats().logins, nas.stats().logins_bound), (2, 1));

    let plain = plain_appliance(ApiLine::V26_0, false).await;
    connect(&endpoint(&plain, Security::Plaintext), &key(&plain), &generous())
        .await
        .expect("shows no secret");
    assert_eq!((plain.stats().logins, plain.stats().logins_bound), (1, 0));
}

#[tokio::test]
async fn a_scram_challenge_that_does_not_continue_our_nonce_is_not_answered() {
    let challenge = |nonce: &[u8], rounds: u32| {
        let text = format!("r={},s={},i={rounds}", STANDARD.encode(nonce), STANDARD.encode([1_u8; 16]));
        let kind = "SERVER_FIRST_RESPONSE";
        Effect::Answer(json!({ "response_type": "SCRAM_RESPONSE", "scram_type": kind, "rfc_str": text }))
    };
    for nonce in [&[7_u8; 64][..], &[7; 32], &[7; 65], &[]] {
        let nas = appliance(ApiLine::V26_0).await;
        answer_once(&nas, challenge(nonce, 50_000));
        let error = log_in(&nas).await.unwrap_err();
        assert!(matches!(error, ConnectError::Scram(ScramError::Nonce)), "{error:?}");
        assert_eq!(error.class(), FailureClass::Untrusted);
        assert_eq!(nas.stats().calls_of(LOGIN), 1, "no proof left");
    }
}

#[tokio::test]
async fn a_scram_server_that_does_not_prove_itself_is_not_believed() {
    let signature = Value::from(format!("v={}", STANDARD.encode([9_u8; 64])));
    for change in [Change::Set(signature), Change::Set(json!("v=")), Change::Remove] {
        let nas = appliance(ApiLine::V26_0).await;
        // The first answer is honest, and late enough for the second to be prepared.
        answer_once(&nas, Effect::Delay(Duration::from_millis(300)));
        let prepare = async {
            nas.wait_for(|stats| stats.calls_of(LOGIN) == 1).await;
            answer_once(&nas, Effect::Patch { path: "rfc_str".to_owned(), change: change.clone() });
        };
        let (login, ()) = tokio::join!(log_in(&nas), prepare);
        let error = login.unwrap_err();
        assert!(matches!(error, ConnectError::Scram(_)), "{change:?}: {error:?}");
        assert!(error.remedy().contains("prove"), "{}", error.remedy());
        assert_eq!(error.class(), FailureClass::Untrusted);
    }
    let nas = appliance(ApiLine::V26_0).await;
    answer_once(&nas, Effect::login_answer("SUCCESS"));
    let error = log_in(&nas).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Scram(ScramError::ServerProof)),
        "success without proof: {error:?}"
    );
}

#[tokio::test]
async fn a_server_that_fails_to_prove_itself_is_left_alone_and_not_tried_like_one_that_is_down() {
    let challenge = |rounds: u32| {
        let nonce = STANDARD.encode([7_u8; 64]);
        let text = format!("r={nonce},s={},i={rounds}", STANDARD.encode([1_u8; 16]));
        let kind = "SERVER_FIRST_RESPONSE";
        Effect::Answer(json!({ "response_type": "SCRAM_RESPONSE", "scram_type": kind, "rfc_str": text }))
    };
    for effect in [Effect::login_answer("SUCCESS"), challenge(50_000)] {
        let nas = readable(ApiLine::V26_0).await;
        nas.faults().on_method(LOGIN, effect);
        let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
        assert!(health.reason.contains("SCRAM") && wait >= MINUTE * 15, "{wait:?} {health:?}");
        assert!(health.remedy.contains("stands between"), "{}", health.remedy);
        assert_eq!(nas.stats().calls_of(LOGIN), 1);
    }
}

#[tokio::test]
async fn a_server_too_busy_to_list_its_mechanisms_is_not_taken_for_one_without_scram() {
    let nas = appliance(ApiLine::V26_0).await;
    nas.faults().on_method("auth.mechanism_choices", Effect::busy());
    let error = log_in(&nas).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Busy, "{error:?}");
    assert_eq!(nas.stats().calls_of(LOGIN), 0, "the key stays here");
}

#[tokio::test]
async fn a_server_of_26_that_does_not_offer_scram_is_not_shown_the_key() {
    let threw = || Effect::Fail(Failure::call(22, "EINVAL", "no attribute 'may_create_auth_token'"));
    for effect in [
        Effect::Answer(json!(["API_KEY_PLAIN", "PASSWORD_PLAIN"])),
        Effect::Answer(json!("nonsense")),
        Effect::Fail(Failure::MethodNotFound),
        threw(),
    ] {
        let nas = readable(ApiLine::V26_0).await;
        nas.faults().on_method("auth.mechanism_choices", effect);
        let error = log_in(&nas).await.unwrap_err();
        assert!(matches!(error, ConnectError::ScramNotOffered { .. }), "{error:?}");
        let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
        assert!(health.reason.contains("does not offer it") && wait >= MINUTE * 15, "{health:?}");
        assert_eq!(nas.stats().calls_of(LOGIN), 0);
    }
    let nas = readable(ApiLine::V26_0).await;
    let nameless = Credential::ApiKey { username: None, key: nas.api_key().into() };
    let error = connect(&pinned(&nas), &nameless, &generous()).await.unwrap_err();
    assert!(matches!(error, ConnectError::UsernameNeeded), "{error:?}");
    let odd = key_of(&nas.user(), "nodash");
    let error = connect(&pinned(&nas), &odd, &generous()).await.unwrap_err();
    assert!(matches!(error, ConnectError::KeyForm), "{error:?}");
    assert_eq!(nas.stats().calls_of("auth.login_with_api_key") + nas.stats().calls_of(LOGIN), 0);
    // What is older has none, whether it says so or throws.
    let nas = appliance(ApiLine::V25_10).await;
    nas.faults().on_method("auth.mechanism_choices", threw());
    log_in(&nas).await.expect("a plain key over TLS");
}

#[tokio::test]
async fn a_server_that_passed_for_an_older_one_is_refused_when_it_tells_its_version() {
    let nas = Appliance::start(config(ApiLine::V25_10)).await.expect("a free port");
    nas.faults().on_method("system.version", Effect::Answer(json!("TrueNAS-26.0.1")));
    let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
    assert!(health.reason.contains("passed for one older than 26.00"), "{}", health.reason);
    assert!(health.remedy.contains("new API key") && wait >= MINUTE * 15, "{health:?}");
    connect(&pinned(&nas), &password(&nas), &generous()).await.expect("a password has no other way");
}

// Plain mechanisms

#[tokio::test]
async fn a_plain_key_and_a_plain_password_log_in_where_there_is_no_scram() {
    for line in [ApiLine::V25_04, ApiLine::V25_10] {
        let nas = appliance(line).await;
        for (credential, label) in [(key(&nas), "api-key-plain"), (password(&nas), "password-plain")] {
            let session = connect(&pinned(&nas), &credential, &generous()).await.expect("a login");
            assert_eq!(session.info().auth_mechanism.label(), label, "{line}");
        }
    }
}

// Refusals

#[tokio::test]
async fn auth_err_is_tried_again_ever_less() {
    for line in ApiLine::ALL {
        let nas = readable(line).await;
        assert_eq!(refusal(&nas, &wrong_key(&nas)).await, Refusal::Wrong, "{line}");
        let (health, wait) = fate(&nas, wrong_key(&nas), ConnectionState::Refused).await;
        assert!(health.reason.contains("wrong or revoked"), "{line}: {}", health.reason);
        assert!(wait >= MINUTE * 15, "{line}: {wait:?}");
        assert_eq!(nas.stats().logins_refused, 2, "{line}: once each");
    }
}

#[tokio::test]
async fn expired_asks_for_a_new_key() {
    for line in [ApiLine::V25_04, ApiLine::V25_10, ApiLine::V26_0, ApiLine::V27_0] {
        let nas = readable(line).await;
        nas.expire_key();
        assert_eq!(refusal(&nas, &key(&nas)).await, Refusal::Expired, "{line}");
        let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
        assert!(health.reason.contains("expired"), "{line}: {}", health.reason);
        assert!(health.remedy.contains("new API key") && wait >= MINUTE * 60, "{line}: {health:?}");
    }
}

#[tokio::test]
async fn denied_asks_for_a_privilege_and_looks_again_sooner() {
    let nas = readable(ApiLine::V26_0).await;
    nas.set_access(Access::NoApi);
    assert_eq!(refusal(&nas, &key(&nas)).await, Refusal::Denied);
    let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
    assert!(health.reason.contains("without any API privilege"), "{}", health.reason);
    assert!(health.remedy.contains("READONLY_ADMIN"), "{}", health.remedy);
    assert!(wait >= MINUTE * 15 && wait < MINUTE * 60, "{wait:?}");
}

#[tokio::test]
async fn a_second_factor_is_refused_and_says_what_to_use_instead() {
    for line in [ApiLine::V25_04, ApiLine::V25_10, ApiLine::V26_0, ApiLine::V27_0] {
        let nas = readable(line).await;
        nas.accounts(|accounts| {
            accounts.users.get_mut(READONLY_USER).expect("there").otp = Some("123456".to_owned());
        });
        assert_eq!(refusal(&nas, &password(&nas)).await, Refusal::OtpRequired, "{line}");
        let (health, wait) = fate(&nas, password(&nas), ConnectionState::Refused).await;
        assert!(health.reason.contains("one-time password"), "{line}: {}", health.reason);
        assert!(health.remedy.contains("API key") && wait >= MINUTE * 60, "{line}: {health:?}");
        connect(&pinned(&nas), &key(&nas), &generous()).await.expect("a key is not asked for one");
    }
}

#[tokio::test]
async fn a_mechanism_that_the_security_level_forbids_says_so() {
    let nas = readable(ApiLine::V25_10).await;
    nas.faults().on_method(LOGIN, Effect::Fail(Failure::call(95, "EOPNOTSUPP", "not at this level")));
    assert!(matches!(refusal(&nas, &key(&nas)).await, Refusal::NotPermitted(_)));
    let (health, wait) = fate(&nas, key(&nas), ConnectionState::Refused).await;
    assert!(health.remedy.contains("high security mode") && wait >= MINUTE * 15, "{health:?}");
}

#[tokio::test]
async fn an_answer_of_a_later_release_is_a_refusal() {
    let nas = appliance(ApiLine::V26_0).await;
    nas.faults().on_method(LOGIN, Effect::login_answer("SOMETHING_NEW"));
    assert_eq!(refusal(&nas, &key(&nas)).await, Refusal::Unknown("SOMETHING_NEW".to_owned()));
}

#[tokio::test]
async fn busy_is_left_alone_for_a_minute_by_every_connection() {
    for (line, method) in [(ApiLine::V24_10, "auth.login_with_api_key"), (ApiLine::V25_10, LOGIN)] {
        let nas = readable(line).await;
        let busy = nas.faults().on_method(method, Effect::busy());
        let (health, wait) = fate(&nas, key(&nas), ConnectionState::BackingOff).await;
        assert!(health.reason.contains("busy") && wait >= MINUTE, "{line}: {wait:?} {health:?}");

        let (options, calls) = (generous(), nas.stats().calls_of(method));
        let error = connect(&pinned(&nas), &key(&nas), &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Login(CallError::Busy { .. })), "{line}: {error:?}");
        nas.faults().clear(busy);
        let error = connect(&pinned(&nas), &key(&nas), &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::LoginsSpent { .. }), "{line}: {error:?}");
        assert_eq!(nas.stats().calls_of(method), calls + 1, "{line}");
    }
}

// The budget

#[tokio::test]
async fn logins_of_all_connections_to_one_nas_stay_well_below_its_limit() {
    for (line, credential, logins) in [
        (ApiLine::V24_10, key as fn(&Appliance) -> Credential, 10),
        (ApiLine::V25_10, key, 10),
        (ApiLine::V25_10, password, 10),
        // Each takes two calls.
        (ApiLine::V26_0, key, 5),
    ] {
        let (nas, other) = (appliance(line).await, appliance(line).await);
        let options = SessionOptions::default();
        for n in 0..logins {
            let login = connect(&pinned(&nas), &credential(&nas), &options).await;
            login.unwrap_or_else(|error| panic!("{line} {n}: {error}"));
        }
        let spent = connect(&pinned(&nas), &credential(&nas), &SessionOptions::default()).await.unwrap_err();
        let ConnectError::LoginsSpent { wait } = &spent else { panic!("{line}: {spent:?}") };
        assert!(*wait <= MINUTE && spent.class() == FailureClass::Busy, "{line}: {spent:?}");
        assert_eq!((nas.stats().logins, nas.stats().rate_limited), (logins, 0), "{line}");
        connect(&pinned(&other), &credential(&other), &options).await.expect("another NAS has its own");
    }
}

#[tokio::test]
async fn a_connection_that_keeps_losing_its_session_runs_into_the_budget_and_waits() {
    let nas = readable(ApiLine::V25_10).await;
    let budget = Arc::new(Budget::new(2, MINUTE));
    let session = SessionOptions { budget, ..SessionOptions::default() };
    let crew = Crew::start(Options { session, ..Options::default() });
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.drop_connections();
    crew.until("one", "back", |health| health.transport.reconnects == 1).await;
    nas.drop_connections();
    let health = crew.until("one", "waiting", |health| health.reason.contains("enough logins")).await;
    let wait = health.next_attempt_at.expect("a time").since(health.since);
    assert!(health.state == ConnectionState::BackingOff && wait >= MINUTE, "{health:?}");
    assert_eq!(nas.stats().logins, 2);
}

// High availability

#[tokio::test]
async fn a_standby_redirects_to_the_active_node() {
    let ca = TestCa::generate().expect("an authority");
    let issued = |line| ApplianceConfig { tls: TlsMode::Issued(ca.clone()), ..config(line) };
    for line in [ApiLine::V25_10, ApiLine::V26_0] {
        let (standby, active) = (start(issued(line)).await, start(issued(line)).await);
        let credential = key_of(&active.user(), active.api_key());
        let url = format!("https://{}:{}", active.host(), active.port());
        standby.faults().on_method(LOGIN, Effect::login_redirect(&["http://127.0.0.1:1", &url]));
        let endpoint = endpoint(&standby, Security::Tls(Trust::CustomCa(ca.pem())));
        let session = connect(&endpoint, &credential, &generous()).await.expect("the partner");
        assert_eq!(session.info().endpoint.port, active.port(), "{line}");
        standby.wait_for(|stats| stats.sessions_open == 0).await;

        let back = format!("https://{}:{}", standby.host(), standby.port());
        active.faults().on_method(LOGIN, Effect::login_redirect(&[&back]));
        let error = connect(&endpoint, &credential, &generous()).await.unwrap_err();
        assert!(matches!(error, ConnectError::RedirectLoop { tried: 2 }), "{line}: {error:?}");
    }
}

// Age

#[tokio::test]
async fn an_old_session_is_replaced_and_nobody_sees_a_gap() {
    for line in ApiLine::ALL {
        let nas = readable(line).await;
        let age = Duration::from_millis(600);
        let crew = Crew::start(Options { session: generous(), session_age_max: age, ..Options::default() });
        crew.add(settings("one", &nas, key(&nas))).await;
        let health = crew.until("one", "replaced", |health| health.transport.reconnects >= 3).await;
        assert_eq!(
            (health.state, health.transport.last_error.as_str()),
            (ConnectionState::Live, ""),
            "{line}"
        );
        let states = crew.probe.seen.borrow().states.clone();
        let once = [ConnectionState::Connecting, ConnectionState::Authenticating, ConnectionState::Live];
        assert_eq!(states, once, "{line}");
        crew.stop().await;
        nas.wait_for(|stats| stats.sessions_open == 0).await;
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_replaced_goes_on_and_says_why_until_it_has_to_end() {
    let nas = readable(ApiLine::V25_10).await;
    let age = Duration::from_secs(1);
    let crew = Crew::start(Options { session: generous(), session_age_max: age, ..Options::default() });
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.revoke_key();
    let health = crew.until("one", "told why", |health| !health.transport.last_error.is_empty()).await;
    assert_eq!(health.state, ConnectionState::Live);
    assert!(health.transport.last_error.contains("wrong or revoked"), "{}", health.transport.last_error);
    let health = crew.until_state("one", ConnectionState::Refused).await;
    assert_eq!(health.transport.reconnects, 0);
}
