//! Every decoder of bytes from outside, ready to be fed; those of what a NAS says are here. The seeds are the recorded payloads of each line, and inputs that once did
//! harm.

#[path = "outside.rs"]
mod outside;
#[path = "trust.rs"]
mod trust;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_collector::api::plan::requests;
use pulse_collector::api::section::assemble;
use pulse_collector::api::{CallFailure, Dialect, Line, Section, Transport, event, metrics};
use pulse_collector::connection::Fingerprint;
use pulse_collector::mapping;
use pulse_collector::rpc::Framing;
use pulse_collector::session::scram;
use pulse_collector::snapshot::Snapshot;
use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{ConnectionId, IngestRecord, UnixMillis};
use pulse_proto::pb::resource::v1 as pb;
use pulse_tests::fuzz::Target;
use pulse_tests::task::root;

const LINES: [&str; 2] = ["v25_10_0", "v26_0_0"];

/// Inputs that once did harm, by target.
pub(crate) fn corpus() -> PathBuf {
    root().join("tests/corpus")
}

pub(crate) fn all() -> Vec<Target> {
    let json = |name: &'static str, feed: fn(&[u8])| Target { name, feed, seeds: samples(|_| true) };
    let text = |name: &'static str, feed: fn(&[u8]), seeds: &[&str]| Target {
        name,
        feed,
        seeds: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
    };
    let mut targets = vec![
        json("sections", sections),
        Target { name: "frame", feed: |input| frame(Framing::JsonRpc, input), seeds: frames() },
        Target { name: "legacy_frame", feed: |input| frame(Framing::Legacy, input), seeds: legacy_frames() },
        Target { name: "event", feed: events, seeds: frames() },
        text("scram", scram_server, &["r=AAAA,s=c2FsdA==,i=50000", "v=c2ln", "e=other-error", "r=,s=,i="]),
        text("fingerprint", fingerprint, &["AA:BB:CC", "sha256:00ff", "0123456789abcdef0123456789abcdef"]),
        text(
            "version",
            version,
            &["TrueNAS-SCALE-24.10.2.4", "26.0.0-BETA.3", "TrueNAS-13.3-U1.2", "v25.10.0"],
        ),
    ];
    targets.extend(outside::all());
    targets.extend(trust::all());
    for target in &mut targets {
        target.seeds.extend(harmful(target.name));
    }
    targets
}

fn harmful(target: &str) -> Vec<Vec<u8>> {
    let Ok(folder) = fs::read_dir(corpus().join(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

fn samples(wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for line in LINES {
        let folder = root().join("fixtures/samples").join(line);
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).expect("samples").flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if wanted(&name) {
                found.push(fs::read(&path).expect("a sample"));
            }
        }
    }
    found
}

/// One reply for every call of every section, read, kept, told and sent.
fn sections(input: &[u8]) {
    let connection = ConnectionId::parse("fuzz").expect("an id");
    let ways = [
        (Line::Core, Transport::LegacyRest),
        (Line::V24_10, Transport::LegacyWebsocket),
        (Line::V25_10, Transport::JsonRpc),
        (Line::V26_0, Transport::JsonRpc),
    ];
    let mut snapshot = Snapshot::default();
    for (line, transport) in ways {
        for section in Section::ALL {
            let plan = requests(section, Dialect { line, transport }, &BTreeSet::new());
            let replies: Vec<(_, Result<&[u8], CallFailure>)> =
                plan.iter().map(|request| (request.tag, Ok(input))).collect();
            let read = assemble(section, &replies);
            snapshot.apply(section, read, UnixMillis::new(1), Duration::from_mins(1));
        }
    }
    for record in mapping::records(&connection, "nas", &snapshot).records {
        let back: Result<IngestRecord, ProtocolError> = pb::IngestRecord::from(&record).try_into();
        assert_eq!(back.as_ref(), Ok(&record), "fit to travel");
    }
}

fn frame(framing: Framing, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _read = framing.parse(&text);
}

fn events(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice(input) {
        let _event = event::decode_event(&value);
        let _figures = metrics::decode(&value);
        if let Some(fields) = value.get("params").and_then(|params| params.get("fields")) {
            let _figures = metrics::decode(fields);
        }
    }
}

/// Waits for the proof of a server whose challenge was answered.
static EXPECTED: LazyLock<scram::Expectation> = LazyLock::new(|| {
    let nonce = STANDARD.encode([0; 64]);
    let first = format!("r={nonce},s={},i=50000", STANDARD.encode("salt"));
    let client = scram::Client::new("user", "1", [0; 32], None);
    client.final_message("key", &first).expect("a good challenge").1
});

fn scram_server(input: &[u8]) {
    // Our own nonce is known, so that what a server answers to it can be made up.
    let client = || scram::Client::new("user", "1", [0; 32], None);
    let text = String::from_utf8_lossy(input);
    // A good challenge costs what a login costs; a damaged one is refused before.
    let _refused = client().final_message("key", &text);
    let _verified = EXPECTED.verify(&text);
}

fn fingerprint(input: &[u8]) {
    let _read: Result<Fingerprint, _> = String::from_utf8_lossy(input).parse();
}

fn version(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _line = Line::from_version(&text);
    let _legacy = pulse_collector::session::version::is_legacy(&text);
    let _picked = pulse_collector::session::version::pick(&[text.into_owned()]);
}

fn frames() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for recorded in samples(|name| name.starts_with('_')) {
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&recorded).unwrap_or_default();
        found.extend(rows.iter().map(|row| row.to_string().into_bytes()));
    }
    found.push(br#"{"jsonrpc":"2.0","id":"7","result":[]}"#.to_vec());
    found.push(br#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"m","data":{"error":13,"errname":"EACCES","reason":"[EACCES] x","trace":null,"extra":null}}}"#.to_vec());
    found
}

fn legacy_frames() -> Vec<Vec<u8>> {
    [
        r#"{"msg":"connected","session":"s"}"#,
        r#"{"id":"1","msg":"result","result":[{"name":"tank"}]}"#,
        r#"{"id":"1","msg":"result","error":{"error":13,"errname":"EACCES","type":null,"reason":"x","trace":null,"extra":null}}"#,
        r#"{"msg":"changed","collection":"pool.query","id":1,"fields":{"name":"tank"}}"#,
        r#"{"msg":"ready","subs":["1"]}"#,
        r#"{"msg":"nosub","id":"1","error":{"error":14}}"#,
        r#"{"msg":"pong"}"#,
    ]
    .iter()
    .map(|frame| frame.as_bytes().to_vec())
    .collect()
}
