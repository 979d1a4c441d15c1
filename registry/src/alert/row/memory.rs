//! What is remembered of a resource as a note.

use std::collections::BTreeMap;

use prost::Message;
use pulse_proto::ProtocolError;
use pulse_proto::model::{ConnectionId, ResourceId, SectionName, UnixMillis};

use super::{MEMORY, decoded, note};
use crate::alert::condition::{Counted, Counter, Device, Fill, Grown, Home, Memory};
use crate::alert::measure::Errors;
use crate::state::Note;

#[derive(Clone, PartialEq, Message)]
struct KeptMemory {
    /// Of earlier releases: of all devices together.
    #[prost(message, repeated, tag = "1")]
    grown: Vec<KeptGrown>,
    #[prost(message, repeated, tag = "2")]
    fill: Vec<KeptSample>,
    #[prost(uint64, tag = "3")]
    total: u64,
    #[prost(message, repeated, tag = "4")]
    devices: Vec<KeptDevice>,
    #[prost(string, tag = "5")]
    connection: String,
    #[prost(string, tag = "6")]
    section: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeptDevice {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(uint64, optional, tag = "2")]
    read: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    write: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    checksum: Option<u64>,
    #[prost(message, repeated, tag = "5")]
    grown: Vec<KeptGrown>,
}

#[derive(Clone, PartialEq, Message)]
struct KeptGrown {
    #[prost(string, tag = "1")]
    counter: String,
    #[prost(uint64, tag = "2")]
    from: u64,
    #[prost(uint64, tag = "3")]
    to: u64,
    #[prost(uint64, tag = "4")]
    at: u64,
}

#[derive(Clone, PartialEq, Message)]
struct KeptSample {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(uint64, tag = "2")]
    used: u64,
}

pub(in crate::alert) fn memory(id: &ResourceId, memory: Option<&Memory>) -> Note {
    let kept = memory.map(|Memory { counted, fill, home, missed: _ }| KeptMemory {
        grown: show_grown(&counted.earlier),
        fill: fill.samples.iter().map(|(at, used)| KeptSample { at: at.get(), used: *used }).collect(),
        total: fill.total,
        devices: counted.devices.iter().map(|(key, device)| show_device(key, device)).collect(),
        connection: home.as_ref().map(|home| home.connection.to_string()).unwrap_or_default(),
        section: home.as_ref().map(|home| home.section.to_string()).unwrap_or_default(),
    });
    note(format!("{MEMORY}{id}"), kept.map(|kept| kept.encode_to_vec()))
}

fn show_device(key: &str, Device { errors, grown, missing: _ }: &Device) -> KeptDevice {
    let Errors([read, write, checksum]) = *errors;
    KeptDevice { key: key.to_owned(), read, write, checksum, grown: show_grown(grown) }
}

fn show_grown(grown: &BTreeMap<Counter, Grown>) -> Vec<KeptGrown> {
    let show = |(counter, Grown { from, to, at }): (&Counter, &Grown)| KeptGrown {
        counter: counter.token().to_owned(),
        from: *from,
        to: *to,
        at: at.get(),
    };
    grown.iter().map(show).collect()
}

fn read_grown(grown: Vec<KeptGrown>) -> BTreeMap<Counter, Grown> {
    let read = |KeptGrown { counter, from, to, at }| {
        Some((Counter::parse(&counter)?, Grown { from, to, at: UnixMillis::new(at) }))
    };
    grown.into_iter().filter_map(read).collect()
}

pub(super) fn read(value: &[u8]) -> Result<Memory, ProtocolError> {
    let KeptMemory { grown, fill, total, devices, connection, section } = decoded(value)?;
    let device = |KeptDevice { key, read, write, checksum, grown }| {
        let errors = Errors([read, write, checksum]);
        (key.into(), Device { errors, grown: read_grown(grown), missing: None })
    };
    let samples = fill.into_iter().map(|KeptSample { at, used }| (UnixMillis::new(at), used)).collect();
    let home = ConnectionId::parse(&connection).ok().zip(SectionName::parse(&section).ok());
    Ok(Memory {
        counted: Counted { devices: devices.into_iter().map(device).collect(), earlier: read_grown(grown) },
        fill: Fill { samples, total },
        home: home.map(|(connection, section)| Home { connection, section }),
        missed: None,
    })
}
