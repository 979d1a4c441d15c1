//! A record that differs from a held one in nothing but numbers that may have
//! any value is as good as that one was: it is kept without being decoded. Most
//! of what changes in a fleet is of this kind: sizes, counters, temperatures.
//! Refuses to know why a record is good: whatever is not plainly so here is left
//! to [`Upsert::told`](super::Upsert::told). `cargo xtask bench ingest` has the gain.

mod free;

use std::sync::Arc;

use prost::encoding::{WireType, encode_key};

use super::difference::Splices;
use super::print::Known;
use super::read::number;
use super::{Difference, Document, Head, Lineage, Print};

use self::free::Free;

impl Document {
    /// What an encoded `IngestRecord` of the same thing becomes; `None` when more than numbers differs.
    pub fn alike(&self, record: &[u8], print: Print) -> Option<Alike> {
        let mut body = Vec::with_capacity(self.body().len());
        let mut held = Parts::of(self.body());
        let mut beside = held.next()?;
        // They follow from what is compared below.
        while matches!(beside.number, number::TYPE | number::TECHNOLOGY) {
            body.extend_from_slice(beside.whole);
            beside = held.next()?;
        }
        let mut beside = Some(beside);
        let mut places = Places::default();
        let mut differences = Differences::default();
        let mut told = Parts::of(record);
        while !told.is_at_end() {
            let part = told.next()?;
            match part.number {
                1 => places.see(1, part.is_text(self.source_id.as_str()))?,
                2 => places.see(2, part.is_text(self.parent_source_id.as_ref()?.as_str()))?,
                3 => places.see(4, part.is_integer(self.resource_type.to_wire()))?,
                5 => places.see(8, part.is_text(self.section.as_str()))?,
                other => {
                    let (number, free) = free::of_record(other)?;
                    let known = beside.take().filter(|known| known.number == number)?;
                    differences.see(&part, &known, free)?;
                    encode_key(number, part.wire, &mut body);
                    body.extend_from_slice(part.value);
                    if !held.is_at_end() {
                        beside = Some(held.next()?);
                    }
                }
            }
        }
        let expected = Places(1 | 4 | 8 | if self.parent_source_id.is_some() { 2 } else { 0 });
        if beside.is_some() || places != expected {
            return None;
        }
        if !differences.any {
            self.print.learn(&Known::of(print));
            return Some(Alike::Equal);
        }
        let difference = differences.splices.finish(&self.family, &body);
        let head = Head {
            source_id: self.source_id.clone(),
            family: Arc::clone(&self.family),
            print: Known::of(print),
            texts: self.texts,
            judged: if differences.judged { Lineage::new() } else { self.judged },
        };
        Some(Alike::Numbers(Self::made(head, &body), difference))
    }
}

/// What a record is beside a document of the same thing.
#[derive(Debug)]
pub enum Alike {
    Equal,
    /// Nothing but numbers differs; in how much, where that is little.
    Numbers(Document, Option<Difference>),
}

/// Which of the fields that place a record were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places(u8);

impl Places {
    fn see(&mut self, place: u8, is_held: bool) -> Option<()> {
        self.0 |= place;
        is_held.then_some(())
    }
}

#[derive(Debug, Default)]
struct Differences {
    any: bool,
    /// Something that judges look at, as far as the table says.
    judged: bool,
    splices: Splices,
}

impl Differences {
    /// `None`: not plainly good.
    fn see(&mut self, told: &Part<'_>, held: &Part<'_>, free: &Free) -> Option<()> {
        if told.wire != held.wire {
            return None;
        }
        if told.value == held.value {
            return Some(());
        }
        let Free::Message(fields) = free else {
            self.any = true;
            self.splices.replace(held.at(), held.value.len(), told.value);
            return free.may_be(told).then_some(());
        };
        if told.length() != held.length() {
            self.splices.replace(held.at(), held.length().len(), told.length());
        }
        let around = told.parts();
        let mut beside: &[u32] = &[];
        let (mut told, mut held) = (told.parts(), held.parts());
        loop {
            // What is equal is told in words of bytes, and its fields are walked on one side only.
            let mut equal = common(told.rest, held.rest);
            if equal == told.rest.len() && equal == held.rest.len() {
                self.judged = self.judged || around.has_any(beside);
                return Some(());
            }
            let (part, known) = loop {
                let part = told.next()?;
                match equal.checked_sub(part.whole.len()) {
                    Some(left) => {
                        equal = left;
                        held.take(part.whole.len())?;
                    }
                    None => break (part, held.next()?),
                }
            };
            let (_, free) = fields.iter().find(|(number, _)| *number == part.number)?;
            if part.number != known.number {
                return None;
            }
            self.see(&part, &known, free)?;
            match free {
                Free::Judged(_) => self.judged = true,
                Free::JudgedBeside(others, _) => beside = others,
                _ => {}
            }
        }
    }
}

/// How many bytes from the start on are equal.
fn common(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let equal = 8 * words.take_while(|(one, other)| one == other).count();
    // No longer than the shorter of the two.
    let (one, other) = (&one[equal..], &other[equal..]);
    equal + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The fields of a message in the shortest encoding; any other ends the walk.
#[derive(Clone, Copy)]
struct Parts<'a> {
    rest: &'a [u8],
    /// Where they end in all that is walked.
    end: usize,
}

struct Part<'a> {
    number: u32,
    wire: WireType,
    /// Key and value.
    whole: &'a [u8],
    /// As it lies there, with its length.
    value: &'a [u8],
    /// Where it ends in all that is walked.
    end: usize,
    /// Without its length.
    payload: &'a [u8],
    integer: u64,
}

impl<'a> Parts<'a> {
    const fn of(all: &'a [u8]) -> Self {
        Self { rest: all, end: all.len() }
    }

    const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn next(&mut self) -> Option<Part<'a>> {
        let start = self.rest;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok()?;
        let wire = WireType::try_from(key & 7).ok()?;
        let at_value = self.rest;
        let (mut integer, mut payload) = (0, &[][..]);
        match wire {
            WireType::Varint => integer = self.varint()?,
            WireType::SixtyFourBit => payload = self.take(8)?,
            WireType::LengthDelimited => {
                let length = self.varint()?;
                payload = self.take(usize::try_from(length).ok()?)?;
            }
            WireType::StartGroup | WireType::EndGroup | WireType::ThirtyTwoBit => return None,
        }
        let whole = start.get(..start.len() - self.rest.len())?;
        let value = at_value.get(..at_value.len() - self.rest.len())?;
        let end = self.end - self.rest.len();
        Some(Part { number, wire, whole, value, end, payload, integer })
    }

    fn has_any(mut self, fields: &[u32]) -> bool {
        !fields.is_empty() && std::iter::from_fn(|| self.next()).any(|part| fields.contains(&part.number))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                // The last byte says something, and no more than there are bits for.
                let is_shortest = at == 0 || *byte != 0;
                return (is_shortest && (at < 9 || *byte == 1)).then_some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Part<'a> {
    /// Where its value begins.
    const fn at(&self) -> usize {
        self.end - self.value.len()
    }

    /// What says how long its payload is.
    fn length(&self) -> &'a [u8] {
        &self.value[..self.value.len() - self.payload.len()]
    }

    /// Those of a message.
    const fn parts(&self) -> Parts<'a> {
        Parts { rest: self.payload, end: self.end }
    }

    fn is_text(&self, text: &str) -> bool {
        self.wire == WireType::LengthDelimited && self.payload == text.as_bytes()
    }

    fn is_integer(&self, value: i32) -> bool {
        self.wire == WireType::Varint && u64::try_from(value) == Ok(self.integer)
    }
}

#[cfg(test)]
mod tests;
