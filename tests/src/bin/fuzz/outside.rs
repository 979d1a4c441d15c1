//! Every decoder of what clients, collectors and operators' files bring, ready to be fed: the languages and tokens of queries,
//! ingest messages, settings, credentials and the store.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost::Message as _;
use pulse_proto::model::CollectorId;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1 as served;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::query::filter::{EntryFilter, Filter};
use pulse_registry::query::mask::Mask;
use pulse_registry::query::order::Order;
use pulse_registry::query::page::{PageToken, QueryHash};
use pulse_registry::query::token::{Purpose, Seal};
use pulse_registry::store::Store as _;
use pulse_registry::store::journal::Journal;
use pulse_registry::watch::resume;
use pulse_shell::access::book::Book;
use pulse_shell::settings::Settings;
use pulse_tests::fuzz::Target;

pub(super) fn all() -> Vec<Target> {
    let text = |name: &'static str, feed: fn(&[u8]), seeds: &[&str]| Target {
        name,
        feed,
        seeds: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
    };
    let seal = seal();
    let revision = pulse_proto::model::Revision(7);
    let page = PageToken { revision, listing: 1, offset: 500, query: query() }.encode(&seal);
    let changes = seal.seal(Purpose::Changes, &[7; 20]);
    vec![
        text(
            "filter",
            filter,
            &[
                "type = storage AND severity >= warning",
                "NOT (labels.site = \"a\\\"b\" OR name:tank* ) capacity.used_ratio > 0.9",
                "observed_at >= 2027-01-15T08:00:00Z AND -kind = created",
                "((((((((a=1))))))))",
            ],
        ),
        text("order", order, &["severity desc, name", "capacity.used_bytes desc,id"]),
        text("mask", mask, &["id,name,storage.zfs_pool", "capacity.used_bytes"]),
        text("token", token, &[&page, &changes, &resume::encode(&seal, revision), "", "AAAA"]),
        Target { name: "ingest", feed: ingest, seeds: messages() },
        text(
            "config",
            config,
            &["data_dir = \"/a\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n", "[tls]\ncert_file = 1"],
        ),
        text(
            "credentials",
            credentials,
            &[
                r#"{"version":1,"tokens":[{"id":"0000000a","name":"n","hash":"h","grant":{"role":"viewer"},"created_unix_ms":1}]}"#,
                r#"{"version":1,"certificates":{"dns:a":{"role":"ingest","collector":"c"}}}"#,
            ],
        ),
        Target { name: "store", feed: store, seeds: STORE.values().cloned().collect() },
    ]
}

fn seal() -> Seal {
    Seal::new("registry")
}

fn query() -> QueryHash {
    QueryHash::of(&Filter::all(), &Order::parse("").expect("no order"))
}

/// What is accepted is accepted again as it prints itself, and inside of a scope.
fn filter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let scope = BTreeMap::from([("customer".to_owned(), "a\" OR name:\"".to_owned())]);
    let _entries = EntryFilter::parse(&text);
    let within = Filter::parse_within(&text, &scope);
    match Filter::parse(&text) {
        Ok(filter) => {
            let again = Filter::parse(filter.canonical()).map(|again| again.canonical().to_owned());
            assert_eq!(again.as_deref(), Ok(filter.canonical()), "prints what it is");
            assert!(within.is_ok(), "a scope refuses nothing that is a filter");
        }
        Err(_) => assert!(within.is_err(), "a scope makes no filter of what is none"),
    }
}

fn order(input: &[u8]) {
    let _order = Order::parse(&String::from_utf8_lossy(input));
}

fn mask(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _mask = Mask::parse(text.split(','));
}

fn token(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _page = PageToken::decode(&text, &seal(), query());
    let _resume = resume::decode(&seal(), &text);
}

fn ingest(input: &[u8]) {
    use served::ingest_request::Message;
    let collector = CollectorId::parse("c").expect("an id");
    let limits = Limits { batch_records_max: 100, batch_bytes_max: 1024 * 1024 };
    let Ok(request) = served::IngestRequest::decode(input) else { return };
    match request.message {
        Some(Message::Batch(batch)) => drop(decode::batch(batch, &collector, limits, &mut Recall::default())),
        Some(Message::Heartbeat(heartbeat)) => drop(decode::heartbeat(heartbeat, &collector)),
        Some(Message::ConnectionRemoval(removal)) => drop(decode::removal(&removal, &collector)),
        Some(Message::Hello(_)) | None => {}
    }
}

fn messages() -> Vec<Vec<u8>> {
    use pb::ingest_request::Message;
    use pulse_tests::harness::feeder;
    let pool = feeder::pool("nas", "tank", "ONLINE");
    let disk = feeder::disk("system:nas/disk:sda", "system:nas/pool:tank", "serial");
    let batch = feeder::batch("nas", 1, 1, vec![pool, disk]);
    let heartbeat = pb::Heartbeat { connection: "nas".to_owned(), epoch: 1, ..pb::Heartbeat::default() };
    let removal = pb::ConnectionRemoval { connection: "nas".to_owned(), epoch: 2, sequence: 2, own_epoch: 1 };
    [Message::Batch(batch), Message::Heartbeat(heartbeat), Message::ConnectionRemoval(removal)]
        .map(|message| pb::IngestRequest { message: Some(message) }.encode_to_vec())
        .into()
}

fn config(input: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), input).expect("written");
    for keys in [pulse_registry::config::KEYS, pulse_collector::config::KEYS] {
        let _problems = Settings::read(keys, Some(file.path()), |_| None, &[]).finish(());
    }
}

fn credentials(input: &[u8]) {
    let _book = Book::parse(input);
}

/// Files of a young store, by name.
static STORE: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Journal::open(folder.path(), "registry").expect("a journal"));
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("readable").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(folder.path()) {
                files.insert(name.display().to_string(), std::fs::read(entry.path()).expect("readable"));
            }
        }
    }
    files
});

/// Each file in turn is what was fed: the store opens, or says why not.
fn store(input: &[u8]) {
    for name in STORE.keys() {
        let folder = tempfile::tempdir().expect("a folder");
        for (other, bytes) in STORE.iter() {
            let path = folder.path().join(other);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, if other == name { input } else { bytes }).expect("written");
        }
        if let Ok(journal) = Journal::open(folder.path(), "registry") {
            let _loaded = journal.load();
        }
    }
}
