//! A registry and a collector on loopback with their own data folders. Either
//! can be killed and started again on the same data and the same port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pulse_fixtures::appliance::Appliance;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest, GetConnectionRequest};
use pulse_proto::pb::resource::v1::ConnectionState;
use tempfile::TempDir;
use tonic::transport::Channel;

use super::process::Process;
use super::within;

/// A service's data, configuration and process; the process may be down.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    folder: PathBuf,
    settings: String,
    env: Vec<(String, String)>,
    process: Option<Process>,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Service {
    /// Starts a service with the kernel's choice of ports. `settings` is TOML beyond addresses, data and log.
    pub async fn start(name: &'static str, folder: &Path, settings: &str) -> anyhow::Result<Self> {
        Self::start_with_env(name, folder, settings, &[]).await
    }

    pub async fn start_with_env(
        name: &'static str,
        folder: &Path,
        settings: &str,
        env: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut service = Self::prepared(name, folder, settings);
        service.env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        service.up().await?;
        Ok(service)
    }

    /// Not started yet.
    pub fn prepared(name: &'static str, folder: &Path, settings: &str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (folder, settings) = (folder.to_owned(), settings.to_owned());
        Self { name, folder, settings, env: Vec::new(), process: None, grpc: any, http: any }
    }

    /// Starts it (again) on the ports it had before.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let config = self.folder.join("config.toml");
        let text = format!(
            "data_dir = {data:?}\n{settings}\n[grpc]\nlisten = \"{grpc}\"\n[http]\nlisten = \"{http}\"\n[log]\nformat = \"json\"\nlevel = \"info\"\n",
            data = self.folder.join("data").display().to_string(),
            settings = self.settings,
            grpc = self.grpc,
            http = self.http,
        );
        std::fs::write(&config, text).context("write the configuration")?;
        let env: Vec<(&str, &str)> = self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let process = Process::serve(self.name, &config, &env).await?;
        (self.grpc, self.http) = (process.grpc_addr(), process.http_addr());
        self.process = Some(process);
        Ok(())
    }

    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the service is up")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Changes the settings for the next start.
    pub fn set(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// Changes a variable for the next start.
    pub fn set_env(&mut self, name: &str, value: Option<&str>) {
        self.env.retain(|(known, _)| known != name);
        self.env.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// SIGKILL.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.kill9().await,
            None => Ok(()),
        }
    }

    /// SIGTERM and the drain.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.terminate().await,
            None => Ok(()),
        }
    }
}

/// Both services, joined.
#[derive(Debug)]
pub struct Pair {
    pub registry: Service,
    pub collector: Service,
    /// Kept last: the folders go when everything is down.
    pub folder: TempDir,
}

impl Pair {
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with("", "").await
    }

    pub async fn start_with(registry_settings: &str, collector_settings: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry =
            Service::start("pulse-registry", &folder.path().join("registry"), registry_settings).await?;
        let settings = collector_settings_for(registry.grpc(), collector_settings);
        let collector =
            Service::start("pulse-collector", &folder.path().join("collector"), &settings).await?;
        Ok(Self { registry, collector, folder })
    }

    /// Both services with these environment variables.
    pub async fn start_with_env(env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("registry");
        let registry = Service::start_with_env("pulse-registry", &home, "", env).await?;
        let settings = collector_settings_for(registry.grpc(), "");
        let home = folder.path().join("collector");
        let collector = Service::start_with_env("pulse-collector", &home, &settings, env).await?;
        Ok(Self { registry, collector, folder })
    }

    pub async fn connections(&self) -> anyhow::Result<ConnectionServiceClient<Channel>> {
        let addr = self.collector.grpc();
        ConnectionServiceClient::connect(format!("http://{addr}")).await.context("connect to the collector")
    }

    /// Adds an appliance with its read-only key, trusted by its fingerprint.
    pub async fn add(&self, name: &str, appliance: &Appliance) -> anyhow::Result<Connection> {
        self.create(connection_to(name, appliance)).await
    }

    pub async fn create(&self, connection: Connection) -> anyhow::Result<Connection> {
        let request = CreateConnectionRequest { connection: Some(connection), validate_only: false };
        let answer = self.connections().await?.create_connection(request).await?;
        answer.into_inner().connection.context("the created connection")
    }

    pub async fn connection(&self, id: &str) -> anyhow::Result<Connection> {
        let answer =
            self.connections().await?.get_connection(GetConnectionRequest { id: id.to_owned() }).await?;
        answer.into_inner().connection.context("the connection")
    }

    /// Follows WatchConnections until the connection is as wanted.
    pub async fn until(
        &self,
        id: &str,
        what: &str,
        mut holds: impl FnMut(&Connection) -> bool,
    ) -> anyhow::Result<Connection> {
        let request = pulse_proto::pb::collector::v1::WatchConnectionsRequest {};
        let mut stream = self.connections().await?.watch_connections(request).await?.into_inner();
        let mut last = None;
        let wanted = async {
            while let Some(message) = stream.message().await? {
                match message.connection {
                    Some(connection) if connection.id == id => {
                        if holds(&connection) {
                            return Ok(connection);
                        }
                        last = Some(connection);
                    }
                    _ => {}
                }
            }
            anyhow::bail!("the watch ended; last seen: {last:?}")
        };
        within(what, wanted).await
    }

    pub async fn until_state(&self, id: &str, state: ConnectionState) -> anyhow::Result<Connection> {
        self.until(id, state.as_str_name(), |c| c.status.as_ref().is_some_and(|s| s.state() == state)).await
    }
}

/// The collector's settings that point it at a registry.
pub fn collector_settings_for(registry: SocketAddr, more: &str) -> String {
    format!("{more}\n[registry]\naddress = \"http://{registry}\"\n")
}

/// What an operator would enter for the appliance.
pub fn connection_to(name: &str, appliance: &Appliance) -> Connection {
    Connection {
        name: name.to_owned(),
        host: appliance.host(),
        port: u32::from(appliance.port()),
        username: appliance.user(),
        api_key: appliance.api_key(),
        fingerprint: appliance.fingerprint_sha256(),
        poll_interval_seconds: 10,
        ..Default::default()
    }
}
