//! The pair from outside: real binaries, real sockets, simulated appliances.

mod ingest;
mod reflection;
