//! The `pulse-collector` binary.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    pulse_collector::cli::main().await
}
