//! The audit log from outside: each change and each refusal is there, with who, what, on what and how it
//! ended; nothing secret is.

use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest, DeleteConnectionRequest};
use pulse_shell::client::{self, Access};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Service;
use tonic::Request;

const SECRET: &str = "1-Pl4ntedApiKeyNeverShown0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";

#[tokio::test]
async fn who_did_what_on_what_and_how_it_ended() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("collector");
    let data = home.join("data").display().to_string();
    let ask = async |line: &str| {
        let args: Vec<&str> = ["--data-dir", &data].into_iter().chain(line.split(' ')).collect();
        let ran = run("pulse-collector", &args, &[], "").await?;
        anyhow::ensure!(ran.code == 0, "{line}: {}", ran.stderr);
        Ok(ran.stdout.trim().to_owned())
    };
    let [admin, viewer] = [
        ask("tokens create --name boss --role admin").await?,
        ask("tokens create --name eve --role viewer").await?,
    ];
    let settings = "[audit]\nmax_bytes = 65536\n";
    let collector = Service::start("pulse-collector", &home, settings).await?;
    let client = async |token: &str| {
        let file = folder.path().join("token");
        std::fs::write(&file, token)?;
        let access = Access { token_file: Some(file), ..Access::default() };
        let channel = client::connect("collector", &collector.grpc().to_string(), &access).await?;
        Ok::<_, anyhow::Error>(ConnectionServiceClient::new(channel))
    };
    let connection = Connection {
        name: "nas".to_owned(),
        host: "nas.invalid".to_owned(),
        username: "pulse".to_owned(),
        api_key: SECRET.to_owned(),
        enabled: Some(false),
        ..Connection::default()
    };
    let create = || CreateConnectionRequest { connection: Some(connection.clone()), validate_only: false };
    let mut boss = client(&admin).await?;
    let mut request = Request::new(create());
    request.metadata_mut().insert("x-request-id", "made-1".parse()?);
    let answer = boss.create_connection(request).await?;
    assert_eq!(
        answer.metadata().get("x-request-id").map(tonic::metadata::MetadataValue::as_bytes),
        Some(b"made-1".as_slice())
    );
    let id = answer.into_inner().connection.unwrap_or_default().id;
    let again = boss.create_connection(create()).await;
    assert!(again.is_err(), "the name is taken");
    let refused = client(&viewer)
        .await?
        .delete_connection(DeleteConnectionRequest { id: id.clone(), etag: String::new() })
        .await;
    assert!(refused.is_err());
    boss.delete_connection(DeleteConnectionRequest { id: id.clone(), etag: String::new() }).await?;

    let lines = ask("audit --output json").await?;
    let lines: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<[&str; 4]> = lines
        .iter()
        .map(|line| {
            ["requested_by", "action", "subject", "result"].map(|field| line[field].as_str().unwrap_or("?"))
        })
        .collect();
    let action = |method: &str| format!("/pulse.collector.v1.ConnectionService/{method}");
    let [create, delete] = [action("CreateConnection"), action("DeleteConnection")];
    assert_eq!(told.len(), 4, "{told:?}");
    for (line, (who, action, subject, result)) in told.iter().zip([
        ("/boss", &create, "nas at nas.invalid:0", "done"),
        ("/boss", &create, "nas at nas.invalid:0", "AlreadyExists"),
        ("/eve", &delete, "", "ROLE_MISSING"),
        ("/boss", &delete, id.as_str(), "done"),
    ]) {
        assert!(line[0].ends_with(who), "{line:?}");
        assert_eq!(line[1..], [action.as_str(), subject, result]);
    }
    assert_eq!(lines[0]["request_id"], "made-1");
    assert_eq!(ask("audit --request-id made-1 --output json").await?.lines().count(), 1);
    assert_eq!(ask("audit --refused --output json").await?.lines().count(), 2);
    assert!(ask("audit --who boss --action Delete").await?.contains(&id), "the table for people");

    let all = std::fs::read_to_string(home.join("data/audit.jsonl"))? + &collector.process().log();
    for secret in [SECRET, &admin, &viewer] {
        assert!(!all.contains(secret), "a secret is in the audit log or the log");
    }
    Ok(())
}
