//! One supervised task per connection: connects, reads what is due, publishes snapshots.
//!
//! Owns when to read and when to try again. Knows no wire format, no record and no registry.

pub mod backoff;
pub mod machine;
pub mod reader;
pub mod schedule;
