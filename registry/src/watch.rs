//! Watching: what a client sees of the changes that its filter lets through.
//! `core` decides and is pure; `task` waits. The writer knows neither.

mod coalesce;
pub mod core;
mod past;
pub mod resume;
pub mod task;
