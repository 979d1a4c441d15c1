//! The gRPC services, as thin as they can be: wire in, typed call, wire out.

pub mod alert;
pub mod audit;
pub mod context;
pub mod ingest;
pub mod mcp;
pub mod resource;
