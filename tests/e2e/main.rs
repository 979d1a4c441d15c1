//! The pair from outside: real binaries, real sockets, simulated appliances.

mod access;
mod alerts;
mod audit;
mod backup;
mod builtins;
mod cli;
mod context;
mod customers;
mod delivery;
mod faults;
mod forecast;
mod health;
mod hostile;
mod ingest;
mod keys;
mod lines;
mod mcp;
mod merge;
mod reflection;
mod restarts;
mod resume;
mod rules;
mod secrets;
mod timeline;
mod transport;
mod write_back;
