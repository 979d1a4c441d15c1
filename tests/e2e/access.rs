//! Who may do what, from outside: roles, revocation under open streams, what an ingest
//! credential is bound to, and that a customer sees nothing of another.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::CreateConnectionRequest;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{
    DeleteResourceLinkRequest, GetResourceRequest, ListResourceChangesRequest, ListResourcesRequest,
    SummarizeResourcesRequest, WatchResourcesRequest,
};
use pulse_proto::pb::resource::v1::IngestRecord;
use pulse_shell::client::{self, Access, Channel};
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::{Service, connection_to};
use pulse_tests::harness::within;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A service with a folder of tokens; tokens come from its own command.
pub(crate) struct Bed {
    folder: TempDir,
    name: &'static str,
}

impl Bed {
    pub(crate) fn new(name: &'static str) -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, name })
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join(self.name)
    }

    pub(crate) fn data(&self) -> String {
        self.home().join("data").display().to_string()
    }

    pub(crate) async fn command(&self, line: &str) -> anyhow::Result<String> {
        let data = self.data();
        let mut args = vec!["--data-dir", &data];
        args.extend(line.split(' '));
        let ran = run(self.name, &args, &[], "").await?;
        anyhow::ensure!(ran.code == 0, "{line}: {}", ran.stderr);
        Ok(ran.stdout.trim().to_owned())
    }

    /// The text of a new token.
    pub(crate) async fn token(&self, more: &str) -> anyhow::Result<String> {
        self.command(&format!("tokens create --name test {more}")).await
    }

    pub(crate) async fn start(&self, settings: &str) -> anyhow::Result<Service> {
        Service::start(self.name, &self.home(), settings).await
    }

    pub(crate) async fn channel(&self, addr: SocketAddr, token: &str) -> anyhow::Result<Channel> {
        let file = self.folder.path().join(format!("{}.token", token.get(6..14).unwrap_or("none")));
        std::fs::write(&file, token)?;
        let access = Access { token_file: Some(file), ..Access::default() };
        client::connect("server", &addr.to_string(), &access).await
    }

    pub(crate) async fn resources(
        &self,
        addr: SocketAddr,
        token: &str,
    ) -> anyhow::Result<ResourceServiceClient<Channel>> {
        Ok(ResourceServiceClient::new(self.channel(addr, token).await?))
    }
}

pub(crate) fn why<T>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.err().unwrap_or_else(|| Status::ok("let through"));
    let reason = status.get_details_error_info().map(|info| info.reason);
    (status.code(), reason.unwrap_or_default())
}

pub(crate) fn as_told(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_role_opens_what_it_is_for_and_nothing_else() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let [viewer, operator, ingest] = [
        bed.token("--role viewer").await?,
        bed.token("--role operator").await?,
        bed.token("--role ingest").await?,
    ];
    let registry = bed.start("").await?;
    let addr = registry.grpc();
    let list = ListResourcesRequest::default;

    let bare = client::connect("registry", &addr.to_string(), &Access::default()).await?;
    let mut nobody = ResourceServiceClient::new(bare.clone());
    assert_eq!(why(nobody.list_resources(list()).await), as_told(Code::Unauthenticated, "NO_CREDENTIAL"));
    let mut health = tonic_health::pb::health_client::HealthClient::new(bare);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.context("health is open")?;

    let mut reader = bed.resources(addr, &viewer).await?;
    reader.list_resources(list()).await?;
    let change = DeleteResourceLinkRequest::default;
    let refused = why(reader.delete_resource_link(change()).await);
    assert_eq!(refused, as_told(Code::PermissionDenied, "ROLE_MISSING"));
    let mut writer = bed.resources(addr, &operator).await?;
    assert_eq!(
        why(writer.delete_resource_link(change()).await).0,
        Code::InvalidArgument,
        "let through and checked"
    );
    let mut sender = bed.resources(addr, &ingest).await?;
    assert_eq!(why(sender.list_resources(list()).await), as_told(Code::PermissionDenied, "ROLE_MISSING"));

    let mut bent = viewer.clone();
    bent.replace_range(bent.len() - 1.., if viewer.ends_with('A') { "B" } else { "A" });
    for bad in [bent.as_str(), "nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."] {
        let mut client = bed.resources(addr, bad).await?;
        assert_eq!(
            why(client.list_resources(list()).await),
            as_told(Code::Unauthenticated, "BAD_CREDENTIAL")
        );
    }

    let http = registry.process().http_addr();
    assert_eq!(get(http, "/healthz", "").await?, 200);
    assert_eq!(get(http, "/metrics", "").await?, 401);
    assert_eq!(get(http, "/metrics", &viewer).await?, 200);
    assert_eq!(get(http, "/metrics", &ingest).await?, 403);
    assert_eq!(get(http, "/nowhere", &viewer).await?, 404);
    let log = registry.process().log();
    assert!(
        ![&viewer, &operator, &ingest].iter().any(|token| log.contains(token.as_str())),
        "no token is logged"
    );
    assert!(
        log.contains("ROLE_MISSING") && log.contains("DeleteResourceLink"),
        "the refusal is in the audit log"
    );
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_ends_what_is_open_and_a_new_one_works_at_once() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let registry = bed.start("").await?;
    let addr = registry.grpc();
    // Nothing is set up: whoever is on this machine may.
    bed.resources(addr, "unused").await?.list_resources(ListResourcesRequest::default()).await?;

    let token = bed.token("--role viewer").await?;
    registry.process().logs("callers are asked", |line| line.contains("every caller is asked")).await;
    let mut client = bed.resources(addr, &token).await?;
    let mut watch = client.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    watch.message().await?.context("the end of the list")?;

    let listed = bed.command("tokens list --output json").await?;
    assert!(!listed.contains(&token) && listed.contains("\"role\":\"viewer\""), "{listed}");
    let id = token.split('_').nth(1).context("an id")?.to_owned();
    bed.command(&format!("tokens revoke {id}")).await?;
    let ended = async {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = within("the watch to end", ended).await.map(drop);
    assert_eq!(why(ended), as_told(Code::Unauthenticated, "BAD_CREDENTIAL"));
    let again = why(client.list_resources(ListResourcesRequest::default()).await);
    assert_eq!(again, as_told(Code::Unauthenticated, "BAD_CREDENTIAL"));

    // A file that is gone lets nobody in.
    std::fs::remove_file(bed.home().join("data/access.json"))?;
    let mut bare = bed.resources(addr, "nonsense").await?;
    assert_eq!(why(bare.list_resources(ListResourcesRequest::default()).await).0, Code::Unauthenticated);
    Ok(())
}

#[tokio::test]
async fn an_ingest_token_is_for_its_collector_and_its_connections() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let token = bed.token("--role ingest --collector c1 --connection mine").await?;
    let registry = bed.start("").await?;
    let other = Feeder::open_as(registry.grpc(), Some(&token), "c2", &[]).await;
    let status = other.err().context("a refusal")?.downcast::<Status>()?;
    assert_eq!(why::<()>(Err(status)), as_told(Code::PermissionDenied, "OTHER_COLLECTOR"));
    let mut feeder = Feeder::open_as(registry.grpc(), Some(&token), "c1", &[]).await?;
    feeder.send(Message::Batch(batch("theirs", 1, 1, vec![pool("theirs", "tank", "ONLINE")]))).await?;
    let Said::Reject(reject) = feeder.next().await? else { panic!("a refusal") };
    assert!(reject.connection == "theirs" && reject.message.contains("credential"), "{reject:?}");
    feeder.put(batch("mine", 1, 1, vec![pool("mine", "tank", "ONLINE")])).await?;
    Ok(())
}

/// A connection of a customer.
fn labelled(connection: &str, customer: &str, sequence: u64, records: Vec<IngestRecord>) -> Message {
    let mut batch = batch(connection, 1, sequence, records);
    if let Some(status) = &mut batch.status {
        status.labels = BTreeMap::from([("customer".to_owned(), customer.to_owned())]);
    }
    Message::Batch(batch)
}

#[tokio::test]
async fn a_customers_token_sees_only_what_is_the_customers() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let ingest = bed.token("--role ingest").await?;
    let all = bed.token("--role viewer").await?;
    let acme = bed.token("--role admin --label customer=acme").await?;
    let registry = bed.start("[watch]\nbookmark_interval = \"1s\"\n").await?;
    let mut feeder = Feeder::open_as(registry.grpc(), Some(&ingest), "c1", &[]).await?;
    let pools = |connection: &str| vec![pool(connection, "one", "ONLINE"), pool(connection, "two", "ONLINE")];
    for (connection, customer) in [("acme-nas", "acme"), ("other-nas", "acme2"), ("third-nas", "")] {
        feeder.send(labelled(connection, customer, 1, pools(connection))).await?;
        assert!(matches!(feeder.next().await?, Said::Ack(_)));
    }
    let mut everything = bed.resources(registry.grpc(), &all).await?;
    let mut scoped = bed.resources(registry.grpc(), &acme).await?;

    // List, with what a filter might do to widen it, and pages.
    let list = |filter: &str| ListResourcesRequest { filter: filter.to_owned(), ..Default::default() };
    let whole = everything.list_resources(list("")).await?.into_inner();
    assert_eq!(whole.total_size, 6);
    for filter in [
        "",
        "name = one OR name = two",
        "NOT labels.customer = acme OR name:*",
        "labels.customer = acme2 OR type = storage",
    ] {
        let seen = scoped.list_resources(list(filter)).await?.into_inner();
        assert!(
            seen.resources.iter().all(|resource| resource.connection == "acme-nas"),
            "{filter}: {seen:?}"
        );
        assert_eq!(seen.total_size, i32::try_from(seen.resources.len())?, "{filter}");
    }
    assert_eq!(scoped.list_resources(list("")).await?.into_inner().total_size, 2);
    let page = ListResourcesRequest { page_size: 1, ..Default::default() };
    let foreign = everything.list_resources(page.clone()).await?.into_inner().next_page_token;
    let stolen = ListResourcesRequest { page_token: foreign, ..page };
    assert_eq!(
        why(scoped.list_resources(stolen).await).0,
        Code::InvalidArgument,
        "a page of somebody else's list"
    );

    // Get.
    for resource in &whole.resources {
        let request = GetResourceRequest { id: resource.id.clone(), read_mask: None };
        let code = why(scoped.get_resource(request).await).0;
        let ours = resource.connection == "acme-nas";
        assert_eq!(code, if ours { Code::Ok } else { Code::NotFound }, "{}", resource.connection);
    }

    // Counts and changes.
    let summary = scoped.summarize_resources(SummarizeResourcesRequest::default()).await?.into_inner();
    assert_eq!(summary.total, 2);
    let changes = scoped.list_resource_changes(ListResourceChangesRequest::default()).await?.into_inner();
    assert_eq!(changes.changes.len(), 2, "{changes:?}");
    assert!(changes.changes.iter().all(|change| change.connection == "acme-nas"), "{changes:?}");

    // Watch: the list, then only what is ours; another's changes pass by unseen.
    let mut watch = scoped.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    let mut seen = Vec::new();
    let mut listed = false;
    while !listed {
        let message = within("the list", watch.message()).await?.context("a message")?;
        listed = message.initial_list_end;
        seen.extend(message.events.into_iter().filter_map(|event| event.resource));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    feeder.send(labelled("other-nas", "acme2", 2, vec![pool("other-nas", "one", "DEGRADED")])).await?;
    feeder.send(labelled("acme-nas", "acme", 2, vec![pool("acme-nas", "one", "DEGRADED")])).await?;
    let event = async {
        loop {
            let message = watch.message().await?.context("the watch goes on")?;
            if let Some(event) = message.events.into_iter().next() {
                return Ok::<_, anyhow::Error>(event);
            }
        }
    };
    let event = within("our change", event).await?;
    assert_eq!(event.resource.context("a resource")?.connection, "acme-nas");

    // What cannot keep to the labels refuses, whatever the role.
    let refused = why(scoped.delete_resource_link(DeleteResourceLinkRequest::default()).await);
    assert_eq!(refused, as_told(Code::PermissionDenied, "CREDENTIAL_IS_SCOPED"));
    assert_eq!(get(registry.process().http_addr(), "/metrics", &acme).await?, 403);
    Ok(())
}

#[tokio::test]
async fn the_pair_works_with_tokens_alone() -> anyhow::Result<()> {
    let bed = Bed::new("pulse-registry")?;
    let ingest = bed.token("--role ingest --collector c1").await?;
    let viewer = bed.token("--role viewer").await?;
    let registry = bed.start("").await?;
    let file = bed.folder.path().join("ingest.token");
    std::fs::write(&file, &ingest)?;
    let settings = format!(
        "collector_id = \"c1\"\n[registry]\naddress = \"http://{}\"\ntoken_file = \"{}\"\n",
        registry.grpc(),
        file.display(),
    );
    let keys = Bed::new("pulse-collector")?;
    let admin = keys.token("--role admin").await?;
    let collector = keys.start(&settings).await?;
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let connection = Some(connection_to("nas", &appliance));
    let request = CreateConnectionRequest { connection, validate_only: false };
    let bare = client::connect("collector", &collector.grpc().to_string(), &Access::default()).await?;
    let refused = why(ConnectionServiceClient::new(bare).create_connection(request.clone()).await);
    assert_eq!(refused, as_told(Code::Unauthenticated, "NO_CREDENTIAL"));
    ConnectionServiceClient::new(keys.channel(collector.grpc(), &admin).await?)
        .create_connection(request)
        .await?;

    let mut client = bed.resources(registry.grpc(), &viewer).await?;
    let mut watch = client.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
    let came = async {
        while let Some(message) = watch.message().await? {
            if !message.events.is_empty() {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    within("records to come through", came).await
}

#[tokio::test]
async fn nobody_is_listened_to_from_elsewhere_without_being_asked() -> anyhow::Result<()> {
    for name in ["pulse-registry", "pulse-collector"] {
        let folder = tempfile::tempdir()?;
        let data = folder.path().display().to_string();
        let args =
            ["serve", "--data-dir", &data, "--grpc-listen", "0.0.0.0:0", "--http-listen", "127.0.0.1:0"];
        let ran = run(name, &args, &[], "").await?;
        assert!(ran.code == 1 && ran.stderr.contains("tls.cert_file"), "{name}: {}", ran.stderr);
        let prefix = name.replace('-', "_").to_uppercase();
        let plaintext = format!("{prefix}_TLS_ALLOW_PLAINTEXT");
        let ran = run(name, &args, &[(&plaintext, "true")], "").await?;
        assert!(ran.code == 1 && ran.stderr.contains("tokens create"), "{name}: {}", ran.stderr);
    }
    Ok(())
}

/// The status of a GET.
async fn get(addr: SocketAddr, path: &str, token: &str) -> anyhow::Result<u16> {
    let answer = fetch(addr, path, token).await?;
    answer.split(' ').nth(1).context("a status")?.parse().context("a number")
}

/// The answer to a GET as it comes.
pub(crate) async fn fetch(addr: SocketAddr, path: &str, token: &str) -> anyhow::Result<String> {
    let shown = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n{shown}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A JSON request by hand; the answer as it comes.
pub(crate) async fn post(addr: SocketAddr, path: &str, token: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
