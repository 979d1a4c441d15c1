//! The file of receivers, strict: what exists can be told. Secrets are in files or in the environment, never in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pulse_proto::model::Severity;
use pulse_shell::settings::duration;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::alertmanager;
use super::send::{Address, Auth, Line};
use crate::alert::Case;
use crate::query::filter::AlertFilter;

const FILE_BYTES_MAX: u64 = 1024 * 1024;
const RECEIVERS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 63;
const SECRET_BYTES_MIN: usize = 16;
const RESEND: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A text that prints as a mark and is wiped when it goes.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Call it where the value leaves the process, nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a receiver wants to hear of.
#[derive(Clone, Debug)]
pub struct Wish {
    pub min_severity: Severity,
    pub filter: AlertFilter,
}

impl Wish {
    /// Why it is not told; `None` when it is.
    pub fn refuses(&self, case: &Case) -> Option<String> {
        if case.severity < self.min_severity {
            return Some(format!("{} is milder than its min_severity, {}", case.severity, self.min_severity));
        }
        (!self.filter.matches(case))
            .then(|| format!("its filter does not match: {}", self.filter.canonical()))
    }
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// Told of everything that fires, again and again; all addresses alike, as the members of one cluster want it.
    Alertmanager { labels: alertmanager::Labels, resend: Duration },
    /// Told once of each piece of news, signed with each secret.
    Webhook { secrets: Vec<Secret> },
}

#[derive(Clone, Debug)]
pub struct Receiver {
    pub name: String,
    pub kind: Kind,
    pub addresses: Vec<Address>,
    pub line: Line,
    pub wish: Wish,
}

/// Everybody who is told.
#[derive(Clone, Debug, Default)]
pub struct Receivers(pub Vec<Receiver>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    alertmanager: Vec<AlertmanagerTable>,
    #[serde(default)]
    webhook: Vec<WebhookTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertmanagerTable {
    name: String,
    urls: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    resend_interval: Option<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    bearer_token_file: Option<PathBuf>,
    bearer_token_env: Option<String>,
    min_severity: Option<String>,
    filter: Option<String>,
    timeout: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookTable {
    name: String,
    url: String,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    min_severity: Option<String>,
    filter: Option<String>,
    timeout: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

/// What every receiver has.
struct Common {
    min_severity: Option<String>,
    filter: Option<String>,
    timeout: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Receivers {
    /// Everything that is wrong comes at once, each with its place.
    pub fn read(path: &Path, env: Env<'_>) -> Result<Self, Vec<String>> {
        let shown = path.display();
        let text = read_file(path).map_err(|why| vec![format!("{shown}: {why}")])?;
        Self::parse(&text, env)
            .map_err(|problems| problems.into_iter().map(|problem| format!("{shown}: {problem}")).collect())
    }

    pub fn parse(text: &str, env: Env<'_>) -> Result<Self, Vec<String>> {
        let file: File = toml::from_str(text).map_err(|error| {
            // Without the line itself, which may hold what nobody should read.
            let line = text
                .get(..error.span().map_or(0, |span| span.start))
                .unwrap_or_default()
                .matches('\n')
                .count()
                + 1;
            vec![format!("line {line}: {}", error.message())]
        })?;
        let mut problems = Vec::new();
        let mut receivers = Vec::new();
        let alertmanagers =
            file.alertmanager.into_iter().map(|table| (table.name.clone(), alertmanager(table, env)));
        let webhooks = file.webhook.into_iter().map(|table| (table.name.clone(), webhook(table, env)));
        for (name, parsed) in alertmanagers.chain(webhooks) {
            match parsed {
                Ok(receiver) => receivers.push(receiver),
                Err(why) => problems.extend(why.into_iter().map(|why| format!("receiver {name:?}: {why}"))),
            }
        }
        let mut names = BTreeSet::new();
        for receiver in &receivers {
            if !names.insert(receiver.name.as_str()) {
                problems.push(format!("receiver {:?}: there are two of this name", receiver.name));
            }
        }
        if receivers.len() > RECEIVERS_MAX {
            problems.push(format!("{} receivers; at most {RECEIVERS_MAX} are told", receivers.len()));
        }
        if problems.is_empty() { Ok(Self(receivers)) } else { Err(problems) }
    }
}

fn alertmanager(table: AlertmanagerTable, env: Env<'_>) -> Result<Receiver, Vec<String>> {
    let mut wrong = Vec::new();
    let password =
        secret(table.password_file.as_deref(), table.password_env.as_deref(), "password", env, &mut wrong);
    let token = secret(
        table.bearer_token_file.as_deref(),
        table.bearer_token_env.as_deref(),
        "bearer_token",
        env,
        &mut wrong,
    );
    let auth = match (table.username, password, token) {
        (None, None, None) => Auth::None,
        (Some(username), Some(password), None) => Auth::Basic { username, password },
        (None, None, Some(token)) => Auth::Bearer(token),
        _ => {
            wrong.push("give username with a password, or a bearer_token, or neither".to_owned());
            Auth::None
        }
    };
    let resend = period(table.resend_interval.as_deref(), "resend_interval", RESEND, &mut wrong);
    for label in table.labels.keys() {
        let fits = !label.starts_with(|c: char| c.is_ascii_digit())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if label.is_empty() || !fits {
            wrong.push(format!("labels: {label:?} is no name of a label: letters, digits and _"));
        }
    }
    let kind = Kind::Alertmanager { labels: table.labels, resend };
    let common = Common {
        min_severity: table.min_severity,
        filter: table.filter,
        timeout: table.timeout,
        ca_file: table.ca_file,
        proxy: table.proxy,
    };
    if table.urls.is_empty() {
        wrong.push("urls: at least one is needed".to_owned());
    }
    let urls: Vec<String> =
        table.urls.iter().map(|url| format!("{}{}", url.trim_end_matches('/'), alertmanager::PATH)).collect();
    receiver(table.name, kind, &urls, auth, common, wrong)
}

fn webhook(table: WebhookTable, env: Env<'_>) -> Result<Receiver, Vec<String>> {
    let mut wrong = Vec::new();
    let given = secret(table.secret_file.as_deref(), table.secret_env.as_deref(), "secret", env, &mut wrong);
    let mut secrets = Vec::new();
    for line in given.iter().flat_map(|secret| secret.expose().lines()).map(str::trim) {
        if line.len() < SECRET_BYTES_MIN {
            wrong.push(format!(
                "secret: shorter than {SECRET_BYTES_MIN} bytes; `openssl rand -base64 32` makes one"
            ));
        }
        secrets.push(Secret::new(line));
    }
    if given.is_none() && wrong.is_empty() {
        wrong.push("give secret_file or secret_env: notifications are signed".to_owned());
    }
    let common = Common {
        min_severity: table.min_severity,
        filter: table.filter,
        timeout: table.timeout,
        ca_file: table.ca_file,
        proxy: table.proxy,
    };
    receiver(table.name, Kind::Webhook { secrets }, &[table.url], Auth::None, common, wrong)
}

fn receiver(
    name: String,
    kind: Kind,
    urls: &[String],
    auth: Auth,
    common: Common,
    mut wrong: Vec<String>,
) -> Result<Receiver, Vec<String>> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        wrong.push(format!("name: 1 to {NAME_BYTES_MAX} of a-z, 0-9 and '-'"));
    }
    let mut addresses = Vec::new();
    for url in urls {
        match Address::parse(url) {
            Ok(address) => addresses.push(address),
            Err(why) => wrong.push(format!("url: {why}")),
        }
    }
    let min_severity = match common.min_severity.as_deref() {
        None => Severity::Warning,
        Some(word) => Severity::from_token(word).unwrap_or_else(|| {
            let known: Vec<&str> = Severity::ALL.iter().map(|severity| severity.token()).collect();
            wrong.push(format!("min_severity: {word:?} is none of {}", known.join(", ")));
            Severity::Warning
        }),
    };
    let filter = AlertFilter::parse(common.filter.as_deref().unwrap_or_default()).unwrap_or_else(|error| {
        wrong.push(format!("filter: {error}"));
        AlertFilter::default()
    });
    let timeout = period(common.timeout.as_deref(), "timeout", TIMEOUT, &mut wrong);
    let ca_pem = common.ca_file.and_then(|path| match read_file(&path) {
        Ok(pem) => Some(pem),
        Err(why) => {
            wrong.push(format!("ca_file: {}: {why}", path.display()));
            None
        }
    });
    let line = Line { auth, timeout, ca_pem, proxy: common.proxy };
    if let Err(why) = line.check() {
        wrong.push(why);
    }
    let wish = Wish { min_severity, filter };
    if wrong.is_empty() { Ok(Receiver { name, kind, addresses, line, wish }) } else { Err(wrong) }
}

fn secret(
    file: Option<&Path>,
    variable: Option<&str>,
    what: &str,
    env: Env<'_>,
    wrong: &mut Vec<String>,
) -> Option<Secret> {
    let text = match (file, variable) {
        (None, None) => return None,
        (Some(_), Some(_)) => Err(format!("{what}: give {what}_file or {what}_env, not both")),
        (Some(path), None) => {
            read_file(path).map_err(|why| format!("{what}_file: {}: {why}", path.display()))
        }
        (None, Some(name)) => env(name).ok_or_else(|| format!("{what}_env: there is no variable {name}")),
    };
    let text = text.map(|text| text.trim().to_owned());
    match text {
        Ok(text) if text.is_empty() => wrong.push(format!("{what}: is empty")),
        Ok(text) => return Some(Secret::new(text)),
        Err(why) => wrong.push(why),
    }
    None
}

fn period(text: Option<&str>, what: &str, default: Duration, wrong: &mut Vec<String>) -> Duration {
    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_mins(10);
    let Some(text) = text else { return default };
    duration(text).filter(|period| (MIN..=MAX).contains(period)).unwrap_or_else(|| {
        wrong.push(format!("{what}: {text:?} is no duration from {MIN:?} to {MAX:?}, such as \"30s\""));
        default
    })
}

fn read_file(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("cannot be read: {error}");
    if std::fs::metadata(path).map_err(told)?.len() > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Receivers, Vec<String>> {
        Receivers::parse(text, &|name| {
            (name == "HOOK").then(|| "0123456789abcdef\nfedcba9876543210".to_owned())
        })
    }

    #[test]
    fn receivers_are_read_whole() {
        let read = parse(
            r#"
            [[alertmanager]]
            name = "ops"
            urls = ["http://am-1:9093/", "https://am-2:9093/prefix"]
            labels = { team = "storage" }
            resend_interval = "30s"
            filter = 'labels.site = "a"'
            [[webhook]]
            name = "hook"
            url = "https://hook.example/x?token=1"
            secret_env = "HOOK"
            min_severity = "critical"
            "#,
        )
        .expect("good");
        let [ops, hook] = read.0.as_slice() else { panic!("two receivers") };
        assert_eq!((ops.addresses.len(), ops.wish.min_severity), (2, Severity::Warning));
        assert!(
            matches!(&hook.kind, Kind::Webhook { secrets } if secrets.len() == 2),
            "one secret for each line"
        );
        let printed = format!("{read:?}");
        assert!(!printed.contains("0123456789abcdef") && !printed.contains("token=1"), "{printed}");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_without_secrets() {
        for (text, wants) in [
            ("[[webhook]]\nname = 7\nurl = \"https://h/?token=planted\"", vec!["line 2"]),
            ("[[webhok]]\n", vec!["line 1", "webhok"]),
            (
                "[[webhook]]\nname = \"A b\"\nurl = \"ftp://u:planted@h\"\nmin_severity = \"bad\"\nfilter = \"colour = red\"\ntimeout = \"1 year\"",
                vec!["name:", "url:", "min_severity:", "filter:", "timeout:", "secret_file or secret_env"],
            ),
            (
                "[[webhook]]\nname = \"a\"\nurl = \"http://h\"\nsecret_env = \"NONE\"",
                vec!["no variable NONE"],
            ),
            ("[[webhook]]\nname = \"a\"\nurl = \"http://h\"\nsecret_file = \"/nowhere\"", vec!["/nowhere"]),
            (
                "[[alertmanager]]\nname = \"a\"\nurls = []\nusername = \"u\"\nlabels = { \"a-b\" = \"c\" }",
                vec!["urls:", "username", "labels:"],
            ),
            (
                "[[webhook]]\nname = \"a\"\nurl = \"http://h\"\nsecret_env = \"HOOK\"\n[[alertmanager]]\nname = \"a\"\nurls = [\"http://h\"]",
                vec!["two of this name"],
            ),
        ] {
            let problems = parse(text).expect_err(text).join("\n");
            for want in wants {
                assert!(problems.contains(want), "{want} in {problems}");
            }
            assert!(!problems.contains("planted"), "{problems}");
        }
    }
}
