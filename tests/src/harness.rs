//! Starts the real binaries and simulated appliances for end-to-end tests. Every
//! wait is for an event with a deadline; every port is the kernel's choice.

pub mod alertmanager;
pub mod alerts;
pub mod browser;
pub mod command;
pub mod demo;
pub mod feeder;
pub mod fleet;
pub mod grpcurl;
pub mod pki;
pub mod process;
pub mod prometheus;
pub mod usage;
pub mod view;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for anything in a test or bench. Generous, as a million resources on a busy machine need it: it only ends
/// what would hang.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Status and body of a plain HTTP GET.
pub async fn http_get(addr: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    http(addr, "GET", path).await
}

/// The same of a request with another method, without a body.
pub async fn http(addr: SocketAddr, method: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("{method} {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Waits for `event`, or fails the test saying what never came.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(late) => panic!("waited {PATIENCE:?} for {what}: {late}"),
    }
}
