//! Every decoder of what decides whom to believe and where to send: key sets and tokens of an issuer, the sealed
//! connections, what Pulse left behind, and the file of receivers.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pulse_collector::connection::store::{KeySource, Store};
use pulse_collector::connection::{Settings, Tls, import};
use pulse_collector::secret::{Credential, Secret};
use pulse_proto::model::{ConnectionId, UnixMillis};
use pulse_registry::notify::settings::Receivers;
use pulse_shell::access::service_account::ServiceAccounts;
use pulse_tests::fuzz::Target;
use pulse_tests::task::root;

const ISSUER: &str = "https://kubernetes.default.svc";
/// The samples hold from 1,700,000,000 for an hour.
const THEN_MS: u64 = 1_700_000_100_000;
const STORE_FILE: &str = "connections.json";

pub(super) fn all() -> Vec<Target> {
    let pulse = |name: &str| fs::read(root().join("fixtures/pulse").join(name)).expect("a sample");
    let receivers = "[[webhook]]\nname = \"a\"\nurl = \"https://a.example/hook\"\nsecret_env = \"S\"\nmin_severity = \"warning\"\n\
                     [[alertmanager]]\nname = \"b\"\nurl = \"http://127.0.0.1:9093\"\ntimeout = \"5s\"\n";
    vec![
        Target { name: "key_set", feed: key_set, seeds: vec![KEYS.clone()] },
        Target {
            name: "bearer",
            feed: bearer,
            seeds: TOKENS.values().map(|token| token.clone().into_bytes()).collect(),
        },
        Target { name: "connections", feed: connections, seeds: vec![SEALED.clone()] },
        Target { name: "pulse", feed: pulse_files, seeds: vec![pulse("truenas.enc")] },
        Target { name: "receivers", feed: receivers_file, seeds: vec![receivers.as_bytes().to_vec()] },
    ]
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(root().join("shell/src/access/service_account").join(name)).expect("a sample")
}

static KEYS: LazyLock<Vec<u8>> = LazyLock::new(|| sample("jwks.json"));
static TOKENS: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_slice(&sample("tokens.json")).expect("tokens"));
static ACCOUNTS: LazyLock<ServiceAccounts> =
    LazyLock::new(|| ServiceAccounts::parse(&KEYS, ISSUER, "pulse").expect("keys"));

fn key_set(input: &[u8]) {
    if let Ok(accounts) = ServiceAccounts::parse(input, ISSUER, "pulse") {
        TOKENS.values().for_each(|token| drop(accounts.verify(token, THEN_MS)));
    }
}

/// Nothing is believed but what the cluster signed.
fn bearer(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if ACCOUNTS.verify(&text, THEN_MS).is_ok() {
        let part = |token: &str| token.split('.').take(2).collect::<Vec<_>>().join(".");
        assert!(TOKENS.values().any(|known| part(known) == part(&text)), "forged");
    }
}

fn key() -> KeySource {
    KeySource::Given(Secret::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))
}

/// A store of two connections.
static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), &key()).expect("a store");
    let connections =
        ["nas1", "nas2"].map(|word| (ConnectionId::parse(word).expect("an id"), Arc::new(settings(word))));
    store.save(2, &connections.into(), &[]).expect("saved");
    fs::read(folder.path().join(STORE_FILE)).expect("the file")
});

fn settings(word: &str) -> Settings {
    Settings {
        id: ConnectionId::parse(word).expect("an id"),
        name: word.to_owned(),
        host: word.to_owned(),
        port: 443,
        tls: Tls::SystemRoots,
        credential: Credential::ApiKey { username: Some("pulse".into()), key: Secret::new("1-sealed") },
        enabled: true,
        poll_interval: Duration::from_mins(1),
        labels: BTreeMap::new(),
        scram_seen: false,
        disabled_sections: std::collections::BTreeSet::new(),
        created_at: UnixMillis::new(1_000),
        updated_at: UnixMillis::new(1_000),
        revision: 1,
    }
}

/// What opens is what was sealed.
fn connections(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(STORE_FILE), input).expect("written");
    let Ok((_store, loaded)) = Store::open(folder.path(), &key()) else { return };
    for found in &loaded.connections {
        assert_eq!(format!("{found:?}"), format!("{:?}", settings(found.id.as_str())), "nobody sealed that");
    }
}

fn pulse_files(input: &[u8]) {
    let key = fs::read(root().join("fixtures/pulse/.encryption.key")).expect("a sample");
    let now = UnixMillis::new(5);
    drop(import::decode(input, &key, now));
    drop(import::decode(&fs::read(root().join("fixtures/pulse/truenas.enc")).expect("a sample"), input, now));
}

fn receivers_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    drop(Receivers::parse(&text, &|name| (name == "S").then(|| "secret".to_owned())));
}
