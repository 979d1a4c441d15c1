//! Every fault of an appliance, its network, its account and the services themselves, while a pool is degraded: the connection says
//! why, nothing recovers by silence, nothing is called offline that is only unreachable, and afterwards everything is as it is.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::fault::{Effect, Failure};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::Access;
use pulse_proto::pb::collector::v1::{Connection, UpdateConnectionRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, SectionOutcome, Status};
use serde_json::json;

use crate::journey::{DEGRADED, Journey, POOL, WELL};

const LINE: ApiLine = ApiLine::V25_10;
const POOLS: &str = "pool.query";

/// What goes wrong.
enum Fault {
    Refuses,
    KeyRevoked,
    KeyExpired,
    RoleLost,
    OtherCertificate,
    Session(&'static str, Effect),
    Connection(Effect),
    Route(&'static str, Effect),
    Section(Effect),
    RegistryDies,
    CollectorDies,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Tried again by itself, ever more rarely.
    BacksOff,
    /// Waits for an operator.
    Refused,
    /// One section failed, and says so.
    SectionFails,
    /// It costs nothing but time.
    Nothing,
}

fn is(connection: &Connection, state: ConnectionState) -> bool {
    connection.status.as_ref().is_some_and(|status| status.state() == state)
}

fn pools(connection: &Connection) -> Option<SectionOutcome> {
    let status = connection.status.as_ref()?;
    Some(status.sections.iter().find(|report| report.section == "pools")?.outcome())
}

impl Fault {
    async fn begins(&self, journey: &mut Journey) -> anyhow::Result<()> {
        let appliance = &journey.appliance;
        let faults = appliance.faults();
        match self {
            Self::Refuses => faults.refuse_connections().await,
            Self::KeyRevoked => appliance.revoke_key(),
            Self::KeyExpired => appliance.expire_key(),
            Self::RoleLost => appliance.set_access(Access::roles(["SYSTEM_GENERAL_READ", "DISK_READ"])),
            Self::OtherCertificate => appliance.rotate_certificate()?,
            Self::Session(method, effect) => {
                faults.on_method(method, effect.clone());
            }
            Self::Connection(effect) => {
                faults.on_connection(effect.clone());
            }
            Self::Route(route, effect) => {
                faults.on_route(route, effect.clone());
            }
            Self::Section(effect) => {
                faults.on_method(POOLS, effect.clone());
            }
            Self::RegistryDies => {
                journey.pair.registry.kill9().await?;
                journey.pair.registry.up().await?;
                return journey.watch_again().await;
            }
            Self::CollectorDies => {
                journey.pair.collector.kill9().await?;
                return journey.pair.collector.up().await;
            }
        }
        if !matches!(self, Self::Section(_)) {
            // What is open stays open: only a new connection meets the fault.
            appliance.drop_connections();
        }
        journey.look().await
    }

    async fn ends(&self, journey: &mut Journey) -> anyhow::Result<()> {
        let appliance = &journey.appliance;
        appliance.faults().clear_all();
        match self {
            Self::Refuses => appliance.faults().accept_connections().await,
            Self::KeyRevoked | Self::KeyExpired => appliance.restore_key(),
            Self::RoleLost => {
                appliance.set_access(Access::ReadonlyAdmin);
                // A session keeps the roles it began with.
                appliance.drop_connections();
            }
            Self::OtherCertificate => {
                // The operator looks at the new certificate and pins it.
                let mut connection = journey.pair.connection(&journey.id).await?;
                connection.fingerprint = appliance.fingerprint_sha256();
                // The stored key was meant for the old one.
                connection.api_key = appliance.api_key();
                let request = UpdateConnectionRequest { connection: Some(connection), ..Default::default() };
                journey.pair.connections().await?.update_connection(request).await.context("stage config")?;
            }
            _ => {}
        }
        Ok(())
    }
}

async fn survives(fault: Fault, outcome: Outcome) -> anyhow::Result<()> {
    let mut journey = Journey::begin(ApplianceConfig::of(LINE)).await?;
    journey.happens(|world, now| world.degrade_pool(LINE, POOL, now)).await?;
    journey.shows(DEGRADED).await?;

    fault.begins(&mut journey).await.context("the fault")?;
    match outcome {
        Outcome::BacksOff | Outcome::Refused => {
            let state = if outcome == Outcome::Refused {
                ConnectionState::Refused
            } else {
                ConnectionState::BackingOff
            };
            let told = journey.until_trouble(state.as_str_name(), |c| is(c, state)).await?;
            let status = told.status.unwrap_or_default();
            ensure!(!status.reason.is_empty() && !status.remedy.is_empty(), "stage fetch: {status:?}");
            ensure!(told.api_key == "********", "stage config: the key is not hidden");
            let warned = |m: &pulse_tests::harness::view::Mirror| {
                m.resources.values().any(|r| r.technology == "truenas" && r.status() == Status::Warning)
            };
            journey.mirror.until("a warning on the system", warned).await.context("stage watch")?;
            let page = journey.connection_page().await?;
            let word = if outcome == Outcome::Refused { "refused" } else { "unreachable" };
            ensure!(page.to_lowercase().contains(word), "stage console: not {word}");
        }
        Outcome::SectionFails => {
            let failed =
                |c: &Connection| matches!(pools(c), Some(SectionOutcome::Failed | SectionOutcome::Forbidden));
            journey.until_trouble("a section that failed", failed).await?;
        }
        Outcome::Nothing => {}
    }
    // Its last word stays, everywhere.
    if !matches!(fault, Fault::RegistryDies | Fault::CollectorDies) {
        journey.shows(DEGRADED).await.context("under the fault")?;
    }

    fault.ends(&mut journey).await?;
    journey.happens(|world, now| world.online_pool(LINE, POOL, now)).await?;
    journey.pair.until_state(&journey.id, ConnectionState::Live).await.context("stage fetch")?;
    journey.shows(WELL).await.context("after the fault")?;
    let host = journey.host().map(|host| host.id.clone()).unwrap_or_default();
    let statuses = journey.mirror.statuses.get(&host).cloned().unwrap_or_default();
    ensure!(!statuses.contains(&Status::Offline), "the system was called offline: {statuses:?}");
    Ok(())
}

macro_rules! cases {
    ($($name:ident: $fault:expr => $outcome:ident;)*) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            survives($fault, Outcome::$outcome).await
        }
    )*};
}

cases! {
    connections_are_refused: Fault::Refuses => BacksOff;
    tls_is_garbage: Fault::Connection(Effect::TlsGarbage) => Refused;
    tls_hangs: Fault::Connection(Effect::HangInTls) => BacksOff;
    tcp_is_accepted_and_silent: Fault::Connection(Effect::HangBeforeTls) => BacksOff;
    the_websocket_closes_at_once: Fault::Connection(close(1011)) => BacksOff;
    the_certificate_is_another: Fault::OtherCertificate => Refused;
    it_redirects_elsewhere: Fault::Route("/api", elsewhere()) => BacksOff;
    the_key_is_revoked: Fault::KeyRevoked => Refused;
    the_key_has_expired: Fault::KeyExpired => Refused;
    logins_are_too_many: Fault::Session("auth.login_ex", Effect::busy()) => BacksOff;
    a_role_is_lost: Fault::RoleLost => SectionFails;
    pools_hang: Fault::Section(Effect::Hang) => SectionFails;
    pools_fail: Fault::Section(Effect::Fail(Failure::busy())) => SectionFails;
    pools_are_half_a_json: Fault::Section(Effect::TruncateJson) => SectionFails;
    pools_are_no_list: Fault::Section(Effect::Answer(json!({"not": "a list"}))) => SectionFails;
    pools_come_late: Fault::Section(Effect::Delay(Duration::from_millis(500))) => Nothing;
    pools_trickle: Fault::Section(trickle()) => Nothing;
    pools_come_twice: Fault::Section(Effect::Duplicate) => Nothing;
    pools_come_under_another_id: Fault::Section(Effect::UnknownId) => Nothing;
    the_registry_is_killed: Fault::RegistryDies => Nothing;
    the_collector_is_killed: Fault::CollectorDies => Nothing;
}

fn close(code: u16) -> Effect {
    Effect::CloseAfterUpgrade { code, reason: "no".to_owned() }
}

fn elsewhere() -> Effect {
    Effect::Redirect { status: 302, location: "https://elsewhere.invalid/api".to_owned() }
}

fn trickle() -> Effect {
    Effect::Trickle { pieces: 4, pause: Duration::from_millis(50) }
}
