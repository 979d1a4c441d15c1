//! The registry's settings, strict: what exists is usable.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pulse_shell::access;
use pulse_shell::audit;
use pulse_shell::logs::{self, Format};
use pulse_shell::settings::{Key, Problems, Settings};
use pulse_shell::{tls, trace};

use crate::context::redact::Policy;
use crate::notify::Receivers;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: usize = 1024 * 1024;

/// Every setting: name, variable, default, meaning.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        env: "PULSE_REGISTRY_DATA_DIR",
        default: "./data/registry",
        help: "Folder of the store. One registry per folder.",
    },
    Key {
        name: "enable_truenas",
        env: "PULSE_ENABLE_TRUENAS",
        default: "true",
        help: "Off: nothing of TrueNAS is taken in or shown. What is stored stays.",
    },
    Key {
        name: "grpc.listen",
        env: "PULSE_REGISTRY_GRPC_LISTEN",
        default: "127.0.0.1:7660",
        help: "Address of the gRPC services. Port 0 is any free one.",
    },
    Key {
        name: "grpc.max_message_bytes",
        env: "PULSE_REGISTRY_GRPC_MAX_MESSAGE_BYTES",
        default: "8388608",
        help: "Longest message that is taken.",
    },
    Key {
        name: "http.listen",
        env: "PULSE_REGISTRY_HTTP_LISTEN",
        default: "127.0.0.1:7661",
        help: "Address of the console, `/metrics`, `/healthz`, `/readyz` and `/mcp`.",
    },
    Key {
        name: "tls.cert_file",
        env: "PULSE_REGISTRY_TLS_CERT_FILE",
        default: "",
        help: "PEM file with the certificate of both ports and its chain. Read again when it changes.",
    },
    Key {
        name: "tls.key_file",
        env: "PULSE_REGISTRY_TLS_KEY_FILE",
        default: "",
        help: "PEM file with its key. Empty, like the certificate: no TLS.",
    },
    Key {
        name: "tls.client_ca_file",
        env: "PULSE_REGISTRY_TLS_CLIENT_CA_FILE",
        default: "",
        help: "PEM file of the authorities that issue certificates of clients. Empty: none is asked for.",
    },
    Key {
        name: "tls.require_client_certificate",
        env: "PULSE_REGISTRY_TLS_REQUIRE_CLIENT_CERTIFICATE",
        default: "false",
        help: "On: who shows no certificate of these authorities is not served, probes included.",
    },
    Key {
        name: "tls.allow_plaintext",
        env: "PULSE_REGISTRY_TLS_ALLOW_PLAINTEXT",
        default: "false",
        help: "On: listens without TLS on addresses that others can reach, who can then read along.",
    },
    Key {
        name: "auth.mode",
        env: "PULSE_REGISTRY_AUTH_MODE",
        default: "auto",
        help: "`auto`: callers are asked who they are as soon as there are credentials, an authority of clients or keys of service accounts, and before only this machine is listened to. `required`: always. `off`: never.",
    },
    Key {
        name: "auth.file",
        env: "PULSE_REGISTRY_AUTH_FILE",
        default: "",
        help: "File of tokens and grants, as `tokens` and `grants` write it. Empty: `access.json` in `data_dir`. Read again when it changes.",
    },
    Key {
        name: "auth.jwks_file",
        env: "PULSE_REGISTRY_AUTH_JWKS_FILE",
        default: "",
        help: "JSON Web Key Set of the cluster whose service accounts are believed. Empty: none. Read again when it changes.",
    },
    Key {
        name: "auth.jwks_url",
        env: "PULSE_REGISTRY_AUTH_JWKS_URL",
        default: "",
        help: "The same from the network, over TLS: an https URL, or `discover` for where `auth.jwt_issuer` says that its keys are. Asked again every 10 min, and for a key that is not known.",
    },
    Key {
        name: "auth.jwks_ca_file",
        env: "PULSE_REGISTRY_AUTH_JWKS_CA_FILE",
        default: "",
        help: "PEM file of the authority of that server. Empty: the system's authorities.",
    },
    Key {
        name: "auth.jwks_token_file",
        env: "PULSE_REGISTRY_AUTH_JWKS_TOKEN_FILE",
        default: "",
        help: "File with a token that is shown there, where the issuer tells its keys to nobody else. Read at each use.",
    },
    Key {
        name: "auth.jwt_issuer",
        env: "PULSE_REGISTRY_AUTH_JWT_ISSUER",
        default: "",
        help: "`iss` of their tokens.",
    },
    Key {
        name: "auth.jwt_audience",
        env: "PULSE_REGISTRY_AUTH_JWT_AUDIENCE",
        default: "",
        help: "`aud` that their tokens must be for.",
    },
    Key {
        name: "limits.requests_per_second",
        env: "PULSE_REGISTRY_LIMITS_REQUESTS_PER_SECOND",
        default: "1000",
        help: "Calls of one address, twice as many at once; 0: no limit.",
    },
    Key {
        name: "audit.file",
        env: "PULSE_REGISTRY_AUDIT_FILE",
        default: "",
        help: "File of the audit log, one JSON object per line. Empty: `audit.jsonl` in `data_dir`.",
    },
    Key {
        name: "audit.max_bytes",
        env: "PULSE_REGISTRY_AUDIT_MAX_BYTES",
        default: "16777216",
        help: "A longer file is set aside.",
    },
    Key {
        name: "audit.max_files",
        env: "PULSE_REGISTRY_AUDIT_MAX_FILES",
        default: "8",
        help: "Files that are kept aside; the oldest goes.",
    },
    Key {
        name: "log.format",
        env: "PULSE_REGISTRY_LOG_FORMAT",
        default: "auto",
        help: "`text`, `json`, or `auto`: text on a terminal, JSON otherwise. Logs go to stderr.",
    },
    Key {
        name: "log.level",
        env: "PULSE_REGISTRY_LOG_LEVEL",
        default: "info",
        help: "`error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,pulse_registry=debug`.",
    },
    Key {
        name: "otlp.endpoint",
        env: "PULSE_REGISTRY_OTLP_ENDPOINT",
        default: "",
        help: "Where traces are sent by OTLP over gRPC, such as `http://127.0.0.1:4317`. Empty: nowhere.",
    },
    Key {
        name: "otlp.ca_file",
        env: "PULSE_REGISTRY_OTLP_CA_FILE",
        default: "",
        help: "PEM file of the authority that issued the certificate of that server. Empty: the system's authorities.",
    },
    Key {
        name: "otlp.sample_ratio",
        env: "PULSE_REGISTRY_OTLP_SAMPLE_RATIO",
        default: "1",
        help: "Of the traces that begin here, so many are sent: 0 to 1.",
    },
    Key {
        name: "ingest.max_batch_records",
        env: "PULSE_REGISTRY_INGEST_MAX_BATCH_RECORDS",
        default: "2000",
        help: "Records that one batch may hold.",
    },
    Key {
        name: "ingest.max_batch_bytes",
        env: "PULSE_REGISTRY_INGEST_MAX_BATCH_BYTES",
        default: "3145728",
        help: "Bytes that one batch may have.",
    },
    Key {
        name: "ingest.max_unacked_batches",
        env: "PULSE_REGISTRY_INGEST_MAX_UNACKED_BATCHES",
        default: "64",
        help: "Batches that one stream may have without an answer; beyond it the stream is read no further.",
    },
    Key {
        name: "ingest.heartbeat_interval",
        env: "PULSE_REGISTRY_INGEST_HEARTBEAT_INTERVAL",
        default: "30s",
        help: "How often collectors are asked to say that nothing changed.",
    },
    Key {
        name: "merge.boundary_labels",
        env: "PULSE_REGISTRY_MERGE_BOUNDARY_LABELS",
        default: "customer",
        help: "Labels of connections, with commas between them, that keep what is watched apart: records of connections of which one has another value of such a label, or none, are never merged. Credentials can be limited to these labels and to no others.",
    },
    Key {
        name: "watch.bookmark_interval",
        env: "PULSE_REGISTRY_WATCH_BOOKMARK_INTERVAL",
        default: "30s",
        help: "How often an idle watch gets a fresh resume token.",
    },
    Key {
        name: "watch.max_watchers",
        env: "PULSE_REGISTRY_WATCH_MAX_WATCHERS",
        default: "1000",
        help: "Watches at the same time.",
    },
    Key {
        name: "timeline.max_age",
        env: "PULSE_REGISTRY_TIMELINE_MAX_AGE",
        default: "30d",
        help: "How long entries of the timeline are kept.",
    },
    Key {
        name: "timeline.max_entries",
        env: "PULSE_REGISTRY_TIMELINE_MAX_ENTRIES",
        default: "200000",
        help: "Entries of the timeline that are kept, over all resources. They lie in memory, too.",
    },
    Key {
        name: "context.redaction",
        env: "PULSE_REGISTRY_CONTEXT_REDACTION",
        default: "none",
        help: "What every context for AI hides at least: `none`, `names`, or `strict`. A request may hide more.",
    },
    Key {
        name: "context.reveal_pseudonyms",
        env: "PULSE_REGISTRY_CONTEXT_REVEAL_PSEUDONYMS",
        default: "false",
        help: "On: who asks for a context may ask what its pseudonyms stand for.",
    },
    Key {
        name: "alerts.enabled",
        env: "PULSE_REGISTRY_ALERTS_ENABLED",
        default: "true",
        help: "Off: no rule is evaluated and no alert changes. What is stored stays.",
    },
    Key {
        name: "alerts.max_age",
        env: "PULSE_REGISTRY_ALERTS_MAX_AGE",
        default: "30d",
        help: "How long resolved alerts are kept.",
    },
    Key {
        name: "alerts.max_resolved",
        env: "PULSE_REGISTRY_ALERTS_MAX_RESOLVED",
        default: "20000",
        help: "Resolved alerts that are kept, beside those of the last quarter of an hour. They lie in memory, too.",
    },
    Key {
        name: "mcp.enabled",
        env: "PULSE_REGISTRY_MCP_ENABLED",
        default: "true",
        help: "On: assistants ask by MCP at `/mcp` of `http.listen`. They can read and change nothing.",
    },
    Key {
        name: "mcp.allowed_hosts",
        env: "PULSE_REGISTRY_MCP_ALLOWED_HOSTS",
        default: "localhost, 127.0.0.1, ::1",
        help: "Names by which clients of MCP may call this registry, separated by commas; pages of other names cannot reach it through a browser.",
    },
    Key {
        name: "console.enabled",
        env: "PULSE_REGISTRY_CONSOLE_ENABLED",
        default: "true",
        help: "On: pages for people at `/console` of `http.listen`.",
    },
    Key {
        name: "console.allowed_hosts",
        env: "PULSE_REGISTRY_CONSOLE_ALLOWED_HOSTS",
        default: "",
        help: "Names by which browsers and Prometheus may call, separated by commas, beside localhost and addresses, where nobody is asked who he is; pages of other names cannot reach the console or `/metrics` through a browser.",
    },
    Key {
        name: "console.collectors",
        env: "PULSE_REGISTRY_CONSOLE_COLLECTORS",
        default: "",
        help: "Addresses of collectors' gRPC services, separated by commas: they tell hosts, last errors and remedies of connections. Empty: pages show what the registry knows.",
    },
    Key {
        name: "console.collector_ca_file",
        env: "PULSE_REGISTRY_CONSOLE_COLLECTOR_CA_FILE",
        default: "",
        help: "PEM file of the authority that issued the collectors' certificates. Empty: the system's authorities.",
    },
    Key {
        name: "console.collector_token_file",
        env: "PULSE_REGISTRY_CONSOLE_COLLECTOR_TOKEN_FILE",
        default: "",
        help: "File with a token for the collectors: of a viewer, or of an operator to read connections anew from a page. Only over TLS or loopback.",
    },
    Key {
        name: "notify.receivers_file",
        env: "PULSE_REGISTRY_NOTIFY_RECEIVERS_FILE",
        default: "",
        help: "TOML file of who is told of alerts: Alertmanagers and webhooks, see docs/delivery.md. Empty: nobody.",
    },
    Key {
        name: "notify.external_url",
        env: "PULSE_REGISTRY_NOTIFY_EXTERNAL_URL",
        default: "",
        help: "Where people reach this registry, for links in notifications. Empty: no links.",
    },
    Key {
        name: "metrics.fleet_series_max",
        env: "PULSE_REGISTRY_METRICS_FLEET_SERIES_MAX",
        default: "50000",
        help: "Series of systems, pools and disks under `/metrics`, at most; 0: none, only those of the service itself.",
    },
    Key {
        name: "drain.timeout",
        env: "PULSE_REGISTRY_DRAIN_TIMEOUT",
        default: "10s",
        help: "How long open calls may take to end after SIGTERM.",
    },
];

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    pub enable_truenas: bool,
    pub grpc: Grpc,
    pub http: Http,
    pub tls: tls::Config,
    pub access: access::config::Config,
    pub audit: audit::config::Config,
    pub traces: trace::Config,
    pub log: Log,
    pub ingest: Ingest,
    /// Of connections: what differs in one of them is never merged.
    pub boundary_labels: Vec<String>,
    pub watch: Watch,
    pub timeline: Timeline,
    pub context: Context,
    pub alerts: Alerts,
    pub mcp: Mcp,
    pub console: Console,
    pub notify: Notify,
    pub metrics: Metrics,
    pub drain: Drain,
}

#[derive(Clone, Debug)]
pub struct Metrics {
    pub fleet_series_max: usize,
}

#[derive(Clone, Debug)]
pub struct Grpc {
    pub listen: SocketAddr,
    pub max_message_bytes: usize,
}

#[derive(Clone, Debug)]
pub struct Http {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub format: Format,
    pub level: String,
}

#[derive(Clone, Debug)]
pub struct Ingest {
    pub max_batch_records: usize,
    pub max_batch_bytes: usize,
    pub max_unacked_batches: usize,
    pub heartbeat_interval: Duration,
}

#[derive(Clone, Debug)]
pub struct Watch {
    pub bookmark_interval: Duration,
    pub max_watchers: usize,
}

#[derive(Clone, Debug)]
pub struct Timeline {
    pub max_age: Duration,
    pub max_entries: usize,
}

#[derive(Clone, Debug)]
pub struct Context {
    pub redaction: Policy,
    pub reveal_pseudonyms: bool,
}

#[derive(Clone, Debug)]
pub struct Alerts {
    pub enabled: bool,
    pub max_age: Duration,
    pub max_resolved: usize,
}

#[derive(Clone, Debug)]
pub struct Mcp {
    pub enabled: bool,
    pub allowed_hosts: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Console {
    pub enabled: bool,
    pub allowed_hosts: Vec<String>,
    /// Where collectors answer.
    pub collectors: Vec<String>,
    pub collector_ca_file: Option<PathBuf>,
    pub collector_token_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Notify {
    pub receivers: Receivers,
    /// Empty: none.
    pub external_url: String,
}

#[derive(Clone, Debug)]
pub struct Drain {
    pub timeout: Duration,
}

/// Values of flags, by setting.
pub type Flags = [(&'static str, &'static str, Option<String>)];

impl Config {
    /// File, then environment, then flags; and the layers, to be shown.
    pub fn read(file: Option<&Path>, flags: &Flags) -> (Result<Self, Problems>, Settings) {
        let mut settings = Settings::read(KEYS, file, |name| std::env::var(name).ok(), flags);
        let config = Self::from_settings(&mut settings);
        (settings.finish(config), settings)
    }

    /// Defaults, with data in `data_dir` and any free ports: for a registry inside another program.
    pub fn embedded(data_dir: &Path) -> Self {
        let mut settings = Settings::read(KEYS, None, |_| None, &[]);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Self::from_settings(&mut settings);
        data_dir.clone_into(&mut config.data_dir);
        config.access.file = data_dir.join(access::book::FILE_NAME);
        config.audit.file = data_dir.join(audit::file::FILE_NAME);
        (config.grpc.listen, config.http.listen) = (any, any);
        config
    }

    fn from_settings(settings: &mut Settings) -> Self {
        let (grpc, http) = (settings.address("grpc.listen"), settings.address("http.listen"));
        let listens = [("grpc.listen", grpc), ("http.listen", http)];
        let data_dir = PathBuf::from(settings.text("data_dir"));
        let boundary_labels = list(&settings.text("merge.boundary_labels"));
        Self {
            enable_truenas: settings.flag("enable_truenas"),
            grpc: Grpc {
                listen: grpc,
                max_message_bytes: settings.number("grpc.max_message_bytes", MIB, 256 * MIB),
            },
            tls: tls::Config::read(settings, &listens),
            access: access::config::Config::read(settings, &data_dir, &listens)
                .with_scopes(boundary_labels.iter().cloned())
                .with_hosts(list(&settings.text("console.allowed_hosts"))),
            boundary_labels,
            audit: audit::config::Config::read(settings, &data_dir),
            traces: trace::Config::read(settings),
            data_dir,
            http: Http { listen: http },
            log: Log {
                format: settings.get("log.format", "auto, text or json", Format::parse),
                level: settings.get("log.level", "a level or a filter", |text| {
                    logs::is_level(text).then(|| text.to_owned())
                }),
            },
            ingest: Ingest {
                max_batch_records: settings.number("ingest.max_batch_records", 1, 100_000),
                max_batch_bytes: settings.number("ingest.max_batch_bytes", 64 * 1024, 64 * MIB),
                max_unacked_batches: settings.number("ingest.max_unacked_batches", 1, 4_096),
                heartbeat_interval: settings.duration("ingest.heartbeat_interval", SECOND, HOUR),
            },
            watch: Watch {
                bookmark_interval: settings.duration("watch.bookmark_interval", SECOND, HOUR),
                max_watchers: settings.number("watch.max_watchers", 1, 100_000),
            },
            timeline: Timeline {
                max_age: settings.duration("timeline.max_age", HOUR, 3_650 * DAY),
                max_entries: settings.number("timeline.max_entries", 0, 10_000_000),
            },
            context: Context {
                redaction: settings.get("context.redaction", "none, names or strict", Policy::from_token),
                reveal_pseudonyms: settings.flag("context.reveal_pseudonyms"),
            },
            alerts: Alerts {
                enabled: settings.flag("alerts.enabled"),
                max_age: settings.duration("alerts.max_age", HOUR, 3_650 * DAY),
                max_resolved: settings.number("alerts.max_resolved", 0, 1_000_000),
            },
            mcp: Mcp {
                enabled: settings.flag("mcp.enabled"),
                allowed_hosts: list(&settings.text("mcp.allowed_hosts")),
            },
            console: Console {
                enabled: settings.flag("console.enabled"),
                allowed_hosts: list(&settings.text("console.allowed_hosts")),
                collectors: list(&settings.text("console.collectors")),
                collector_ca_file: path(settings, "console.collector_ca_file"),
                collector_token_file: path(settings, "console.collector_token_file"),
            },
            notify: Notify {
                receivers: receivers(settings),
                external_url: settings.get(
                    "notify.external_url",
                    "a URL such as \"https://pulse.example\"",
                    |text| {
                        let web =
                            text.is_empty() || text.starts_with("http://") || text.starts_with("https://");
                        web.then(|| text.trim_end_matches('/').to_owned())
                    },
                ),
            },
            metrics: Metrics { fleet_series_max: settings.number("metrics.fleet_series_max", 0, 10_000_000) },
            drain: Drain { timeout: settings.duration("drain.timeout", Duration::ZERO, HOUR) },
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn path(settings: &mut Settings, name: &'static str) -> Option<PathBuf> {
    settings.optional(name, "a path", |text| Some(PathBuf::from(text)))
}

/// Those of the file, all of them or a problem for each that is wrong.
fn receivers(settings: &mut Settings) -> Receivers {
    let path = settings.optional("notify.receivers_file", "a path", |text| Some(PathBuf::from(text)));
    let Some(path) = path else { return Receivers::default() };
    Receivers::read(&path, &|name| std::env::var(name).ok()).unwrap_or_else(|problems| {
        for problem in problems {
            settings.problem(problem);
        }
        Receivers::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_ports_are_those_of_the_documentation() {
        let (config, _) = Config::read(None, &[]);
        let config = config.expect("defaults are valid");
        assert_eq!((config.grpc.listen.port(), config.http.listen.port()), (7660, 7661));
        assert!(config.enable_truenas);
    }

    #[test]
    fn flags_are_checked_like_everything() {
        let flags = [("grpc.listen", "--grpc-listen", Some("here".to_owned()))];
        let (config, _) = Config::read(None, &flags);
        let problem = config.expect_err("no address").to_string();
        assert_eq!(
            problem,
            "flag --grpc-listen: grpc.listen is \"here\"; expected an address such as \"127.0.0.1:7660\""
        );
    }
}
