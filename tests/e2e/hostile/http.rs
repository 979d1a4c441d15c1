//! Connections that say little or nothing, many of them, and bodies of the HTTP port.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::{Besieged, attacker, serves};

/// Longer than a connection may take to begin, or a head to end.
const PATIENCE: Duration = Duration::from_secs(25);
const MANY: usize = 400;
/// How HTTP/2 begins, with an empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// From one address, as the service allows.
const PER_ADDRESS_MAX: usize = 2_048;

#[tokio::test]
async fn who_says_half_a_request_is_let_go() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let (grpc, http) = (siege.registry.grpc(), siege.registry.process().http_addr());
    let mut waiting = JoinSet::new();
    for number in 0..MANY {
        let (addr, said): (_, &[u8]) = match number % 4 {
            0 => (grpc, b""),
            1 => (grpc, b"PRI * HTT"),
            2 => (http, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "),
            _ => (http, b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Le"),
        };
        let mut stream = attacker(addr).await?;
        stream.write_all(said).await?;
        waiting.spawn(async move {
            let mut rest = Vec::new();
            tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
        });
    }
    siege.holds("half requests").await?;
    while let Some(ended) = waiting.join_next().await {
        assert!(ended?, "it waits for more than the service should bear");
    }
    siege.holds("after half requests").await
}

#[tokio::test]
async fn more_connections_than_an_address_may_have_are_closed() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let addr = siege.registry.grpc();
    let mut streams = Vec::new();
    for _ in 0..PER_ADDRESS_MAX + 300 {
        let mut stream = attacker(addr).await?;
        // Who begins to speak HTTP/2 is not let go for its silence while the others come. The last ones are told nothing.
        drop(stream.write_all(PREFACE).await);
        streams.push(stream);
        if streams.len() % 500 == 0 {
            serves(addr).await?;
        }
    }
    // The last ones are closed without a word.
    let mut closed = JoinSet::new();
    for mut stream in streams.split_off(PER_ADDRESS_MAX + 100) {
        closed.spawn(async move {
            let read = stream.read_u8();
            tokio::time::timeout(Duration::from_secs(5), read).await.is_ok_and(|byte| byte.is_err())
        });
    }
    while let Some(is_closed) = closed.join_next().await {
        assert!(is_closed?, "a place for everybody");
    }
    siege.holds("a flood of connections").await
}

async fn post(siege: &Besieged, head: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut stream = attacker(siege.registry.process().http_addr()).await?;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\n{head}Connection: close\r\n\r\n"
    );
    // The answer may come, and the connection go, before everything is said.
    drop(stream.write_all(&[head.as_bytes(), body].concat()).await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn giant_and_deep_bodies_are_refused_and_numbers_out_of_range_are_told() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let deep = [b"[".repeat(30_000), b"]".repeat(30_000)].concat();
    let giant = vec![b' '; 32 << 20];
    let chunked =
        [format!("{:x}\r\n", giant.len()).into_bytes(), giant.clone(), b"\r\n0\r\n\r\n".to_vec()].concat();
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"infrastructure_context","arguments":{arguments}}}}}"#
        )
        .into_bytes()
    };
    for (what, chunks, body) in [
        ("deep", false, deep),
        ("giant", false, giant),
        ("giant in chunks", true, chunked),
        ("no number", false, call(r#"{"max_tokens": 1e400}"#)),
        ("out of range", false, call(r#"{"max_tokens": 99999999999999999999}"#)),
        ("negative", false, call(r#"{"since_hours": -1}"#)),
        ("not text", false, call(r#"{"filter": {"$ne": 1}}"#)),
        ("a long filter", false, call(&format!(r#"{{"filter": "{}"}}"#, "a".repeat(50_000)))),
        ("a deep filter", false, call(&format!(r#"{{"filter": "{}type = vm"}}"#, "(".repeat(20_000)))),
    ] {
        let head = if chunks {
            "Transfer-Encoding: chunked\r\n".to_owned()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let answer = post(&siege, &head, &body).await?;
        let refused =
            ["HTTP/1.1 4", "\"error\"", "\"isError\":true"].iter().any(|sign| answer.contains(sign));
        assert!(refused || answer.is_empty(), "{what}: {answer}");
        siege.holds(what).await?;
    }
    Ok(())
}

#[tokio::test]
async fn heads_of_the_http_port_are_bounded() -> anyhow::Result<()> {
    let siege = Besieged::new().await?;
    let many = (0..5_000).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Long: {}\r\n", "y".repeat(4 << 20));
    for (what, head) in [
        ("many headers", many),
        ("a long header", long),
        ("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n".to_owned()),
        ("a length and chunks", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n".to_owned()),
        ("a broken line", "X: a\n\n\rEvil: 1\r\n".to_owned()),
    ] {
        let answer = post(&siege, &head, b"x").await?;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{what}: {answer}");
        siege.holds(what).await?;
    }
    let mut stream = attacker(siege.registry.process().http_addr()).await?;
    let line = [b"GET /".to_vec(), vec![b'a'; 8 << 20]].concat();
    drop(stream.write_all(&line).await);
    siege.holds("a line without end").await
}
