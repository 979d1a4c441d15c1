//! Compiles the contract without protoc: protox parses, tonic-prost-build
//! generates, and the same descriptor set feeds gRPC reflection.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

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
const COLLECTOR_FILES: [&str; 1] = ["pulse/collector/v1/connection_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=pulse");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?.open_files(COLLECTOR_FILES)?;
    let all = compiler.file_descriptor_set();
    std::fs::write(out.join("pulse_descriptor.bin"), all.encode_to_vec())?;

    tonic_prost_build::configure().btree_map(".").bytes(".").emit_package(true).compile_fds(all)?;
    Ok(())
}
