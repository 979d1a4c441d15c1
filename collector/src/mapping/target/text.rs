//! Finds names in the English of an alert.

/// What may stand around a name.
const AROUND: [char; 14] = ['\'', '"', '`', '“', '”', ',', '.', ';', ':', '(', ')', '[', ']', '!'];

/// A word without what stands around it.
pub(super) struct Word<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    before: &'a str,
}

impl Word<'_> {
    /// The word before it is this one, whatever its case.
    pub(super) fn follows(&self, word: &str) -> bool {
        self.before.eq_ignore_ascii_case(word)
    }
}

pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut before = "";
    text.split_whitespace().filter_map(move |raw| {
        let word = raw.trim_matches(AROUND);
        if word.is_empty() {
            return None;
        }
        let at = word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let found = Word { at, text: word, before };
        before = word;
        Some(found)
    })
}

/// The first `pool NAME` or `volume NAME` with one of the names, and where; the
/// longest where several fit. Names of pools may have spaces.
pub(super) fn pool<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<(usize, &'n str)> {
    names
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let mut places = text.match_indices(name);
            places
                .find(|(at, _)| announced(&text[..*at]) && ends(&text[at + name.len()..]))
                .map(|(at, _)| (at, name))
        })
        .min_by_key(|(at, name)| (*at, std::cmp::Reverse(name.len())))
}

fn announced(before: &str) -> bool {
    let word = before.trim_end_matches(|c: char| c.is_whitespace() || AROUND.contains(&c));
    word.len() < before.len()
        && ["pool", "volume"].iter().any(|announcing| {
            let start = word.len().checked_sub(announcing.len());
            start.and_then(|start| word.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(announcing))
        })
}

/// The name ends here: what follows belongs to no name.
fn ends(after: &str) -> bool {
    let rest = after.trim_start_matches(AROUND);
    match after.chars().next() {
        None => true,
        Some(c) if c.is_whitespace() => true,
        Some(c) if AROUND.contains(&c) => rest.chars().next().is_none_or(|c| !c.is_alphanumeric()),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_found_by_their_announcement() {
        let names = ["tank", "tank2", "my pool", "a.b"];
        for (text, expected) in [
            ("Pool tank state is DEGRADED", Some("tank")),
            ("Pool tank2 state is DEGRADED", Some("tank2")),
            ("Space usage for pool \"tank\" is 82%.", Some("tank")),
            ("Scrub of pool 'my pool' has started.", Some("my pool")),
            ("The volume tank: bad", Some("tank")),
            ("Trouble in pool tank.", Some("tank")),
            ("Trouble in pool a.b.", Some("a.b")),
            ("pool tank/data is full", None),
            ("pool tanker", None),
            ("a tank pool", None),
            ("Poolü tank", None),
            ("", None),
        ] {
            assert_eq!(pool(text, names.into_iter()).map(|(_, name)| name), expected, "{text}");
        }
    }

    #[test]
    fn words_lose_what_stands_around_them() {
        let found: Vec<_> = words("Device: /dev/sda [SAT], 'tank/a'.").map(|w| (w.at, w.text)).collect();
        assert_eq!(found, [(0, "Device"), (8, "/dev/sda"), (18, "SAT"), (25, "tank/a")]);
        assert!(words("Disk sda").nth(1).is_some_and(|word| word.follows("disk")));
    }
}
