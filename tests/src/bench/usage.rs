//! How the server and the load generator share the machine.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use tokio::time::Instant;

use crate::harness::usage::Usage;

/// Processor use of the server and of the load generator, which share the machine.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    server: (u32, Usage),
    own: Usage,
    began: Instant,
}

impl Shares {
    pub fn begin(server: u32) -> anyhow::Result<Self> {
        let own = Usage::of(std::process::id())?;
        Ok(Self { server: (server, Usage::of(server)?), own, began: Instant::now() })
    }

    /// Cores that the server and the load generator used since.
    pub fn end(&self) -> anyhow::Result<(f64, f64)> {
        let took = self.began.elapsed();
        let server = Usage::of(self.server.0)?.cores_since(&self.server.1, took);
        Ok((server, Usage::of(std::process::id())?.cores_since(&self.own, took)))
    }

    /// Says so.
    pub fn tell(&self, what: &str) -> anyhow::Result<()> {
        let (server, own) = self.end()?;
        eprintln!("{what}: server {server:.2} cores, load generator {own:.2} cores");
        Ok(())
    }
}
