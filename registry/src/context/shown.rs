//! How a text of others is shown under a policy: the one place where secrets are
//! taken out, names are replaced and what is left is made harmless, in that order.

use pulse_proto::model::ResourceId;

use super::names::{Known, Meaning, Remote, Stretch, find, folded, is_common_user, short_name, spelling};
use super::piece::Kind;
use super::redact::{Policy, Pseudonyms};
use super::secret::without_secrets;
use super::tame::{has_parting_tags, plain, tame, unmarked};
use super::vocabulary::{is_common, is_ours};

/// What decides how a text is shown.
#[derive(Clone, Copy, Debug)]
pub struct Showing<'a> {
    pub policy: Policy,
    pub pseudonyms: &'a Pseudonyms,
    pub known: &'a Known,
}

/// A text as it is shown: the words of others, and pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub(super) parts: Vec<Part>,
    /// Nothing in it is of others.
    pub(super) is_hidden: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Name { pseudonym: String, stands_for: String },
}

impl Shown {
    /// Without quotes.
    pub fn text(&self) -> String {
        self.cut(usize::MAX)
    }

    /// At most so many characters, and no pseudonym in halves.
    pub(super) fn cut(&self, chars_max: usize) -> String {
        let chars = |part: &Part| part.shown().chars().count();
        if self.parts.iter().map(chars).sum::<usize>() <= chars_max {
            return self.parts.iter().map(Part::shown).collect();
        }
        let mut text = String::new();
        let mut left = chars_max.saturating_sub(1);
        for part in &self.parts {
            match part {
                Part::Text(told) => text.extend(told.chars().take(left)),
                Part::Name { pseudonym, .. } if pseudonym.len() <= left => text.push_str(pseudonym),
                Part::Name { .. } => break,
            }
            left = left.saturating_sub(chars(part));
        }
        text.push('…');
        text
    }
}

impl Part {
    fn shown(&self) -> &str {
        let (Self::Text(shown) | Self::Name { pseudonym: shown, .. }) = self;
        shown
    }
}

/// What ZFS says of a device that does not work.
fn is_state(word: &str) -> bool {
    matches!(word, "ONLINE" | "DEGRADED" | "FAULTED" | "OFFLINE" | "UNAVAIL" | "REMOVED" | "MISSING")
}

/// As devices are listed.
const BETWEEN_WORDS: &str = "; ";

/// What is a path of, where it is mounted or served.
const MOUNTS: [&str; 4] = ["/mnt/", "/dev/zvol/", "zvol/", "/"];

impl Showing<'_> {
    pub fn show(&self, kind: Kind, text: &str) -> Shown {
        self.show_among(kind, text, &Known::default())
    }

    /// Beside others of the same sentence, whose names stand in it, too.
    pub(super) fn show_among(&self, kind: Kind, text: &str, local: &Known) -> Shown {
        // A word of a product is that, whatever is called so.
        if kind == Kind::Word && is_common(text) {
            return Shown { parts: vec![Part::Text(text.trim().to_owned())], is_hidden: false };
        }
        let parts = if self.policy.hides_text(kind, text) {
            let is_list =
                text.contains(BETWEEN_WORDS) || text.rsplit_once(' ').is_some_and(|(_, end)| is_state(end));
            if kind == Kind::Word && is_list {
                return self.words(text, local);
            }
            self.hidden(kind, text.trim())
        } else if let Some(meaning) = self.whole(kind, text) {
            vec![self.name(meaning.kind, &meaning.of)]
        } else {
            return Shown { parts: self.told(kind, text, local), is_hidden: false };
        };
        Shown { parts, is_hidden: true }
    }

    /// A list of words, some of which are shown.
    fn words(&self, text: &str, local: &Known) -> Shown {
        let mut all = Shown { parts: Vec::new(), is_hidden: true };
        for one in text.split(BETWEEN_WORDS) {
            if !all.parts.is_empty() {
                all.parts.push(Part::Text(BETWEEN_WORDS.to_owned()));
            }
            // "sda FAULTED": a device has one pseudonym in whatever state it is.
            let (device, state) = match one.rsplit_once(' ') {
                Some((device, state)) if is_state(state) && !device.is_empty() => {
                    (device, &one[device.len()..])
                }
                _ => (one, ""),
            };
            let shown = self.show_among(Kind::Word, device, local);
            all.parts.extend(shown.parts);
            if !state.is_empty() {
                all.parts.push(Part::Text(state.to_owned()));
            }
            all.is_hidden &= shown.is_hidden;
        }
        all
    }

    /// What it is of that a sentence tells by name, by each of the names that follow from that; for the names in its texts.
    pub(super) fn meanings(&self, kind: Kind, text: &str) -> Vec<(String, Meaning)> {
        if !self.policy.hides(kind) {
            return Vec::new();
        }
        let name = |kind: Kind, text: &str, of: Box<str>| (folded(text), Meaning { kind, of });
        match kind {
            Kind::System => {
                let Remote { user, host } = Remote::of(text);
                let of = self.of(kind, if self.known.as_kind(kind, text).is_some() { text } else { host });
                let names = [Some(text), Some(host), short_name(host)].into_iter().flatten();
                // Parts of what is shown in parts.
                let names = names.filter(|name| user.is_empty() || *name != text);
                let mut all: Vec<_> = names.map(|text| name(kind, text, of.clone())).collect();
                if !user.is_empty() && !is_common_user(user) {
                    all.push(name(Kind::User, user, tame(user).into()));
                }
                all
            }
            Kind::Workload | Kind::Share | Kind::User | Kind::Pool | Kind::Serial | Kind::Address => {
                vec![name(kind, text, self.of(kind, text))]
            }
            Kind::Path | Kind::Label | Kind::Text | Kind::Sentence | Kind::Word | Kind::Id => Vec::new(),
        }
    }

    /// The one name of what is called so.
    fn of(&self, kind: Kind, text: &str) -> Box<str> {
        self.known.as_kind(kind, text).map_or_else(|| tame(text).into(), |known| known.of.clone())
    }

    /// A text that is nothing but the name of something that is hidden.
    fn whole(&self, kind: Kind, text: &str) -> Option<&Meaning> {
        let is_hiding = self.policy > Policy::None && kind != Kind::Id;
        self.known.hidden(self.policy, text).filter(|_| is_hiding)
    }

    fn hidden(&self, kind: Kind, text: &str) -> Vec<Part> {
        match kind {
            Kind::Id => match ResourceId::parse(text) {
                Ok(id) => {
                    vec![Part::Name { pseudonym: self.pseudonyms.seal(&id), stands_for: id.to_string() }]
                }
                Err(_) => vec![self.name(kind, text)],
            },
            Kind::Path => self.path(text),
            // A network is its address and a length.
            Kind::Address => match text.rsplit_once('/') {
                Some((address, length))
                    if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    vec![self.thing(kind, address), Part::Text(format!("/{length}"))]
                }
                _ => vec![self.thing(kind, text)],
            },
            Kind::Label | Kind::Text | Kind::Sentence | Kind::Word => vec![self.thing(kind, text)],
            Kind::System => self.system(text),
            _ => match self.known.as_kind(kind, text) {
                Some(meaning) => vec![self.name(kind, &meaning.of)],
                None => vec![self.name(kind, text)],
            },
        }
    }

    /// As it is known, or by its host: `bob@nas` is a user and a system.
    fn system(&self, text: &str) -> Vec<Part> {
        let kind = Kind::System;
        let remote = Remote::of(text);
        if self.known.as_kind(kind, text).is_some() || remote.host.is_empty() {
            return vec![self.name(kind, &self.of(kind, text))];
        }
        let host = self.name(kind, &self.of(kind, remote.host));
        if remote.user.is_empty() || !remote.is_all_of(text) {
            return vec![host];
        }
        let user = if is_common_user(remote.user) {
            Part::Text(remote.user.to_owned())
        } else {
            self.name(Kind::User, remote.user)
        };
        vec![user, Part::Text("@".to_owned()), host]
    }

    /// One dataset has one pseudonym, wherever it is mounted; that at the root of a pool is the pool's.
    fn path(&self, text: &str) -> Vec<Part> {
        // Not of what has a secret in it: in pieces nobody would see it.
        if harmless(text) != tame(text) {
            return vec![self.name(Kind::Path, text)];
        }
        let inner =
            MOUNTS.iter().find_map(|mount| text.strip_prefix(mount)).unwrap_or(text).trim_end_matches('/');
        let (dataset, snapshot) = match inner.split_once('@') {
            Some((dataset, snapshot)) => (dataset, Some(snapshot)),
            None => (inner, None),
        };
        let kind = if dataset.contains('/') { Kind::Path } else { Kind::Pool };
        let mut parts = vec![self.name(kind, dataset)];
        if let Some(snapshot) = snapshot {
            parts.extend([Part::Text("@".to_owned()), self.name(Kind::Label, snapshot)]);
        }
        parts
    }

    /// By the name of what it names, if that is known.
    fn thing(&self, kind: Kind, text: &str) -> Part {
        match self.known.hidden(self.policy, text) {
            Some(meaning) => self.name(meaning.kind, &meaning.of),
            None => self.name(kind, text),
        }
    }

    fn name(&self, kind: Kind, of: &str) -> Part {
        let spelling = spelling(kind, of);
        let pseudonym = self.pseudonyms.of(kind, if spelling.is_empty() { of } else { &spelling });
        // Who maps back is not told a secret either.
        Part::Name { pseudonym, stands_for: harmless(of) }
    }

    /// The words of others without the names in them. Names are looked for through the markup; where markup is a blank
    /// of the name, after it is gone.
    fn told(&self, kind: Kind, text: &str, local: &Known) -> Vec<Part> {
        let plain = plain(text);
        let clean = without_secrets(&plain);
        if self.policy == Policy::None {
            return vec![Part::Text(harmless_of(&clean))];
        }
        let ours = ours(kind);
        let mut parts = Vec::new();
        for stretch in find(&clean, self.policy, self.known, local, ours) {
            match stretch {
                Stretch::Name(meaning) => parts.push(self.name(meaning.kind, &meaning.of)),
                Stretch::Plain(rest) if !has_parting_tags(rest) => parts.push(Part::Text(unmarked(rest))),
                Stretch::Plain(rest) => {
                    let rest = unmarked(rest);
                    let stretches = find(&rest, self.policy, self.known, local, ours);
                    parts.extend(stretches.into_iter().map(|stretch| match stretch {
                        Stretch::Name(meaning) => self.name(meaning.kind, &meaning.of),
                        Stretch::Plain(rest) => Part::Text(rest.to_owned()),
                    }));
                }
            }
        }
        trim(&mut parts);
        let shown = Shown { parts, is_hidden: false };
        let text = shown.text();
        match without_secrets(&text) {
            std::borrow::Cow::Borrowed(_) => shown.parts,
            std::borrow::Cow::Owned(clean) => vec![Part::Text(clean)],
        }
    }
}

/// Which words of a text are its own and never names: of products where a word of one is expected, and those that the
/// registry's sentences are made of.
fn ours(kind: Kind) -> fn(&str) -> bool {
    match kind {
        Kind::Word => is_common,
        Kind::Sentence => is_ours,
        _ => |_| false,
    }
}

/// Without blanks at the ends.
fn trim(parts: &mut [Part]) {
    if let Some(Part::Text(first)) = parts.first_mut() {
        *first = first.trim_start().to_owned();
    }
    if let Some(Part::Text(last)) = parts.last_mut() {
        *last = last.trim_end().to_owned();
    }
}

/// A text of others without secrets and without what could pass for structure.
pub(super) fn harmless(text: &str) -> String {
    harmless_of(&without_secrets(&plain(text)))
}

/// Once more after the markup is gone, which may have stood inside of what gives a secret away.
fn harmless_of(clean: &str) -> String {
    let shown = unmarked(clean);
    without_secrets(shown.trim()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_pseudonym_wherever_it_stands() {
        let pseudonyms = Pseudonyms::new([7; 32]);
        let mut known = Known::default();
        for name in ["nas-1", "nas-1-host", "rack nas"] {
            let of = if name == "rack nas" { name } else { "nas-1" };
            known.add(name, &Meaning { kind: Kind::System, of: of.into() });
        }
        let show = |policy, kind, text: &str| {
            Showing { policy, pseudonyms: &pseudonyms, known: &known }.show(kind, text).text()
        };
        let nas = pseudonyms.of(Kind::System, "nas-1");
        for policy in [Policy::Names, Policy::Strict] {
            for (kind, text) in [
                (Kind::System, "NAS-1"),
                (Kind::System, "nas-1-host.example.net"),
                (Kind::Address, "nas-1.example.net"),
                (Kind::Label, "nas-1"),
                (Kind::Word, "n\u{ad}as-1"),
                (Kind::Text, "nas-1-host"),
            ] {
                assert_eq!(show(policy, kind, text), nas, "{kind:?} {text}");
            }
        }
        assert_eq!(show(Policy::Names, Kind::Path, "tank/nas-1/x"), format!("tank/{nas}/x"));
        let rack = pseudonyms.of(Kind::System, "rack nas");
        assert_eq!(
            show(Policy::Names, Kind::Text, "a\\\\nas-1\\share r[ac]k nas_2 x"),
            format!("a{nas}share {rack}_2 x")
        );
        let media = pseudonyms.of(Kind::Path, "tank/media");
        for path in ["tank/media", "/mnt/tank/media", "/mnt/tank/media/", "zvol/tank/media"] {
            assert_eq!(show(Policy::Strict, Kind::Path, path), media, "{path}");
        }
        let tank = pseudonyms.of(Kind::Pool, "tank");
        assert_eq!(show(Policy::Strict, Kind::Path, "tank"), tank);
        assert_eq!(show(Policy::Strict, Kind::Pool, "tank"), tank);
        assert!(
            show(Policy::Strict, Kind::Path, "tank/media@auto-1").starts_with(&format!("{media}@label-"))
        );
        assert_eq!(
            show(Policy::Strict, Kind::Address, "10.0.0.0/8"),
            format!("{}/8", pseudonyms.of(Kind::Address, "10.0.0.0"))
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_names() {
        let text = |text: &str| Part::Text(text.to_owned());
        let name = || Part::Name { pseudonym: "system-1".to_owned(), stands_for: String::new() };
        for (parts, max, expected) in [
            (vec![text("ää ää")], 5, "ää ää"),
            (vec![text("ää ää")], 4, "ää …"),
            (vec![text("a "), name(), text(" b")], 10, "a …"),
            (vec![text("a "), name()], 9, "a …"),
            (vec![text("a "), name(), text(" b")], 11, "a system-1…"),
            (vec![name(), text("b")], 9, "system-1b"),
        ] {
            assert_eq!(Shown { parts, is_hidden: false }.cut(max), expected);
        }
    }
}
