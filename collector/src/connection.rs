//! The connections of this collector: what an operator configured, and how each of them does.
//!
//! Owns validation, the encrypted store, the roster and the status board. Knows no socket and no gRPC.

pub mod address;
pub mod fingerprint;
pub mod import;
pub mod key_command;
pub mod order;
pub mod refresh;
pub mod roster;
pub mod settings;
pub mod status;
pub mod store;
pub mod validate;

pub use fingerprint::Fingerprint;
pub use refresh::Refresh;
pub use roster::{Roster, RosterError, RosterOptions, Signals};
pub use settings::{Settings, Tls};
pub use status::{Board, Cost, Health};
pub use store::{KeySource, StoreError};
pub use validate::{Raw, Violation, Violations, validate};

#[cfg(test)]
pub(crate) mod testing;
