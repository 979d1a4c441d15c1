//! What receivers were told, as notes of the store: after a restart nobody hears twice what was heard, and whoever
//! heard that a case fires hears that it has resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use pulse_proto::model::UnixMillis;
use sha2::{Digest as _, Sha256};

use super::event::{EventKey, hex};
use super::lane::Kept;
use super::send::Address;
use crate::alert::CaseId;
use crate::state::{Note, Notes};

const PREFIX: &str = "notify/told/";
const HASH_BYTES: usize = 6;

#[derive(Clone, PartialEq, Message)]
struct Row {
    /// Empty: it answered nothing.
    #[prost(string, tag = "1")]
    key: String,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(string, optional, tag = "3")]
    refused: Option<String>,
    /// Absent where an earlier release kept it: then what was not refused was heard.
    #[prost(bool, optional, tag = "4")]
    heard: Option<bool>,
}

/// Names a lane for ever. Another address of the same receiver is another one, which was told nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(String);

impl LaneId {
    pub(super) fn new(receiver: &str, address: &Address) -> Self {
        let digest = Sha256::digest(address.whole());
        let hash = hex(digest.as_slice(), HASH_BYTES);
        Self(format!("{receiver}.{hash}"))
    }
}

pub(super) fn is_own(key: &str) -> bool {
    key.starts_with(PREFIX)
}

type Told = BTreeMap<LaneId, BTreeMap<CaseId, Kept>>;

/// What each lane was told; and the notes of nobody, to be dropped.
pub(super) fn read(notes: &Notes, lanes: &[LaneId]) -> (Told, Vec<Note>) {
    let (mut told, mut strays) = (Told::new(), Vec::new());
    for (key, value) in notes {
        let Some((lane, case)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let lane = LaneId(lane.to_owned());
        let row = Row::decode(&**value).ok();
        match (CaseId::parse(case), row) {
            (Some(case), Some(Row { key, at, refused, heard })) if lanes.contains(&lane) => {
                let heard = heard.unwrap_or(refused.is_none());
                let key = (!key.is_empty()).then(|| EventKey::new(key));
                let kept = Kept { key, at: UnixMillis::new(at), refused, heard };
                told.entry(lane).or_default().insert(case, kept);
            }
            _ => strays.push(Note { key: Arc::clone(key), value: None }),
        }
    }
    (told, strays)
}

pub(super) fn write(lane: &LaneId, rows: &BTreeMap<CaseId, Option<Kept>>) -> Vec<Note> {
    let note = |(case, kept): (&CaseId, &Option<Kept>)| {
        let value = kept.as_ref().map(|Kept { key, at, refused, heard }| {
            let key = key.as_ref().map(ToString::to_string).unwrap_or_default();
            let row = Row { key, at: at.get(), refused: refused.clone(), heard: Some(*heard) };
            Arc::from(row.encode_to_vec())
        });
        Note { key: format!("{PREFIX}{}/{case}", lane.0).into(), value }
    };
    rows.iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_those_of_an_earlier_release_too() {
        let lane = LaneId::new("hook", &Address::parse("http://hook").expect("an address"));
        let case =
            |digit: u8| CaseId::parse(&uuid::Uuid::from_bytes([digit; 16]).to_string()).expect("an id");
        let no = Some("status 401".to_owned());
        let kept = |refused: &Option<String>, heard| Kept {
            key: Some(EventKey::new("a".to_owned())),
            at: UnixMillis::new(7),
            refused: refused.clone(),
            heard,
        };
        let all = BTreeMap::from([
            (case(1), kept(&None, true)),
            (case(2), kept(&no, true)),
            (case(3), kept(&no, false)),
            (case(6), Kept { key: None, ..kept(&None, true) }),
        ]);
        let rows = all.iter().map(|(id, kept)| (*id, Some(kept.clone()))).collect();
        let mut notes: Notes =
            write(&lane, &rows).into_iter().filter_map(|note| Some((note.key, note.value?))).collect();
        // Without a word of what was heard.
        for (id, refused) in [(case(4), None), (case(5), no.clone())] {
            let row = Row { key: "a".to_owned(), at: 7, refused, heard: None };
            notes.insert(format!("{PREFIX}{}/{id}", lane.0).into(), Arc::from(row.encode_to_vec()));
        }
        let (mut told, strays) = read(&notes, std::slice::from_ref(&lane));
        let earlier = [(case(4), kept(&None, true)), (case(5), kept(&no, false))];
        assert_eq!(told.remove(&lane), Some(all.into_iter().chain(earlier).collect()));
        assert_eq!(strays, []);
    }
}
