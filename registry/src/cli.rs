//! The command line: serve, check the settings, back up and restore, and look
//! at resources without grpcurl.

mod alerts;
mod backup;
pub mod changes;
mod context;
mod detail;
mod links;
mod mcp;
mod receivers;
pub mod resources;
mod rules;
mod silences;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pulse_shell::access::cli::{self as access_cli, GrantsCommand, TokensCommand};
use pulse_shell::audit::query::{self, AuditArgs};
use pulse_shell::health::{self, HealthArgs};
use pulse_shell::leftovers::{self, LeftoversCommand};
use pulse_shell::logs::cli::LogLevelArgs;
use pulse_shell::{command, logs, serve, table};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;

/// Holds unified resources of a fleet, maps their health and answers queries.
#[derive(Debug, Parser)]
#[command(name = "pulse-registry", version = pulse_shell::VERSION, about, max_term_width = 100)]
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
    /// Make, list and revoke the tokens that callers show. A running registry takes a change at once.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Say what holders of certificates and Kubernetes service accounts may do.
    #[command(subcommand)]
    Grants(GrantsCommand),
    /// Show who did what, from the audit log in data_dir.
    Audit(AuditArgs),
    /// Write everything the store in data_dir holds into one file; the registry may be running.
    Backup(backup::BackupArgs),
    /// Put a backup into data_dir, where no registry may be running.
    Restore(backup::RestoreArgs),
    /// List and remove what restores and upgrades put aside in data_dir; the registry may be running.
    #[command(subcommand)]
    Leftovers(LeftoversCommand),
    /// Ask a running registry for resources.
    #[command(subcommand)]
    Resources(resources::Command),
    /// Say which records are the same thing and which are not, and see what may be.
    #[command(subcommand)]
    Links(links::Command),
    /// Alerts of a running registry: list, watch, explain, acknowledge.
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Silences and maintenance windows of alerts.
    #[command(subcommand)]
    Silences(silences::Command),
    /// Who is told of alerts: how each receiver does, and a test.
    #[command(subcommand)]
    Receivers(receivers::Command),
    /// Rules of alerts: built-in ones and your own.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Ask a running registry what changed, newest first.
    Changes(changes::Arguments),
    /// Serve a running registry to an assistant by MCP on standard input and output.
    Mcp(mcp::Arguments),
    /// Ask a running registry to describe the fleet, or one resource, for an AI or for people.
    Context(context::Arguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective settings and where each comes from, or everything that is wrong.
    Check,
}

/// Asks the service that these settings are of, unless another is named.
#[derive(Debug, Args)]
struct Own<T: Args> {
    /// Where it listens; by default where the settings say.
    #[arg(long, value_name = "ADDRESS", env = "PULSE_REGISTRY_ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    asked: T,
}

#[derive(Debug, Args)]
struct SettingsArgs {
    /// TOML file with settings.
    #[arg(long, global = true, value_name = "FILE", env = "PULSE_REGISTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the store.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Address of the gRPC services.
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
    command::run("pulse-registry", run(Cli::parse()))
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None | Some(Command::Serve) => {
            let config = cli.settings.read().0?;
            let exporting = logs::start(logs::Options {
                service: "pulse-registry",
                format: config.log.format,
                level: &config.log.level,
                audit: Some(&config.audit),
                traces: &config.traces,
            })?;
            let served = serve::until_stopped(Box::pin(App::start(config)), App::shutdown, App::wait).await;
            if let Some(exporting) = exporting {
                exporting.finish().await;
            }
            served?;
        }
        Some(Command::Config(ConfigCommand::Check)) => {
            let (config, settings) = cli.settings.read();
            let rows: Vec<Vec<String>> = settings.rows().into_iter().map(Vec::from).collect();
            config?;
            let lines = table::lines(&["SETTING", "VALUE", "FROM"], &rows);
            table::print(&lines)?;
        }
        Some(Command::Health(Own { address, asked })) => {
            let address = cli.settings.asked_at(address)?;
            return health::run("registry", &address, &asked).await;
        }
        Some(Command::LogLevel(Own { address, asked })) => {
            logs::cli::run("registry", &cli.settings.asked_at(address)?, asked).await?;
        }
        Some(Command::Tokens(command)) => access_cli::tokens(command, &cli.settings.read().0?.access)?,
        Some(Command::Grants(command)) => access_cli::grants(command, &cli.settings.read().0?.access)?,
        Some(Command::Audit(arguments)) => query::run(&arguments, &cli.settings.read().0?.audit.file)?,
        Some(Command::Backup(arguments)) => backup::save(&cli.settings.read().0?, &arguments)?,
        Some(Command::Restore(arguments)) => backup::restore(&cli.settings.read().0?, &arguments)?,
        Some(Command::Leftovers(command)) => {
            leftovers::run(command, backup::store(&cli.settings.read().0?))?;
        }
        Some(Command::Receivers(command)) => return receivers::run(command).await,
        Some(Command::Links(command)) => links::run(command).await?,
        Some(Command::Changes(arguments)) => changes::run(arguments).await?,
        Some(Command::Mcp(arguments)) => mcp::run(arguments).await?,
        Some(Command::Context(arguments)) => context::run(arguments).await?,
        Some(Command::Silences(command)) => silences::run(command).await?,
        Some(Command::Rules(command)) => rules::run(command).await?,
        Some(Command::Alerts(command)) => {
            tokio::select! {
                done = alerts::run(command) => done,
                signal = serve::stop_signal() => signal,
            }?;
        }
        Some(Command::Resources(command)) => {
            let stop = CancellationToken::new();
            tokio::select! {
                done = resources::run(command, stop.clone()) => done,
                signal = serve::stop_signal() => {
                    stop.cancel();
                    signal
                }
            }?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
    fn settings_may_stand_before_or_after_the_command() {
        for line in [
            "pulse-registry --data-dir /a serve",
            "pulse-registry serve --data-dir /a",
            "pulse-registry --data-dir /a",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(cli.settings.data_dir.as_deref(), Some("/a"), "{line}");
        }
    }
}
