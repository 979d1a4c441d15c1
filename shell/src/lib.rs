//! What both binaries have at their edge: settings from file, environment and
//! flags, logs, probes, servers, tables and JSON for people and programs.
//! Refuses to know connections, records and health.

pub mod access;
pub mod answer;
pub mod audit;
pub mod calls;
pub mod client;
pub mod clock;
pub mod command;
pub mod health;
pub mod leftovers;
pub mod logs;
pub mod probes;
pub mod serve;
pub mod settings;
pub mod socket;
pub mod stream;
pub mod table;
pub mod tls;
pub mod trace;

/// Version and, in a release build, the commit it was made of.
pub const VERSION: &str = env!("PULSE_VERSION");
