//! Compiles the contract without protoc: protox parses, tonic-prost-build
//! generates, and the same descriptor set feeds gRPC reflection.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

const FILES: [&str; 12] = [
    "pulse/resource/v1/enums.proto",
    "pulse/resource/v1/facet.proto",
    "pulse/resource/v1/machine.proto",
    "pulse/resource/v1/record.proto",
    "pulse/resource/v1/resource.proto",
    "pulse/resource/v1/share.proto",
    "pulse/resource/v1/task.proto",
    "pulse/resource/v1/workload.proto",
    "pulse/registry/v1/ingest_service.proto",
    "pulse/registry/v1/resource_service.proto",
    "pulse/registry/v1/alert_service.proto",
    "pulse/registry/v1/context_service.proto",
];
const OTHER_FILES: [&str; 2] =
    ["pulse/collector/v1/connection_service.proto", "pulse/admin/v1/log_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=pulse");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?.open_files(OTHER_FILES)?;
    let all = compiler.file_descriptor_set();
    std::fs::write(out.join("pulse_descriptor.bin"), all.encode_to_vec())?;

    let served = serving(&all);
    tonic_prost_build::configure().btree_map(".").bytes(".").emit_package(true).compile_fds(all)?;

    // The server's side once more: it holds its resources encoded, and looks at records before it decodes them.
    let folder = out.join("served");
    std::fs::create_dir_all(&folder)?;
    let mut build = tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".")
        .emit_package(true)
        .build_client(false)
        .out_dir(folder)
        .extern_path(".pulse.resource.v1", "crate::pb::resource::v1");
    build = build.extern_path(".pulse.collector.v1", "crate::pb::collector::v1");
    build = build.extern_path(".pulse.admin.v1", "crate::pb::admin::v1");
    for message in messages(&served).filter(|message| !LOOKED_AT.contains(message)) {
        let rust = match message {
            encoded if ENCODED.contains(&encoded) => "crate::encoded::EncodedParts".to_owned(),
            other => format!("crate::pb::registry::v1::{other}"),
        };
        let proto = format!(".pulse.registry.v1.{message}");
        build = build.extern_path(proto, rust);
    }
    build.compile_fds(served)?;
    Ok(())
}

/// Messages that hold resources.
const ENCODED: [&str; 3] = ["GetResourceResponse", "ListResourcesResponse", "WatchResourcesResponse"];
/// Messages that hold records.
const LOOKED_AT: [&str; 2] = ["Batch", "IngestRequest"];

/// The services that are generated twice.
const SERVED: [&str; 2] = ["resource_service.proto", "ingest_service.proto"];

/// The whole contract, with the services that are generated twice. On the wire a message and its bytes are the same.
fn serving(all: &FileDescriptorSet) -> FileDescriptorSet {
    let mut set = all.clone();
    for file in &mut set.file {
        if !SERVED.iter().any(|served| file.name().ends_with(served)) {
            file.service.clear();
        }
        let batch = file.message_type.iter_mut().filter(|message| message.name() == "Batch");
        for upserts in batch.flat_map(|batch| &mut batch.field).filter(|field| field.name() == "upserts") {
            upserts.set_type(Type::Bytes);
            upserts.type_name = None;
        }
    }
    set
}

fn messages(set: &FileDescriptorSet) -> impl Iterator<Item = &str> {
    let registry = set.file.iter().filter(|file| file.package() == "pulse.registry.v1");
    registry.flat_map(|file| &file.message_type).map(DescriptorProto::name)
}
