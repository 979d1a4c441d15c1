//! The journal as only an engine on disk can be tested: cut, damaged, full,
//! failing, moved, saved and restored.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod alerts;
mod archive;
mod changes;
mod checkpoint;
mod damage;
mod faults;
mod faulty;
mod migration;
mod rows;
mod writer;
