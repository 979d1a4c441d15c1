//! Makes JSON of what Python's encoder may send beyond JSON: NaN and Infinity
//! tokens, lone surrogates, bare control characters.

use std::borrow::Cow;

/// Replaces what is not JSON. Text that needs nothing is returned as it is.
pub fn repair(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    // Everything before `kept` is in `out` already.
    let mut kept = 0;
    let mut at = 0;
    let mut in_string = false;
    while at < bytes.len() {
        let (step, replacement) = if in_string {
            match bytes[at] {
                b'"' => {
                    in_string = false;
                    (1, None)
                }
                b'\\' => escape(bytes, at),
                0..=0x1f => (1, Some(" ")),
                _ => (1, None),
            }
        } else {
            match bytes[at] {
                b'"' => {
                    in_string = true;
                    (1, None)
                }
                _ => token(&bytes[at..]),
            }
        };
        if let Some(replacement) = replacement {
            out.push_str(text.get(kept..at).unwrap_or_default());
            out.push_str(replacement);
            kept = at + step;
        }
        at += step;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Numbers that JSON has no word for.
fn token(rest: &[u8]) -> (usize, Option<&'static str>) {
    for word in ["NaN", "-Infinity", "Infinity", "-NaN"] {
        if rest.starts_with(word.as_bytes()) {
            return (word.len(), Some("null"));
        }
    }
    (1, None)
}

/// Length of the escape at `at`, and what to put when it is half a surrogate pair.
fn escape(bytes: &[u8], at: usize) -> (usize, Option<&'static str>) {
    let Some(first) = unit(bytes, at) else { return (2.min(bytes.len() - at), None) };
    match first {
        0xd800..=0xdbff => match unit(bytes, at + 6) {
            Some(0xdc00..=0xdfff) => (12, None),
            _ => (6, Some("\\ufffd")),
        },
        0xdc00..=0xdfff => (6, Some("\\ufffd")),
        _ => (6, None),
    }
}

/// The code unit of an escape at `at`: `\u` and four hex digits.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let hex = escape.strip_prefix(b"\\u")?;
    hex.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_becomes_json() {
        for (given, wanted) in [
            (r#"{"a":NaN}"#, r#"{"a":null}"#),
            ("[Infinity,-Infinity,1]", "[null,null,1]"),
            (r#"{"a":"NaN"}"#, r#"{"a":"NaN"}"#),
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\udc00\\ud800""#, r#""\ufffd\\ud800""#),
            ("\"a\nb\"", "\"a b\""),
            (r#""\"#, r#""\"#),
            (r#""ü\ud800"#, r#""ü\ufffd"#),
        ] {
            assert_eq!(repair(given), wanted, "{given}");
        }
        assert!(matches!(repair("{}"), Cow::Borrowed(_)));
    }
}
