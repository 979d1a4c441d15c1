//! Appliances, endpoints and credentials for these tests.

use std::time::Duration;

use pulse_collector::secret::{Credential, Secret};
use pulse_collector::session::{ConnectError, Session, SessionOptions, connect};
use pulse_collector::transport::{Endpoint, Security, Trust};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::tls::TlsMode;
use serde_json::json;

/// What the appliances of these tests call themselves.
const fn version(line: ApiLine) -> &'static str {
    match line {
        ApiLine::V24_04 => "TrueNAS-SCALE-24.04.2.5",
        ApiLine::V24_10 => "TrueNAS-SCALE-24.10.2.4",
        ApiLine::V25_04 => "TrueNAS-25.04.2.1",
        ApiLine::V25_10 => "TrueNAS-25.10.1",
        ApiLine::V26_0 => "TrueNAS-26.0.0",
        ApiLine::V27_0 => "TrueNAS-27.0.0-BETA.1",
    }
}

pub(crate) fn config(line: ApiLine) -> ApplianceConfig {
    // The fewest rounds that a client takes.
    ApplianceConfig { scram_iterations: 50_000, ..ApplianceConfig::of(line) }
}

pub(crate) async fn appliance(line: ApiLine) -> Appliance {
    start(config(line)).await
}

/// A line without JSON-RPC, and without the legacy websocket too: what is left is REST.
pub(crate) async fn rest_appliance() -> Appliance {
    start(ApplianceConfig { legacy_websocket: false, ..config(ApiLine::V24_10) }).await
}

pub(crate) async fn plain_appliance(line: ApiLine, https_redirect: bool) -> Appliance {
    start(ApplianceConfig { tls: TlsMode::Plain, https_redirect, ..config(line) }).await
}

pub(crate) async fn start(config: ApplianceConfig) -> Appliance {
    let appliance = Appliance::start(config).await.expect("a free port");
    let faults = appliance.faults();
    let version = version(appliance.line());
    faults.on_method("system.info", Effect::Answer(json!({ "version": version, "hostname": "nas" })));
    faults.on_method("system.version", Effect::Answer(json!(version)));
    appliance
}

/// Short enough that a hang ends a test soon, long enough for a busy machine.
pub(crate) fn impatient() -> SessionOptions {
    let limit = Duration::from_millis(400);
    let mut options = SessionOptions { login: limit, call: limit, ..SessionOptions::default() };
    options.deadlines.tls = limit;
    options.deadlines.http = limit;
    options
}

pub(crate) fn endpoint(appliance: &Appliance, security: Security) -> Endpoint {
    Endpoint { host: appliance.host(), port: appliance.port(), security }
}

pub(crate) fn pinned(appliance: &Appliance) -> Endpoint {
    let fingerprint = appliance.fingerprint_sha256().parse().expect("the appliance's own fingerprint");
    endpoint(appliance, Security::Tls(Trust::Pinned(fingerprint)))
}

pub(crate) fn key(appliance: &Appliance) -> Credential {
    key_of(&appliance.user(), appliance.api_key())
}

pub(crate) fn key_of(username: &str, key: impl Into<String>) -> Credential {
    Credential::ApiKey { username: Some(username.to_owned()), key: Secret::new(key) }
}

pub(crate) fn password(appliance: &Appliance) -> Credential {
    Credential::Password { username: appliance.user(), password: Secret::new(appliance.password()) }
}

pub(crate) fn admin_password(appliance: &Appliance) -> Credential {
    let password = Secret::new(appliance.admin_password());
    Credential::Password { username: appliance.admin_user(), password }
}

/// A well-formed key that nobody made.
pub(crate) fn wrong_key(appliance: &Appliance) -> Credential {
    key_of(&appliance.user(), format!("1-{}", "x".repeat(64)))
}

pub(crate) async fn log_in(appliance: &Appliance) -> Result<Session, ConnectError> {
    connect(&pinned(appliance), &key(appliance), &SessionOptions::default()).await
}
