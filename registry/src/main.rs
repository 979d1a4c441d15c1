//! The `pulse-registry` binary.

/// Taking records in is asking for memory and giving it back: docs/adr/0012 has what this one gains.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pulse_registry::cli::main()
}
