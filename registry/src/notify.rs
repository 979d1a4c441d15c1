//! Tells receivers outside of the registry which alerts fire and which have resolved: Alertmanagers and signed webhooks.
//!
//! Owns who is told what and when, retries, and what became of it. Refuses to know rules, resources and why a case is
//! quiet: [`crate::alert`] tells that. Grouping, quiet hours and inhibition are Alertmanager's.
//!
//! The core is pure: a [`lane::Lane`] is one receiver's address; it is shown cases, the time and outcomes, and says what
//! to send. [`task`] runs it with [`send`], the only part that knows HTTP. Lanes share nothing: a receiver that hangs
//! keeps neither the others nor the evaluation of alerts waiting. What a lane holds are ids and the newest state of each
//! case, never a log of messages, so an outage of a receiver needs no more room the longer it lasts.

pub mod alertmanager;
pub mod backoff;
pub mod board;
pub mod event;
mod kept;
pub mod lane;
pub mod send;
pub mod settings;
pub mod task;
pub mod webhook;

pub use board::Board;
pub use settings::Receivers;
