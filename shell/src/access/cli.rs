//! `tokens` and `grants`: who may do what, kept in the file that the service reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::book::{Book, Token};
use super::config::Config;
use super::{Grant, Role, token};
use crate::clock::now_unix_ms;
use crate::command::Output;
use crate::settings::duration;
use crate::table;

const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, Args)]
pub struct GrantArgs {
    /// What the holder may do.
    #[arg(long, value_enum)]
    role: Role,
    /// Shows only what carries this label, which merge.boundary_labels names; for the role ingest: brings only
    /// connections that carry it. May be given several times, and all must fit.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// For the role ingest: the id of the only collector it is for.
    #[arg(long, value_name = "ID")]
    collector: Option<String>,
    /// For the role ingest: a connection it may bring; may be given several times. Without it: any.
    #[arg(long = "connection", value_name = "ID")]
    connections: Vec<String>,
}

impl GrantArgs {
    fn grant(self, config: &Config) -> anyhow::Result<Grant> {
        let pair = |label: String| match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => bail!("--label {label:?} is not KEY=VALUE"),
        };
        let labels: BTreeMap<_, _> = self.labels.into_iter().map(pair).collect::<anyhow::Result<_>>()?;
        let is_bound = self.collector.is_some() || !self.connections.is_empty();
        ensure!(
            self.role == Role::Ingest || !is_bound,
            "--collector and --connection limit the role ingest; for what is seen use --label"
        );
        let connections: BTreeSet<_> = self.connections.into_iter().collect();
        let grant = Grant { role: self.role, labels, collector: self.collector, connections };
        if let Some(label) = grant.unkept_label(config.scopes.as_ref()) {
            let kept: Vec<&str> = config.scopes.iter().flatten().map(String::as_str).collect();
            bail!(
                "--label {label}=... would not hold: machines of connections that differ in it may be shown as one. \
                 Name it in the setting merge.boundary_labels, which has {kept:?}, and restart the service; or limit \
                 the credential by one of those"
            );
        }
        Ok(grant)
    }
}

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token and print it, once. A running service takes it at once.
    Create {
        /// What it is for, as logs name it.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        grant: GrantArgs,
        /// How long it works, such as 90d or 12h; "never" for no end.
        #[arg(long, default_value = "90d", value_name = "TIME")]
        expires: String,
    },
    /// List all tokens: their names, what they may and when they end; never the tokens.
    List {
        #[arg(long, short, value_enum, default_value = "table")]
        output: Output,
    },
    /// Take a token back. What is open with it ends.
    Revoke {
        /// As `list` shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Holder {
    /// Name in a client certificate: dns:NAME, uri:URI or email:ADDRESS.
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Kubernetes service account: NAMESPACE:NAME.
    #[arg(long, value_name = "NAMESPACE:NAME")]
    service_account: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum GrantsCommand {
    /// Let the holder of a certificate or a service account do something, in place of what he might before.
    Add {
        #[command(flatten)]
        holder: Holder,
        #[command(flatten)]
        grant: GrantArgs,
    },
    /// List who may do what.
    List {
        #[arg(long, short, value_enum, default_value = "table")]
        output: Output,
    },
    /// Take a grant back. What is open with it ends.
    Remove {
        #[command(flatten)]
        holder: Holder,
    },
}

/// `config` is the service's.
pub fn tokens(command: TokensCommand, config: &Config) -> anyhow::Result<()> {
    let path = config.file.as_path();
    match command {
        TokensCommand::Create { name, grant, expires } => {
            let fits = !name.is_empty()
                && name.chars().count() <= NAME_CHARS_MAX
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c));
            ensure!(fits, "--name takes up to {NAME_CHARS_MAX} letters, digits, '-', '_', '.' and blanks");
            let (grant, now) = (grant.grant(config)?, now_unix_ms());
            let expires_unix_ms = end(&expires, now)?;
            let (id, text) = token::make();
            let hash = token::hash(&text);
            let kept = Token { id, name, hash, grant, created_unix_ms: now, expires_unix_ms };
            own_folder(path)?;
            Book::change(path, |book| {
                book.tokens.push(kept);
                Ok(())
            })?;
            Ok(table::print(&[text.expose_secret().to_owned()])?)
        }
        TokensCommand::List { output } => {
            let book = Book::read(path)?.unwrap_or_default();
            let now = now_unix_ms();
            if output == Output::Json {
                let line = |token: &Token| {
                    let Token { id, name, grant, created_unix_ms, expires_unix_ms, hash: _ } = token;
                    serde_json::json!({
                        "id": id, "name": name, "grant": grant,
                        "created": time(*created_unix_ms), "expires": expires_unix_ms.map(time),
                        "expired": expires_unix_ms.is_some_and(|end| now >= end),
                    })
                    .to_string()
                };
                return Ok(table::print(&book.tokens.iter().map(line).collect::<Vec<_>>())?);
            }
            let row = |token: &Token| {
                let end = match token.expires_unix_ms {
                    None => "never".to_owned(),
                    Some(end) if now >= end => format!("{} (expired)", time(end)),
                    Some(end) => time(end),
                };
                let [role, limits] = cells(&token.grant);
                vec![token.id.clone(), token.name.clone(), role, limits, time(token.created_unix_ms), end]
            };
            let rows: Vec<_> = book.tokens.iter().map(row).collect();
            Ok(table::print(&table::lines(&["ID", "NAME", "ROLE", "LIMITS", "CREATED", "EXPIRES"], &rows))?)
        }
        TokensCommand::Revoke { id } => {
            own_folder(path)?;
            Book::change(path, |book| book.revoke(&id))?;
            Ok(table::print(&[format!("{id} is revoked")])?)
        }
    }
}

/// `config` is the service's.
pub fn grants(command: GrantsCommand, config: &Config) -> anyhow::Result<()> {
    let path = config.file.as_path();
    match command {
        GrantsCommand::Add { holder, grant } => {
            let grant = grant.grant(config)?;
            own_folder(path)?;
            let shown = Book::change(path, |book| {
                let (map, name) = holder.place(book)?;
                map.insert(name.clone(), grant);
                Ok(name)
            })?;
            Ok(table::print(&[format!("{shown} is granted")])?)
        }
        GrantsCommand::List { output } => {
            let book = Book::read(path)?.unwrap_or_default();
            let kinds = [("certificate", &book.certificates), ("service account", &book.service_accounts)];
            let all = kinds.into_iter().flat_map(|(kind, map)| map.iter().map(move |entry| (kind, entry)));
            if output == Output::Json {
                let line = |(kind, (name, grant))| {
                    serde_json::json!({ "kind": kind, "name": name, "grant": grant }).to_string()
                };
                return Ok(table::print(&all.map(line).collect::<Vec<String>>())?);
            }
            let row = |(kind, (name, grant)): (&str, (&String, &Grant))| {
                let [role, limits] = cells(grant);
                vec![kind.to_owned(), name.clone(), role, limits]
            };
            let rows: Vec<_> = all.map(row).collect();
            Ok(table::print(&table::lines(&["KIND", "NAME", "ROLE", "LIMITS"], &rows))?)
        }
        GrantsCommand::Remove { holder } => {
            own_folder(path)?;
            let shown = Book::change(path, |book| {
                let (map, name) = holder.place(book)?;
                map.remove(&name).with_context(|| format!("{name} has no grant; `grants list` shows all"))?;
                Ok(name)
            })?;
            Ok(table::print(&[format!("the grant of {shown} is removed")])?)
        }
    }
}

impl Holder {
    fn place(self, book: &mut Book) -> anyhow::Result<(&mut BTreeMap<String, Grant>, String)> {
        match (self.certificate, self.service_account) {
            (Some(name), _) => {
                let known = ["dns:", "uri:", "email:"].iter().any(|kind| name.starts_with(kind));
                ensure!(known, "--certificate {name:?} begins with none of dns:, uri: and email:");
                Ok((&mut book.certificates, name))
            }
            (None, Some(account)) => {
                let parts = account.split(':').filter(|part| !part.is_empty()).count();
                ensure!(parts == 2, "--service-account {account:?} is not NAMESPACE:NAME");
                Ok((&mut book.service_accounts, format!("system:serviceaccount:{account}")))
            }
            (None, None) => bail!("name the holder with --certificate or --service-account"),
        }
    }
}

fn own_folder(path: &Path) -> anyhow::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    crate::serve::own_folder(folder)?;
    crate::serve::refuse_root(folder)
}

fn end(text: &str, now_ms: u64) -> anyhow::Result<Option<u64>> {
    if text == "never" {
        return Ok(None);
    }
    let wanted = duration(text).filter(|wanted| *wanted >= Duration::from_secs(1));
    let wanted =
        wanted.with_context(|| format!("--expires {text:?} is no time such as 90d, 12h or never"))?;
    let wanted = u64::try_from(wanted.as_millis()).unwrap_or(u64::MAX);
    Ok(Some(now_ms.saturating_add(wanted)))
}

/// Role, and what limits it.
fn cells(grant: &Grant) -> [String; 2] {
    let Grant { role, labels, collector, connections } = grant;
    let mut limits: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    limits.extend(collector.iter().map(|id| format!("collector {id}")));
    limits.extend(connections.iter().map(|id| format!("connection {id}")));
    [role.token().to_owned(), limits.join(", ")]
}

fn time(unix_ms: u64) -> String {
    let millis = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}
