//! `pulse-collector connections`: a client of the collector's own service.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::watch_connections_response::Kind;
use pulse_proto::pb::collector::v1::{
    Connection, CreateConnectionRequest, DeleteConnectionRequest, GetConnectionRequest,
    ListConnectionsRequest, RefreshConnectionRequest, RotateEncryptionKeyRequest, TestConnectionRequest,
    UpdateConnectionRequest, WatchConnectionsRequest, test_connection_request,
};
use pulse_shell::answer;
use pulse_shell::client::{self, Access, Channel};
use pulse_shell::command::Output;
use pulse_shell::table::print;
use tonic::Status;

use super::import::{self, ImportArgs};
use super::secrets::SecretArgs;
use super::show;

const PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The collector to ask.
    #[arg(
        long,
        default_value = "http://127.0.0.1:7670",
        env = "PULSE_COLLECTOR_ADDRESS",
        value_name = "URL"
    )]
    address: String,
    #[command(flatten)]
    access: Access,
    #[arg(long, short, value_enum, default_value = "table")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Described {
    /// How people call it; unique.
    #[arg(long)]
    name: Option<String>,
    /// DNS name or address of the NAS; "https://nas:8443" is understood.
    #[arg(long)]
    host: Option<String>,
    /// 443 unless told otherwise.
    #[arg(long)]
    port: Option<u32>,
    /// Owner of the API key or of the password.
    #[arg(long)]
    username: Option<String>,
    /// SHA-256 of the certificate to trust, as `connections test` shows it.
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// PEM file of a private certificate authority.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<std::path::PathBuf>,
    /// Accept any certificate. Prefer --fingerprint.
    #[arg(long)]
    insecure_skip_verify: bool,
    /// Talk without TLS: SCRAM logins only.
    #[arg(long)]
    no_https: bool,
    /// How often pools and alerts are read in full, in seconds.
    #[arg(long, value_name = "SECONDS")]
    poll_interval: Option<u32>,
    /// Copied to every resource; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Do not read this section, e.g. "datasets"; may be given several times, "none" reads all again.
    #[arg(long = "disable-section", value_name = "SECTION")]
    disabled_sections: Vec<String>,
    #[command(flatten)]
    secrets: SecretArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a connection. The API key comes from stdin, a file or the environment.
    Add {
        #[command(flatten)]
        described: Described,
        /// Check only, store nothing.
        #[arg(long)]
        validate_only: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List all connections and how they do.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show one connection.
    Get {
        /// Id or name.
        connection: String,
        #[command(flatten)]
        target: Target,
    },
    /// Try a connection step by step and say what to do. Ends with 1 when it does not work.
    Test {
        /// Id or name of a stored connection; without it, the one described by the options.
        connection: Option<String>,
        #[command(flatten)]
        described: Described,
        #[command(flatten)]
        target: Target,
    },
    /// Change a connection: only what is given.
    Update {
        /// Id or name.
        connection: String,
        /// Start or stop reading it.
        #[arg(long)]
        enabled: Option<bool>,
        #[command(flatten)]
        described: Described,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a connection and everything it brought.
    Remove {
        /// Id or name.
        connection: String,
        #[command(flatten)]
        target: Target,
    },
    /// Read everything of a connection now, and wait for it.
    Refresh {
        /// Id or name.
        connection: String,
        #[command(flatten)]
        target: Target,
    },
    /// Encrypt every stored credential with a new key, while the collector goes on.
    RotateKey {
        #[command(flatten)]
        target: Target,
    },
    /// Take over the connections that Pulse keeps.
    Import(ImportArgs),
    /// Print every change of a connection's state until Ctrl-C.
    Watch {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) type Client = ConnectionServiceClient<Channel>;

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add { described, validate_only, target } => {
            let connection = described.connection(true)?.0;
            let request = CreateConnectionRequest { connection: Some(connection), validate_only };
            let answer = client(&target).await?.create_connection(request).await.map_err(explained)?;
            shown(&target, answer.into_inner().connection)?;
        }
        Command::List { target } => {
            let all = list(&mut client(&target).await?).await?;
            match target.output {
                Output::Table => print(&show::connections(&all))?,
                Output::Json => print_json(&all)?,
            }
        }
        Command::Get { connection, target } => {
            let found = find(&mut client(&target).await?, &connection).await?;
            shown(&target, Some(found))?;
        }
        Command::Test { connection, described, target } => {
            return test(connection, &described, &target).await;
        }
        Command::Update { connection, enabled, described, target } => {
            update(&connection, enabled, &described, &target).await?;
        }
        Command::Remove { connection, target } => {
            let mut client = client(&target).await?;
            let found = find(&mut client, &connection).await?;
            let request = DeleteConnectionRequest { id: found.id, etag: found.etag };
            client.delete_connection(request).await.map_err(explained)?;
            print(&[format!("{} is removed", found.name)])?;
        }
        Command::Refresh { connection, target } => {
            let mut client = client(&target).await?;
            let id = find(&mut client, &connection).await?.id;
            let answer =
                client.refresh_connection(RefreshConnectionRequest { id }).await.map_err(explained)?;
            shown(&target, answer.into_inner().connection)?;
        }
        Command::RotateKey { target } => {
            let mut client = client(&target).await?;
            let answer =
                client.rotate_encryption_key(RotateEncryptionKeyRequest {}).await.map_err(explained)?;
            print(&[format!(
                "{} connections are encrypted with a new key",
                answer.into_inner().connections
            )])?;
        }
        Command::Import(args) => return import::run(args).await,
        Command::Watch { target } => watch(&target).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(
    connection: Option<String>,
    described: &Described,
    target: &Target,
) -> anyhow::Result<ExitCode> {
    let mut client = client(target).await?;
    let what = match connection {
        Some(connection) => test_connection_request::Target::Id(find(&mut client, &connection).await?.id),
        None => test_connection_request::Target::Connection(described.connection(true)?.0),
    };
    let request = TestConnectionRequest { target: Some(what) };
    let answer = client.test_connection(request).await.map_err(explained)?.into_inner();
    match target.output {
        Output::Table => print(&show::test(&answer))?,
        Output::Json => {
            let json = answer::json("pulse.collector.v1.TestConnectionResponse", &answer)?;
            print(&[json.to_string()])?;
        }
    }
    Ok(if answer.success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn update(
    name: &str,
    enabled: Option<bool>,
    described: &Described,
    target: &Target,
) -> anyhow::Result<()> {
    let mut client = client(target).await?;
    let found = find(&mut client, name).await?;
    let (mut connection, mut paths) = described.connection(false)?;
    if enabled.is_some() {
        connection.enabled = enabled;
        paths.push("enabled".to_owned());
    }
    if paths.is_empty() {
        bail!("nothing to change: name what should be different, see --help");
    }
    (connection.id, connection.etag) = (found.id, found.etag);
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = UpdateConnectionRequest { connection: Some(connection), update_mask };
    let answer = client.update_connection(request).await.map_err(explained)?;
    shown(target, answer.into_inner().connection)
}

async fn watch(target: &Target) -> anyhow::Result<()> {
    let request = WatchConnectionsRequest {};
    let mut stream = client(target).await?.watch_connections(request).await.map_err(explained)?.into_inner();
    while let Some(message) = stream.message().await.map_err(explained)? {
        let kind = message.kind();
        let Some(connection) = message.connection else { continue };
        let line = match (target.output, kind) {
            (Output::Json, _) => answer::json("pulse.collector.v1.Connection", &connection)?.to_string(),
            (Output::Table, Kind::Removed) => format!("{}  removed", connection.name),
            (Output::Table, _) => {
                let status = connection.status.unwrap_or_default();
                let state = show::word(status.state().as_str_name(), "CONNECTION_STATE_");
                format!("{}  {state}  {}", connection.name, status.reason).trim_end().to_owned()
            }
        };
        print(&[line])?;
    }
    bail!("the collector ended the watch")
}

pub(super) async fn client(target: &Target) -> anyhow::Result<Client> {
    let channel = client::connect("collector", &target.address, &target.access).await?;
    Ok(ConnectionServiceClient::new(channel))
}

async fn list(client: &mut Client) -> anyhow::Result<Vec<Connection>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListConnectionsRequest { page_size: PAGE_SIZE, page_token };
        let page = client.list_connections(request).await.map_err(explained)?.into_inner();
        all.extend(page.connections);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// By id, else by name.
pub(super) async fn find(client: &mut Client, wanted: &str) -> anyhow::Result<Connection> {
    match client.get_connection(GetConnectionRequest { id: wanted.to_owned() }).await {
        Ok(answer) => return answer.into_inner().connection.context("the collector sent no connection"),
        Err(status) if status.code() == tonic::Code::NotFound => {}
        Err(status) => return Err(explained(status)),
    }
    let all = list(client).await?;
    all.into_iter().find(|connection| connection.name == wanted).with_context(|| {
        format!("no connection has the id or name {wanted:?}; `pulse-collector connections list` shows all")
    })
}

fn shown(target: &Target, connection: Option<Connection>) -> anyhow::Result<()> {
    let connection = connection.context("the collector sent no connection")?;
    match target.output {
        Output::Table => Ok(print(&show::details(&connection))?),
        Output::Json => print_json(&[connection]),
    }
}

fn print_json(connections: &[Connection]) -> anyhow::Result<()> {
    let json = |connection| Ok(answer::json("pulse.collector.v1.Connection", connection)?.to_string());
    let lines: Vec<String> = connections.iter().map(json).collect::<anyhow::Result<_>>()?;
    Ok(print(&lines)?)
}

#[allow(clippy::needless_pass_by_value, reason = "stands in map_err")]
pub(super) fn explained(status: Status) -> anyhow::Error {
    anyhow!("{}", answer::explain(&status))
}

impl Described {
    /// The connection, and the paths that were given.
    fn connection(&self, new: bool) -> anyhow::Result<(Connection, Vec<String>)> {
        let mut paths = Vec::new();
        let mut given = |path: &str, is: bool| {
            if is {
                paths.push(path.to_owned());
            }
        };
        if new && self.host.is_none() {
            bail!("--host is needed: the name or address of the NAS");
        }
        let secrets = if new { self.secrets.read()? } else { self.secrets.told()?.unwrap_or_default() };
        let ca_pem = match &self.ca_file {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => String::new(),
        };
        let labels: BTreeMap<String, String> = self
            .labels
            .iter()
            .map(|label| {
                let (key, value) =
                    label.split_once('=').with_context(|| format!("--label {label:?} is not KEY=VALUE"))?;
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<anyhow::Result<_>>()?;
        given("name", self.name.is_some());
        given("host", self.host.is_some());
        given("port", self.port.is_some());
        given("username", self.username.is_some());
        given("fingerprint", self.fingerprint.is_some());
        given("ca_pem", self.ca_file.is_some());
        given("insecure_skip_verify", self.insecure_skip_verify);
        given("use_https", self.no_https);
        given("poll_interval_seconds", self.poll_interval.is_some());
        given("labels", !labels.is_empty());
        given("disabled_sections", !self.disabled_sections.is_empty());
        given("api_key", !secrets.api_key.is_empty());
        given("password", !secrets.password.is_empty());
        let host = self.host.clone().unwrap_or_default();
        let connection = Connection {
            // A connection is called like its host unless told otherwise.
            name: self.name.clone().unwrap_or_else(|| host.clone()),
            host,
            port: self.port.unwrap_or(0),
            use_https: self.no_https.then_some(false),
            insecure_skip_verify: self.insecure_skip_verify,
            fingerprint: self.fingerprint.clone().unwrap_or_default(),
            ca_pem,
            username: self.username.clone().unwrap_or_default(),
            api_key: secrets.api_key,
            password: secrets.password,
            poll_interval_seconds: self.poll_interval.unwrap_or(0),
            labels,
            disabled_sections: self
                .disabled_sections
                .iter()
                .filter(|name| *name != "none")
                .cloned()
                .collect(),
            ..Connection::default()
        };
        Ok((connection, paths))
    }
}
