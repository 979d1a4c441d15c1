//! The registry: holds unified resources, maps health, keeps revisions and
//! answers queries. It knows no TrueNAS API.
//!
//! Modules in the order data flows through them.

pub mod clock;

pub mod alert;
pub mod health;
pub mod ingest;
pub mod notify;
pub mod query;
pub mod state;
pub mod store;
pub mod watch;

pub mod context;

pub mod console;

pub mod app;
pub mod cli;
pub mod config;
pub mod error;
pub mod service;
pub mod telemetry;
