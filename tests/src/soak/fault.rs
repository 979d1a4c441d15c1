//! What goes wrong between an appliance and the collector. Drawn from a seed; what it takes to carry one out is `member`'s.

use std::fmt;
use std::time::Duration;

use pulse_fixtures::fault::{Effect, Failure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

const METHODS: [&str; 16] = [
    "alert.list",
    "app.query",
    "boot.get_state",
    "container.query",
    "core.ping",
    "core.subscribe",
    "disk.query",
    "disk.temperatures",
    "pool.dataset.query",
    "pool.query",
    "replication.query",
    "service.query",
    "system.info",
    "vm.query",
    "zfs.resource.query",
    "zpool.query",
];
const COLLECTIONS: [&str; 4] = ["alert.list", "disk.query", "pool.dataset.query", "pool.query"];
/// Further than any clock drifts: a flat battery, a wrong year.
const CLOCK_JUMP_HOURS_MAX: i64 = 24 * 400;
const DELAY_MS_MAX: u64 = 2_500;
const PAD_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Every connection is cut.
    Drop,
    Restart,
    /// Gone for a while: nobody listens.
    Away,
    /// New connections hang, or are answered with what is no TLS or no session.
    Handshake,
    /// A call is not answered, or late, or not as it should be.
    Call,
    /// The answer to a call breaks the session.
    Break,
    /// Calls are refused until there is a new login.
    ExpireSessions,
    /// The key is revoked or expired.
    RefuseLogin,
    /// Logins are answered with EBUSY. Costs a minute: nobody logs in again before.
    BusyLogin,
    /// Some roles are gone.
    LoseRoles,
    ClockJump,
    EndSubscription,
    /// The other controller takes over; a single one restarts.
    Failover,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Drop,
        Self::Restart,
        Self::Away,
        Self::Handshake,
        Self::Call,
        Self::Break,
        Self::ExpireSessions,
        Self::RefuseLogin,
        Self::BusyLogin,
        Self::LoseRoles,
        Self::ClockJump,
        Self::EndSubscription,
        Self::Failover,
    ];

    /// Whether a new login follows. Logins are few: an appliance takes twenty a minute, the collector makes ten.
    pub fn costs_a_login(self) -> bool {
        !matches!(self, Self::Call | Self::ClockJump | Self::EndSubscription)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub kind: Kind,
    /// What calls, logins or connections meet, where the kind has a choice.
    pub effect: Option<Effect>,
    pub method: &'static str,
    pub times: u32,
    pub jump_hours: i64,
}

impl Fault {
    pub fn draw(kind: Kind, rng: &mut StdRng) -> Self {
        let effect = match kind {
            Kind::Handshake => Some(handshake(rng)),
            Kind::Call => Some(call(rng)),
            Kind::Break => Some(breaking(rng)),
            _ => None,
        };
        let method = match kind {
            Kind::EndSubscription => COLLECTIONS[rng.random_range(0..COLLECTIONS.len())],
            Kind::RefuseLogin => ["revoked", "expired"][rng.random_range(0..2)],
            _ => METHODS[rng.random_range(0..METHODS.len())],
        };
        let jump_hours = rng.random_range(-CLOCK_JUMP_HOURS_MAX..=CLOCK_JUMP_HOURS_MAX);
        Self { kind, effect, method, times: rng.random_range(1..4), jump_hours }
    }
}

fn handshake(rng: &mut StdRng) -> Effect {
    match rng.random_range(0..4) {
        0 => Effect::HangBeforeTls,
        1 => Effect::HangInTls,
        2 => Effect::TlsGarbage,
        _ => Effect::CloseAfterUpgrade { code: 1008, reason: "not from your address".to_owned() },
    }
}

/// What costs a call at most. None of them is a lie: what is told is the truth, or can be seen not to be.
fn call(rng: &mut StdRng) -> Effect {
    match rng.random_range(0..12) {
        0 => Effect::Hang,
        1 => Effect::Delay(Duration::from_millis(rng.random_range(50..DELAY_MS_MAX))),
        2 => Effect::Answer(json!({"not": "what was asked for"})),
        3 => Effect::Answer(json!([null, {}, {"name": null}])),
        4 => Effect::Fail(Failure::busy()),
        5 => Effect::Fail(Failure::call(14, "EFAULT", "it broke")),
        6 => Effect::Fail(Failure::NotAuthorized),
        7 => Effect::Fail(Failure::Rpc { code: -32603, message: "Internal error".to_owned() }),
        8 => Effect::Pad { bytes: rng.random_range(1..PAD_BYTES_MAX) },
        9 => Effect::Trickle { pieces: rng.random_range(2..20), pause: Duration::from_millis(20) },
        10 => Effect::Duplicate,
        _ => Effect::UnknownId,
    }
}

fn breaking(rng: &mut StdRng) -> Effect {
    match rng.random_range(0..5) {
        0 => Effect::DropMidMessage,
        1 => Effect::Garbage((0..rng.random_range(1..200)).map(|_| rng.random()).collect()),
        2 => Effect::Text("this is no reply".to_owned()),
        3 => Effect::TruncateJson,
        _ => Effect::Close { code: 1011, reason: "going down".to_owned() },
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        match self.kind {
            Kind::Call | Kind::Break => write!(f, " {} x{}", self.method, self.times)?,
            Kind::EndSubscription | Kind::RefuseLogin => write!(f, " {}", self.method)?,
            Kind::ClockJump => write!(f, " {:+} h", self.jump_hours)?,
            _ => {}
        }
        match &self.effect {
            Some(Effect::Garbage(bytes)) => write!(f, " with {} bytes of garbage", bytes.len()),
            Some(effect) => write!(f, " with {effect:?}"),
            None => Ok(()),
        }
    }
}
