//! The service as a client meets it: over a real server and a real channel.

mod alerts;
mod change;
mod guard;
mod look;
mod secrecy;
mod support;
mod trial;
mod watch;
