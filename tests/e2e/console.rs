//! What a page of the console hears of: everything since it was made.

use anyhow::{Context as _, ensure};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::{http_get, within};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The first thing that the page at `path` hears when it listens after `meanwhile`.
async fn first_heard(
    registry: &Service,
    path: &str,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<String> {
    let (status, page) = http_get(registry.http(), path).await?;
    ensure!(status == 200, "{status} {page}");
    let (_, rest) = page.split_once("data-live=\"").context("a page that listens")?;
    let address = rest.split('"').next().unwrap_or_default().replace("&#38;", "&");
    meanwhile.await?;
    let mut stream = TcpStream::connect(registry.http()).await?;
    let asked = format!("GET {address} HTTP/1.1\r\nHost: {}\r\n\r\n", registry.http());
    stream.write_all(asked.as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let line = within("a first word", lines.next_line()).await?.context("an open stream")?;
        if line.starts_with("event:") {
            return Ok(line);
        }
    }
}

#[tokio::test]
async fn what_comes_between_the_page_and_its_listening_is_heard_of() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "[alerts]\nenabled = false\n").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    let change =
        async { feeder.put(batch("nas", 1, 2, vec![pool("nas", "tank", "DEGRADED")])).await.map(drop) };
    assert_eq!(first_heard(&registry, "/console/storage", change).await?, "event: changed");
    // A sign of life comes long before the clock makes a page look again.
    let nothing = async { Ok(()) };
    assert_eq!(first_heard(&registry, "/console/storage", nothing).await?, "event: alive");
    Ok(())
}
