//! Rules and dashboards against a real Prometheus that scrapes the pair, and the
//! document of metrics against what the services tell.

use std::collections::BTreeSet;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::GetResourceRequest;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::http_get;
use pulse_tests::harness::prometheus::Prometheus;
use pulse_tests::harness::view::{Mirror, client};
use pulse_tests::harness::within;
use pulse_tests::task::root;
use serde_json::Value;

use crate::manifests::yaml;
use crate::text;

/// Told once it has happened, which it does not here.
const SELDOM: [&str; 1] = ["pulse_registry_batches_refused"];

/// A pair that has told something of everything: an appliance that is read, a receiver that does not answer.
async fn busy() -> anyhow::Result<(Appliance, Pair)> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let folder = tempfile::tempdir()?;
    let receivers = folder.path().join("receivers.toml");
    std::fs::write(&receivers, "[[alertmanager]]\nname = \"nobody\"\nurls = [\"http://127.0.0.1:9\"]\n")?;
    let settings = format!("[notify]\nreceivers_file = {:?}\n", receivers.display().to_string());
    let pair = Pair::start_with(&settings, "").await?;
    let created = pair.add("nas", &appliance).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    appliance.mutate(|world, now| world.degrade_pool(ApiLine::V25_10, "tank", now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    mirror.until("a disk", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
    mirror
        .until("the bad pool", |m| m.named("zfs-pool", "tank").is_some_and(|r| r.state == "DEGRADED"))
        .await?;
    // And a call that fails.
    let nobody = GetResourceRequest { id: "host-none".to_owned(), ..GetResourceRequest::default() };
    client(pair.registry.grpc()).await?.get_resource(nobody).await.expect_err("nobody has this id");
    let tried = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            pace.tick().await;
            let (_, text) = http_get(pair.registry.process().http_addr(), "/metrics").await?;
            if text.contains("pulse_registry_notifications_total{") {
                return Ok::<_, anyhow::Error>(());
            }
        }
    };
    within("the receiver to be tried", tried).await?;
    Ok((appliance, pair))
}

fn rules(text: &str, at: &str) -> anyhow::Result<Value> {
    Ok(yaml(text)?.remove(0).pointer(at).cloned().unwrap_or_default())
}

/// A dashboard's variables as Grafana fills them in for everything.
fn filled_in(expression: &str) -> String {
    expression.replace("$system", ".*")
}

#[tokio::test]
async fn prometheus_finds_what_every_rule_and_panel_asks_for() -> anyhow::Result<()> {
    let (_appliance, pair) = busy().await?;
    let plain = text("prometheus/rules.yml")?;
    let (registry, collector) = (pair.registry.process().http_addr(), pair.collector.process().http_addr());
    let prometheus = Prometheus::start(registry, collector, &plain).await?;
    let groups = rules(&plain, "/groups")?;
    let of_the_operator = rules(&text("kubernetes/components/monitoring/rules.yaml")?, "/spec/groups")?;
    assert_eq!(groups, of_the_operator, "the two files of rules differ");
    let mut asked = 0;
    for rule in
        groups.as_array().into_iter().flatten().filter_map(|group| group["rules"].as_array()).flatten()
    {
        let expression = rule["expr"].as_str().unwrap_or_default();
        // What is compared must be there; the comparison finds something in bad times only.
        let compared = [" == ", " > ", " >= "].iter().find_map(|sign| expression.rsplit_once(sign));
        let (what, _) = compared.unwrap_or((expression, ""));
        prometheus.finds(&what.replace("{state!=\"ONLINE\"}", "")).await?;
        for field in ["summary", "description"] {
            assert!(rule["annotations"][field].as_str().is_some_and(|told| told.len() > 10), "{expression}");
        }
        asked += 1;
    }
    assert_eq!(asked, 12);
    // And Prometheus itself has understood them all.
    let loaded = prometheus.ask("/api/v1/rules").await?;
    let loaded: Vec<&Value> = loaded["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|g| g["rules"].as_array())
        .flatten()
        .collect();
    assert_eq!(loaded.len(), asked);
    for board in ["fleet", "services"] {
        let board: Value = serde_json::from_str(&text(&format!("grafana/{board}.json"))?)?;
        for panel in board["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap_or_default();
                let found = prometheus.finds(&filled_in(expression)).await?;
                let is_good =
                    |series: &&Value| series["metric"]["code"] == "Ok" || series["metric"]["code"] == "200";
                let is_of_failures = panel["title"] == "Calls that failed";
                assert!(!is_of_failures || found.iter().filter(is_good).count() == 0, "{found:?}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 40, "{asked} expressions");
    Ok(())
}

#[test]
fn what_only_rises_is_asked_for_its_rise() -> anyhow::Result<()> {
    let document = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let of_type = |wanted: &str| -> Vec<String> {
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.filter(|(_, rest)| rest.starts_with(wanted)).map(|(name, _)| name.to_owned()).collect()
    };
    let (counters, gauges) = (of_type("counter"), of_type("gauge"));
    assert!(counters.len() > 15 && gauges.len() > 30, "{} and {}", counters.len(), gauges.len());
    let mut asked = text("prometheus/rules.yml")?;
    for board in ["fleet", "services"] {
        asked.push_str(&text(&format!("grafana/{board}.json"))?);
    }
    let word = |at: &str| at.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
    for counter in counters {
        let bare = asked.match_indices(&counter).filter(|(at, name)| word(&asked[at + name.len()..])).count();
        assert_eq!(bare, 0, "{counter} without _total");
    }
    for gauge in gauges {
        for rise in ["rate", "increase"] {
            assert!(!asked.contains(&format!("{rise}({gauge}[")), "{gauge} is no counter");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_metric_is_documented_and_no_other() -> anyhow::Result<()> {
    let (_appliance, pair) = busy().await?;
    let mut told = BTreeSet::new();
    for service in [&pair.registry, &pair.collector] {
        let (status, text) = http_get(service.process().http_addr(), "/metrics").await?;
        assert_eq!(status, 200);
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned));
        told.extend(names);
    }
    let document = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let rows =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
    let documented: BTreeSet<String> = rows.collect();
    let missing: Vec<_> = told.difference(&documented).collect();
    let invented: Vec<_> =
        documented.difference(&told).filter(|name| !SELDOM.contains(&name.as_str())).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:?}; not there: {invented:?}"
    );
    Ok(())
}
