//! The registry's state: immutable views, the changes between them and the
//! feed that carries those to watchers. Knows no gRPC, no store and no clock.

pub mod change;
pub mod feed;
pub mod judge;
pub mod view;
