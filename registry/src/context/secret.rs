//! Takes out of a text what looks like a secret, under every policy: nobody is
//! meant to send one, but an alert or a comment can quote anything. Where a word
//! announces a secret, nothing of the text is shown from there on: nobody knows
//! where a password ends. What is a secret by its own shape costs its word.

mod announced;
mod command;
mod key;
mod shape;

use std::borrow::Cow;

pub(super) use key::names_secret;

use super::tame::untagged;

/// Stands where a secret was.
pub(super) const REMOVED: &str = "(secret removed)";

const PEM: &str = "-----BEGIN";

/// Of a text on one line, without invisible characters.
pub(super) fn without_secrets(text: &str) -> Cow<'_, str> {
    let end = {
        let masked = masked(text);
        [beginning(&masked), beginning_between_tags(&masked)].into_iter().flatten().min()
    };
    let kept = &text[..end.unwrap_or(text.len())];
    if end.is_none() && !kept.split(' ').any(shape::is_secret) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for (number, word) in kept.split(' ').enumerate() {
        if number > 0 {
            clean.push(' ');
        }
        clean.push_str(if shape::is_secret(word) { REMOVED } else { word });
    }
    if end.is_some() {
        clean.push_str(REMOVED);
    }
    Cow::Owned(clean)
}

/// What was taken out before is a value and no key.
fn masked(text: &str) -> Cow<'_, str> {
    if text.contains(REMOVED) {
        return Cow::Owned(text.replace(REMOVED, &"~".repeat(REMOVED.len())));
    }
    Cow::Borrowed(text)
}

/// Where the text ends for others.
fn beginning(text: &str) -> Option<usize> {
    [text.find(PEM), announced::beginning(text), command::beginning(text)].into_iter().flatten().min()
}

/// Tags may stand inside of the word that announces it.
fn beginning_between_tags(text: &str) -> Option<usize> {
    let (joined, places) = untagged(text)?;
    places.get(beginning(&joined)?).copied()
}

#[cfg(test)]
mod tests;
