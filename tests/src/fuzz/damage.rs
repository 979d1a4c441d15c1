//! Ways to damage an input, from a flipped bit to a bomb of brackets.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::INPUT_BYTES_MAX;

/// What decoders of JSON stumble over.
const WORDS: [&str; 34] = [
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "-0",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "0.1e-400",
    "1.5",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "{\"$date\":",
    "{\"$date\":-1}",
    "{\"$date\":9e99}",
    "{\"parsed\":",
    "\"id\":",
    "\"name\":",
    ",",
    ":",
    "]",
    "}",
    "\"",
    "\\",
];

/// A damaged copy of `one`, perhaps with a piece of `other`.
pub fn damaged(rng: &mut StdRng, one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut input = one.to_vec();
    for _ in 0..rng.random_range(1..6) {
        damage(rng, &mut input, other);
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

fn damage(rng: &mut StdRng, input: &mut Vec<u8>, other: &[u8]) {
    let at = |rng: &mut StdRng, length: usize| rng.random_range(0..=length);
    match rng.random_range(0..10) {
        0 => {
            if let Some(byte) = pick(rng, input) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        1 => {
            if let Some(byte) = pick(rng, input) {
                *byte = rng.random();
            }
        }
        2 => {
            let end = at(rng, input.len());
            input.truncate(end);
        }
        3 => {
            let (from, to) = span(rng, input.len());
            input.drain(from..to);
        }
        4 => {
            let (from, to) = span(rng, input.len());
            let piece = input[from..to].to_vec();
            let times = rng.random_range(1..20);
            let place = at(rng, input.len());
            insert(input, place, &piece.repeat(times));
        }
        5 => {
            let (from, to) = span(rng, other.len());
            let place = at(rng, input.len());
            insert(input, place, &other[from..to]);
        }
        6 => {
            let deep = rng.random_range(1..4_000);
            let bracket: &[u8] = if rng.random() { b"[" } else { b"{\"a\":" };
            let place = at(rng, input.len());
            insert(input, place, &bracket.repeat(deep));
        }
        // Words stand in for values, so that what comes out is still JSON.
        7 => replace_value(rng, input),
        _ => {
            let word = WORDS[rng.random_range(0..WORDS.len())].as_bytes();
            let place = at(rng, input.len());
            insert(input, place, word);
        }
    }
}

/// The value behind some colon becomes a word.
fn replace_value(rng: &mut StdRng, input: &mut Vec<u8>) {
    let colons: Vec<usize> =
        input.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(i, _)| i).collect();
    if colons.is_empty() {
        return;
    }
    let start = colons[rng.random_range(0..colons.len())] + 1;
    let length = input[start..].iter().position(|byte| b",}]\n".contains(byte)).unwrap_or(0);
    let word = WORDS[rng.random_range(0..WORDS.len())].bytes();
    input.splice(start..start + length, word);
}

fn pick<'a>(rng: &mut StdRng, input: &'a mut [u8]) -> Option<&'a mut u8> {
    let length = input.len();
    if length == 0 { None } else { input.get_mut(rng.random_range(0..length)) }
}

fn span(rng: &mut StdRng, length: usize) -> (usize, usize) {
    let from = rng.random_range(0..=length);
    (from, rng.random_range(from..=length.min(from + 4_096)))
}

fn insert(input: &mut Vec<u8>, place: usize, piece: &[u8]) {
    let room = INPUT_BYTES_MAX.saturating_sub(input.len());
    let piece = &piece[..piece.len().min(room)];
    input.splice(place..place, piece.iter().copied());
}
