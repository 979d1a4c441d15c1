//! `connections import`: Pulse's stored connections, created one by one at a
//! running collector. The folder is only read.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pulse_proto::model::{SectionName, UnixMillis};
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest};
use pulse_shell::answer;
use pulse_shell::command::remedied;
use pulse_shell::table::{print, prose};
use tonic::Code;

use super::connections::{Target, client};
use crate::clock;
use crate::connection::import;
use crate::connection::{Settings, Tls};
use crate::secret::Credential;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Folder of Pulse's data with truenas.enc and .encryption.key, such as /etc/pulse
    #[arg(long, value_name = "FOLDER")]
    pulse_data: PathBuf,
    /// Check only, store nothing.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    target: Target,
}

/// Ends with 1 when something was refused; what was there before is no failure.
pub(super) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let ImportArgs { pulse_data, validate_only, target } = args;
    let read = move || import::read_folder(&pulse_data, UnixMillis::new(clock::now_unix_ms()));
    let imported =
        tokio::task::spawn_blocking(read).await?.map_err(|error| remedied(&error, error.remedy()))?;
    let mut client = client(&target).await?;
    let mut rows = Vec::new();
    let mut failed = false;
    for refused in imported.refused {
        failed = true;
        rows.push(vec![refused.name, "refused".to_owned(), refused.why.to_string()]);
    }
    for (index, settings) in imported.connections.iter().enumerate() {
        let request = CreateConnectionRequest { connection: Some(wire(settings)), validate_only };
        let (result, why) = match client.create_connection(request).await {
            // Nothing was stored of those before it, so the collector cannot know.
            Ok(_) if validate_only => match clash(&imported.connections[..index], settings) {
                Some(why) => ("there already", why),
                None => ("valid", settings_note(settings)),
            },
            Ok(_) => ("imported", settings_note(settings)),
            Err(status) if status.code() == Code::AlreadyExists => {
                ("there already", status.message().to_owned())
            }
            Err(status) => {
                failed = true;
                ("refused", answer::explain(&status))
            }
        };
        rows.push(vec![settings.name.clone(), result.to_owned(), why]);
    }
    print(&prose(&["NAME", "RESULT", "WHY"], &rows))?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Why a connection could not be stored after those before it.
fn clash(before: &[Settings], settings: &Settings) -> Option<String> {
    before.iter().find_map(|other| {
        let same = if other.id == settings.id {
            format!("id {}", settings.id)
        } else if other.name == settings.name {
            format!("name {}", settings.name)
        } else if (&other.host, other.port) == (&settings.host, settings.port) {
            format!("address {}:{}", settings.host, settings.port)
        } else {
            return None;
        };
        Some(format!("another one in this file, {}, has the {same}", other.name))
    })
}

/// What Pulse's own settings mean here.
fn settings_note(settings: &Settings) -> String {
    if settings.disabled_sections.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = settings.disabled_sections.iter().map(SectionName::as_str).collect();
    format!("not read, as in Pulse: {}", names.join(", "))
}

/// With its secret, for the service alone.
fn wire(settings: &Settings) -> Connection {
    let (api_key, password) = match &settings.credential {
        Credential::ApiKey { key, .. } => (key.expose().to_owned(), String::new()),
        Credential::Password { password, .. } => (String::new(), password.expose().to_owned()),
    };
    let (fingerprint, ca_pem) = match &settings.tls {
        Tls::Pinned(fingerprint) => (fingerprint.to_string(), String::new()),
        Tls::Ca(pem) => (String::new(), pem.clone()),
        Tls::Off | Tls::SystemRoots | Tls::Insecure => (String::new(), String::new()),
    };
    Connection {
        id: settings.id.to_string(),
        name: settings.name.clone(),
        host: settings.host.clone(),
        port: u32::from(settings.port),
        use_https: Some(settings.tls.is_on()),
        insecure_skip_verify: settings.tls == Tls::Insecure,
        fingerprint,
        ca_pem,
        username: settings.credential.username().unwrap_or_default().to_owned(),
        api_key,
        password,
        enabled: Some(settings.enabled),
        poll_interval_seconds: u32::try_from(settings.poll_interval.as_secs()).unwrap_or(u32::MAX),
        labels: settings.labels.clone().into_iter().collect(),
        disabled_sections: settings.disabled_sections.iter().map(ToString::to_string).collect(),
        ..Connection::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::testing::settings;

    #[test]
    fn a_dry_run_tells_of_duplicates_within_the_file() {
        let (first, mut second) = (settings("nas1"), settings("nas2"));
        let before = [first.clone()];
        assert_eq!(clash(&before, &second), None);
        second.host.clone_from(&first.host);
        let why = clash(&before, &second).expect("the same address");
        assert!(why.contains("address nas1:443"), "{why}");
        second.name.clone_from(&first.name);
        assert!(clash(&before, &second).expect("the same name").contains("name nas1"));
    }

    #[test]
    fn scope_flags_are_told_and_sent() {
        let mut scoped = settings("nas1");
        assert_eq!(settings_note(&scoped), "");
        scoped.disabled_sections =
            ["datasets", "snapshots"].map(|name| SectionName::parse(name).expect("a name")).into();
        assert_eq!(settings_note(&scoped), "not read, as in Pulse: datasets, snapshots");
        assert_eq!(wire(&scoped).disabled_sections, ["datasets", "snapshots"]);
    }
}
