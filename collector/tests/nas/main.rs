//! The way to a NAS, against a simulated appliance over real sockets.

mod crew;
mod diagnose;
mod gentle;
mod legacy;
mod login;
mod session;
mod support;
mod target;
