//! Contexts from a real registry about a real appliance's words: over gRPC, and
//! at the command line.

use std::collections::BTreeMap;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{
    AlertState, GetInfrastructureContextRequest, GetResourceContextRequest, RedactionPolicy,
};
use pulse_proto::pb::resource::v1::{ConnectionState, Status};
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::Mirror;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

const LINE: ApiLine = ApiLine::V25_10;

pub(crate) async fn degraded(settings: &str) -> anyhow::Result<(Pair, Appliance)> {
    let nas = Appliance::start(ApplianceConfig::of(LINE)).await?;
    let pair = Pair::start_with(settings, "").await?;
    let id = pair.add("rack-1", &nas).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    nas.mutate(|world, now| world.degrade_pool(LINE, "tank", now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    mirror
        .until("the pool", |m| m.named("zfs-pool", "tank").is_some_and(|r| r.status() == Status::Warning))
        .await?;
    Ok((pair, nas))
}

#[tokio::test]
async fn a_degraded_pool_is_told_first_and_in_depth() -> anyhow::Result<()> {
    let (pair, _nas) = degraded("").await?;
    let mut client = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
    let mut request =
        Request::new(GetInfrastructureContextRequest { max_tokens: 1_000, ..Default::default() });
    request.metadata_mut().insert("x-request-id", "from-a-test".parse()?);
    let response = client.get_infrastructure_context(request).await?;
    assert_eq!(response.metadata().get("x-request-id").and_then(|id| id.to_str().ok()), Some("from-a-test"));
    let answer = response.into_inner();
    assert!((1..=1_000).contains(&answer.tokens), "{}", answer.tokens);
    let wrong = answer.sections.iter().find(|section| section.title == "Wrong now").expect("the section");
    let pool = wrong.facts.iter().find(|fact| fact.statement.contains("pool \"tank\" on \"rack-1\""));
    let pool = pool.unwrap_or_else(|| panic!("{}", answer.text));
    assert!(pool.statement.contains("DEGRADED") && pool.observed_at.is_some(), "{pool:?}");
    assert!(answer.text.contains(&pool.statement));

    // The same with the alerts that were made of it.
    let mut alerts = AlertMirror::open(pair.registry.grpc(), "", "").await?;
    alerts
        .until("an alert of the pool", |m| {
            m.alerts.values().any(|a| {
                a.resource_name == "tank" && a.state() == AlertState::Firing && a.suppressed_by.is_empty()
            })
        })
        .await?;
    let request = GetInfrastructureContextRequest::default();
    let text = client.get_infrastructure_context(request).await?.into_inner().text;
    assert!(text.contains("## Alerts") && text.contains("on pool \"tank\" on \"rack-1\" fires"), "{text}");

    for wanted in [pool.resource_id.as_str(), "rack-1/tank"] {
        let request = GetResourceContextRequest { resource_id: wanted.to_owned(), ..Default::default() };
        let answer = client.get_resource_context(request).await?.into_inner();
        assert!(answer.text.starts_with("Pool \"tank\" on \"rack-1\": status warning"), "{}", answer.text);
        assert!(answer.text.contains("spare drive"), "{}", answer.text);
    }
    let nobody = GetResourceContextRequest { resource_id: "rack-1/nothing".to_owned(), ..Default::default() };
    assert_eq!(client.get_resource_context(nobody).await.expect_err("nothing").code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_hides_names_shows_none_and_maps_back_when_allowed() -> anyhow::Result<()> {
    let settings = "[context]\nredaction = \"names\"\nreveal_pseudonyms = true\n";
    let (mut pair, _nas) = degraded(settings).await?;
    let mut client = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
    let open =
        GetInfrastructureContextRequest { redaction: RedactionPolicy::None.into(), ..Default::default() };
    let refused = client.get_infrastructure_context(open).await.expect_err("less than the deployment wants");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.get_details_error_info().map(|info| info.reason).as_deref(),
        Some("REDACTION_REQUIRED")
    );

    let request = GetInfrastructureContextRequest { include_pseudonyms: true, ..Default::default() };
    let answer = client.get_infrastructure_context(request.clone()).await?.into_inner();
    assert!(!answer.text.contains("rack-1"), "{}", answer.text);
    let table: BTreeMap<String, String> =
        answer.pseudonyms.into_iter().map(|known| (known.pseudonym, known.stands_for)).collect();
    let system = table.iter().find(|(_, name)| *name == "rack-1").map(|(pseudonym, _)| pseudonym.clone());
    let system = system.unwrap_or_else(|| panic!("{table:?}"));
    assert!(answer.text.contains(&system));

    // The same after a restart; a reader may ask on with it.
    pair.registry.kill9().await?;
    pair.registry.up().await?;
    let mut client = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
    let request = GetResourceContextRequest { resource_id: format!("{system}/tank"), ..Default::default() };
    let answer = client.get_resource_context(request).await?.into_inner();
    assert!(answer.text.contains(&format!("Pool \"tank\" on {system}")), "{}", answer.text);

    pair.registry.kill9().await?;
    pair.registry.set("");
    pair.registry.up().await?;
    let mut client = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
    let asked = GetInfrastructureContextRequest { include_pseudonyms: true, ..Default::default() };
    let refused = client.get_infrastructure_context(asked).await.expect_err("not allowed");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let asked = GetResourceContextRequest {
        resource_id: "rack-1/tank".to_owned(),
        include_pseudonyms: true,
        ..Default::default()
    };
    client.get_resource_context(asked).await.expect_err("not allowed");

    // Who asked for what he may not be told stands in the audit log, as whoever was told.
    let log = std::fs::read_to_string(pair.registry.data().join("audit.jsonl"))?;
    let lines: Vec<serde_json::Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<[&str; 3]> = lines
        .iter()
        .filter(|line| line["method"].is_string())
        .map(|line| ["method", "resource", "result"].map(|field| line[field].as_str().unwrap_or_default()))
        .collect();
    let [fleet, one] = ["GetInfrastructureContext", "GetResourceContext"];
    assert_eq!(told[..2], [[fleet, "", "REDACTION_REQUIRED"], [fleet, "", ""]], "{told:?}");
    let refused = [[fleet, "", "PSEUDONYMS_NOT_REVEALED"], [one, "rack-1/tank", "PSEUDONYMS_NOT_REVEALED"]];
    assert_eq!(told[told.len() - 2..], refused, "{told:?}");
    assert_eq!(lines.iter().filter(|line| line["bytes"].is_u64() && line["policy"] == "names").count(), 2);
    Ok(())
}

#[tokio::test]
async fn the_command_line_prints_what_a_model_would_be_told() -> anyhow::Result<()> {
    let (pair, _nas) = degraded("").await?;
    let address = format!("http://{}", pair.registry.grpc());
    let ask = async |args: &[&str]| {
        let mut all = vec!["context"];
        all.extend(args);
        all.extend(["--address", &address]);
        run("pulse-registry", &all, &[], "").await
    };
    let fleet = ask(&[]).await?;
    assert!(
        fleet.code == 0 && fleet.stdout.starts_with("Fleet: 1 system"),
        "{}{}",
        fleet.stdout,
        fleet.stderr
    );
    let pool = ask(&["rack-1/tank", "--max-tokens", "500"]).await?;
    assert!(pool.stdout.starts_with("Pool \"tank\" on \"rack-1\""), "{}{}", pool.stdout, pool.stderr);
    let hidden = ask(&["--redaction", "strict", "--output", "json"]).await?;
    let json: serde_json::Value = serde_json::from_str(&hidden.stdout)?;
    assert_eq!(json["redaction"], "REDACTION_POLICY_STRICT");
    assert!(!hidden.stdout.contains("rack-1") && !hidden.stdout.contains("tank"), "{}", hidden.stdout);
    let wrong = ask(&["--max-tokens", "12"]).await?;
    assert!(wrong.code == 1 && wrong.stderr.contains("max_tokens"), "{}", wrong.stderr);
    let selected = ask(&["--filter", "type = physical_disk AND severity >= warning"]).await?;
    assert!(selected.stdout.starts_with("Part of a fleet that matches the filter: "), "{}", selected.stdout);
    Ok(())
}
