//! Floods of frames over one connection of HTTP/2.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, SETTINGS, WINDOW_UPDATE, call,
    frame, integer, opening,
};
use super::{Besieged, attacker};

const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";
const INGEST: &str = "/pulse.registry.v1.IngestService/Ingest";
/// A server that takes no more for so long holds the attacker back, which is as good as an end.
const HELD_BACK: Duration = Duration::from_secs(2);

/// How a flood came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The server closed.
    Closed,
    /// The server reads no further.
    HeldBack,
    /// Everything was taken.
    Taken,
}

/// Sends what `next` makes until it makes nothing more, without reading an answer.
async fn flood(stream: &mut TcpStream, mut next: impl FnMut() -> Option<Vec<u8>>) -> End {
    while let Some(bytes) = next() {
        match tokio::time::timeout(HELD_BACK, stream.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return End::Closed,
            Err(_stalled) => return End::HeldBack,
        }
    }
    End::Taken
}

/// Whether the server says that it goes, or is gone.
async fn says_goodbye(stream: &mut TcpStream) -> bool {
    let read = async {
        let mut head = [0; 9];
        loop {
            if stream.read_exact(&mut head).await.is_err() || head[3] == GOAWAY {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.is_ok()
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_cost_nothing() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    for (what, flags) in [("half open", END_HEADERS), ("whole calls", END_HEADERS | END_STREAM)] {
        let mut stream = attacker(siege.registry.grpc()).await?;
        stream.write_all(&opening()).await?;
        let head = call(LIST, &[]);
        let mut pairs = (0..50_000_u32).map(|number| {
            let id = number * 2 + 1;
            [frame(HEADERS, flags, id, &head), frame(RESET, 0, id, &8_u32.to_be_bytes())].concat()
        });
        let end = flood(&mut stream, || {
            let chunk: Vec<u8> = pairs.by_ref().take(100).flatten().collect();
            (!chunk.is_empty()).then_some(chunk)
        })
        .await;
        siege.holds(what).await?;
        assert!(end != End::Taken || says_goodbye(&mut stream).await, "{what}: {end:?}");
    }
    Ok(())
}

#[tokio::test]
async fn pings_settings_and_windows_without_end_are_not_hoarded() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let settings = [0, 4, 0, 0, 0xff, 0xff];
    for (what, one) in [
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("settings", frame(SETTINGS, 0, 0, &settings)),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("empty data", frame(DATA, 0, 1, &[])),
        ("unknown frames", frame(0xfa, 0, 0, &[0; 64])),
    ] {
        let mut stream = attacker(siege.registry.grpc()).await?;
        stream.write_all(&opening()).await?;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &call(INGEST, &[]))).await?;
        let chunk = one.repeat(1_000);
        let mut left = 500;
        let end = flood(&mut stream, || {
            left -= 1;
            (left > 0).then(|| chunk.clone())
        })
        .await;
        siege.holds(&format!("{what}, {end:?}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn headers_without_end_and_headers_that_unfold_are_refused() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    // Headers that go on in frame after frame and never end.
    let mut stream = attacker(siege.registry.grpc()).await?;
    stream.write_all(&[opening(), frame(HEADERS, 0, 1, &call(LIST, &[]))].concat()).await?;
    let filler = [&[0, 1, b'x'][..], &integer(15_000, 7), &[b'y'; 15_000]].concat();
    let mut left = 4_000;
    let end = flood(&mut stream, || {
        left -= 1;
        (left > 0).then(|| frame(CONTINUATION, 0, 1, &filler))
    })
    .await;
    assert_ne!(end, End::Taken, "60 MB of headers");
    siege.holds("headers without end").await?;

    // A header of 4,000 bytes, remembered once and referred to ten thousand times: 40 MB in 10 KB.
    let mut stream = attacker(siege.registry.grpc()).await?;
    let remembered = [&[0x40, 1, b'x'][..], &integer(3_900, 7), &[b'y'; 3_900]].concat();
    let mut bombs = (0..2_000_u32).map(|number| {
        let mut block = call(LIST, &[]);
        if number == 0 {
            block.extend(&remembered);
        }
        block.extend(std::iter::repeat_n(0xbe, 10_000));
        frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &block)
    });
    stream.write_all(&opening()).await?;
    let end = flood(&mut stream, || bombs.next()).await;
    siege.holds(&format!("headers that unfold, {end:?}")).await?;

    // Paths and metadata that are no paths and no metadata.
    let long = "x".repeat(12_000);
    for more in [
        &[("authorization", long.as_str())][..],
        &[("x-request-id", long.as_str())],
        &[("grpc-timeout", "99999999999999999999H")],
        &[("grpc-encoding", "gzip")],
        &[("content-length", "-1")],
        &[("te", "chunked"), ("connection", "upgrade"), ("upgrade", "h2c")],
    ] {
        let mut stream = attacker(siege.registry.grpc()).await?;
        stream
            .write_all(&[opening(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(LIST, more))].concat())
            .await?;
    }
    for path in
        ["//", "/../../etc/passwd", "/pulse.registry.v1.ResourceService/%2e%2e", "*", "/pulse\u{202e}"]
    {
        let mut stream = attacker(siege.registry.grpc()).await?;
        stream
            .write_all(&[opening(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(path, &[]))].concat())
            .await?;
    }
    siege.holds("odd metadata").await
}

#[tokio::test]
async fn a_message_that_claims_to_be_large_takes_no_room() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let mut streams = Vec::new();
    for compressed in [0, 1] {
        for length in [u32::MAX, 1 << 30, 64 << 20] {
            for method in [INGEST, LIST] {
                let mut stream = attacker(siege.registry.grpc()).await?;
                let claim = [&[compressed][..], &length.to_be_bytes(), &[0; 8_000]].concat();
                let encoded = if compressed == 1 { &[("grpc-encoding", "gzip")][..] } else { &[] };
                let head = frame(HEADERS, END_HEADERS, 1, &call(method, encoded));
                stream.write_all(&[opening(), head, frame(DATA, 0, 1, &claim)].concat()).await?;
                streams.push(stream);
            }
        }
    }
    siege.holds("claims").await
}
