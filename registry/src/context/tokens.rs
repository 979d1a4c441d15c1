//! How many tokens a text takes: counted with the vocabularies `o200k_base` and
//! `cl100k_base`, of which the larger count holds. What other vocabularies make
//! of it is not known here.

use std::sync::OnceLock;

use tiktoken::{CoreBpe, encoding};

/// 30 MiB in memory, so only who tells contexts has them.
static VOCABULARIES: OnceLock<[CoreBpe; 2]> = OnceLock::new();

pub fn count(text: &str) -> usize {
    let vocabularies = VOCABULARIES.get_or_init(|| [encoding::o200k_base(), encoding::cl100k_base()]);
    vocabularies.iter().map(|vocabulary| vocabulary.count(text)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_cost_what_they_cost() {
        // As another implementation counts them (`tests/context.rs` compares whole contexts).
        for (text, tokens) in [
            ("", 0),
            ("pool", 1),
            ("Pool tank is fine.", 5),
            ("DEGRADED", 4),
            ("a\nb", 3),
            ("xkcdqwrtzpsdfghjklmnbvcxz", 15),
            ("x9k2m4p7q1", 10),
        ] {
            assert_eq!(count(text), tokens, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_bytes(text in ".*") {
            prop_assert!(count(&text) <= text.len());
        }
    }
}
