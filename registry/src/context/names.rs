//! What things are called: which names stand for one thing, how a name is
//! spelled for its pseudonym, and where known names stand inside other texts.

mod remote;
mod roll;
mod rolls;

pub(super) use remote::{Remote, is_common_user, short_name};
pub use roll::Roll;
pub(super) use roll::own_names;
pub use rolls::Rolls;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::piece::Kind;
use super::redact::Policy;
use super::tame::tame;

/// Shorter ones are letters of any text.
const CHARS_MIN: usize = 2;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub kind: Kind,
    /// The one name of the thing, whichever of its names it is called by.
    pub of: Box<str>,
}

/// Names of all things in sight that may stand inside other texts.
#[derive(Clone, Debug, Default)]
pub struct Known {
    names: BTreeMap<Box<str>, Vec<Meaning>>,
}

/// As it is looked for: without what cannot be seen, of one case, with one kind of dash.
pub(super) fn folded(text: &str) -> String {
    tame(text).chars().flat_map(fold).collect()
}

fn fold(letter: char) -> impl Iterator<Item = char> {
    let letter = if matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}') { '-' } else { letter };
    letter.to_lowercase()
}

/// What its pseudonym is made of. Names of machines and serials have no case.
pub(super) fn spelling(kind: Kind, text: &str) -> String {
    match kind {
        Kind::System | Kind::Address | Kind::Serial => folded(text),
        _ => tame(text),
    }
}

impl Known {
    pub fn of<'a>(rolls: impl IntoIterator<Item = &'a Arc<Roll>>) -> Self {
        let (mut known, mut heard) = (Self::default(), Self::default());
        for roll in rolls {
            roll.names().for_each(|(name, meaning)| known.add(name, meaning));
            roll.heard().for_each(|(name, meaning)| heard.add(name, meaning));
        }
        known.hear(heard);
        known
    }

    /// Names that others use, unless they are known: what they mean by one is perhaps known by another.
    fn hear(&mut self, heard: Self) {
        for (name, meanings) in heard.names {
            for Meaning { kind, of } in meanings {
                let of = self.as_kind(kind, &of).map_or(of, |known| known.of.clone());
                let known = self.names.entry(name.clone()).or_default();
                if known.iter().all(|known| known.kind != kind) {
                    known.push(Meaning { kind, of });
                    known.sort_by_key(|meaning| meaning.kind);
                }
            }
        }
    }

    pub(super) fn add(&mut self, name: &str, meaning: &Meaning) {
        if name.chars().count() < CHARS_MIN {
            return;
        }
        let meanings = self.names.entry(name.into()).or_default();
        match meanings.iter_mut().find(|known| known.kind == meaning.kind) {
            None => {
                meanings.push(meaning.clone());
                meanings.sort_by_key(|meaning| meaning.kind);
            }
            // Several are called so: the name stands for itself.
            Some(known) if spelling(known.kind, &known.of) != spelling(meaning.kind, &meaning.of) => {
                known.of = name.into();
            }
            Some(_) => {}
        }
    }

    /// What the whole text is the name of, as that kind of thing.
    pub(super) fn as_kind(&self, kind: Kind, text: &str) -> Option<&Meaning> {
        self.whole(text, |meaning| meaning.kind == kind)
    }

    /// What the whole text is the name of, if that is hidden.
    pub(super) fn hidden(&self, policy: Policy, text: &str) -> Option<&Meaning> {
        self.whole(text, |meaning| policy.hides(meaning.kind))
    }

    /// `nas-1.example.net` is a name of nas-1.
    fn whole(&self, text: &str, fits: impl Fn(&Meaning) -> bool) -> Option<&Meaning> {
        let folded = folded(text);
        let find = |name: &str| self.names.get(name)?.iter().find(|meaning| fits(meaning));
        find(&folded).or_else(|| {
            let (first, rest) = folded.split_once('.')?;
            let is_domain =
                rest.split('.').all(|label| !label.is_empty() && label.chars().all(is_label_char));
            find(first).filter(|meaning| is_domain && meaning.kind == Kind::System)
        })
    }

    /// The longest known name at the beginning of `rest` for which `fits` holds.
    fn longest(&self, rest: &str, fits: impl Fn(usize, &Meaning) -> bool) -> Option<(usize, &Meaning)> {
        let mut upper = Bound::Included(rest);
        loop {
            let (name, meanings) = self.names.range::<str, _>((Bound::Unbounded, upper)).next_back()?;
            if rest.starts_with(&**name) {
                if let Some(meaning) = meanings.iter().find(|meaning| fits(name.len(), meaning)) {
                    return Some((name.len(), meaning));
                }
                upper = Bound::Excluded(name);
            } else {
                let equal = name.chars().zip(rest.chars()).take_while(|(left, right)| left == right);
                let common: usize = equal.map(|(letter, _)| letter.len_utf8()).sum();
                if common == 0 {
                    return None;
                }
                upper = Bound::Included(&rest[..common]);
            }
        }
    }
}

fn is_label_char(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '-'
}

/// Whether two letters belong to one word. Of scripts without blanks nobody knows where a word ends.
fn is_joined(left: char, right: char) -> bool {
    let is_spaced = |c: char| c.is_alphanumeric() && c < '\u{2e80}';
    is_spaced(left) && is_spaced(right)
}

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stretch<'a> {
    Plain(&'a str),
    Name(Meaning),
}

/// The text with the hidden names in it found, the longest first. `known` and `local` are asked as one.
pub(super) fn find<'a>(text: &'a str, policy: Policy, known: &Known, local: &Known) -> Vec<Stretch<'a>> {
    // Where each folded letter comes from.
    let mut folded_text = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        for folded in fold(letter) {
            places.extend((0..folded.len_utf8()).map(|_| at));
            folded_text.push(folded);
        }
    }
    places.push(text.len());
    let mut stretches = Vec::new();
    let (mut done, mut at) = (0, 0);
    while let Some(first) = folded_text[at..].chars().next() {
        let before = folded_text[..at].chars().next_back();
        let is_start = before.is_none_or(|before| !is_joined(before, first));
        let fits = |length: usize, meaning: &Meaning| {
            let end = at + length;
            let is_whole = places[end] != places[end - 1];
            let (last, next) = (folded_text[..end].chars().next_back(), folded_text[end..].chars().next());
            let is_end = last.zip(next).is_none_or(|(last, next)| !is_joined(last, next));
            is_whole && is_end && policy.hides(meaning.kind)
        };
        let rest = &folded_text[at..];
        let found = || {
            known
                .longest(rest, fits)
                .into_iter()
                .chain(local.longest(rest, fits))
                .max_by_key(|(length, _)| *length)
        };
        let Some((length, meaning)) = is_start.then(found).flatten() else {
            at += first.len_utf8();
            continue;
        };
        let mut end = places[at + length];
        if meaning.kind == Kind::System {
            end += domain(&text[end..]);
        }
        if places[at] > done {
            stretches.push(Stretch::Plain(&text[done..places[at]]));
        }
        stretches.push(Stretch::Name(meaning.clone()));
        done = end;
        at = places.partition_point(|place| *place < end);
    }
    if done < text.len() {
        stretches.push(Stretch::Plain(&text[done..]));
    }
    stretches
}

/// How long the rest of the name is in the network: ".example.net".
fn domain(rest: &str) -> usize {
    let mut length = 0;
    while let Some(label) = rest[length..].strip_prefix('.') {
        let chars = label.find(|c| !is_label_char(c)).unwrap_or(label.len());
        if chars == 0 {
            break;
        }
        length += 1 + chars;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Known {
        let mut known = Known::default();
        for name in names {
            known.add(&folded(name), &Meaning { kind: Kind::System, of: (*name).into() });
        }
        known
    }

    fn hidden(text: &str, known: &Known) -> String {
        let stretches = find(text, Policy::Names, known, &Known::default());
        let shown = |stretch: Stretch<'_>| match stretch {
            Stretch::Plain(text) => text.to_owned(),
            Stretch::Name(meaning) => format!("<{}>", meaning.of),
        };
        stretches.into_iter().map(shown).collect()
    }

    #[test]
    fn names_are_found_inside_other_texts() {
        let known = known(&["nas-1", "nas-1-backup", "the rack", "my_nas", "Küche", "存储", "x", "na"]);
        for (text, expected) in [
            ("ssh: NAS-1.example.net: no route to nas-1.", "ssh: <nas-1>: no route to <nas-1>."),
            ("nas-11, nas-1a and x", "nas-11, nas-1a and x"),
            (
                "nas-1-backup nas-1-old old-nas-1 nas-1_x nas-1/tank",
                "<nas-1-backup> <nas-1>-old old-<nas-1> <nas-1>_x <nas-1>/tank",
            ),
            ("In The Rack there is my_nas", "In <the rack> there is <my_nas>"),
            ("auf KÜCHE, in存储上", "auf <Küche>, in<存储>上"),
            ("nas\u{2010}1 nas-1İ", "<nas-1> nas-1İ"),
            ("", ""),
        ] {
            assert_eq!(hidden(text, &known), expected, "{text}");
        }
    }

    #[test]
    fn a_name_of_several_stands_for_itself() {
        let mut known = known(&["one"]);
        for of in ["one", "two"] {
            known.add("truenas", &Meaning { kind: Kind::System, of: of.into() });
        }
        assert_eq!(hidden("truenas one", &known), "<truenas> <one>");
        assert_eq!(known.as_kind(Kind::System, "One.Example.net").map(|meaning| &*meaning.of), Some("one"));
        assert_eq!(known.as_kind(Kind::System, "one.two three"), None);
        assert_eq!(known.as_kind(Kind::Pool, "one"), None);
    }

    proptest::proptest! {
        #[test]
        fn as_if_every_name_were_tried(
            names in proptest::collection::vec("[ab]{2,4}(-[ab]{1,2})?", 0..8),
            words in proptest::collection::vec("[ab]{1,4}(-[ab]{1,2}){0,2}", 0..6),
        ) {
            let text = words.join(" ");
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let known = known(&names);
            let (mut expected, mut at) = (String::new(), 0);
            while at < text.len() {
                let is_part = |c: char| c.is_alphanumeric();
                let fits = |name: &&&str| {
                    text[at..].starts_with(**name)
                        && (at == 0 || !text[..at].ends_with(is_part) || !text[at..].starts_with(is_part))
                        && !text[at + name.len()..].starts_with(is_part)
                };
                let name = names.iter().filter(fits).max_by_key(|name| name.len());
                let plain = &text[at..=at];
                expected += &name.map_or_else(|| plain.to_owned(), |name| format!("<{name}>"));
                at += name.map_or(1, |name| name.len());
            }
            proptest::prop_assert_eq!(hidden(&text, &known), expected);
        }
    }
}
