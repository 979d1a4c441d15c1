//! Planted secrets are nowhere: not in an answer, a log, a file or a metric.

use std::path::Path;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::{
    ListConnectionsRequest, TestConnectionRequest, test_connection_request,
};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness;
use pulse_tests::harness::fleet::{Pair, connection_to};

/// The most talkative that an operator can ask for, libraries by name included.
const TRACE: [(&str, &str); 2] = [
    ("PULSE_COLLECTOR_LOG_LEVEL", "trace,tungstenite=trace,tungstenite::protocol=trace"),
    ("PULSE_REGISTRY_LOG_LEVEL", "trace"),
];

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[tokio::test]
async fn no_secret_is_readable_anywhere() -> anyhow::Result<()> {
    const PASSWORD: &str = "Pl4nted-Pa55word-never-shown";
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let old = Appliance::start(ApplianceConfig::of(ApiLine::V24_10)).await?;
    let mut pair = Pair::start_with_env(&TRACE).await?;
    let created = pair.add("nas", &appliance).await?;
    pair.add("old", &old).await?;
    let rest = ApplianceConfig { legacy_websocket: false, ..ApplianceConfig::of(ApiLine::V24_10) };
    let rest = Appliance::start(rest).await?;
    pair.add("oldest", &rest).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    let mut wrong = connection_to("wrong", &appliance);
    (wrong.api_key, wrong.password) = (String::new(), PASSWORD.to_owned());
    wrong.host = "localhost".to_owned();
    let wrong = pair.create(wrong).await?;
    pair.until_state(&wrong.id, ConnectionState::Refused).await?;

    let mut answers = Vec::new();
    let mut client = pair.connections().await?;
    answers.push(format!("{:?}", client.list_connections(ListConnectionsRequest::default()).await?));
    for id in [&created.id, &wrong.id] {
        let target = Some(test_connection_request::Target::Id(id.clone()));
        answers.push(format!("{:?}", client.test_connection(TestConnectionRequest { target }).await?));
    }
    let http = pair.collector.process().http_addr();
    answers.push(harness::http_get(http, "/metrics").await?.1);
    let logs = format!("{}{}", pair.collector.process().log(), pair.registry.process().log());
    assert!(logs.contains(&created.id), "logs name the connection");
    assert!(logs.contains("TRACE") || logs.contains("DEBUG"), "the log is talkative");
    pair.collector.terminate().await?;
    pair.registry.terminate().await?;
    let mut stored =
        vec![("answers".to_owned(), answers.concat().into_bytes()), ("logs".to_owned(), logs.into_bytes())];
    files(pair.folder.path(), &mut stored);
    assert!(stored.len() > 4, "there are stores to search");

    for secret in [appliance.api_key(), old.api_key(), rest.api_key(), PASSWORD.to_owned()] {
        let bare = secret.split_once('-').map_or(secret.as_str(), |(_, bare)| bare);
        for (name, bytes) in &stored {
            let found = bytes.windows(bare.len()).any(|window| window == bare.as_bytes());
            assert!(!found, "a secret is readable in {name}");
        }
    }
    Ok(())
}
