//! TLS and mutual TLS on every port of the pair: who is let in, who is not, and
//! certificates that change under open streams.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::CreateConnectionRequest;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{SummarizeResourcesRequest, WatchResourcesRequest};
use pulse_shell::client::{self, Access, Channel};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::{Service, connection_to};
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::within;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn tls(cert: &Path, key: &Path, client_ca: Option<&Path>) -> String {
    let files = format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", cert.display(), key.display());
    let required =
        |ca: &Path| format!("client_ca_file = \"{}\"\nrequire_client_certificate = true\n", ca.display());
    files + &client_ca.map(required).unwrap_or_default()
}

async fn reach(
    addr: SocketAddr,
    ca: &Authority,
    identity: Option<&(std::path::PathBuf, std::path::PathBuf)>,
) -> anyhow::Result<Channel> {
    let access = Access {
        tls_ca: Some(ca.file()),
        tls_cert: identity.map(|(cert, _)| cert.clone()),
        tls_key: identity.map(|(_, key)| key.clone()),
        token_file: None,
    };
    client::connect("server", &format!("https://{addr}"), &access).await
}

/// What a call over a fresh connection says: `Err` when there is no connection or no answer.
async fn asks(channel: anyhow::Result<Channel>) -> anyhow::Result<i64> {
    let request = SummarizeResourcesRequest::default();
    Ok(ResourceServiceClient::new(channel?).summarize_resources(request).await?.into_inner().total)
}

#[tokio::test]
async fn the_pair_speaks_mutual_tls_and_nobody_else_is_let_in() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = Authority::new(folder.path(), "ours")?;
    let theirs = Authority::new(folder.path(), "theirs")?;
    let (cert, key) = ours.issue_server("server")?;
    let identity = ours.issue_client("collector", "spiffe://pulse/collector")?;
    let reader = ours.issue_client("reader", "spiffe://pulse/reader")?;
    for (name, uri, role) in [
        ("pulse-registry", "uri:spiffe://pulse/collector", "ingest"),
        ("pulse-registry", "uri:spiffe://pulse/reader", "viewer"),
        ("pulse-collector", "uri:spiffe://pulse/reader", "admin"),
    ] {
        let home = folder.path().join(name.trim_start_matches("pulse-")).join("data").display().to_string();
        let line = ["--data-dir", &home, "grants", "add", "--certificate", uri, "--role", role];
        let ran = run(name, &line, &[], "").await?;
        anyhow::ensure!(ran.code == 0, "{}", ran.stderr);
    }
    let stranger = theirs.issue_client("stranger", "spiffe://pulse/reader")?;
    let ca = ours.file();

    let settings = tls(&cert, &key, Some(&ca));
    let registry = Service::start("pulse-registry", &folder.path().join("registry"), &settings).await?;
    let settings = format!(
        "{settings}[registry]\naddress = \"https://{}\"\nca_file = \"{}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        registry.grpc(),
        ca.display(),
        identity.0.display(),
        identity.1.display(),
    );
    let collector = Service::start("pulse-collector", &folder.path().join("collector"), &settings).await?;

    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let mut connections = ConnectionServiceClient::new(reach(collector.grpc(), &ours, Some(&reader)).await?);
    let connection = Some(connection_to("nas", &appliance));
    connections.create_connection(CreateConnectionRequest { connection, validate_only: false }).await?;
    let mut resources = ResourceServiceClient::new(reach(registry.grpc(), &ours, Some(&reader)).await?);
    let mut watch = resources.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    let came = async {
        while let Some(message) = watch.message().await? {
            if !message.events.is_empty() {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    within("records to come through", came).await?;

    // A stranger's certificate, none at all, and a server that is not the one meant.
    assert!(asks(reach(registry.grpc(), &ours, Some(&stranger)).await).await.is_err());
    assert!(asks(reach(registry.grpc(), &ours, None).await).await.is_err());
    assert!(asks(reach(registry.grpc(), &theirs, Some(&reader)).await).await.is_err());
    assert!(asks(reach(registry.grpc(), &ours, Some(&identity)).await).await.is_err(), "it may only stream");
    assert!(
        asks(client::connect("registry", &registry.grpc().to_string(), &Access::default()).await)
            .await
            .is_err()
    );
    assert!(asks(reach(registry.grpc(), &ours, Some(&reader)).await).await? > 0);
    Ok(())
}

#[tokio::test]
async fn commands_say_what_is_in_the_way_and_then_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = Authority::new(folder.path(), "ours")?;
    let theirs = Authority::new(folder.path(), "theirs")?;
    let (cert, key) = ours.issue_server("server")?;
    let secure =
        Service::start("pulse-registry", &folder.path().join("secure"), &tls(&cert, &key, None)).await?;
    let (cert, key) = ours.issue_client("nameless", "spiffe://pulse/nameless")?;
    let nameless =
        Service::start("pulse-registry", &folder.path().join("nameless"), &tls(&cert, &key, None)).await?;
    let plain = Service::start("pulse-registry", &folder.path().join("plain"), "").await?;
    let (ca, other) = (ours.file().display().to_string(), theirs.file().display().to_string());
    let at = |scheme: &str, service: &Service| format!("{scheme}://{}", service.grpc());
    let untrusted =
        "of an authority that is not trusted here; name the PEM file of that authority with --tls-ca";
    for (address, authority, wanted) in [
        (at("https", &secure), &other, untrusted),
        (at("http", &secure), &ca, ": the port speaks TLS; use https://"),
        (at("https", &plain), &ca, "the port does not speak TLS; name its gRPC port"),
        ("http://127.0.0.1:1".to_owned(), &ca, "http://127.0.0.1:1: Connection refused"),
        (at("https", &nameless), &ca, "; name it with --address as its certificate does"),
    ] {
        for line in [&["resources", "list"][..], &["health"], &["log-level"]] {
            let line = [line, &["--address", &address, "--tls-ca", authority]].concat();
            let ran = run("pulse-registry", &line, &[], "").await?;
            anyhow::ensure!(ran.code == 1 && ran.stderr.contains(wanted), "{line:?}: {wanted:?} in {ran:?}");
        }
    }
    // The same address from the environment.
    let env = [("PULSE_REGISTRY_ADDRESS", &*at("https", &secure)), ("PULSE_TLS_CA", &*ca)];
    for line in [&["resources", "list"][..], &["health"], &["log-level"]] {
        let ran = run("pulse-registry", line, &env, "").await?;
        anyhow::ensure!(ran.code == 0, "{line:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_is_served_while_streams_go_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let before = Authority::new(folder.path(), "before")?;
    let after = Authority::new(folder.path(), "after")?;
    let (cert, key) = before.issue_server("server")?;
    let settings = format!("{}[watch]\nbookmark_interval = \"1s\"\n", tls(&cert, &key, None));
    let registry = Service::start("pulse-registry", &folder.path().join("registry"), &settings).await?;
    let mut client = ResourceServiceClient::new(reach(registry.grpc(), &before, None).await?);
    let mut watch = client.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    watch.message().await?.context("the end of the list")?;

    // Half of a change is no change: what was served is served on.
    std::fs::write(&key, "nonsense")?;
    registry.process().logs("it cannot use them", |line| line.contains("cannot be used")).await;
    assert_eq!(asks(reach(registry.grpc(), &before, None).await).await?, 0);

    after.issue_server("server")?;
    registry.process().logs("they are reloaded", |line| line.contains("certificates are reloaded")).await;
    assert_eq!(asks(reach(registry.grpc(), &after, None).await).await?, 0);
    assert!(asks(reach(registry.grpc(), &before, None).await).await.is_err());
    for _ in 0..2 {
        within("the open watch to go on", watch.message()).await?.context("a bookmark")?;
    }
    Ok(())
}

#[tokio::test]
async fn probes_and_metrics_are_served_over_tls_and_old_tls_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = Authority::new(folder.path(), "ours")?;
    let (cert, key) = ours.issue_server("server")?;
    for name in ["pulse-registry", "pulse-collector"] {
        let service = Service::start(name, &folder.path().join(name), &tls(&cert, &key, None)).await?;
        let addr = service.process().http_addr();
        let head = get(addr, &ours.file(), "/healthz").await?;
        assert!(head.starts_with("HTTP/1.0 200"), "{name}: {head}");
        for addr in [addr, service.grpc()] {
            assert_eq!(hello_of_tls_1_1(addr).await?, [21, 2, 70], "{name}: fatal protocol_version");
        }
    }
    Ok(())
}

async fn get(addr: SocketAddr, ca: &Path, path: &str) -> anyhow::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(addr).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost")?, tcp).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer)?)
}

/// Type, level and description of the alert that answers a client which knows TLS 1.1 at most.
async fn hello_of_tls_1_1(addr: SocketAddr) -> anyhow::Result<[u8; 3]> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    // No session, one suite that TLS 1.1 has, no compression; one extension: a way to sign.
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len())?;
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(&record).await?;
    let mut alert = [0; 7];
    within("an alert", stream.read_exact(&mut alert)).await?;
    Ok([alert[0], alert[5], alert[6]])
}
