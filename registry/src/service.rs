//! The gRPC services, as thin as they can be: wire in, typed call, wire out.

pub mod ingest;
