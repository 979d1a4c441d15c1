//! What a frame of rows holds: steps, grouped by connection, so that who reads
//! for other connections passes over a group at once. Pure.

use pulse_proto::model::SourceId;

use super::slice::Slice;
use crate::state::{ConnectionRow, Note, RecordRow, Stamp, Write};
use crate::store::bytes::{
    encode_connection, encode_document, encode_entry, encode_horizon, encode_link, encode_position,
    encode_stamp, encode_tombstone, link_key,
};

pub(super) const STAMP_BYTES: usize = 32;

const CONNECTION: u8 = 1;
const RECORD: u8 = 2;
const STAMP: u8 = 3;
const REMOVE_RECORD: u8 = 4;
const REMOVE_RECORDS: u8 = 5;
/// Record and stamp together, as a checkpoint has them.
const ROW: u8 = 6;
const LINK: u8 = 7;
const REMOVE_LINK: u8 = 8;
const TOMBSTONE: u8 = 9;
const HORIZON: u8 = 10;
const ENTRY: u8 = 11;
const FORGET_ENTRIES: u8 = 12;
const NOTE: u8 = 13;
const REMOVE_NOTE: u8 = 14;
/// A step that could not be read when it should have been: it counts unless something newer is said of the same row.
const UNREAD: u8 = 15;
/// Stamp and [`Difference`](crate::state::Difference) of a record: what it is now is made of what it was.
const CHANGE: u8 = 16;

/// Where rows of no connection stand: no connection has this name.
pub(super) const COMMON: &str = "";

/// How many of them are told by what differs.
pub(super) fn changes(writes: &[Write]) -> u64 {
    writes.iter().filter(|write| matches!(write, Write::Change(..))).count() as u64
}

/// Puts the writes behind what `out` holds.
pub(super) fn encode(writes: &[Write], out: &mut Vec<u8>) {
    for run in writes.chunk_by(|a, b| connection_of(a) == connection_of(b)) {
        let Some(first) = run.first() else { continue };
        group(connection_of(first), out, |out| run.iter().for_each(|write| step(write, out)));
    }
}

fn connection_of(write: &Write) -> &str {
    match write {
        Write::Connection(id, _)
        | Write::Record(id, _)
        | Write::Stamp(id, ..)
        | Write::Row(id, _)
        | Write::Change(id, ..)
        | Write::RemoveRecord(id, _)
        | Write::RemoveRecords(id) => id.as_str(),
        Write::Link(_)
        | Write::RemoveLink(_)
        | Write::Tombstone(_)
        | Write::Horizon(_)
        | Write::Entry(_)
        | Write::ForgetEntries(_)
        | Write::Note(_) => COMMON,
    }
}

fn step(write: &Write, out: &mut Vec<u8>) {
    match write {
        Write::Connection(_, row) => connection(row, out),
        Write::Record(_, document) => tagged(RECORD, out, |out| {
            text(document.source_id.as_str(), out);
            encode_document(document, out);
        }),
        Write::Stamp(_, source_id, stamp) => tagged(STAMP, out, |out| {
            text(source_id.as_str(), out);
            put_stamp(*stamp, out);
        }),
        Write::Row(_, record) => row(record, out),
        Write::Change(_, RecordRow { document, stamp }, difference) => tagged(CHANGE, out, |out| {
            text(document.source_id.as_str(), out);
            put_stamp(*stamp, out);
            out.extend_from_slice(difference.as_bytes());
        }),
        Write::RemoveRecord(_, source_id) => {
            tagged(REMOVE_RECORD, out, |out| text(SourceId::as_str(source_id), out));
        }
        Write::RemoveRecords(_) => tagged(REMOVE_RECORDS, out, |_| {}),
        Write::Link(link) => tagged(LINK, out, |out| {
            key(link_key(&link.pair).as_bytes(), out);
            out.extend(encode_link(link));
        }),
        Write::RemoveLink(pair) => tagged(REMOVE_LINK, out, |out| key(link_key(pair).as_bytes(), out)),
        Write::Tombstone(tombstone) => tagged(TOMBSTONE, out, |out| {
            key(&encode_position(tombstone.position), out);
            out.extend(encode_tombstone(tombstone));
        }),
        Write::Horizon(horizon) => tagged(HORIZON, out, |out| out.extend(encode_horizon(horizon))),
        Write::Entry(entry) => tagged(ENTRY, out, |out| {
            key(&encode_position(entry.position), out);
            out.extend(encode_entry(entry));
        }),
        Write::Note(Note { key: name, value: Some(value) }) => tagged(NOTE, out, |out| {
            text(name, out);
            out.extend_from_slice(value);
        }),
        Write::Note(Note { key: name, value: None }) => tagged(REMOVE_NOTE, out, |out| text(name, out)),
        Write::ForgetEntries(through) => {
            tagged(FORGET_ENTRIES, out, |out| key(&encode_position(*through), out));
        }
    }
}

/// One connection's steps, or those of none.
pub(super) fn group(id: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    text(id, out);
    sized(out, fill);
}

pub(super) fn connection(row: &ConnectionRow, out: &mut Vec<u8>) {
    tagged(CONNECTION, out, |out| encode_connection(row, out));
}

pub(super) fn row(row: &RecordRow, out: &mut Vec<u8>) {
    tagged(ROW, out, |out| {
        text(row.document.source_id.as_str(), out);
        put_stamp(row.stamp, out);
        encode_document(&row.document, out);
    });
}

/// A step as it was written, put aside.
pub(super) fn unread(step: &[u8], out: &mut Vec<u8>) {
    tagged(UNREAD, out, |out| out.extend_from_slice(step));
}

/// A step with this tag, as it stands in a group.
pub(super) fn as_written(tag: u8, body: &[u8]) -> Box<[u8]> {
    let mut step = Vec::with_capacity(body.len() + 5);
    tagged(tag, &mut step, |out| out.extend_from_slice(body));
    step.into()
}

/// The same of a record, with its stamp where it has one.
pub(super) fn record_as_written(
    source_id: &str,
    stamp: Option<&[u8; STAMP_BYTES]>,
    bytes: &[u8],
) -> Box<[u8]> {
    let mut body = Vec::with_capacity(bytes.len() + source_id.len() + STAMP_BYTES + 2);
    text(source_id, &mut body);
    body.extend_from_slice(stamp.map_or(&[], |stamp| &stamp[..]));
    body.extend_from_slice(bytes);
    as_written(if stamp.is_some() { ROW } else { RECORD }, &body)
}

/// A change of a record that is not there any more, or that is another one: nothing can be made of it.
pub(super) fn change_as_written(source_id: &str, stamp: &[u8]) -> Box<[u8]> {
    let mut body = Vec::with_capacity(source_id.len() + stamp.len() + 2);
    text(source_id, &mut body);
    body.extend_from_slice(stamp);
    as_written(CHANGE, &body)
}

pub(super) fn connection_as_written(bytes: &[u8]) -> Box<[u8]> {
    as_written(CONNECTION, bytes)
}

fn put_stamp(stamp: Stamp, out: &mut Vec<u8>) {
    let bytes: [u8; STAMP_BYTES] = encode_stamp(stamp);
    out.extend_from_slice(&bytes);
}

/// Ids are far shorter than two bytes can say.
fn text(text: &str, out: &mut Vec<u8>) {
    key(text.as_bytes(), out);
}

fn key(key: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&key[..usize::from(length)]);
}

fn tagged(tag: u8, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    sized(out, fill);
}

/// A length that cannot be said belongs to a payload that is no frame: `seal` refuses it.
fn sized(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// One step, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Connection(&'a [u8]),
    Record(&'a str, &'a [u8]),
    Stamp(&'a str, &'a [u8]),
    RemoveRecord(&'a str),
    RemoveRecords,
    Row(&'a str, &'a [u8], &'a [u8]),
    Change(&'a str, &'a [u8], &'a [u8]),
    Link(&'a [u8], &'a [u8]),
    RemoveLink(&'a [u8]),
    Tombstone(&'a [u8], &'a [u8]),
    Horizon(&'a [u8]),
    Entry(&'a [u8], &'a [u8]),
    ForgetEntries(&'a [u8]),
    Note(&'a str, &'a [u8]),
    RemoveNote(&'a str),
    /// A whole step that was put aside.
    Unread(&'a [u8]),
    /// Of a later release, or not readable: tag and body.
    Unknown(u8, &'a [u8]),
}

/// The payload does not hold what it says. With a good checksum: not written by this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame does not hold rows")]
pub(super) struct NoRows;

/// The groups of a payload.
pub(super) fn groups(payload: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8]), NoRows>> {
    let mut rest = Slice(payload);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let group = rest.text().zip(rest.sized());
        if group.is_none() {
            rest = Slice(&[]);
        }
        Some(group.ok_or(NoRows))
    })
}

/// The steps of a group.
pub(super) fn steps(group: &[u8]) -> impl Iterator<Item = Result<Step<'_>, NoRows>> {
    let mut rest = Slice(group);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let step = rest.u8().zip(rest.sized());
        if step.is_none() {
            rest = Slice(&[]);
        }
        let parsed = step.map(|(tag, body)| parse(tag, Slice(body)).unwrap_or(Step::Unknown(tag, body)));
        Some(parsed.ok_or(NoRows))
    })
}

fn parse(tag: u8, mut body: Slice<'_>) -> Option<Step<'_>> {
    Some(match tag {
        CONNECTION => Step::Connection(body.0),
        RECORD => Step::Record(body.text()?, body.0),
        STAMP => Step::Stamp(body.text()?, body.0),
        REMOVE_RECORD => Step::RemoveRecord(body.text()?),
        REMOVE_RECORDS => Step::RemoveRecords,
        LINK => Step::Link(body.key()?, body.0),
        REMOVE_LINK => Step::RemoveLink(body.key()?),
        TOMBSTONE => Step::Tombstone(body.key()?, body.0),
        HORIZON => Step::Horizon(body.0),
        ENTRY => Step::Entry(body.key()?, body.0),
        FORGET_ENTRIES => Step::ForgetEntries(body.key()?),
        NOTE => Step::Note(body.text()?, body.0),
        REMOVE_NOTE => Step::RemoveNote(body.text()?),
        UNREAD => Step::Unread(body.0),
        CHANGE => Step::Change(body.text()?, body.bytes(STAMP_BYTES)?, body.0),
        ROW => Step::Row(body.text()?, body.bytes(STAMP_BYTES)?, body.0),
        _ => return None,
    })
}
