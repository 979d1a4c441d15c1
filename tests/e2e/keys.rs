//! The key of the connections: replaced under load and under kill -9, and asked of a
//! program that somebody else keeps.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{
    Connection, CreateConnectionRequest, ListConnectionsRequest, RotateEncryptionKeyRequest,
    UpdateConnectionRequest,
};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Service;
use tonic::transport::Channel;

/// Nobody is there: what is watched here is what is stored.
const SETTINGS: &str = "[registry]\naddress = \"http://127.0.0.1:9\"\n";
const CONNECTIONS: usize = 12;

fn connection(number: usize, name: &str) -> Connection {
    Connection {
        id: format!("nas{number}"),
        name: name.to_owned(),
        host: format!("192.0.2.{}", number + 1),
        username: "pulse".to_owned(),
        api_key: format!("{number}-kept-apart"),
        ..Connection::default()
    }
}

async fn client(service: &Service) -> anyhow::Result<ConnectionServiceClient<Channel>> {
    Ok(ConnectionServiceClient::connect(format!("http://{}", service.grpc())).await?)
}

async fn names(service: &Service) -> anyhow::Result<BTreeMap<String, String>> {
    let listed =
        client(service).await?.list_connections(ListConnectionsRequest::default()).await?.into_inner();
    Ok(listed.connections.into_iter().map(|connection| (connection.id, connection.name)).collect())
}

/// Renames one connection after the other until the service is gone. What was answered, and what was asked last.
async fn rename(service: ConnectionServiceClient<Channel>, number: usize) -> (String, String) {
    let mut client = service;
    let (mut answered, mut round) = (format!("nas{number}"), 0);
    loop {
        round += 1;
        let asked = format!("nas{number} round {round}");
        let request = UpdateConnectionRequest {
            connection: Some(Connection {
                id: format!("nas{number}"),
                name: asked.clone(),
                ..Connection::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["name".to_owned()] }),
        };
        match client.update_connection(request).await {
            Ok(_) => answered = asked,
            Err(_gone) => return (answered, asked),
        }
    }
}

#[tokio::test]
async fn a_key_is_replaced_while_connections_change_and_the_service_is_killed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut collector = Service::start("pulse-collector", folder.path(), SETTINGS).await?;
    for number in 0..CONNECTIONS {
        let connection = Some(connection(number, &format!("nas{number}")));
        client(&collector)
            .await?
            .create_connection(CreateConnectionRequest { connection, validate_only: false })
            .await?;
    }
    let key = collector.data().join("collector.key");
    let mut last_key = std::fs::read_to_string(&key)?;
    for round in 0..4 {
        let mut renamers = tokio::task::JoinSet::new();
        for number in 0..CONNECTIONS {
            let client = client(&collector).await?;
            renamers.spawn(async move { (number, rename(client, number).await) });
        }
        let mut rotating = client(&collector).await?;
        for _ in 0..3 + round {
            rotating.rotate_encryption_key(RotateEncryptionKeyRequest {}).await?;
            let now = std::fs::read_to_string(&key)?;
            assert_ne!(now, last_key, "another key");
            last_key = now;
        }
        // One is under way when the end comes.
        let under_way =
            tokio::spawn(async move { rotating.rotate_encryption_key(RotateEncryptionKeyRequest {}).await });
        tokio::task::yield_now().await;
        collector.kill9().await?;
        drop(under_way.await?);
        let told = renamers.join_all().await;
        collector.up().await?;
        let stored = names(&collector).await?;
        assert_eq!(stored.len(), CONNECTIONS);
        for (number, (answered, asked)) in told {
            let name = &stored[&format!("nas{number}")];
            assert!(*name == answered || *name == asked, "{name} is neither {answered} nor {asked}");
        }
        last_key = std::fs::read_to_string(&key)?;
        assert_eq!(
            last_key.lines().filter(|line| !line.starts_with('#')).count(),
            1,
            "older keys are forgotten"
        );
    }
    Ok(())
}

/// A program that says these keys, when nothing secret of ours is in its environment.
fn hook(path: &Path, keys: &[&str]) -> anyhow::Result<()> {
    let keys = keys.join("\\n");
    let body = format!(
        "#!/bin/sh\nenv | grep -q ^PULSE_ && exit 7\ntest \"$1\" = decrypt || exit 8\nprintf '{keys}\\n'\n"
    );
    std::fs::write(path, body)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

#[tokio::test]
async fn a_key_service_says_the_key_and_a_new_one_takes_over() -> anyhow::Result<()> {
    const OLD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("kms");
    hook(&program, &[OLD])?;
    let settings = format!("{SETTINGS}[connections]\nkey_command = \"{} decrypt\"\n", program.display());
    let secret = [("PULSE_TRUENAS_API_KEY", "1-not-for-children")];
    let home = folder.path().join("collector");
    let mut collector = Service::start_with_env("pulse-collector", &home, &settings, &secret).await?;
    let first = Some(connection(0, "nas0"));
    client(&collector)
        .await?
        .create_connection(CreateConnectionRequest { connection: first, validate_only: false })
        .await?;
    assert!(!collector.data().join("collector.key").exists(), "no key lies beside the store");
    for keys in [&[NEW, OLD][..], &[NEW]] {
        collector.terminate().await?;
        hook(&program, keys)?;
        collector.up().await?;
        assert_eq!(names(&collector).await?.len(), 1);
    }
    collector.terminate().await?;
    // The wrong key, none, and a program that fails: told, and nothing is made anew.
    let config = home.join("config.toml").display().to_string();
    for keys in [&[OLD][..], &[], &["nonsense"]] {
        hook(&program, keys)?;
        let ran = run("pulse-collector", &["serve", "--config", &config], &[], "").await?;
        assert!(ran.code != 0 && ran.stderr.contains("key"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(OLD), "{}", ran.stderr);
    }
    hook(&program, &[NEW])?;
    collector.up().await?;
    assert_eq!(names(&collector).await?.len(), 1);
    Ok(())
}
