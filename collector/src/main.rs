//! The `pulse-collector` binary.

fn main() -> std::process::ExitCode {
    pulse_collector::cli::main()
}
