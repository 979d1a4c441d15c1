//! Watching: what a client sees of the changes that its filter lets through.
//! `core` decides and is pure; `audience` holds what watchers share; `task`
//! waits. The writer knows none of them.

pub mod audience;
mod coalesce;
pub mod core;
mod encode;
pub mod limits;
mod past;
pub mod resume;
mod sharing;
pub mod task;
