//! The newest state of a connection, and the messages that bring a registry
//! from one state to another. Pure; knows no stream and no clock.

mod told;
mod wire;

pub use told::{Item, Told};
pub use wire::{Limits, Stamp, Step, delta, heartbeat, snapshot_chunk};
