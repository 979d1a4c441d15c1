//! The collector: owns TrueNAS connections, reads what they say and streams
//! records to the registry. It judges nothing; health is the registry's.
//!
//! Modules in the order data flows through them.

pub mod clock;
pub mod secret;

pub mod api;
pub mod batch;
pub mod connection;
pub mod mapping;
pub mod rpc;
pub mod session;
pub mod snapshot;
pub mod target;
pub mod transport;
pub mod uplink;

pub mod app;
pub mod cli;
pub mod config;
pub mod service;
pub mod telemetry;
