//! One simulated appliance of the fleet, which may have two controllers, and what is done to it. Knows no collector.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::clock::Clock;
use pulse_fixtures::fault::{Effect, Failure, FaultId, Target};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::Access;
use pulse_fixtures::server::tls::{TestCa, TlsMode};
use pulse_fixtures::world::World;
use pulse_proto::pb::collector::v1::Connection;
use serde_json::json;

use super::change::Change;
use super::fault::{Fault, Kind};
use super::model::{self, Facts};
use crate::harness::fleet::connection_to;

const HOUR_MS: i64 = 3_600_000;
/// Cheap enough for a debug build; what SCRAM costs is not the subject.
const SCRAM_ITERATIONS: u32 = 50_000;
const LOGINS: [&str; 2] = ["auth.login_ex", "auth.login_with_api_key"];
/// Roles that are left when some are lost.
const ROLES_LEFT: [&str; 3] = ["SYSTEM_GENERAL_READ", "POOL_READ", "ALERT_LIST_READ"];

/// How an appliance is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    pub line: ApiLine,
    legacy_websocket: bool,
    controllers: usize,
}

/// Every API line, the one without a websocket, and a pair of controllers.
pub const MODELS: [Model; 6] = [
    Model { line: ApiLine::V24_10, legacy_websocket: true, controllers: 1 },
    Model { line: ApiLine::V24_10, legacy_websocket: false, controllers: 1 },
    Model { line: ApiLine::V25_04, legacy_websocket: true, controllers: 1 },
    Model { line: ApiLine::V25_10, legacy_websocket: true, controllers: 1 },
    Model { line: ApiLine::V26_0, legacy_websocket: true, controllers: 1 },
    Model { line: ApiLine::V25_10, legacy_websocket: true, controllers: 2 },
];

impl Model {
    /// Whether sessions are websockets, which stay.
    pub fn has_sessions(self) -> bool {
        self.legacy_websocket
    }
}

/// What has to be done to end a fault, and on which controller.
#[derive(Debug)]
enum Cure {
    Clear(FaultId),
    StartAgain,
    RestoreKey,
    RestoreRoles,
}

pub struct Member {
    pub name: String,
    pub model: Model,
    /// As the collector names it, once it was added.
    pub connection: String,
    controllers: Vec<Appliance>,
    active: usize,
    clock_ahead_ms: Arc<AtomicI64>,
    /// With the number of the act before which it is done.
    cures: Vec<(usize, usize, Cure)>,
    /// What the appliance has had and has no more, since this was last asked.
    gone: BTreeSet<String>,
    ca_pem: String,
}

impl Member {
    pub async fn start(number: usize) -> anyhow::Result<Self> {
        let model = MODELS[number % MODELS.len()];
        let name = format!("nas-{number:02}");
        let clock_ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&clock_ahead_ms);
        let wall = Clock::wall();
        let clock =
            Clock::from_fn(move || wall.now_ms().saturating_add_signed(ahead.load(Ordering::Relaxed)));
        let mut world = World::small(&name);
        world.add_pool(model.line, "flash", 0);
        let (tls, ca_pem) = if model.controllers > 1 {
            let ca = TestCa::generate()?;
            let pem = ca.pem();
            (TlsMode::Issued(ca), pem)
        } else {
            (TlsMode::SelfSigned, String::new())
        };
        let config = ApplianceConfig {
            world,
            tls,
            clock,
            legacy_websocket: model.legacy_websocket,
            scram_iterations: SCRAM_ITERATIONS,
            ..ApplianceConfig::of(model.line)
        };
        let mut controllers = Vec::new();
        for _ in 0..model.controllers {
            controllers
                .push(Appliance::start(config.clone()).await.with_context(|| format!("start {name}"))?);
        }
        let member = Self {
            name,
            model,
            connection: String::new(),
            controllers,
            active: 0,
            clock_ahead_ms,
            cures: Vec::new(),
            gone: BTreeSet::new(),
            ca_pem,
        };
        member.assign();
        Ok(member)
    }

    /// As an operator would enter it. Both controllers have certificates of one authority.
    pub fn settings(&self) -> Connection {
        let mut connection = connection_to(&self.name, &self.controllers[0]);
        if !self.ca_pem.is_empty() {
            connection.fingerprint.clear();
            connection.ca_pem.clone_from(&self.ca_pem);
        }
        connection
    }

    /// The controller that is in charge.
    pub fn active(&self) -> &Appliance {
        &self.controllers[self.active]
    }

    pub fn controllers(&self) -> impl Iterator<Item = (&Appliance, bool)> {
        self.controllers.iter().enumerate().map(|(at, one)| (one, at == self.active))
    }

    /// What a registry should show of it.
    pub fn expected(&self) -> Facts {
        let controller = (self.controllers.len() > 1).then(|| ["A", "B"][self.active]);
        self.active().world(|world| model::expected(world, self.model.line, controller))
    }

    pub fn take_gone(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.gone)
    }

    pub fn change(&mut self, change: Change) -> String {
        let before = self.expected();
        let line = self.model.line;
        let mut words = String::new();
        self.active().mutate(|world, now| {
            let (told, events) = change.apply(world, line, now);
            words = told;
            events
        });
        let after = self.expected();
        self.gone.extend(before.into_keys().filter(|key| !after.contains_key(key)));
        words
    }

    /// Begins a fault; it ends before act number `until`.
    pub async fn fault(&mut self, fault: &Fault, until: usize) {
        let on = self.active;
        let nas = &self.controllers[on];
        let mut cures = Vec::new();
        match fault.kind {
            Kind::Drop => nas.drop_connections(),
            Kind::Restart => nas.restart(),
            Kind::Away => {
                nas.stop().await;
                cures.push(Cure::StartAgain);
            }
            Kind::Handshake => {
                let effect = fault.effect.clone().unwrap_or(Effect::HangBeforeTls);
                cures.push(Cure::Clear(nas.faults().set(Target::Connection, effect)));
                nas.drop_connections();
            }
            Kind::Call | Kind::Break => {
                let effect = fault.effect.clone().unwrap_or(Effect::Hang);
                let target = Target::Method(fault.method.to_owned());
                cures.push(Cure::Clear(nas.faults().set_next(fault.times, target, effect)));
            }
            Kind::ExpireSessions => nas.expire_sessions(),
            Kind::RefuseLogin => {
                if fault.method == "expired" {
                    nas.expire_key();
                } else {
                    nas.revoke_key();
                }
                cures.push(Cure::RestoreKey);
                nas.drop_connections();
            }
            Kind::BusyLogin => {
                cures.extend(LOGINS.map(|login| Cure::Clear(nas.faults().on_method(login, Effect::busy()))));
                nas.drop_connections();
            }
            Kind::LoseRoles => {
                nas.set_access(Access::roles(ROLES_LEFT));
                cures.push(Cure::RestoreRoles);
                nas.drop_connections();
            }
            Kind::ClockJump => {
                self.clock_ahead_ms.store(fault.jump_hours * HOUR_MS, Ordering::Relaxed);
            }
            Kind::EndSubscription => {
                nas.end_subscriptions(fault.method, &Failure::call(14, "EFAULT", "the event source failed"));
            }
            Kind::Failover => self.fail_over(),
        }
        self.cures.extend(cures.into_iter().map(|cure| (until, on, cure)));
    }

    /// Ends what has lasted long enough.
    pub async fn cure(&mut self, act: usize) {
        let (due, later) = std::mem::take(&mut self.cures).into_iter().partition(|(until, ..)| *until <= act);
        self.cures = later;
        let due: Vec<(usize, usize, Cure)> = due;
        for (_, on, cure) in due {
            let nas = &self.controllers[on];
            match cure {
                Cure::Clear(id) => nas.faults().clear(id),
                Cure::StartAgain => nas.start_again().await,
                // Accounts are the same on both controllers.
                Cure::RestoreKey => self.controllers.iter().for_each(Appliance::restore_key),
                Cure::RestoreRoles => {
                    for nas in &self.controllers {
                        nas.set_access(Access::ReadonlyAdmin);
                        // Open sessions keep the rights they began with.
                        nas.drop_connections();
                    }
                }
            }
        }
    }

    /// Ends everything that is wrong. What was counted against clients is forgotten, as after a minute.
    pub async fn lift(&mut self) {
        self.cure(usize::MAX).await;
        self.clock_ahead_ms.store(0, Ordering::Relaxed);
        for nas in &self.controllers {
            nas.faults().clear_all();
            nas.forget_rate_limit();
        }
        self.assign();
    }

    /// The other controller takes the pools over; a single one restarts.
    fn fail_over(&mut self) {
        let old = self.active;
        let new = (old + 1) % self.controllers.len();
        if new != old {
            let world = self.controllers[old].world(Clone::clone);
            self.controllers[new].mutate(|standby, _| {
                *standby = world;
                Vec::new()
            });
            let accounts = self.controllers[old].accounts(|accounts| accounts.clone());
            self.controllers[new].accounts(|standby| *standby = accounts);
            self.active = new;
            // Both begin anew, and one that was away is back.
            self.cures.retain(|(.., cure)| !matches!(cure, Cure::Clear(_)));
            self.controllers.iter().for_each(|nas| nas.faults().clear_all());
            self.assign();
        }
        self.controllers[old].restart();
    }

    /// Tells each controller what it is: a standby sends who logs in to the active one.
    fn assign(&self) {
        if self.controllers.len() < 2 {
            return;
        }
        let url = self.active().endpoint_url();
        for (at, nas) in self.controllers.iter().enumerate() {
            let faults = nas.faults();
            let is_active = at == self.active;
            faults.on_method("failover.licensed", Effect::Answer(json!(true)));
            faults.on_method("failover.node", Effect::Answer(json!(["A", "B"][at])));
            faults.on_method(
                "failover.status",
                Effect::Answer(json!(if is_active { "MASTER" } else { "BACKUP" })),
            );
            if !is_active {
                faults.on_method(LOGINS[0], Effect::login_redirect(&[&url]));
            }
        }
    }
}
