//! What a reader of contexts asks with: names of things as contexts show them.
//! Where names are hidden from him, what he guesses must tell him nothing, so what
//! he writes is compared with what he is shown and never with what is hidden.

mod system;

pub mod filter;
pub mod reference;

use self::system::is_cut_of;
use super::names::Known;
use super::piece::Kind;
use super::redact::{Policy, Pseudonyms, holds_pseudonym};
use crate::query::sight::Sight;
use crate::state::view::{Shard, View};

#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub view: &'a View,
    pub sight: &'a Sight,
    pub pseudonyms: &'a Pseudonyms,
    pub known: &'a Known,
    /// What is hidden from him whatever he asks for; none for who may be told what pseudonyms stand for.
    pub floor: Policy,
}

impl Asking<'_> {
    /// Whether he may call things by their names.
    fn is_open(&self) -> bool {
        self.floor == Policy::None
    }

    /// Whether a text of that kind is ever shown to him as this, whole or cut.
    fn shows(&self, kind: Kind, text: &str, wanted: &str) -> bool {
        self.shows_as(kind, text, wanted, |shown| shown == wanted || is_cut_of(wanted, shown))
    }

    /// Whether a text of that kind is ever shown to him as `fits` wants it. What he writes without a pseudonym in it is
    /// no hidden text.
    fn shows_as(&self, kind: Kind, text: &str, wanted: &str, fits: impl Fn(&str) -> bool) -> bool {
        let has_pseudonym = holds_pseudonym(wanted);
        // Most names are shown as they are.
        if self.is_open() && !has_pseudonym && is_plain(text) {
            return fits(text);
        }
        let fits = |policy: Policy| fits(&self.showing(policy).show(kind, text).text());
        if self.is_open() && !has_pseudonym {
            return fits(Policy::None);
        }
        let policies = Policy::ALL.into_iter().filter(|policy| *policy >= self.floor.max(Policy::Names));
        policies.filter(|policy| has_pseudonym || !policy.hides_text(kind, text)).any(fits)
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.view.shards().map(|shard| &**shard).filter(|shard| self.sight.sees(&shard.connection))
    }
}

/// Of letters that stay what they are wherever they are shown.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte))
}
