//! What goes wrong, how it begins and ends on each way, and what is to come of it. Knows no case.

use anyhow::{Context as _, ensure};
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::{Access, READONLY_KEY_ID};
use pulse_proto::pb::collector::v1::{Connection, UpdateConnectionRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, SectionOutcome, Status};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::Mirror;

use crate::journey::{Journey, Leg};
use crate::shown::{DEGRADED, POOL, WELL};
use crate::ways::{Over, WAYS, Way};

const POOLS: &str = "pool.query";

/// What goes wrong.
pub(crate) enum Fault {
    Refuses,
    KeyRevoked,
    KeyExpired,
    RoleLost,
    OtherCertificate,
    Login(Effect),
    Connection(Effect),
    /// Where the appliance is asked.
    Route(Effect),
    Section(Effect),
    RegistryDies,
    CollectorDies,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Tried again by itself, ever more rarely.
    BacksOff,
    /// Waits for an operator.
    Refused,
    /// Ends each time it is met, and is made again: between two ends it is live.
    SessionEnds,
    /// One section failed, and says so.
    SectionFails,
    /// Whoever asks first meets it: a section, which fails, or the session, which backs off.
    Unanswered,
    /// It costs nothing but time.
    Nothing,
}

/// What comes of it over a transport, or why there is no such thing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Is(Outcome),
    Meaningless(&'static str),
}

/// What is expected over each transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comes {
    pub(crate) json_rpc: Expected,
    pub(crate) legacy: Expected,
    pub(crate) rest: Expected,
}

pub(crate) const fn everywhere(outcome: Outcome) -> Comes {
    let is = Expected::Is(outcome);
    Comes { json_rpc: is, legacy: is, rest: is }
}

impl Comes {
    pub(crate) const fn rest(self, outcome: Outcome) -> Self {
        Self { rest: Expected::Is(outcome), ..self }
    }

    pub(crate) const fn not_over_rest(self, why: &'static str) -> Self {
        Self { rest: Expected::Meaningless(why), ..self }
    }

    /// The legacy WebSocket and REST are those of 24.x.
    pub(crate) const fn not_on_24(self, why: &'static str) -> Self {
        Self { legacy: Expected::Meaningless(why), rest: Expected::Meaningless(why), ..self }
    }

    const fn over(&self, over: Over) -> Expected {
        match over {
            Over::Rest => self.rest,
            Over::LegacyWebsocket => self.legacy,
            Over::JsonRpc => self.json_rpc,
        }
    }

    fn on(&self, way: Way) -> Option<Outcome> {
        match self.over(way.over) {
            Expected::Is(outcome) => Some(outcome),
            Expected::Meaningless(_) => None,
        }
    }
}

fn is(connection: &Connection, state: ConnectionState) -> bool {
    connection.status.as_ref().is_some_and(|status| status.state() == state)
}

/// Why it is so, and perhaps what helps.
fn is_explained(connection: &Connection, has_remedy: bool) -> bool {
    connection
        .status
        .as_ref()
        .is_some_and(|status| !status.reason.is_empty() && (!has_remedy || !status.remedy.is_empty()))
}

fn pools(connection: &Connection) -> Option<SectionOutcome> {
    let status = connection.status.as_ref()?;
    Some(status.sections.iter().find(|report| report.section == "pools")?.outcome())
}

impl Fault {
    pub(crate) fn effect(&self) -> Option<&Effect> {
        match self {
            Self::Login(effect) | Self::Connection(effect) | Self::Route(effect) | Self::Section(effect) => {
                Some(effect)
            }
            Self::Refuses
            | Self::KeyRevoked
            | Self::KeyExpired
            | Self::RoleLost
            | Self::OtherCertificate
            | Self::RegistryDies
            | Self::CollectorDies => None,
        }
    }

    async fn begins(&self, journey: &mut Journey) -> anyhow::Result<()> {
        match self {
            Self::RegistryDies => {
                journey.pair.registry.kill9().await?;
                journey.pair.registry.up().await?;
                journey.all(async |pair, leg| leg.watch_again(pair).await).await
            }
            Self::CollectorDies => {
                journey.pair.collector.kill9().await?;
                journey.pair.collector.up().await
            }
            _ => journey.all(async |pair, leg| self.begins_on(pair, leg).await).await,
        }
    }

    async fn begins_on(&self, pair: &Pair, leg: &Leg) -> anyhow::Result<()> {
        let appliance = &leg.appliance;
        let faults = appliance.faults();
        match self {
            Self::Refuses => faults.refuse_connections().await,
            Self::KeyRevoked => appliance.revoke_key(),
            Self::KeyExpired => appliance.expire_key(),
            Self::RoleLost => {
                allow(leg, &[("CALL", "system.*"), ("CALL", "disk.query"), ("GET", "/system/*")]);
            }
            Self::OtherCertificate => appliance.rotate_certificate()?,
            Self::Login(effect) => {
                let legacy = leg.way.over == Over::LegacyWebsocket;
                let method = if legacy { "auth.login_with_api_key" } else { "auth.login_ex" };
                faults.on_method(method, effect.clone());
            }
            Self::Connection(effect) => {
                faults.on_connection(effect.clone());
            }
            Self::Route(effect) => {
                faults.on_route(leg.way.route(), effect.clone());
            }
            Self::Section(effect) => {
                let before = appliance.stats().calls_of(POOLS);
                faults.on_method(POOLS, effect.clone());
                leg.look(pair).await?;
                ensure!(appliance.stats().calls_of(POOLS) > before, "nothing met the fault");
                return Ok(());
            }
            Self::RegistryDies | Self::CollectorDies => {}
        }
        // What is open stays open: only a new connection meets the fault.
        appliance.drop_connections();
        leg.look(pair).await
    }

    async fn ends_on(&self, pair: &Pair, leg: &Leg) -> anyhow::Result<()> {
        let appliance = &leg.appliance;
        appliance.faults().clear_all();
        match self {
            Self::Refuses => appliance.faults().accept_connections().await,
            Self::KeyRevoked | Self::KeyExpired => appliance.restore_key(),
            Self::RoleLost => {
                allow(leg, &[("*", "*")]);
                // A session keeps the roles it began with.
                appliance.drop_connections();
            }
            Self::OtherCertificate => {
                // The operator looks at the new certificate and pins it.
                let mut connection = pair.connection(&leg.id).await?;
                connection.fingerprint = appliance.fingerprint_sha256();
                // The stored key was meant for the old one.
                connection.api_key = appliance.api_key();
                let request = UpdateConnectionRequest { connection: Some(connection), ..Default::default() };
                pair.connections().await?.update_connection(request).await.context("stage config")?;
            }
            // What hangs there does not go on by itself.
            Self::Connection(_) => appliance.drop_connections(),
            _ => {}
        }
        Ok(())
    }

    /// Its last word stays, everywhere.
    async fn is_survived(&self, outcome: Outcome, pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
        match outcome {
            Outcome::BacksOff => is_told(pair, leg, ConnectionState::BackingOff, "unreachable").await?,
            Outcome::Refused => is_told(pair, leg, ConnectionState::Refused, "refused").await?,
            Outcome::SessionEnds => {
                let ended = |c: &Connection| is(c, ConnectionState::BackingOff) && is_explained(c, false);
                leg.until(pair, "the end of a session", ended).await?;
            }
            Outcome::SectionFails => {
                let failed = |c: &Connection| {
                    matches!(pools(c), Some(SectionOutcome::Failed | SectionOutcome::Forbidden))
                };
                leg.until(pair, "a section that failed", failed).await?;
            }
            Outcome::Unanswered => {
                let failed = |c: &Connection| {
                    let backs_off = is(c, ConnectionState::BackingOff) && is_explained(c, true);
                    backs_off || pools(c) == Some(SectionOutcome::Failed)
                };
                leg.until(pair, "a section that failed, or a session", failed).await?;
            }
            Outcome::Nothing => {}
        }
        if !matches!(self, Self::RegistryDies | Self::CollectorDies) {
            leg.shows(pair, DEGRADED).await.context("under the fault")?;
        }
        Ok(())
    }

    async fn is_over(&self, pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
        self.ends_on(pair, leg).await?;
        let line = leg.way.line;
        leg.happens(pair, |world, now| world.online_pool(line, POOL, now)).await?;
        leg.is_live(pair).await?;
        leg.shows(pair, WELL).await.context("after the fault")?;
        let host = leg.host().map(|host| host.id.clone()).unwrap_or_default();
        let statuses = leg.mirror.statuses.get(&host).cloned().unwrap_or_default();
        ensure!(!statuses.contains(&Status::Offline), "the system was called offline: {statuses:?}");
        Ok(())
    }
}

/// The connection says why it is so and what helps, and so do the system and its page.
pub(crate) async fn is_told(
    pair: &Pair,
    leg: &mut Leg,
    state: ConnectionState,
    word: &str,
) -> anyhow::Result<()> {
    // A session that was lost is made again first, and needs nobody.
    let holds = |c: &Connection| is(c, state) && is_explained(c, true);
    let told = leg.until(pair, state.as_str_name(), holds).await?;
    ensure!(told.api_key == "********", "stage config: the key is not hidden");
    let warned = |m: &Mirror| {
        m.resources.values().any(|r| {
            r.technology == "truenas"
                && r.status() == Status::Warning
                && r.reasons.iter().any(|reason| reason.code.starts_with("connection_"))
        })
    };
    leg.mirror.until("a warning on the system", warned).await.context("stage watch")?;
    let page = leg.connection_page(pair).await?;
    ensure!(page.to_lowercase().contains(word), "stage console: not {word}");
    Ok(())
}

/// What the login may do: roles, or before there were roles the key's own list.
fn allow(leg: &Leg, list: &[(&str, &str)]) {
    let is_all = list == [("*", "*")];
    if leg.way.line < ApiLine::V25_04 {
        let list = list.iter().map(|(verb, what)| ((*verb).to_owned(), (*what).to_owned())).collect();
        leg.appliance.accounts(|accounts| {
            if let Some(key) = accounts.keys.get_mut(&READONLY_KEY_ID) {
                key.allow_list = list;
            }
        });
    } else if is_all {
        leg.appliance.set_access(Access::ReadonlyAdmin);
    } else {
        leg.appliance.set_access(Access::roles(["SYSTEM_GENERAL_READ", "DISK_READ"]));
    }
}

/// Goes wrong on every way where it can, while a pool is degraded, and ends.
pub(crate) async fn survives(fault: Fault, comes: Comes) -> anyhow::Result<()> {
    let ways: Vec<Way> = WAYS.into_iter().filter(|way| comes.on(*way).is_some()).collect();
    let mut journey = Box::pin(Journey::begin_degraded(&ways)).await?;
    Box::pin(fault.begins(&mut journey)).await.context("the fault")?;
    let survived = async |pair: &Pair, leg: &mut Leg| match comes.on(leg.way) {
        Some(outcome) => fault.is_survived(outcome, pair, leg).await,
        None => Ok(()),
    };
    Box::pin(journey.all(survived)).await?;
    Box::pin(journey.all(async |pair, leg| fault.is_over(pair, leg).await)).await
}
