//! Statements become text: the one place where the words of others are shown.

use std::collections::BTreeMap;

use pulse_proto::model::UnixMillis;

use super::piece::{Kind, Piece, Statement};
use super::redact::{Known, Policy, Pseudonyms};
use super::secret::without_secrets;
use super::tame::tame;
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
        let mut text = String::new();
        for piece in statement.pieces() {
            match piece {
                Piece::Own(own) => text.push_str(own.as_str()),
                Piece::Told(kind, told) => self.told(*kind, told, chars_max, &mut text),
                Piece::Ago(at) => text.push_str(words::ago(*at, self.rendering.now).as_str()),
                Piece::Until(at) => text.push_str(words::until(*at, self.rendering.now).as_str()),
            }
        }
        text
    }

    fn told(&mut self, kind: Kind, told: &str, chars_max: usize, text: &mut String) {
        let policy = self.rendering.policy;
        if policy.hides(kind) {
            return text.push_str(&self.pseudonym(kind, told.trim()));
        }
        let clean = without_secrets(told);
        let clean = if policy.hides(Kind::System) && matches!(kind, Kind::Text | Kind::Path | Kind::Label) {
            let known = self.rendering.known;
            known.hide(&clean, |name| self.pseudonym(Kind::System, name)).into()
        } else {
            clean
        };
        text.push('"');
        text.push_str(&tame(&clean, kind.chars_max().min(chars_max)));
        text.push('"');
    }

    fn pseudonym(&mut self, kind: Kind, told: &str) -> String {
        let pseudonym = self.rendering.pseudonyms.of(kind, told);
        // Who maps back is not told a secret either.
        let known = || tame(&without_secrets(told), kind.chars_max());
        self.used.entry(pseudonym.clone()).or_insert_with(known);
        pseudonym
    }
}

#[cfg(test)]
mod tests {
    use super::super::piece::{say, told};
    use super::*;

    fn shown(statement: &Statement, policy: Policy) -> (String, BTreeMap<String, String>) {
        let pseudonyms = Pseudonyms::new([7; 32]);
        let mut known = Known::default();
        known.add("nas-1");
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
