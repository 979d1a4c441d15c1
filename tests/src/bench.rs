//! Load for the registry and its peers, and what is measured under it. Speaks
//! to processes over loopback only; refuses to know how a registry works inside.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

pub mod alerts;
pub mod bed;
pub mod console;
pub mod context;
pub mod etcd;
pub mod fanout;
pub mod ingest;
pub mod lane;
pub mod list;
pub mod load;
pub mod loopback;
#[cfg(feature = "bench-registry")]
pub mod postgres;
pub mod record;
pub mod restart;
pub mod times;
pub mod usage;
pub mod watch;
pub mod wire;

/// Records in one batch of changes, as in the references' transactions.
pub const BATCH: u32 = 100;

/// A reference that could not be run is told and left out of the figures: 0.
pub fn missing(name: &str, error: &anyhow::Error) -> f64 {
    eprintln!("reference {name} is missing: {error:#}");
    0.0
}

/// Counts for people.
#[allow(clippy::cast_precision_loss, reason = "figures below 2^52")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}
