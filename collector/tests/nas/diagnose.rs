//! The diagnosis: each step's outcome where it matters, and nothing secret in any of them.

use pulse_collector::session::SessionOptions;
use pulse_collector::session::diagnose::{Diagnosis, Outcome, diagnose};
use pulse_collector::transport::{Security, Trust};
use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::Access;
use pulse_fixtures::server::tls::{TestCa, TlsMode};

use crate::support::{appliance, config, endpoint, key, key_of, pinned, plain_appliance, start, wrong_key};

fn outcomes(diagnosis: &Diagnosis) -> Vec<(&str, Outcome)> {
    diagnosis.steps.iter().map(|step| (step.name.as_str(), step.outcome)).collect()
}

/// Every step in order, `Ok` but for these.
fn all_ok_but(exceptions: &[(&'static str, Outcome)]) -> Vec<(&'static str, Outcome)> {
    ["resolve", "connect", "tls", "http", "upgrade", "version", "login", "role"]
        .map(|name| {
            let exception = exceptions.iter().find(|(which, _)| *which == name);
            (name, exception.map_or(Outcome::Ok, |(_, outcome)| *outcome))
        })
        .to_vec()
}

#[tokio::test]
async fn a_good_connection_passes_every_step() {
    for (line, exceptions) in [
        (ApiLine::V24_10, &[("role", Outcome::Skipped)][..]),
        (ApiLine::V25_04, &[]),
        (ApiLine::V25_10, &[]),
        (ApiLine::V26_0, &[]),
    ] {
        let nas = appliance(line).await;
        let (diagnosis, session) = diagnose(&pinned(&nas), &key(&nas), &SessionOptions::default()).await;
        assert_eq!(outcomes(&diagnosis), all_ok_but(exceptions), "{line}: {diagnosis:#?}");
        assert!(diagnosis.success());
        assert!(diagnosis.appliance_version.contains(line.name()));
        assert_eq!(diagnosis.observed.map(|seen| seen.to_string()), Some(nas.fingerprint_sha256()));
        session.expect("a session").close().await;
    }
}

#[tokio::test]
async fn a_failed_step_skips_the_rest_and_says_what_to_do() {
    let nas = appliance(ApiLine::V25_10).await;
    let options = SessionOptions::default();

    let stranger = appliance(ApiLine::V25_10).await;
    let mut wrong = pinned(&nas);
    wrong.port = stranger.port();
    let (diagnosis, session) = diagnose(&wrong, &key(&nas), &options).await;
    assert!(session.is_none() && !diagnosis.success());
    let skipped = ["http", "upgrade", "version", "login", "role"].map(|name| (name, Outcome::Skipped));
    let mut expected = vec![("tls", Outcome::Failed)];
    expected.extend(skipped);
    assert_eq!(outcomes(&diagnosis), all_ok_but(&expected));
    assert_eq!(diagnosis.observed.map(|seen| seen.to_string()), Some(stranger.fingerprint_sha256()));

    let (diagnosis, _) = diagnose(&pinned(&nas), &wrong_key(&nas), &options).await;
    let login = diagnosis.step("login").expect("was tried");
    assert_eq!(login.outcome, Outcome::Failed);
    assert!(!login.error.is_empty() && !login.remedy.is_empty());
    assert!(!format!("{diagnosis:?}").contains("xxxxxxxx"));

    nas.faults().on_route("/api/v25.10", Effect::Status(503));
    let (diagnosis, _) = diagnose(&pinned(&nas), &key(&nas), &options).await;
    assert_eq!(diagnosis.step("upgrade").map(|step| step.outcome), Some(Outcome::Failed));

    nas.stop().await;
    let (diagnosis, _) = diagnose(&pinned(&nas), &key(&nas), &options).await;
    assert_eq!(
        outcomes(&diagnosis)[..3],
        [("resolve", Outcome::Ok), ("connect", Outcome::Failed), ("tls", Outcome::Skipped)]
    );
}

#[tokio::test]
async fn what_works_but_should_not_is_a_warning() {
    let nas = appliance(ApiLine::V25_10).await;
    let options = SessionOptions::default();
    let insecure = endpoint(&nas, Security::Tls(Trust::Insecure));
    let admin = key_of(&nas.admin_user(), nas.admin_api_key());
    let (diagnosis, _) = diagnose(&insecure, &admin, &options).await;
    let expected = all_ok_but(&[("tls", Outcome::Warning), ("role", Outcome::Warning)]);
    assert_eq!(outcomes(&diagnosis), expected);
    assert!(diagnosis.success(), "warnings do not stop anything");
    let tls = diagnosis.step("tls").expect("was tried");
    assert!(tls.remedy.contains(&nas.fingerprint_sha256()), "offers the pin: {}", tls.remedy);

    nas.set_access(Access::roles(["POOL_READ", "ALERT_LIST_READ"]));
    let (diagnosis, _) = diagnose(&pinned(&nas), &key(&nas), &options).await;
    let role = diagnosis.step("role").expect("was tried");
    assert_eq!(role.outcome, Outcome::Warning);
    assert!(role.detail.contains("DATASET_READ") && !role.detail.contains("POOL_READ"), "{}", role.detail);

    nas.set_access(Access::roles(["SHARING_READ"]));
    let (diagnosis, _) = diagnose(&pinned(&nas), &key(&nas), &options).await;
    assert_eq!(diagnosis.step("role").map(|step| step.outcome), Some(Outcome::Forbidden));
    assert!(!diagnosis.success());
}

#[tokio::test]
async fn a_plain_connection_is_refused_at_the_login() {
    let nas = plain_appliance(ApiLine::V25_10, false).await;
    let plain = endpoint(&nas, Security::Plaintext);
    let (diagnosis, _) = diagnose(&plain, &key(&nas), &SessionOptions::default()).await;
    assert_eq!(diagnosis.step("tls").map(|step| step.outcome), Some(Outcome::Skipped));
    let login = diagnosis.step("login").expect("was tried");
    assert_eq!(login.outcome, Outcome::Failed);
    assert!(login.remedy.contains("https"), "{}", login.remedy);
    assert_eq!(nas.stats().keys_revoked, 0);
}

#[tokio::test]
async fn the_chain_is_shown_whether_it_is_trusted_or_not() {
    let hosts = vec!["nas.example".to_owned(), "127.0.0.1".to_owned()];
    let signed = ApplianceConfig {
        tls: TlsMode::Issued(TestCa::generate().expect("an authority")),
        certificate_hosts: hosts,
        ..config(ApiLine::V25_10)
    };
    let nas = start(signed).await;
    for (trust, outcome) in [
        (Trust::CustomCa(nas.ca_pem()), Outcome::Ok),
        (Trust::Pinned("00".repeat(32).parse().expect("a pin")), Outcome::Failed),
        (Trust::Insecure, Outcome::Warning),
    ] {
        let endpoint = endpoint(&nas, Security::Tls(trust));
        let (diagnosis, _) = diagnose(&endpoint, &key(&nas), &SessionOptions::default()).await;
        assert_eq!(diagnosis.step("tls").map(|step| step.outcome), Some(outcome));
        let own = diagnosis.chain.first().expect("shown");
        assert_eq!(own.fingerprint.to_string(), nas.fingerprint_sha256());
        assert_eq!(own.alternative_names, ["nas.example", "127.0.0.1"]);
        assert!(
            own.not_before < own.not_after && !own.subject.is_empty() && !own.is_self_issued(),
            "{own:?}"
        );
    }
    nas.stop().await;
    let (diagnosis, _) = diagnose(&pinned(&nas), &key(&nas), &SessionOptions::default()).await;
    assert!(diagnosis.chain.is_empty(), "nothing was shown");
}

#[tokio::test]
async fn an_old_line_over_plain_http_is_told_to_use_https() {
    let nas = plain_appliance(ApiLine::V24_10, false).await;
    let plain = endpoint(&nas, Security::Plaintext);
    let (diagnosis, _) = diagnose(&plain, &key(&nas), &SessionOptions::default()).await;
    let upgrade = diagnosis.step("upgrade").expect("was tried");
    assert_eq!(upgrade.outcome, Outcome::Failed, "{diagnosis:#?}");
    assert!(upgrade.error.contains("before 25.04") && !upgrade.error.contains("/ui/"), "{}", upgrade.error);
    assert!(upgrade.remedy.starts_with("use https"), "{}", upgrade.remedy);
    assert!(nas.stats().calls.is_empty() && nas.stats().rest_requests == 0, "nothing was sent");
}
