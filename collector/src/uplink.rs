//! Brings the newest state of every connection to the registry. Owns sequence,
//! lease and what the registry is known to hold; knows no NAS.

pub mod core;
pub mod known;
pub mod mailbox;
pub mod stream;

pub use core::Core;
pub use mailbox::{Mailbox, Update};
pub use stream::{Link, Options, run};
