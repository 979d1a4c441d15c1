//! The command line: serve, check the settings, rotate the master key, back up
//! and restore, and keep connections without grpcurl.

mod alerts;
mod backup;
mod connections;
mod import;
mod secrets;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use pulse_shell::access::cli::{self as access_cli, GrantsCommand, TokensCommand};
use pulse_shell::audit::query::{self, AuditArgs};
use pulse_shell::health::{self, HealthArgs};
use pulse_shell::leftovers::{self, LeftoversCommand};
use pulse_shell::logs::cli::LogLevelArgs;
use pulse_shell::{command, logs, serve, table};

use crate::app::App;
use crate::config::Config;
use crate::connection::store::{KeySource, Store, StoreError};

/// Reads TrueNAS systems and streams what they say to a registry.
#[derive(Debug, Parser)]
#[command(name = "pulse-collector", version = pulse_shell::VERSION, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "made once")]
enum Command {
    /// Serve until SIGTERM or Ctrl-C (the default).
    Serve,
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running one whether it serves, as a probe does. Ends with 1 when it does not.
    Health(Own<HealthArgs>),
    /// Show how much a running one logs, or change it for a while.
    LogLevel(Own<LogLevelArgs>),
    /// Add, list, test, change and remove the connections of a running collector.
    #[command(subcommand)]
    Connections(connections::Command),
    /// Dismiss and restore native alerts on their NAS, where the collector may.
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Make, list and revoke the tokens that callers show. A running collector takes a change at once.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Say what holders of certificates and Kubernetes service accounts may do.
    #[command(subcommand)]
    Grants(GrantsCommand),
    /// Show who did what, from the audit log in data_dir.
    Audit(AuditArgs),
    /// Keep the key that encrypts stored credentials. The collector must not be running.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Write the stored connections, encrypted as they are, into one file; the collector may be running.
    Backup(backup::BackupArgs),
    /// Put a backup of connections into data_dir, where no collector may be running.
    Restore(backup::RestoreArgs),
    /// List and remove what restores put aside in data_dir; the collector may be running.
    #[command(subcommand)]
    Leftovers(LeftoversCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective settings and where each comes from, or everything that is wrong.
    Check,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a new master key and encrypt every stored credential with it.
    Rotate,
}

/// Asks the service that these settings are of, unless another is named.
#[derive(Debug, Args)]
struct Own<T: Args> {
    /// Where it listens; by default where the settings say.
    #[arg(long, value_name = "ADDRESS", env = "PULSE_COLLECTOR_ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    asked: T,
}

#[derive(Debug, Args)]
struct SettingsArgs {
    /// TOML file with settings.
    #[arg(long, global = true, value_name = "FILE", env = "PULSE_COLLECTOR_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the encrypted connections.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Address of the registry, such as http://127.0.0.1:7660
    #[arg(long, global = true, value_name = "URL")]
    registry: Option<String>,
    /// Address of the gRPC service.
    #[arg(long, global = true, value_name = "ADDRESS")]
    grpc_listen: Option<String>,
    /// Address of metrics and probes.
    #[arg(long, global = true, value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// error, warn, info, debug, trace, or a filter.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    command::run("pulse-collector", run(Cli::parse()))
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None | Some(Command::Serve) => {
            let config = cli.settings.read().0?;
            let exporting = logs::start(logs::Options {
                service: "pulse-collector",
                format: config.log.format,
                level: &config.log.level,
                audit: Some(&config.audit),
                traces: &config.traces,
            })?;
            let served = serve::until_stopped(App::start(config), App::shutdown, App::wait).await;
            if let Some(exporting) = exporting {
                exporting.finish().await;
            }
            served?;
        }
        Some(Command::Config(ConfigCommand::Check)) => {
            let (config, settings) = cli.settings.read();
            let rows: Vec<Vec<String>> = settings.rows().into_iter().map(Vec::from).collect();
            config?;
            table::print(&table::lines(&["SETTING", "VALUE", "FROM"], &rows))?;
        }
        Some(Command::Keys(KeysCommand::Rotate)) => {
            let config = cli.settings.read().0?;
            serve::refuse_root(&config.data_dir)?;
            let key = config.connections.key().await?;
            let rotated = tokio::task::spawn_blocking(move || rotate(&config, &key)).await??;
            table::print(&[format!("{rotated} connections are encrypted with a new key")])?;
        }
        Some(Command::Backup(arguments)) => {
            let config = cli.settings.read().0?;
            tokio::task::spawn_blocking(move || backup::save(&config, &arguments)).await??;
        }
        Some(Command::Restore(arguments)) => {
            let config = cli.settings.read().0?;
            let key = config.connections.key().await?;
            tokio::task::spawn_blocking(move || backup::restore(&config, &key, &arguments)).await??;
        }
        Some(Command::Leftovers(command)) => {
            leftovers::run(command, backup::store(&cli.settings.read().0?))?;
        }
        Some(Command::Health(Own { address, asked })) => {
            let address = cli.settings.asked_at(address)?;
            return health::run("collector", &address, &asked).await;
        }
        Some(Command::LogLevel(Own { address, asked })) => {
            logs::cli::run("collector", &cli.settings.asked_at(address)?, asked).await?;
        }
        Some(Command::Tokens(command)) => access_cli::tokens(command, &cli.settings.read().0?.access)?,
        Some(Command::Grants(command)) => access_cli::grants(command, &cli.settings.read().0?.access)?,
        Some(Command::Audit(arguments)) => query::run(&arguments, &cli.settings.read().0?.audit.file)?,
        Some(Command::Alerts(command)) => alerts::run(command).await?,
        Some(Command::Connections(command)) => {
            return tokio::select! {
                done = connections::run(command) => done,
                signal = serve::stop_signal() => signal.map(|()| ExitCode::SUCCESS),
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(config: &Config, key: &KeySource) -> anyhow::Result<usize> {
    let (store, loaded) = Store::open(&config.data_dir, key).map_err(remedied)?;
    let connections: BTreeMap<_, _> =
        loaded.connections.into_iter().map(|settings| (settings.id.clone(), Arc::new(settings))).collect();
    store.rotate_key(loaded.revision, &connections, &loaded.damaged).map_err(remedied)?;
    Ok(connections.len())
}

#[allow(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn remedied(error: StoreError) -> anyhow::Error {
    command::remedied(&error, error.remedy())
}

impl SettingsArgs {
    /// What is named, else where the settings say.
    fn asked_at(&self, named: Option<String>) -> anyhow::Result<String> {
        let config = self.read().0?;
        Ok(named.unwrap_or_else(|| health::own_address(config.grpc.listen, config.tls.files.is_some())))
    }

    fn read(&self) -> (Result<Config, pulse_shell::settings::Problems>, pulse_shell::settings::Settings) {
        let flags = [
            ("data_dir", "--data-dir", self.data_dir.clone()),
            ("registry.address", "--registry", self.registry.clone()),
            ("grpc.listen", "--grpc-listen", self.grpc_listen.clone()),
            ("http.listen", "--http-listen", self.http_listen.clone()),
            ("log.level", "--log-level", self.log_level.clone()),
        ];
        Config::read(self.config.as_deref(), &flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_secret() {
        for line in [
            "pulse-collector connections add --name a --host b --api-key 1-secret",
            "pulse-collector connections add --name a --host b --password secret",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
