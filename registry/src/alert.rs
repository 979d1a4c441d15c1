//! Alerts: cases that begin, are confirmed, fire and resolve, one for each rule
//! (or class of native alert) and resource. Owns rules, silences, the life of
//! a case and why one is quiet. Refuses to know sockets, files, receivers and
//! what a FAULTED pool means: health tells that.
//!
//! The core is pure: [`engine::Engine`] takes changes of resources, commands of
//! operators and `now`, and says what must be durable. [`task`] runs it beside
//! the one writer. What is durable is published as a [`feed::AlertFeed`]:
//!
//! - a [`book::Book`] is every case at one revision of alerts;
//! - `feed.after(revision)` are the cases that changed since, each once and as
//!   it is now, oldest change first: a reader who keeps a revision misses none,
//!   also over a restart of the registry;
//! - [`case::Case::notifies`] says whether anybody should hear of it, and
//!   [`explain::Deliveries`] is how a room that tells receivers says what became of it.

pub mod book;
pub mod case;
pub mod condition;
mod cover;
pub mod document;
pub mod dry_run;
pub mod engine;
#[cfg(test)]
pub(crate) mod example;
pub mod explain;
pub mod feed;
mod life;
pub mod list;
mod measure;
pub mod native;
pub mod outlook;
mod row;
pub mod rule;
pub mod show;
pub mod silence;
mod source;
pub mod task;
mod text;

pub use book::Book;
pub use case::{Case, CaseId, CaseState, Origin};
pub use feed::AlertFeed;
