//! The collector's settings, strict: what exists is usable.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use pulse_proto::model::CollectorId;
use pulse_shell::access;
use pulse_shell::audit;
use pulse_shell::logs::{self, Format};
use pulse_shell::settings::{Key, Problems, Settings};
use pulse_shell::tls::connector::ClientFiles;
use pulse_shell::{tls, trace};

use crate::connection::key_command::KeyCommand;
use crate::connection::store::KeySource;
use crate::secret::Secret;
use crate::transport::Outbound;
use crate::transport::outbound::{DENIED_BY_DEFAULT, networks};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MIB: usize = 1024 * 1024;
const NETWORKS: &str = "networks such as \"10.0.0.0/8, fd00::/8\"";
/// The master key itself, base64; not in the table of settings, so that nothing shows it.
pub const KEY_VARIABLE: &str = "PULSE_COLLECTOR_KEY";

/// Every setting: name, variable, default, meaning.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        env: "PULSE_COLLECTOR_DATA_DIR",
        default: "./data/collector",
        help: "Folder of the encrypted connections. One collector per folder.",
    },
    Key {
        name: "collector_id",
        env: "PULSE_COLLECTOR_ID",
        default: "",
        help: "Stable name of this collector at the registry. Empty: made once and kept in `data_dir`.",
    },
    Key {
        name: "enable_truenas",
        env: "PULSE_ENABLE_TRUENAS",
        default: "true",
        help: "Off: nothing is collected and connections cannot be changed. What is stored stays.",
    },
    Key {
        name: "registry.address",
        env: "PULSE_COLLECTOR_REGISTRY_ADDRESS",
        default: "http://127.0.0.1:7660",
        help: "Where records are streamed to.",
    },
    Key {
        name: "registry.ca_file",
        env: "PULSE_COLLECTOR_REGISTRY_CA_FILE",
        default: "",
        help: "PEM file of the authority that issued the registry's certificate. Empty: the system's authorities.",
    },
    Key {
        name: "registry.cert_file",
        env: "PULSE_COLLECTOR_REGISTRY_CERT_FILE",
        default: "",
        help: "PEM file of the certificate that the registry is shown.",
    },
    Key {
        name: "registry.key_file",
        env: "PULSE_COLLECTOR_REGISTRY_KEY_FILE",
        default: "",
        help: "PEM file of its key.",
    },
    Key {
        name: "registry.token_file",
        env: "PULSE_COLLECTOR_REGISTRY_TOKEN_FILE",
        default: "",
        help: "File with the token that the registry is shown. Read at each connect.",
    },
    Key {
        name: "grpc.listen",
        env: "PULSE_COLLECTOR_GRPC_LISTEN",
        default: "127.0.0.1:7670",
        help: "Address of the gRPC service. Port 0 is any free one.",
    },
    Key {
        name: "grpc.max_message_bytes",
        env: "PULSE_COLLECTOR_GRPC_MAX_MESSAGE_BYTES",
        default: "4194304",
        help: "Longest message that is taken.",
    },
    Key {
        name: "http.listen",
        env: "PULSE_COLLECTOR_HTTP_LISTEN",
        default: "127.0.0.1:7671",
        help: "Address of `/metrics`, `/healthz` and `/readyz`.",
    },
    Key {
        name: "http.allowed_hosts",
        env: "PULSE_COLLECTOR_HTTP_ALLOWED_HOSTS",
        default: "",
        help: "Names by which `/metrics` may be asked for, separated by commas, beside localhost and addresses, where nobody is asked who he is; pages of other names cannot read it through a browser.",
    },
    Key {
        name: "tls.cert_file",
        env: "PULSE_COLLECTOR_TLS_CERT_FILE",
        default: "",
        help: "PEM file with the certificate of both ports and its chain. Read again when it changes.",
    },
    Key {
        name: "tls.key_file",
        env: "PULSE_COLLECTOR_TLS_KEY_FILE",
        default: "",
        help: "PEM file with its key. Empty, like the certificate: no TLS.",
    },
    Key {
        name: "tls.client_ca_file",
        env: "PULSE_COLLECTOR_TLS_CLIENT_CA_FILE",
        default: "",
        help: "PEM file of the authorities that issue certificates of clients. Empty: none is asked for.",
    },
    Key {
        name: "tls.require_client_certificate",
        env: "PULSE_COLLECTOR_TLS_REQUIRE_CLIENT_CERTIFICATE",
        default: "false",
        help: "On: who shows no certificate of these authorities is not served, probes included.",
    },
    Key {
        name: "tls.allow_plaintext",
        env: "PULSE_COLLECTOR_TLS_ALLOW_PLAINTEXT",
        default: "false",
        help: "On: listens without TLS on addresses that others can reach, who can then read along.",
    },
    Key {
        name: "auth.mode",
        env: "PULSE_COLLECTOR_AUTH_MODE",
        default: "auto",
        help: "`auto`: callers are asked who they are as soon as there are credentials, an authority of clients or keys of service accounts, and before only this machine is listened to. `required`: always. `off`: never.",
    },
    Key {
        name: "auth.file",
        env: "PULSE_COLLECTOR_AUTH_FILE",
        default: "",
        help: "File of tokens and grants, as `tokens` and `grants` write it. Empty: `access.json` in `data_dir`. Read again when it changes.",
    },
    Key {
        name: "auth.jwks_file",
        env: "PULSE_COLLECTOR_AUTH_JWKS_FILE",
        default: "",
        help: "JSON Web Key Set of the cluster whose service accounts are believed. Empty: none. Read again when it changes.",
    },
    Key {
        name: "auth.jwks_url",
        env: "PULSE_COLLECTOR_AUTH_JWKS_URL",
        default: "",
        help: "The same from the network, over TLS: an https URL, or `discover` for where `auth.jwt_issuer` says that its keys are. Asked again every 10 min, and for a key that is not known.",
    },
    Key {
        name: "auth.jwks_ca_file",
        env: "PULSE_COLLECTOR_AUTH_JWKS_CA_FILE",
        default: "",
        help: "PEM file of the authority of that server. Empty: the system's authorities.",
    },
    Key {
        name: "auth.jwks_token_file",
        env: "PULSE_COLLECTOR_AUTH_JWKS_TOKEN_FILE",
        default: "",
        help: "File with a token that is shown there, where the issuer tells its keys to nobody else. Read at each use.",
    },
    Key {
        name: "auth.jwt_issuer",
        env: "PULSE_COLLECTOR_AUTH_JWT_ISSUER",
        default: "",
        help: "`iss` of their tokens.",
    },
    Key {
        name: "auth.jwt_audience",
        env: "PULSE_COLLECTOR_AUTH_JWT_AUDIENCE",
        default: "",
        help: "`aud` that their tokens must be for.",
    },
    Key {
        name: "limits.requests_per_second",
        env: "PULSE_COLLECTOR_LIMITS_REQUESTS_PER_SECOND",
        default: "1000",
        help: "Calls of one address, twice as many at once; 0: no limit.",
    },
    Key {
        name: "audit.file",
        env: "PULSE_COLLECTOR_AUDIT_FILE",
        default: "",
        help: "File of the audit log, one JSON object per line. Empty: `audit.jsonl` in `data_dir`.",
    },
    Key {
        name: "audit.max_bytes",
        env: "PULSE_COLLECTOR_AUDIT_MAX_BYTES",
        default: "16777216",
        help: "A longer file is set aside.",
    },
    Key {
        name: "audit.max_files",
        env: "PULSE_COLLECTOR_AUDIT_MAX_FILES",
        default: "8",
        help: "Files that are kept aside; the oldest goes.",
    },
    Key {
        name: "log.format",
        env: "PULSE_COLLECTOR_LOG_FORMAT",
        default: "auto",
        help: "`text`, `json`, or `auto`: text on a terminal, JSON otherwise. Logs go to stderr.",
    },
    Key {
        name: "log.level",
        env: "PULSE_COLLECTOR_LOG_LEVEL",
        default: "info",
        help: "`error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,pulse_collector=debug`.",
    },
    Key {
        name: "otlp.endpoint",
        env: "PULSE_COLLECTOR_OTLP_ENDPOINT",
        default: "",
        help: "Where traces are sent by OTLP over gRPC, such as `http://127.0.0.1:4317`. Empty: nowhere.",
    },
    Key {
        name: "otlp.ca_file",
        env: "PULSE_COLLECTOR_OTLP_CA_FILE",
        default: "",
        help: "PEM file of the authority that issued the certificate of that server. Empty: the system's authorities.",
    },
    Key {
        name: "otlp.sample_ratio",
        env: "PULSE_COLLECTOR_OTLP_SAMPLE_RATIO",
        default: "1",
        help: "Of the traces that begin here, so many are sent: 0 to 1.",
    },
    Key {
        name: "connections.max",
        env: "PULSE_COLLECTOR_CONNECTIONS_MAX",
        default: "1000",
        help: "Connections that this collector takes.",
    },
    Key {
        name: "connections.key_file",
        env: "PULSE_COLLECTOR_CONNECTIONS_KEY_FILE",
        default: "",
        help: "File with the master key, for example a mounted secret. Empty: made once in `data_dir`.",
    },
    Key {
        name: "connections.key_command",
        env: "PULSE_COLLECTOR_CONNECTIONS_KEY_COMMAND",
        default: "",
        help: "Program, by its whole path, with arguments between blanks, that says the master key at each start, for example of a key service. Run without a shell, for 30 s at most, without this program's own variables. A new key stands before the old one.",
    },
    Key {
        name: "outbound.allow",
        env: "PULSE_COLLECTOR_OUTBOUND_ALLOW",
        default: "",
        help: "Networks that connections may reach, such as `10.0.0.0/8, fd00::/8`. Empty: all that are not denied.",
    },
    Key {
        name: "outbound.deny",
        env: "PULSE_COLLECTOR_OUTBOUND_DENY",
        default: DENIED_BY_DEFAULT,
        help: "Networks that no connection may reach, whatever its name resolves to.",
    },
    Key {
        name: "poll.calls_in_flight",
        env: "PULSE_COLLECTOR_POLL_CALLS_IN_FLIGHT",
        default: "5",
        help: "Calls that one NAS has to answer at the same time.",
    },
    Key {
        name: "poll.call_timeout",
        env: "PULSE_COLLECTOR_POLL_CALL_TIMEOUT",
        default: "30s",
        help: "How long a NAS may take to answer one call.",
    },
    Key {
        name: "alerts.write_back",
        env: "PULSE_COLLECTOR_ALERTS_WRITE_BACK",
        default: "false",
        help: "On: clients may dismiss and restore native alerts on the NAS, where its account has the role `ALERT_LIST_WRITE`.",
    },
    Key {
        name: "drain.timeout",
        env: "PULSE_COLLECTOR_DRAIN_TIMEOUT",
        default: "10s",
        help: "How long sessions and open calls may take to end after SIGTERM.",
    },
];

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    pub collector_id: Option<CollectorId>,
    pub enable_truenas: bool,
    pub registry: Registry,
    pub grpc: Grpc,
    pub http: Http,
    pub tls: tls::Config,
    pub access: access::config::Config,
    pub audit: audit::config::Config,
    pub traces: trace::Config,
    pub log: Log,
    pub connections: Connections,
    /// Which addresses connections may reach.
    pub outbound: Outbound,
    pub poll: Poll,
    pub alerts: Alerts,
    pub drain: Drain,
}

#[derive(Clone, Debug)]
pub struct Registry {
    /// `https://host:port`, or `http://` where that is allowed.
    pub address: String,
    pub files: ClientFiles,
    /// Holds the token that is sent with each stream.
    pub token_file: Option<PathBuf>,
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
pub struct Connections {
    pub max: usize,
    pub key: KeySource,
    /// Says the key, in the place of the above.
    pub key_command: Option<KeyCommand>,
}

impl Connections {
    /// The key, asked for where somebody else keeps it.
    pub async fn key(&self) -> anyhow::Result<KeySource> {
        let Some(command) = &self.key_command else { return Ok(self.key.clone()) };
        command.run().await.context("connections.key_command")
    }
}

#[derive(Clone, Debug)]
pub struct Poll {
    pub calls_in_flight: usize,
    pub call_timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Alerts {
    pub write_back: bool,
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
        let mut config = Self::from_settings(&mut settings);
        if let Ok(key) = std::env::var(KEY_VARIABLE) {
            config.connections.key = KeySource::Given(Secret::new(&key));
        }
        let Connections { key, key_command, .. } = &config.connections;
        if key_command.is_some() && !matches!(key, KeySource::Beside) {
            settings.problem(format!(
                "connections.key_command, connections.key_file and {KEY_VARIABLE} each say the key: set one"
            ));
        }
        (settings.finish(config), settings)
    }

    /// Defaults, with data in `data_dir` and any free ports: for a collector inside another program.
    pub fn embedded(data_dir: &Path, registry: SocketAddr) -> Self {
        let mut settings = Settings::read(KEYS, None, |_| None, &[]);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Self::from_settings(&mut settings);
        data_dir.clone_into(&mut config.data_dir);
        config.access.file = data_dir.join(access::book::FILE_NAME);
        config.audit.file = data_dir.join(audit::file::FILE_NAME);
        config.registry.address = format!("http://{registry}");
        (config.grpc.listen, config.http.listen) = (any, any);
        config
    }

    fn from_settings(settings: &mut Settings) -> Self {
        let (grpc, http) = (settings.address("grpc.listen"), settings.address("http.listen"));
        let listens = [("grpc.listen", grpc), ("http.listen", http)];
        let data_dir = PathBuf::from(settings.text("data_dir"));
        let name = "1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-'";
        let registry = registry(settings);
        Self {
            collector_id: settings.optional("collector_id", name, |text| CollectorId::parse(text).ok()),
            enable_truenas: settings.flag("enable_truenas"),
            registry,
            grpc: Grpc {
                listen: grpc,
                max_message_bytes: settings.number("grpc.max_message_bytes", 64 * 1024, 256 * MIB),
            },
            tls: tls::Config::read(settings, &listens),
            access: access::config::Config::read(settings, &data_dir, &listens)
                .with_hosts(list(&settings.text("http.allowed_hosts"))),
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
            connections: Connections {
                max: settings.number("connections.max", 1, 10_000),
                key: settings
                    .optional("connections.key_file", "a path", |text| Some(PathBuf::from(text)))
                    .map_or(KeySource::Beside, KeySource::File),
                key_command: settings.optional(
                    "connections.key_command",
                    "a program by its whole path, and arguments",
                    KeyCommand::parse,
                ),
            },
            outbound: Outbound {
                allow: settings.get("outbound.allow", NETWORKS, networks).into(),
                deny: settings.get("outbound.deny", NETWORKS, networks).into(),
            },
            poll: Poll {
                calls_in_flight: settings.number("poll.calls_in_flight", 1, 10),
                call_timeout: settings.duration("poll.call_timeout", SECOND, HOUR),
            },
            alerts: Alerts { write_back: settings.flag("alerts.write_back") },
            drain: Drain { timeout: settings.duration("drain.timeout", Duration::ZERO, HOUR) },
        }
    }
}

/// Where records go and how both sides show who they are.
fn registry(settings: &mut Settings) -> Registry {
    let expected = "the address of a registry, such as \"https://registry.example:7660\"";
    let path = |text: &str| Some(PathBuf::from(text));
    let address: String = settings.get("registry.address", expected, |text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let rest = rest.trim_end_matches('/');
        let scheme = text.split("://").next()?;
        let plain = !rest.is_empty() && !rest.contains(['/', '@', ' ', '?']);
        plain.then(|| format!("{scheme}://{rest}"))
    });
    let ca = settings.optional("registry.ca_file", "a path", path);
    let cert = settings.optional("registry.cert_file", "a path", path);
    let key = settings.optional("registry.key_file", "a path", path);
    let token_file = settings.optional("registry.token_file", "a path", path);
    if cert.is_some() != key.is_some() {
        settings.problem("registry.cert_file and registry.key_file belong together: set both".to_owned());
    }
    if address.starts_with("http://") && !is_loopback(&address) && !settings.flag("tls.allow_plaintext") {
        settings.problem(format!(
            "registry.address is {address}: what goes there over a network can be read and changed on its way; use an \
             https address, or say tls.allow_plaintext = true"
        ));
    }
    Registry { address, files: ClientFiles { ca, identity: cert.zip(key) }, token_file }
}

/// "http://127.0.0.1:7660" and the like.
fn is_loopback(address: &str) -> bool {
    let authority = address.split("://").nth(1).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_ports_are_those_of_the_documentation() {
        let (config, _) = Config::read(None, &[]);
        let config = config.expect("defaults are valid");
        assert_eq!((config.grpc.listen.port(), config.http.listen.port()), (7670, 7671));
        assert_eq!(config.registry.address, "http://127.0.0.1:7660");
        assert!(matches!(config.connections.key, KeySource::Beside));
    }

    #[test]
    fn an_address_without_scheme_is_no_address() {
        for bad in ["127.0.0.1:7660", "ftp://registry", "http://", "https://a/b", "https://user@a"] {
            let flags = [("registry.address", "--registry", Some(bad.to_owned()))];
            let (config, _) = Config::read(None, &flags);
            assert!(config.is_err(), "{bad}");
        }
    }

    #[test]
    fn records_go_over_a_network_in_the_clear_only_when_somebody_says_so() {
        let read = |address: &str, allow: &str| {
            let flags = [
                ("registry.address", "--registry", Some(address.to_owned())),
                ("tls.allow_plaintext", "", Some(allow.to_owned())),
            ];
            Config::read(None, &flags).0.map_err(|problems| problems.to_string())
        };
        for address in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://registry:1"] {
            assert!(read(address, "false").is_ok(), "{address}");
        }
        for address in ["http://registry:7660", "http://10.0.0.1", "http://127.0.0.1.evil:1"] {
            let refused = read(address, "false").expect_err(address);
            assert!(refused.contains("https"), "{refused}");
            assert!(read(address, "true").is_ok(), "{address}");
        }
    }
}
