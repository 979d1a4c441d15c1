//! How many tokens a text takes at most, whichever model reads it. Models count
//! differently and none says so over gRPC, so this is a careful estimate and not
//! one model's count: `docs/context.md` has how it compares with real tokenizers.

/// Letters of a word that are sure to share a token.
const LOWER_PER_TOKEN: usize = 5;
const UPPER_PER_TOKEN: usize = 2;
/// Digits are grouped by three at most.
const DIGITS_PER_TOKEN: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Space,
    Newline,
    Other,
}

/// Lines are counted each for itself: two texts joined by a line break take as many as both and one more.
pub fn estimate(text: &str) -> usize {
    let mut tokens = 0;
    let mut run = (Class::Space, 0);
    for letter in text.chars() {
        let class = class(letter);
        // A capital letter begins a word that goes on in small ones.
        let goes_on = class == run.0 || (class == Class::Lower && run == (Class::Upper, 1));
        if !goes_on {
            tokens += cost(run);
            run = (class, 0);
        }
        run = (class, run.1 + if class == Class::Other { letter.len_utf8() } else { 1 });
    }
    tokens + cost(run)
}

const fn class(letter: char) -> Class {
    match letter {
        'a'..='z' => Class::Lower,
        'A'..='Z' => Class::Upper,
        '0'..='9' => Class::Digit,
        ' ' => Class::Space,
        '\n' => Class::Newline,
        _ => Class::Other,
    }
}

const fn cost((class, length): (Class, usize)) -> usize {
    match class {
        Class::Lower => length.div_ceil(LOWER_PER_TOKEN),
        Class::Upper => length.div_ceil(UPPER_PER_TOKEN),
        Class::Digit => length.div_ceil(DIGITS_PER_TOKEN),
        // One space belongs to the word after it.
        Class::Space => length / 2,
        // No token is shorter than a byte.
        Class::Newline | Class::Other => length,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_digits_and_signs_are_counted() {
        for (text, tokens) in [
            ("", 0),
            ("pool", 1),
            ("Pool tank is fine.", 5),
            ("1234567", 3),
            ("DEGRADED", 4),
            ("a\nb", 3),
            ("°C", 3),
            ("storage-f525297316fe02d5", 11),
        ] {
            assert_eq!(estimate(text), tokens, "{text}");
        }
    }

    proptest! {
        #[test]
        fn lines_add_up(left in "\\PC{0,40}", right in "\\PC{0,40}") {
            let joined = format!("{left}\n{right}");
            prop_assert_eq!(estimate(&joined), estimate(&left) + 1 + estimate(&right));
        }

        #[test]
        fn never_more_than_bytes(text in ".*") {
            prop_assert!(estimate(&text) <= text.len());
        }
    }
}
