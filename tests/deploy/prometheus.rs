//! Rules and dashboards against a real Prometheus that scrapes the demo, or a pair to which things happen, and the
//! document of metrics against what the services tell.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Effect, Failure};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::registry::v1::GetResourceRequest;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::demo::Demo;
use pulse_tests::harness::feeder::{Feeder, batch};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::http_get;
use pulse_tests::harness::prometheus::Prometheus;
use pulse_tests::harness::view::{Mirror, client};
use pulse_tests::harness::within;
use pulse_tests::task::root;
use serde_json::Value;

use crate::guarded::Guarded;
use crate::manifests::yaml;
use crate::{metrics, rules, text};

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
    fail(pair.registry.grpc()).await?;
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

/// The shipped configuration, aimed at services that are elsewhere and in a hurry.
fn aimed(registry: SocketAddr, collector: SocketAddr) -> anyhow::Result<String> {
    let (registry, collector) = (registry.to_string(), collector.to_string());
    let mut config = text("prometheus/prometheus.yml")?;
    for (shipped, here) in [
        ("127.0.0.1:7661", registry.as_str()),
        ("127.0.0.1:7671", &collector),
        ("scrape_interval: 30s", "scrape_interval: 200ms\n  evaluation_interval: 200ms"),
    ] {
        ensure!(config.matches(shipped).count() == 1, "prometheus.yml has no {shipped}, or several");
        config = config.replace(shipped, here);
    }
    Ok(config)
}

/// The shipped rules, which wait for as long as somebody can who looks on.
fn hasty() -> anyhow::Result<String> {
    let lines = text("prometheus/rules.yml")?;
    let lines = lines.lines().map(|line| match line.split_once("for: ") {
        Some((before, _)) if before.trim().is_empty() => format!("{before}for: 1s"),
        _ => line.to_owned(),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// A dashboard's variables as Grafana fills them in for everything.
fn filled_in(expression: &str) -> String {
    expression.replace("$system", ".*")
}

#[tokio::test]
async fn prometheus_finds_in_the_demo_what_every_rule_and_panel_asks_for() -> anyhow::Result<()> {
    let demo = Demo::start().await?;
    let (registry, collector) = (demo.addr("registry", "http")?, demo.addr("collector", "http")?);
    let prometheus = Prometheus::start(&aimed(registry, collector)?, &text("prometheus/rules.yml")?).await?;
    let groups = rules::groups()?;
    let of_the_operator = yaml(&text("kubernetes/components/monitoring/rules.yaml")?)?.remove(0);
    assert_eq!(groups, of_the_operator["spec"]["groups"], "the two files of rules differ");
    let (mut asked, mut failures, mut counts, mut variables) = (0, 0, 0, 0);
    for rule in rules::each(&groups) {
        let expression = rule["expr"].as_str().unwrap_or_default();
        // The comparison finds something in bad times only.
        for series in rules::looked_at(expression) {
            prometheus.finds(&series).await?;
        }
        for field in ["summary", "description"] {
            assert!(rule["annotations"][field].as_str().is_some_and(|told| told.len() > 10), "{expression}");
        }
        asked += 1;
    }
    assert_eq!(asked, 14);
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
        for variable in board["templating"]["list"].as_array().into_iter().flatten() {
            let Some((metric, label)) = variable["query"].as_str().and_then(values_of) else { continue };
            let found = prometheus.finds(metric).await?;
            assert!(found.iter().all(|series| series["metric"][label].is_string()), "{metric} by {label}");
            variables += 1;
        }
        for panel in board["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap_or_default();
                prometheus.finds(&filled_in(expression)).await?;
                asked += 1;
                // None is a number, too; there is something to count all the same.
                if let Some(counted) = expression.strip_suffix(") or vector(0)") {
                    let counted = counted.strip_prefix("count(").context("something counted")?;
                    prometheus.finds(&rules::compared(counted)).await?;
                    counts += 1;
                }
                // Nothing has failed, which is no gap but a line at zero.
                if let Some(of_failures) = expression.strip_suffix(" or on() vector(0)") {
                    fail(demo.addr("registry", "grpc")?).await?;
                    let found = prometheus.finds(of_failures).await?;
                    let codes: Vec<_> = found.iter().map(|series| &series["metric"]["code"]).collect();
                    assert_eq!(codes, ["InvalidArgument"], "{found:?}");
                    failures += 1;
                }
            }
        }
    }
    assert_eq!((asked, failures, counts, variables), (53, 1, 2, 1));
    Ok(())
}

/// What `label_values(metric, label)` asks for.
fn values_of(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.split_once(", ")
}

/// A call that fails.
async fn fail(registry: SocketAddr) -> anyhow::Result<()> {
    let nobody = GetResourceRequest { id: "host-none".to_owned(), ..GetResourceRequest::default() };
    client(registry).await?.get_resource(nobody).await.expect_err("that is no id");
    Ok(())
}

/// An alert's name of a thing, and what it says of it.
fn told(alerts: &[Value], label: &str) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alerts
        .iter()
        .map(|alert| (word(&alert["labels"][label]), word(&alert["annotations"]["summary"])))
        .collect()
}

#[tokio::test]
async fn rules_fire_for_what_happens_to_the_pair() -> anyhow::Result<()> {
    let (nas, mut pair) = busy().await?;
    let (registry, collector) = (pair.registry.process().http_addr(), pair.collector.process().http_addr());
    let prometheus = Prometheus::start(&aimed(registry, collector)?, &hasty()?).await?;
    let one = |name: &str, summary: &str| vec![(name.to_owned(), summary.to_owned())];

    // A pool that was degraded, and a receiver that does not answer.
    let pool = prometheus.fires("PulsePoolNotOnline").await?;
    assert_eq!(told(&pool, "pool"), one("tank", "Pool tank of nas is DEGRADED"));
    let receiver = prometheus.fires("PulseReceiverFails").await?;
    assert_eq!(told(&receiver, "receiver"), one("nobody", "nobody is not told of alerts"));

    // An appliance that nobody reaches.
    let gone = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    gone.faults().refuse_connections().await;
    pair.add("gone", &gone).await?;
    let unread = prometheus.fires("PulseApplianceNotRead").await?;
    assert_eq!(told(&unread, "name"), one("gone", "gone is not read"));

    // One section of an appliance that answers otherwise.
    let failure = Failure::call(5, "EIO", "Input/output error");
    nas.faults().on_method("replication.query", Effect::Fail(failure));
    let id = pool[0]["labels"]["connection"].as_str().unwrap_or_default().to_owned();
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    let failed = prometheus.fires("PulseSectionsNotRead").await?;
    assert_eq!(told(&failed, "name"), one("nas", "nas is not read completely: 1 failed"));

    // Two collectors with one connection: the first such batch of this registry counts.
    prometheus.finds("pulse_registry_batches_refused_total{reason=\"fenced\"} == 0").await?;
    let mut feeder = Feeder::open(pair.registry.grpc(), "another", &["shared"]).await?;
    feeder.put(batch("shared", 2, 1, Vec::new())).await?;
    feeder.put(batch("shared", 1, 1, Vec::new())).await.expect_err("an older epoch");
    let refused = prometheus.fires("PulseBatchesRefused").await?;
    assert_eq!(told(&refused, "reason"), one("fenced", "Whole batches were refused: fenced"));

    pair.collector.kill9().await?;
    let down = prometheus.fires("PulseDown").await?;
    assert_eq!(told(&down, "job"), one("pulse-collector", "pulse-collector does not answer"));
    Ok(())
}

#[tokio::test]
async fn the_lines_that_are_commented_out_scrape_a_pair_that_asks_who_calls() -> anyhow::Result<()> {
    let pair = Guarded::start(false).await?;
    let mut config = aimed(pair.registry.http(), pair.collector.http())?.replace("    # ", "    ");
    let registry = pair.token("pulse-registry", "viewer");
    let collector = pair.token("pulse-collector", "viewer");
    for (shipped, here) in [
        ("/etc/prometheus/pulse-registry.token", registry),
        ("/etc/prometheus/pulse-collector.token", collector),
        ("/etc/prometheus/pulse-ca.pem", pair.authority.file()),
    ] {
        ensure!(config.contains(shipped), "prometheus.yml has no {shipped}");
        config = config.replace(shipped, &here.display().to_string());
    }
    let prometheus = Prometheus::start(&config, &text("prometheus/rules.yml")?).await?;
    for job in ["pulse-registry", "pulse-collector"] {
        prometheus.finds(&format!("up{{job=\"{job}\"}} == 1")).await?;
    }
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
async fn every_metric_is_documented_as_it_is_told_and_no_other() -> anyhow::Result<()> {
    let (_appliance, pair) = busy().await?;
    let mut exports = Vec::new();
    for service in [&pair.registry, &pair.collector] {
        let (status, text) = http_get(service.process().http_addr(), "/metrics").await?;
        assert_eq!(status, 200);
        exports.push(text);
    }
    let document = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let (wrong, unseen) = metrics::compared(&document, &exports);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(unseen, BTreeSet::new(), "nobody saw their labels");
    Ok(())
}
