//! The `pulse-registry` binary.

/// A third of the work of taking records in is asking for memory and giving it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    pulse_registry::cli::main().await
}
