//! What a credential counts for later than when it was shown, and what those may do who have none.

use std::net::SocketAddr;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{
    ListResourcesRequest, SummarizeResourcesRequest, UnlinkResourcesRequest, WatchResourcesRequest,
};
use pulse_shell::client::{self, Access};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::access::{Bed, as_told, why};

#[tokio::test]
async fn a_client_whose_authority_is_no_longer_believed_is_put_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = Authority::new(folder.path(), "servers")?;
    let (former, later) = (Authority::new(folder.path(), "former")?, Authority::new(folder.path(), "later")?);
    let (cert, key) = servers.issue_server("server")?;
    let clients = folder.path().join("clients.pem");
    let believe = |authorities: &[&Authority]| -> anyhow::Result<()> {
        let mut all = String::new();
        for authority in authorities {
            all += &std::fs::read_to_string(authority.file())?;
        }
        let beside = folder.path().join("clients.new");
        std::fs::write(&beside, all)?;
        Ok(std::fs::rename(beside, &clients)?)
    };
    believe(&[&former])?;
    let home = folder.path().join("registry");
    let data = home.join("data").display().to_string();
    for name in ["old", "new"] {
        let holder = format!("uri:spiffe://pulse/{name}");
        let args = ["--data-dir", &data, "grants", "add", "--certificate", &holder, "--role", "viewer"];
        anyhow::ensure!(run("pulse-registry", &args, &[], "").await?.code == 0);
    }
    let settings = format!(
        "[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\nclient_ca_file = \"{}\"\n[watch]\nbookmark_interval = \"1s\"\n",
        cert.display(),
        key.display(),
        clients.display(),
    );
    let registry = Service::start("pulse-registry", &home, &settings).await?;
    let reach = async |authority: &Authority, name: &str| {
        let (cert, key) = authority.issue_client(name, &format!("spiffe://pulse/{name}"))?;
        let access = Access {
            tls_ca: Some(servers.file()),
            tls_cert: Some(cert),
            tls_key: Some(key),
            token_file: None,
        };
        let addr = format!("https://{}", registry.grpc());
        Ok::<_, anyhow::Error>(ResourceServiceClient::new(client::connect("server", &addr, &access).await?))
    };
    let mut old = reach(&former, "old").await?;
    let mut watch = old.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    watch.message().await?.context("the end of the list")?;

    // One more takes nothing away from those who are there.
    let reloaded = |line: &str| line.contains("certificates are reloaded");
    believe(&[&former, &later])?;
    registry.process().logs("they are reloaded", reloaded).await;
    let mut new = reach(&later, "new").await?;
    new.summarize_resources(SummarizeResourcesRequest::default()).await?;
    old.summarize_resources(SummarizeResourcesRequest::default()).await?;
    within("the open watch to go on", watch.message()).await?.context("a bookmark")?;

    believe(&[&later])?;
    registry.process().logs_times("they are reloaded again", 2, reloaded).await;
    let ended = async {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                Ok(None) => anyhow::bail!("ended without a reason"),
                Err(status) => return Ok(status),
            }
        }
    };
    let ended = within("what it opened to end", ended).await?;
    assert_eq!(why::<()>(Err(ended)), as_told(Code::Unauthenticated, "BAD_CREDENTIAL"));
    assert!(old.summarize_resources(SummarizeResourcesRequest::default()).await.is_err());
    new.summarize_resources(SummarizeResourcesRequest::default()).await?;
    Ok(())
}

/// Many requests for a path over one connection; how often each status came.
async fn ask(addr: SocketAddr, path: &str, times: usize) -> anyhow::Result<Vec<String>> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").repeat(times - 1)
        + &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    let (mut from, mut to) = stream.split();
    let mut answers = String::new();
    let (sent, read) = tokio::join!(to.write_all(request.as_bytes()), from.read_to_string(&mut answers));
    sent?;
    read?;
    let status = |rest: &str| rest.split(' ').next().unwrap_or_default().to_owned();
    Ok(answers.split("HTTP/1.1 ").skip(1).map(status).collect())
}

#[tokio::test]
async fn nobody_pushes_a_deed_out_of_the_audit_log() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let operator = bed.token("--role operator").await?;
    let settings = "[audit]\nmax_bytes = 65536\nmax_files = 1\n[limits]\nrequests_per_second = 0\n";
    let registry = bed.start(settings).await?;
    let mut client = bed.resources(registry.grpc(), &operator).await?;
    let deed = UnlinkResourcesRequest { who: "ops".to_owned(), ..Default::default() };
    assert!(client.unlink_resources(deed).await.is_err(), "it names nothing, and is written down");

    // Twelve megabytes of paths, more than the log keeps of anything.
    let long = format!("/{}", "a".repeat(12_000));
    let statuses = ask(registry.process().http_addr(), &long, 1_000).await?;
    assert!(statuses.len() == 1_000 && statuses.iter().all(|status| status == "404"), "{statuses:?}");

    let lines = bed.command("audit --limit 10000 --output json").await?;
    let deeds = lines.lines().filter(|line| line.contains("UnlinkResources")).count();
    assert_eq!(deeds, 1, "{lines}");
    let strangers: Vec<&str> = lines.lines().filter(|line| line.contains("NO_SUCH_METHOD")).collect();
    assert!((1..=120).contains(&strangers.len()), "{}", strangers.len());
    assert!(strangers.iter().all(|line| line.len() < 1_000 && line.contains("[...]")), "{strangers:?}");
    let whole = std::fs::read_to_string(format!("{}/audit.jsonl", bed.data()))?;
    assert!(!whole.contains("NO_SUCH_METHOD"), "in a file of their own");
    Ok(())
}

#[tokio::test]
async fn who_is_asked_nothing_is_paced_all_the_same() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let registry = bed.start("[limits]\nrequests_per_second = 5\n").await?;
    let bare = client::connect("registry", &registry.grpc().to_string(), &Access::default()).await?;
    let mut client = ResourceServiceClient::new(bare);
    let mut told = Vec::new();
    for _ in 0..50 {
        told.push(why(client.list_resources(ListResourcesRequest::default()).await));
    }
    assert!(told.contains(&as_told(Code::ResourceExhausted, "TOO_FAST")), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_page_elsewhere_reads_nothing_by_a_name_that_leads_here() -> anyhow::Result<()> {
    let told = async |addr: SocketAddr, path: &str, host: &str| {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let mut head = [0; 12];
        within("an answer", stream.read_exact(&mut head)).await?;
        anyhow::Ok(String::from_utf8_lossy(&head[9..]).into_owned())
    };
    for (name, setting, paths) in [
        ("pulse-registry", "PULSE_REGISTRY_CONSOLE_ALLOWED_HOSTS", &["/metrics", "/console/live"][..]),
        ("pulse-collector", "PULSE_COLLECTOR_HTTP_ALLOWED_HOSTS", &["/metrics"]),
    ] {
        let folder = tempfile::tempdir()?;
        let service = Service::start_with_env(name, folder.path(), "", &[(setting, "pulse.lan")]).await?;
        let addr = service.process().http_addr();
        for path in paths {
            for (host, expected) in [
                ("evil.example:7661", "421"),
                ("pulse.lan:7661", "200"),
                ("localhost:7661", "200"),
                ("127.0.0.1", "200"),
            ] {
                assert_eq!(told(addr, path, host).await?, expected, "{name} {path} {host}");
            }
        }
        assert_eq!(told(addr, "/healthz", "evil.example").await?, "200", "{name}");
    }
    Ok(())
}
