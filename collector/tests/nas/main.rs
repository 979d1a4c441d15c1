//! The way to a NAS, against a simulated appliance over real sockets.

mod diagnose;
mod legacy;
mod session;
mod support;
mod target;
