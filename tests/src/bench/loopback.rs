//! What plain TCP carries on this machine: one thread writes and one reads,
//! and neither looks at a byte. No server that shares the machine with its
//! readers can deliver more.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::time::Instant;

use super::as_f64;

/// As much as one call takes or gives.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes a second through one connection.
pub fn bytes_per_second(time: Duration) -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut writer = TcpStream::connect(listener.local_addr()?)?;
    let (mut reader, _) = listener.accept()?;
    let began = Instant::now();
    let read = std::thread::scope(|scope| {
        scope.spawn(move || {
            let chunk = vec![7; CHUNK_BYTES];
            // Closes the connection when it ends.
            while began.elapsed() < time && writer.write_all(&chunk).is_ok() {}
        });
        let (mut chunk, mut read) = (vec![0; CHUNK_BYTES], 0);
        loop {
            match reader.read(&mut chunk)? {
                0 => return Ok::<u64, std::io::Error>(read),
                more => read += more as u64,
            }
        }
    })?;
    Ok(as_f64(read) / began.elapsed().as_secs_f64())
}
