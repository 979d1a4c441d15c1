//! What proves the pair as a whole: the harness that end-to-end tests share and
//! the project's own tasks. Owns no product code.

pub mod bench;
pub mod context;
pub mod crash;
pub mod evidence;
pub mod fuzz;
pub mod harness;
pub mod soak;
pub mod stores;
pub mod task;
