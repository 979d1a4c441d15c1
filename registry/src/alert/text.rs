//! Texts that people write and others read: no character in them moves the cursor of a
//! terminal, ends a line that is not theirs or turns the direction of what follows. Pure.

use super::rule::wire::Invalid;

/// Of one line.
pub(super) fn check_line(field: &str, text: &str) -> Result<(), Invalid> {
    check(field, text, |_| false)
}

/// May have several lines.
pub(super) fn check_lines(field: &str, text: &str) -> Result<(), Invalid> {
    check(field, text, |c| matches!(c, '\n' | '\r' | '\t'))
}

fn check(field: &str, text: &str, is_fine: fn(char) -> bool) -> Result<(), Invalid> {
    match text.chars().find(|c| (c.is_control() || turns(*c)) && !is_fine(*c)) {
        None => Ok(()),
        Some(c) => {
            let problem =
                format!("has the character U+{:04X}, which does not print: leave it out", u32::from(c));
            Err(Invalid::new(field, problem))
        }
    }
}

/// Marks that turn the direction of text, or break lines unseen.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_refused_by_name() {
        for (text, found) in [
            ("ops\u{1b}[31m", "U+001B"),
            ("a\0b", "U+0000"),
            ("two\nlines", "U+000A"),
            ("\u{202e}spo", "U+202E"),
            ("\u{9b}2J", "U+009B"),
        ] {
            let refused = check_line("who", text).expect_err("it does not print");
            assert!(refused.field == "who" && refused.problem.contains(found), "{refused:?}");
        }
        assert_eq!(check_line("who", "Jörg (Nachtschicht) 👍"), Ok(()));
        assert_eq!(check_lines("filter", "a = 1\n\tAND b = 2"), Ok(()));
        assert!(check_lines("filter", "a = \"\u{1b}\"").is_err());
    }
}
