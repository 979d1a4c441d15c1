//! The contract both services share: generated wire types (`pb`), the strict
//! domain model (`model`) and the conversion between them (`convert`).
//!
//! Owns what crosses the wire. Refuses to know sockets, stores and TrueNAS.

pub mod convert;
pub mod digest;
pub mod encoded;
pub mod model;

/// Generated wire types, one module per package.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications, rust_2018_idioms)]
pub mod pb {
    pub mod resource {
        pub mod v1 {
            tonic::include_proto!("pulse.resource.v1");
        }
    }
    pub mod registry {
        pub mod v1 {
            tonic::include_proto!("pulse.registry.v1");
        }
    }
    pub mod collector {
        pub mod v1 {
            tonic::include_proto!("pulse.collector.v1");
        }
    }
    pub mod admin {
        pub mod v1 {
            tonic::include_proto!("pulse.admin.v1");
        }
    }
}

/// The server's side of some services: resources that are encoded already, records that are not decoded yet.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications, rust_2018_idioms)]
pub mod served {
    pub mod registry {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/served/pulse.registry.v1.rs"));
        }
    }
}

/// Encoded `FileDescriptorSet` of the whole contract, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pulse_descriptor.bin"));

/// Version of the ingest protocol that `Hello` and `Welcome` name.
pub const PROTOCOL_VERSION: u32 = 1;

pub use convert::ProtocolError;
