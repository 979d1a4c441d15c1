//! TestConnection against a simulated appliance.

use std::time::Duration;

use futures_util::future::Either;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Effect, Failure};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::test_connection_request::Target;
use pulse_proto::pb::collector::v1::test_step::Outcome;
use tonic::{Code, Status};

use super::support::{Client, MASK, Served, fields, serve, verdict};
use crate::api::Section;
use crate::service::Options;

async fn appliance() -> Appliance {
    let config = ApplianceConfig { scram_iterations: 50_000, ..ApplianceConfig::of(ApiLine::V25_10) };
    Appliance::start(config).await.expect("a free port")
}

fn of(nas: &Appliance) -> pb::Connection {
    pb::Connection {
        id: "nas1".into(),
        name: "nas1".into(),
        host: nas.host(),
        port: u32::from(nas.port()),
        fingerprint: nas.fingerprint_sha256(),
        username: nas.user(),
        api_key: nas.api_key(),
        ..pb::Connection::default()
    }
}

impl Served {
    async fn test(&mut self, target: Target) -> Result<pb::TestConnectionResponse, Status> {
        let request = pb::TestConnectionRequest { target: Some(target) };
        self.client.test_connection(request).await.map(tonic::Response::into_inner)
    }
}

fn outcome(result: &pb::TestConnectionResponse, name: &str) -> Outcome {
    result.steps.iter().find(|step| step.name == name).map(pb::TestStep::outcome).expect(name)
}

#[tokio::test]
async fn a_good_connection_passes_with_every_section() {
    let nas = appliance().await;
    let mut served = serve(Options::default()).await;
    served.create(of(&nas)).await.expect("created");
    let result = served.test(Target::Id("nas1".into())).await.expect("a result");
    assert!(result.success, "{result:#?}");
    let names: Vec<&str> = result.steps.iter().map(|step| step.name.as_str()).collect();
    let way = ["resolve", "connect", "tls", "http", "upgrade", "version", "login", "role"].map(str::to_owned);
    let sections = Section::ALL.map(|section| format!("section:{}", section.token()));
    assert_eq!(names, [way.as_slice(), sections.as_slice()].concat());
    assert_eq!(result.observed_fingerprint, nas.fingerprint_sha256());
    assert_eq!(result.auth_mechanism, "api-key-plain");
    assert!(!result.appliance_version.is_empty());
    assert!(result.steps.iter().all(|step| step.latency.is_some()));
}

#[tokio::test]
async fn what_fails_is_a_result_with_a_remedy() {
    let nas = appliance().await;
    nas.faults().on_method("disk.query", Effect::Fail(Failure::NotAuthorized));
    let mut served = serve(Options::default()).await;
    let result = served.test(Target::Connection(of(&nas))).await.expect("a result");
    assert!(result.success, "what may be read is read");
    assert_eq!(outcome(&result, "section:pools"), Outcome::Ok);
    let disks = result.steps.iter().find(|step| step.name == "section:disks").expect("the step");
    assert_eq!(disks.outcome(), Outcome::Forbidden);
    assert!(disks.remedy.contains("DISK_READ"), "{disks:?}");

    let wrong = pb::Connection { api_key: format!("1-{}", "x".repeat(64)), ..of(&nas) };
    let result = served.test(Target::Connection(wrong)).await.expect("a result");
    assert_eq!(outcome(&result, "login"), Outcome::Failed);
    assert_eq!(outcome(&result, "section:pools"), Outcome::Skipped);
    assert!(!result.success);

    let unpinned = pb::Connection { fingerprint: String::new(), ..of(&nas) };
    let result = served.test(Target::Connection(unpinned)).await.expect("a result");
    assert_eq!(outcome(&result, "tls"), Outcome::Failed);
    assert_eq!(result.observed_fingerprint, nas.fingerprint_sha256());
}

#[tokio::test]
async fn a_test_ends_in_time() {
    let nas = appliance().await;
    nas.faults().on_method("auth.me", Effect::Hang);
    let mut served = serve(Options { test_deadline: Duration::from_millis(500), ..Options::default() }).await;
    let result = served.test(Target::Connection(of(&nas))).await.expect("a result");
    let failed: Vec<&pb::TestStep> =
        result.steps.iter().filter(|step| step.outcome() == Outcome::Failed).collect();
    assert_eq!(failed.len(), 1, "{result:#?}");
    assert!(!failed[0].error.is_empty() && !failed[0].remedy.is_empty());
    assert_eq!(outcome(&result, "section:pools"), Outcome::Skipped);
    assert_eq!(result.steps.len(), 8 + Section::ALL.len());
    assert!(!result.success);
}

#[tokio::test]
async fn only_a_stored_secret_for_the_same_place_is_lent() {
    let nas = appliance().await;
    let mut served = serve(Options::default()).await;
    served.create(of(&nas)).await.expect("created");
    let masked = pb::Connection { api_key: MASK.into(), name: String::new(), ..of(&nas) };
    let result = served.test(Target::Connection(masked.clone())).await.expect("a result");
    assert!(result.success, "{result:#?}");
    let elsewhere = pb::Connection { host: "localhost".into(), ..masked.clone() };
    let status = served.test(Target::Connection(elsewhere)).await.expect_err("refused");
    assert_eq!(verdict(&status), (Code::FailedPrecondition, "SECRET_REQUIRED".to_owned()));
    let nobody = pb::Connection { id: "nas9".into(), ..masked.clone() };
    assert_eq!(served.test(Target::Connection(nobody)).await.expect_err("unknown").code(), Code::NotFound);
    let unnamed = pb::Connection { id: String::new(), ..masked };
    let status = served.test(Target::Connection(unnamed)).await.expect_err("no secret");
    assert_eq!(fields(&status), ["connection.api_key"]);
    assert_eq!(served.test(Target::Id("nas9".into())).await.expect_err("unknown").code(), Code::NotFound);
    let nothing = pb::TestConnectionRequest::default();
    assert_eq!(fields(&served.client.test_connection(nothing).await.expect_err("refused")), ["target"]);
    assert_eq!(served.roster.all().len(), 1);
}

#[tokio::test]
async fn tests_are_few_at_once_and_few_per_address() {
    let nas = appliance().await;
    let hold = nas.faults();
    hold.on_method("auth.login_ex", Effect::Hang);
    let served = serve(Options { tests_max: 1, tests_per_minute_max: 2, ..Options::default() }).await;
    let test = |mut client: Client| {
        let request = pb::TestConnectionRequest { target: Some(Target::Connection(of(&nas))) };
        Box::pin(async move { client.test_connection(request).await })
    };
    // One hangs at the login; the other is refused at once.
    let (first, second) = (test(served.client.clone()), test(served.client.clone()));
    let (Either::Left((refused, running)) | Either::Right((refused, running))) =
        futures_util::future::select(first, second).await;
    let status = refused.expect_err("refused");
    assert_eq!(verdict(&status), (Code::ResourceExhausted, "TEST_LIMIT".to_owned()));
    served.shutdown.cancel();
    let status = running.await.expect_err("drained");
    assert_eq!(status.code(), Code::Unavailable);

    let mut served = serve(Options { tests_per_minute_max: 1, ..Options::default() }).await;
    let closed = pb::Connection { port: 1, ..of(&nas) };
    served.test(Target::Connection(closed.clone())).await.expect("a result");
    let status = served.test(Target::Connection(closed)).await.expect_err("too often");
    assert_eq!(verdict(&status), (Code::ResourceExhausted, "LOGIN_LIMIT".to_owned()));
}
