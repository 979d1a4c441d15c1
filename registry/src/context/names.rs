//! What things are called: which names stand for one thing, how a name is
//! spelled for its pseudonym, and where known names stand inside other texts.

mod find;
mod former;
mod remote;
mod roll;
mod rolls;

pub(super) use find::{Stretch, find};
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

/// A name that nothing bears now, and what it stands for: mostly itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alone {
    /// As it is looked for.
    name: Box<str>,
    kind: Kind,
    of: Box<str>,
}

impl Alone {
    fn new(kind: Kind, name: &str) -> Self {
        Self { name: folded(name).into(), kind, of: name.into() }
    }

    /// As it was known.
    fn kept(name: &str, meaning: &Meaning) -> Self {
        Self { name: name.into(), kind: meaning.kind, of: meaning.of.clone() }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub kind: Kind,
    /// The one name of the thing, whichever of its names it is called by.
    pub of: Box<str>,
}

/// Names of things that may stand inside other texts.
#[derive(Clone, Debug, Default)]
pub struct Known {
    names: BTreeMap<Box<str>, Vec<Meaning>>,
    /// Names of what is gone: each stands for itself.
    beyond: Option<Arc<Self>>,
}

/// As it is looked for: without what cannot be seen, of one case, with one kind of dash.
pub(super) fn folded(text: &str) -> String {
    tame(text).chars().flat_map(fold).collect()
}

/// By way of capitals: "ß" is "SS" as "ẞ" is, and "ς" is "σ". A dot that "İ" leaves behind is none of another letter.
fn fold(letter: char) -> impl Iterator<Item = char> {
    const DOT: char = '\u{307}';
    let letter = if matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}') { '-' } else { letter };
    let capitals = (!letter.is_ascii())
        .then(|| letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    let ascii = letter.is_ascii().then(|| letter.to_ascii_lowercase());
    capitals.into_iter().flatten().chain(ascii).filter(|letter| *letter != DOT)
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

    /// With what stands for itself where nothing better is known.
    fn and_beyond(self, beyond: Arc<Self>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// Of names that nothing bears now.
    fn alone<'a>(names: impl IntoIterator<Item = &'a Alone>) -> Self {
        let mut known = Self::default();
        for Alone { name, kind, of } in names {
            known.add(name, &Meaning { kind: *kind, of: of.clone() });
        }
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
        let find = |name: &str| self.named(name, &fits);
        find(&folded).or_else(|| {
            let (first, rest) = folded.split_once('.')?;
            let is_domain =
                rest.split('.').all(|label| !label.is_empty() && label.chars().all(is_label_char));
            find(first).filter(|meaning| is_domain && meaning.kind == Kind::System)
        })
    }

    fn named(&self, name: &str, fits: &impl Fn(&Meaning) -> bool) -> Option<&Meaning> {
        let own = self.names.get(name).and_then(|meanings| meanings.iter().find(|meaning| fits(meaning)));
        own.or_else(|| self.beyond.as_ref()?.named(name, fits))
    }

    /// The longest known name at the beginning of `rest` for which `fits` holds.
    fn longest(&self, rest: &str, fits: &impl Fn(usize, &Meaning) -> bool) -> Option<(usize, &Meaning)> {
        let beyond = self.beyond.as_ref().and_then(|beyond| beyond.longest(rest, fits));
        // The last of equals: what is known best.
        beyond.into_iter().chain(self.longest_own(rest, fits)).max_by_key(|(length, _)| *length)
    }

    fn longest_own(&self, rest: &str, fits: &impl Fn(usize, &Meaning) -> bool) -> Option<(usize, &Meaning)> {
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

#[cfg(test)]
mod tests {
    use super::find::tests::{hidden, known};
    use super::*;

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
}
