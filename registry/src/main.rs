//! The `pulse-registry` binary.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    pulse_registry::cli::main().await
}
