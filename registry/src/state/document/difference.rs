//! What makes the body of one document that of another: pieces of it, and what
//! stands in their places. Where nothing but numbers changed that is a tenth of
//! the body, and the journal keeps no more. Knows by a check whether what came
//! of it is what was meant; refuses to know where bodies are kept.

use prost::encoding::{decode_varint, encode_varint};

use super::{Document, Family};

const CHECK_BYTES: usize = 4;
/// A difference that takes more than one part in so many of the whole saves too little.
const WHOLE_PER_DIFFERENCE_MIN: usize = 2;

/// The check of the document that comes of it, then splices: bytes to pass over, to leave out, to put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference(Vec<u8>);

impl Difference {
    /// Of two documents of one place, found by looking at both. `None`: they differ in more than words of them.
    pub fn between(old: &Document, new: &Document) -> Option<Self> {
        let (before, after) = (old.body(), new.body());
        let is_alike = old.has_place_of(new) && before.len() == after.len();
        is_alike.then(|| Splices::between(before, after).finish(&new.family, after)).flatten()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes that are compared at once; all of them are told where one differs.
const WORD_BYTES: usize = 8;

/// A difference in the making.
#[derive(Debug, Default)]
pub(super) struct Splices {
    out: Vec<u8>,
    /// How much of the old body is said.
    at: usize,
}

impl Splices {
    /// Both are of one length.
    fn between(old: &[u8], new: &[u8]) -> Self {
        let mut splices = Self::default();
        let mut differs_from = None;
        let words = old.chunks(WORD_BYTES).zip(new.chunks(WORD_BYTES));
        for (at, (before, after)) in words.enumerate().map(|(word, both)| (word * WORD_BYTES, both)) {
            match (before == after, differs_from) {
                (false, None) => differs_from = Some(at),
                (true, Some(from)) => {
                    splices.replace(from, at - from, &new[from..at]);
                    differs_from = None;
                }
                _ => {}
            }
        }
        if let Some(from) = differs_from {
            splices.replace(from, old.len() - from, &new[from..]);
        }
        splices
    }

    /// Puts `new` in place of so many bytes at `at` of the old body, behind all that was said before.
    pub(super) fn replace(&mut self, at: usize, old: usize, new: &[u8]) {
        if self.out.is_empty() {
            self.out.reserve(64);
            self.out.extend_from_slice(&[0; CHECK_BYTES]);
        }
        for number in [at - self.at, old, new.len()] {
            encode_varint(number as u64, &mut self.out);
        }
        self.out.extend_from_slice(new);
        self.at = at + old;
    }

    /// `body` is what comes of it. `None`: it is not worth it.
    pub(super) fn finish(mut self, family: &Family, body: &[u8]) -> Option<Difference> {
        if self.out.len() * WHOLE_PER_DIFFERENCE_MIN > body.len() {
            return None;
        }
        let parent = family.parent_source_id.as_ref().map_or("", |id| id.as_str());
        let check = self.out.first_chunk_mut::<CHECK_BYTES>()?;
        *check = check_of(parent, family.section.as_str(), body).to_be_bytes();
        Some(Difference(self.out))
    }
}

/// Of a document as it must be.
pub(crate) fn check_of(parent: &str, section: &str, body: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(parent.as_bytes()), section.as_bytes());
    crc32c::crc32c_append(place, body)
}

/// Splits a difference into its check and its splices.
pub(crate) fn split(difference: &[u8]) -> Option<(u32, &[u8])> {
    let (check, splices) = difference.split_first_chunk::<CHECK_BYTES>()?;
    Some((u32::from_be_bytes(*check), splices))
}

/// Makes of the old body, from `at` on, the new one. `None`: they do not fit, and what is there is neither.
pub(crate) fn patch(bytes: &mut Vec<u8>, mut at: usize, mut splices: &[u8]) -> Option<()> {
    while let Some(Splice { pass, old, new }) = next(&mut splices)? {
        at = at.checked_add(pass)?;
        let end = at.checked_add(old)?;
        let place = bytes.get_mut(at..end)?;
        if old == new.len() {
            place.copy_from_slice(new);
        } else {
            bytes.splice(at..end, new.iter().copied());
        }
        at += new.len();
    }
    Some(())
}

/// The same where nothing moves. `None`: nothing is changed, since something would move or they do not fit.
pub(super) fn patch_in_place(bytes: &mut [u8], splices: &[u8]) -> Option<()> {
    let (mut at, mut rest) = (0_usize, splices);
    while let Some(Splice { pass, old, new }) = next(&mut rest)? {
        at = at.checked_add(pass)?.checked_add(old)?;
        if old != new.len() || at > bytes.len() {
            return None;
        }
    }
    let (mut at, mut rest) = (0, splices);
    while let Some(Splice { pass, old, new }) = next(&mut rest)? {
        at += pass;
        bytes[at..at + old].copy_from_slice(new);
        at += old;
    }
    Some(())
}

/// So many bytes are passed over, so many left out, and these put there.
struct Splice<'a> {
    pass: usize,
    old: usize,
    new: &'a [u8],
}

/// `Some(None)` behind the last one; `None` when it is none.
#[expect(clippy::option_option, reason = "the end is not a failure")]
fn next<'a>(splices: &mut &'a [u8]) -> Option<Option<Splice<'a>>> {
    if splices.is_empty() {
        return Some(None);
    }
    let mut number = || usize::try_from(decode_varint(splices).ok()?).ok();
    let (pass, old, new) = (number()?, number()?, number()?);
    let (new, rest) = splices.split_at_checked(new)?;
    *splices = rest;
    Some(Some(Splice { pass, old, new }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use pulse_proto::model::{SectionName, SourceId};
    use pulse_proto::pb::resource::v1 as wire;

    use super::super::{Print, Upsert};
    use super::*;

    #[test]
    fn what_two_bodies_differ_in_makes_one_of_the_other() {
        let old: Vec<u8> = (0..61).collect();
        for places in [&[][..], &[0], &[60], &[7, 8], &[0, 20, 24, 59, 60], &[16, 40]] {
            let mut new = old.clone();
            for at in places {
                new[*at] ^= 0x80;
            }
            let splices = Splices::between(&old, &new).out;
            let mut bytes = old.clone();
            patch(&mut bytes, 0, splices.get(CHECK_BYTES..).unwrap_or_default()).unwrap();
            assert_eq!(bytes, new, "{places:?}");
            assert_eq!(splices.is_empty(), places.is_empty());
        }
    }

    proptest! {
        #[test]
        fn a_document_is_patched_as_its_bytes_are(
            name in "[a-z]{1,40}",
            splices in prop::collection::vec((0_usize..30, 0_usize..4, prop::collection::vec(any::<u8>(), 0..4)), 0..4),
            same_length in any::<bool>(),
            is_shared in any::<bool>(),
        ) {
            let record = wire::Resource { r#type: 1, name, ..wire::Resource::default() }.encode_to_vec();
            let section = || SectionName::parse("pools").unwrap();
            let id = SourceId::parse("system:a/b").unwrap();
            let mut document = Document::restore(id, None, section(), &record).unwrap();
            document.learn(&with_print(&record));
            let known = |document: &Document| (document.print(), document.texts.0, document.judged.0);
            let (held, before) = (is_shared.then(|| document.clone()), known(&document));
            let mut told = Vec::new();
            for (pass, old, new) in splices {
                let old = if same_length { new.len() } else { old };
                for number in [pass, old, new.len()] {
                    encode_varint(number as u64, &mut told);
                }
                told.extend_from_slice(&new);
            }
            let mut expected = record.clone();
            let fits = patch(&mut expected, 0, &told).is_some();
            prop_assert_eq!(document.patch(&told).is_some(), fits);
            prop_assert_eq!(document.body(), if fits { &expected } else { &record });
            prop_assert_eq!((document.source_id.as_str(), &document.section), ("system:a/b", &section()));
            let after = known(&document);
            if fits {
                prop_assert!(after.0.is_none() && after.1 != before.1 && after.2 != before.2);
            } else {
                prop_assert_eq!(after, before);
            }
            if let Some(held) = held {
                prop_assert_eq!((held.body(), known(&held)), (&*record, before));
            }
        }
    }

    fn with_print(record: &[u8]) -> Document {
        let told = wire::IngestRecord {
            source_id: "system:a/b".to_owned(),
            r#type: 1,
            name: "x".to_owned(),
            section: "pools".to_owned(),
            ..wire::IngestRecord::default()
        };
        Upsert::told(told, Print::of(record)).unwrap().document
    }

    #[test]
    fn splices_that_do_not_fit_are_seen() {
        let mut splices = Splices::default();
        splices.replace(2, 1, b"xyz");
        splices.replace(5, 2, b"");
        splices.replace(7, 0, b"!");
        let splices = &splices.out[CHECK_BYTES..];
        let patched = |old: &[u8], splices: &[u8]| {
            let mut bytes = old.to_vec();
            patch(&mut bytes, 1, splices).map(|()| bytes)
        };
        assert_eq!(patched(b"_abcdefgh", splices).as_deref(), Some(&b"_abxyzde!h"[..]));
        assert_eq!(patched(b"_abcdefg", splices).as_deref(), Some(&b"_abxyzde!"[..]));
        for end in 0..8 {
            assert_eq!(patched(&b"_abcdefg"[..end], splices), None, "{end}");
        }
        for end in 1..splices.len() {
            if ![6, 9].contains(&end) {
                assert_eq!(patched(b"_abcdefgh", &splices[..end]), None, "{end}");
            }
        }
        assert_eq!(patched(b"_ab", &[0xff; 10]), None);
        let far = [&[0xff; 9][..], &[1, 1, 0]].concat();
        assert_eq!(patched(b"_ab", &far), None);
    }
}
