//! Where known names stand inside other texts.

use super::{Known, Meaning, fold, is_joined, is_label_char};
use crate::context::piece::Kind;
use crate::context::redact::Policy;
use crate::context::tame::letters;

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::context) enum Stretch<'a> {
    Plain(&'a str),
    Name(Meaning),
}

/// A text as names are looked for in it: of one case, and without markup, which may stand inside of a name.
struct Folded {
    text: String,
    /// Where the letter begins and ends that each byte is of.
    sources: Vec<(usize, usize)>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let mut folded =
            Self { text: String::with_capacity(text.len()), sources: Vec::with_capacity(text.len()) };
        for seen in letters(text) {
            if seen.letter == ' ' && folded.text.ends_with(' ') {
                continue;
            }
            folded.text.extend(fold(seen.letter));
            folded.sources.resize(folded.text.len(), (seen.start, seen.end));
        }
        folded
    }

    /// Whether no word goes on across this place.
    fn is_boundary(&self, at: usize) -> bool {
        let (before, after) = self.text.split_at(at);
        let (Some(left), Some(right)) = (before.chars().next_back(), after.chars().next()) else {
            return true;
        };
        let (left_source, right_source) = (self.sources[at - 1], self.sources[at]);
        if left_source == right_source {
            // Of one letter: "ß" is two.
            return false;
        }
        let has_markup = left_source.1 != right_source.0;
        has_markup || !is_joined(left, right)
    }
}

/// The text with the hidden names in it found, the longest first. `known` and `local` are asked as one. What is `ours`,
/// folded, is a word of the text's own vocabulary, whatever is called so.
pub(in crate::context) fn find<'a>(
    text: &'a str,
    policy: Policy,
    known: &Known,
    local: &Known,
    ours: fn(&str) -> bool,
) -> Vec<Stretch<'a>> {
    let folded = Folded::of(text);
    let mut stretches = Vec::new();
    let (mut done, mut at) = (0, 0);
    while let Some(first) = folded.text[at..].chars().next() {
        let rest = &folded.text[at..];
        let fits = |length: usize, meaning: &Meaning| {
            policy.hides(meaning.kind) && folded.is_boundary(at + length) && !ours(&rest[..length])
        };
        let found = || {
            known
                .longest(rest, &fits)
                .into_iter()
                .chain(local.longest(rest, &fits))
                .max_by_key(|(length, _)| *length)
        };
        let Some((length, meaning)) = folded.is_boundary(at).then(found).flatten() else {
            at += first.len_utf8();
            continue;
        };
        let start = folded.sources[at].0;
        at += length;
        if meaning.kind == Kind::System {
            at += domain(&folded.text[at..]);
        }
        if start > done {
            stretches.push(Stretch::Plain(&text[done..start]));
        }
        stretches.push(Stretch::Name(meaning.clone()));
        done = folded.sources[at - 1].1;
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
pub(super) mod tests {
    use super::super::folded;
    use super::*;

    pub(in crate::context::names) fn known(names: &[&str]) -> Known {
        let mut known = Known::default();
        for name in names {
            known.add(&folded(name), &Meaning { kind: Kind::System, of: (*name).into() });
        }
        known
    }

    pub(in crate::context::names) fn hidden(text: &str, known: &Known) -> String {
        let stretches = find(text, Policy::Names, known, &Known::default(), |_| false);
        let shown = |stretch: Stretch<'_>| match stretch {
            Stretch::Plain(text) => text.to_owned(),
            Stretch::Name(meaning) => format!("<{}>", meaning.of),
        };
        stretches.into_iter().map(shown).collect()
    }

    #[test]
    fn names_are_found_inside_other_texts() {
        let known = known(&[
            "nas-1",
            "nas-1-backup",
            "the rack",
            "my_nas",
            "Küche",
            "存储",
            "x",
            "na",
            "Straße",
            "νάσος",
            "İzmir",
        ]);
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
            ("na<b>s</b>-1 xnas<i>-1</i> the <u> rack n[as]-1", "<nas-1> xnas<i>-1</i> <the rack> <nas-1>"),
            ("a<b>nas-1</b>b a<br>na<br>s-1", "a<b><nas-1></b>b a<br><nas-1>"),
            ("auf STRASSE, auf straẞe.lan, auf straßen", "auf <Straße>, auf <Straße>, auf straßen"),
            ("bei ΝΆΣΟΣ oder νάσοσ", "bei <νάσος> oder <νάσος>"),
            ("İZMİR und izmir und i\u{307}zmi\u{307}r", "<İzmir> und <İzmir> und <İzmir>"),
            ("", ""),
        ] {
            assert_eq!(hidden(text, &known), expected, "{text}");
        }
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
