//! Made-up rows like the registry's: 1,000 connections with 100 records of
//! about 1.5 KB each, words and numbers in the mix a record has.

use std::fmt::Write as _;

pub(crate) const CONNECTIONS: usize = 1_000;
pub(crate) const RECORDS_PER_CONNECTION: usize = 100;
const KEY_BYTES: usize = 42;
const VALUE_BYTES: usize = 1_500;

/// Every row has the same size, so a fleet has.
pub(crate) const FLEET_BYTES: usize = CONNECTIONS * RECORDS_PER_CONNECTION * (KEY_BYTES + VALUE_BYTES);

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

/// The row at a place of the fleet, as some revision has it.
pub(crate) fn row(at: usize, revision: u64) -> Row {
    let (connection, record) = (at / RECORDS_PER_CONNECTION, at % RECORDS_PER_CONNECTION);
    let key = format!("nas-{connection:04}\0system:nas-{connection:04}/dataset:tank/d{record:03}");
    let mut seed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ revision;
    let mut text = format!("{revision:020} ");
    while text.len() < VALUE_BYTES {
        // xorshift64: the same numbers in every run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let _ =
            write!(text, "guid={seed} state=ONLINE mounted=yes used_bytes={} compression=lz4;", seed >> 20);
    }
    text.truncate(VALUE_BYTES);
    debug_assert_eq!(key.len(), KEY_BYTES, "places have three and four digits");
    Row { key, value: text.into_bytes() }
}

/// `count` rows from `at` on, around the end of the fleet.
pub(crate) fn batch(at: usize, count: usize, revision: u64) -> Vec<Row> {
    let all = CONNECTIONS * RECORDS_PER_CONNECTION;
    (at..at + count).map(|at| row(at % all, revision)).collect()
}

/// The revision that wrote a value.
pub(crate) fn revision_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(..20)?).ok()?.parse().ok()
}
