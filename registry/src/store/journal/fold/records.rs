//! The records of one connection while steps are put together. A whole record is
//! read when it comes, since few are written again before a checkpoint; changes
//! are put to the bytes that it is.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::super::rows::{self, STAMP_BYTES};
use crate::state::{Document, RecordRow, Stamp, difference};
use crate::store::bytes::{
    Names, decode_document, decode_stamp, encode_document, encode_stamp, is_document, patch_document,
};

/// In the order in which they came: that of their ids, where a checkpoint has them. A table knows their places alone, since one of
/// whole records is half empty and moves all of them when it grows. While each comes behind all others nobody asks it.
#[derive(Debug, Default)]
pub(super) struct Records {
    places: HashTable<u32>,
    hasher: RandomState,
    all: Vec<Option<Record>>,
    /// So many of them are in the table, or went.
    known: usize,
    is_disordered: bool,
    names: Names,
}

#[derive(Debug)]
pub(super) enum Record {
    /// As it will be kept.
    Read(Document, Option<Stamp>),
    Changed(Box<Changed>),
    /// Not to be read.
    Written(Box<Written>),
}

/// A record that was read and changed since.
#[derive(Debug)]
pub(super) struct Changed {
    document: Document,
    stamp: Option<[u8; STAMP_BYTES]>,
    /// As that of [`Written`].
    check: u32,
}

#[derive(Debug)]
pub(super) struct Written {
    source_id: Box<str>,
    record: Option<Vec<u8>>,
    stamp: Option<[u8; STAMP_BYTES]>,
    /// What the record must be after the last change. Asked once, at the end: a change of another record than it was
    /// made for shows in what comes of it.
    check: Option<u32>,
}

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() + self.all.len() - self.known
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Without a stamp: that of the record stays.
    pub(super) fn put(&mut self, source_id: &str, stamp: Option<&[u8]>, bytes: &[u8]) {
        let Some(document) = self.read(source_id, bytes) else {
            return self.edit(source_id, |written| {
                (written.record, written.check) = (Some(bytes.to_vec()), None);
                written.stamp = stamp.map_or(written.stamp, |stamp| stamp.try_into().ok());
            });
        };
        let stamp = stamp.map(stamp_of);
        match self.place(source_id) {
            Some(place) => {
                let held = &mut self.all[place];
                let stamp = stamp.unwrap_or_else(|| held.as_ref().and_then(Record::stamp));
                *held = Some(Record::Read(document, stamp));
            }
            None => self.add(source_id, Record::Read(document, stamp.flatten())),
        }
    }

    /// What could not be read before, and is not held; or why it still cannot be.
    pub(super) fn put_back(&mut self, source_id: &str, stamp: &[u8], bytes: &[u8]) -> Result<(), String> {
        let (record, stamp) = (Some(bytes.to_vec()), stamp.try_into().ok());
        let written = Written { record, stamp, ..Written::nothing(source_id) };
        if let Some(RecordRow { document, stamp }) = Record::Written(Box::new(written)).row()? {
            self.add(source_id, Record::Read(document, Some(stamp)));
        }
        Ok(())
    }

    pub(super) fn stamp(&mut self, source_id: &str, bytes: &[u8]) {
        match self.place(source_id).map(|place| &mut self.all[place]) {
            Some(Some(Record::Read(_, stamp))) => *stamp = stamp_of(bytes),
            Some(Some(Record::Changed(changed))) => changed.stamp = bytes.try_into().ok(),
            _ => self.edit(source_id, |written| written.stamp = bytes.try_into().ok()),
        }
    }

    /// Of what is not there nothing is made, nor of what comes on top.
    pub(super) fn change(&mut self, source_id: &str, stamp: &[u8], bytes: &[u8]) {
        if let Some(held) = self.place(source_id).map(|place| &mut self.all[place])
            && let Some(mut changed) = held.take_if(|record| record.is_read()).and_then(Record::into_changed)
        {
            let fits = changed.put(stamp, bytes);
            *held = Some(if fits {
                Record::Changed(changed)
            } else {
                Record::Written(Box::new(changed.unfit()))
            });
            return;
        }
        self.edit(source_id, |written| {
            let changed = difference::split(bytes).and_then(|(check, splices)| {
                patch_document(written.record.as_mut()?, splices)?;
                Some(check)
            });
            if changed.is_none() {
                written.record = Some(Vec::new());
            }
            written.stamp = stamp.try_into().ok();
            written.check = changed.or(Some(0));
        });
    }

    pub(super) fn remove(&mut self, source_id: &str) {
        self.know_all();
        let Self { places, hasher, all, .. } = self;
        let found = places.find_entry(hasher.hash_one(source_id), |place| is_at(all, *place, source_id));
        if let Ok(found) = found {
            all[found.remove().0 as usize] = None;
        }
    }

    /// Ascending by id.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = Record> {
        let Self { mut all, is_disordered, .. } = self;
        if is_disordered {
            // An id lies apart from its record: fetched once for each.
            let ids =
                all.iter().enumerate().filter_map(|(at, record)| Some((record.as_ref()?.source_id(), at)));
            let mut ids: Vec<(&str, usize)> = ids.collect();
            ids.sort_unstable();
            let order: Vec<usize> = ids.into_iter().map(|(_, at)| at).collect();
            all = order.into_iter().map(|at| all[at].take()).collect();
        }
        all.into_iter().flatten()
    }

    fn place(&mut self, source_id: &str) -> Option<usize> {
        if self.is_behind_all(source_id) {
            return None;
        }
        self.know_all();
        let Self { places, hasher, all, .. } = self;
        let place = places.find(hasher.hash_one(source_id), |place| is_at(all, *place, source_id))?;
        Some(*place as usize)
    }

    fn is_behind_all(&self, source_id: &str) -> bool {
        let is_behind =
            |last: &Option<Record>| last.as_ref().is_some_and(|last| last.source_id() < source_id);
        !self.is_disordered && self.all.last().is_none_or(is_behind)
    }

    fn add(&mut self, source_id: &str, record: Record) {
        self.is_disordered |= !self.is_behind_all(source_id);
        self.all.push(Some(record));
    }

    /// Before one is looked for.
    fn know_all(&mut self) {
        let Self { places, hasher, all, known, .. } = self;
        let hash = |place: &u32| match all.get(*place as usize) {
            Some(Some(record)) => hasher.hash_one(record.source_id()),
            _ => 0,
        };
        places.reserve(all.len() - *known, hash);
        for place in *known..all.len() {
            // As many do not fit into memory.
            let short = u32::try_from(place).unwrap_or(u32::MAX);
            places.insert_unique(hash(&short), short, hash);
        }
        *known = all.len();
    }

    /// Changes what is held as bytes; what nobody has told yet has none.
    fn edit(&mut self, source_id: &str, change: impl FnOnce(&mut Written)) {
        let known = self.place(source_id);
        let mut written = match known.and_then(|place| self.all[place].take()) {
            Some(record) => record.into_written(),
            None => Written::nothing(source_id),
        };
        change(&mut written);
        let record = Record::Written(Box::new(written));
        match known {
            Some(place) => self.all[place] = Some(record),
            None => self.add(source_id, record),
        }
    }

    /// `None`: it cannot be read. Why is told at the end, if it is still there.
    fn read(&mut self, source_id: &str, bytes: &[u8]) -> Option<Document> {
        decode_document(source_id, bytes, &mut self.names).ok()
    }
}

fn is_at(all: &[Option<Record>], place: u32, source_id: &str) -> bool {
    matches!(all.get(place as usize), Some(Some(record)) if record.source_id() == source_id)
}

fn stamp_of(bytes: &[u8]) -> Option<Stamp> {
    <&[u8; STAMP_BYTES]>::try_from(bytes).ok().and_then(|bytes| decode_stamp(bytes))
}

impl Record {
    const fn is_read(&self) -> bool {
        matches!(self, Self::Read(..) | Self::Changed(_))
    }

    fn into_changed(self) -> Option<Box<Changed>> {
        match self {
            Self::Changed(changed) => Some(changed),
            Self::Read(document, stamp) => {
                Some(Box::new(Changed { document, stamp: stamp.map(encode_stamp), check: 0 }))
            }
            Self::Written(_) => None,
        }
    }

    pub(super) fn source_id(&self) -> &str {
        match self {
            Self::Read(document, _) => document.source_id.as_str(),
            Self::Changed(changed) => changed.document.source_id.as_str(),
            Self::Written(written) => &written.source_id,
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Read(_, stamp) => *stamp,
            Self::Changed(changed) => changed.stamp.and_then(|stamp| decode_stamp(&stamp)),
            Self::Written(written) => written.stamp.and_then(|stamp| decode_stamp(&stamp)),
        }
    }

    /// What can be read of it, `None` where nothing was told, or why it cannot be.
    pub(super) fn row(&self) -> Result<Option<RecordRow>, String> {
        let source_id = self.source_id();
        let document = match self {
            Self::Read(document, _) => document.clone(),
            Self::Changed(changed) if !changed.is_whole() => return Err(no_change(source_id)),
            Self::Changed(changed) => {
                changed.document.reread().map_err(|error| format!("record {source_id:?}: {error}"))?
            }
            Self::Written(written) if !written.is_whole() => return Err(no_change(source_id)),
            Self::Written(written) => match &written.record {
                None => return Ok(None),
                Some(bytes) => {
                    let read = decode_document(source_id, bytes, &mut Names::default());
                    read.map_err(|error| format!("record {source_id:?}: {error}"))?
                }
            },
        };
        let stamp = self.stamp().ok_or_else(|| format!("record {source_id:?} has no stamp"))?;
        Ok(Some(RecordRow { document, stamp }))
    }

    pub(super) fn into_step(self) -> Option<(Box<str>, Box<[u8]>)> {
        let written = self.into_written();
        let Written { source_id, record, stamp, .. } = &written;
        let (bytes, stamp) = (record.as_ref()?, stamp.as_ref());
        let step = match stamp.filter(|_| !written.is_whole()) {
            Some(stamp) => rows::change_as_written(source_id, stamp),
            None => rows::record_as_written(source_id, stamp, bytes),
        };
        Some((source_id.clone(), step))
    }

    fn into_written(self) -> Written {
        match self {
            Self::Written(written) => *written,
            Self::Changed(changed) => changed.into_written(),
            Self::Read(document, stamp) => {
                let mut written = Written::nothing(document.source_id.as_str());
                encode_document(&document, written.record.insert(Vec::new()));
                written.stamp = stamp.map(encode_stamp);
                written
            }
        }
    }
}

impl Changed {
    /// Whether the change could be put to it.
    fn put(&mut self, stamp: &[u8], bytes: &[u8]) -> bool {
        self.stamp = stamp.try_into().ok();
        let Some((check, splices)) = difference::split(bytes) else { return false };
        self.check = check;
        self.document.patch(splices).is_some()
    }

    fn is_whole(&self) -> bool {
        let parent = self.document.parent_source_id.as_ref().map_or("", |id| id.as_str());
        difference::check_of(parent, self.document.section.as_str(), self.document.body()) == self.check
    }

    fn unfit(self) -> Written {
        let source_id = self.document.source_id.as_str().into();
        Written { source_id, record: Some(Vec::new()), stamp: self.stamp, check: Some(0) }
    }

    fn into_written(self) -> Written {
        let Self { document, stamp, check } = self;
        let mut written = Written::nothing(document.source_id.as_str());
        encode_document(&document, written.record.insert(Vec::new()));
        Written { stamp, check: Some(check), ..written }
    }
}

impl Written {
    fn nothing(source_id: &str) -> Self {
        Self { source_id: source_id.into(), record: None, stamp: None, check: None }
    }

    /// Changes came to what they were made for.
    fn is_whole(&self) -> bool {
        let record = self.record.as_deref().unwrap_or_default();
        self.check.is_none_or(|check| is_document(record, check))
    }
}

pub(super) fn no_change(source_id: &str) -> String {
    format!("record {source_id:?} is not the one that was changed")
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use pulse_proto::model::StorageTopology;
    use pulse_proto::pb::resource::v1 as wire;

    use super::*;

    #[test]
    fn what_a_record_is_goes_by_the_bytes_that_a_change_made() {
        let body = |topology: wire::StorageTopology| {
            let storage = wire::StorageFacet { topology: topology.into(), ..Default::default() };
            let resource_type = wire::ResourceType::Storage.into();
            wire::Resource { r#type: resource_type, storage: Some(storage), ..Default::default() }
                .encode_to_vec()
        };
        let [pool, dataset] = [wire::StorageTopology::Pool, wire::StorageTopology::Dataset].map(body);
        let row = [&[0, 0, 0, 5], &b"pools"[..], &pool].concat();
        let length = u8::try_from(pool.len()).expect("a short one");
        let check = difference::check_of("", "pools", &dataset).to_be_bytes();
        let change = [&check[..], &[0, length, length], &dataset].concat();

        let mut records = Records::default();
        records.put("tank", Some(&[0; STAMP_BYTES]), &row);
        records.change("tank", &[0; STAMP_BYTES], &change);
        let later: [u8; STAMP_BYTES] = std::array::from_fn(|at| u8::from(at % 8 == 7));
        records.stamp("tank", &later);
        let record = records.into_sorted().next().expect("a record");
        let RecordRow { document, stamp } = record.row().expect("it can be read").expect("it is there");
        assert_eq!(document.topology(), Some(StorageTopology::Dataset));
        assert_eq!(encode_stamp(stamp), later);
    }
}
