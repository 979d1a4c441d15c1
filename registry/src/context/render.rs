//! Statements become text: the one place where the words of others are shown.

use std::collections::BTreeMap;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::names::Known;
use super::piece::{Kind, Piece, Statement};
use super::redact::{Policy, Pseudonyms};
use super::shown::{Part, Showing};
use super::words;

/// How statements are to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Rendering<'a> {
    pub now: UnixMillis,
    pub policy: Policy,
    pub pseudonyms: &'a Pseudonyms,
    pub known: &'a Known,
}

/// Shows statements, and remembers which pseudonyms it used.
#[derive(Debug)]
pub(super) struct Renderer<'a> {
    rendering: Rendering<'a>,
    /// Pseudonym to what it stands for.
    pub(super) used: BTreeMap<String, String>,
}

impl<'a> Renderer<'a> {
    pub(super) const fn new(rendering: Rendering<'a>) -> Self {
        Self { rendering, used: BTreeMap::new() }
    }

    pub(super) fn statement(&mut self, statement: &Statement) -> String {
        self.brief(statement, usize::MAX)
    }

    /// With at most so many characters of each text of others.
    pub(super) fn brief(&mut self, statement: &Statement, chars_max: usize) -> String {
        let local = self.local(statement);
        let mut text = String::new();
        for piece in statement.pieces() {
            match piece {
                Piece::Own(own) => text.push_str(own.as_str()),
                Piece::Told(kind, told) => self.told(*kind, told, &local, chars_max, &mut text),
                Piece::Ago(at) => text.push_str(words::ago(*at, self.rendering.now).as_str()),
                Piece::Until(at) => text.push_str(words::until(*at, self.rendering.now).as_str()),
            }
        }
        text
    }

    /// How an id is shown that stands beside the text, and what that stands for; nothing where ids are shown as they are.
    pub(super) fn id(&self, id: &ResourceId) -> Option<(String, String)> {
        let Rendering { policy, pseudonyms, .. } = self.rendering;
        policy.hides(Kind::Id).then(|| (pseudonyms.seal(id), id.to_string()))
    }

    /// The names that the sentence tells as such: what it quotes may name the same things, also when they are gone.
    fn local(&self, statement: &Statement) -> Known {
        let mut local = Known::default();
        for piece in statement.pieces() {
            if let Piece::Told(kind, told) = piece {
                for (name, meaning) in self.showing().meanings(*kind, told) {
                    local.add(&name, &meaning);
                }
            }
        }
        local
    }

    const fn showing(&self) -> Showing<'a> {
        let Rendering { policy, pseudonyms, known, .. } = self.rendering;
        Showing { policy, pseudonyms, known }
    }

    fn told(&mut self, kind: Kind, told: &str, local: &Known, chars_max: usize, text: &mut String) {
        let shown = self.showing().show_among(kind, told, local);
        for part in &shown.parts {
            if let Part::Name { pseudonym, stands_for } = part {
                self.used.entry(pseudonym.clone()).or_insert_with(|| stands_for.clone());
            }
        }
        if shown.is_hidden {
            return text.push_str(&shown.text());
        }
        text.push('"');
        text.push_str(&shown.cut(kind.chars_max().min(chars_max)));
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Meaning;
    use super::super::piece::{say, told};
    use super::*;

    fn shown(statement: &Statement, policy: Policy) -> (String, BTreeMap<String, String>) {
        let pseudonyms = Pseudonyms::new([7; 32]);
        let mut known = Known::default();
        known.add("nas-1", &Meaning { kind: Kind::System, of: "nas-1".into() });
        let now = UnixMillis::new(10_000_000);
        let rendering = Rendering { now, policy, pseudonyms: &pseudonyms, known: &known };
        let mut renderer = Renderer::new(rendering);
        (renderer.statement(statement), renderer.used)
    }

    #[test]
    fn what_others_told_stands_in_quotes_or_is_a_pseudonym() {
        let statement = say![
            "Disk ",
            told(Kind::Word, "sda"),
            " on ",
            told(Kind::System, "nas-1"),
            " says ",
            told(Kind::Text, "nas-1: \"stop\"\n# token=abc"),
            " ",
            Piece::Ago(UnixMillis::new(1_000_000)),
            ".",
        ];
        let (open, used) = shown(&statement, Policy::None);
        assert_eq!(open, "Disk \"sda\" on \"nas-1\" says \"nas-1: 'stop' token=(secret removed)\" 2 h ago.");
        assert!(used.is_empty());
        let (names, used) = shown(&statement, Policy::Names);
        let system = Pseudonyms::new([7; 32]).of(Kind::System, "nas-1");
        assert_eq!(
            names,
            format!("Disk \"sda\" on {system} says \"{system}: 'stop' token=(secret removed)\" 2 h ago.")
        );
        assert_eq!(used, BTreeMap::from([(system, "nas-1".to_owned())]));
        let (strict, used) = shown(&statement, Policy::Strict);
        assert!(strict.contains(" says text-") && !strict.contains("stop"), "{strict}");
        assert_eq!(used.len(), 2);
    }
}
