//! Cleaning of text the appliance sends: bounded, no control characters, no markup.

/// Longest name, path or code, in bytes: what a record may carry.
pub const LINE_BYTES_MAX: usize = 1_024;
/// Longest free text, in bytes.
pub const PROSE_BYTES_MAX: usize = 4_096;

/// Cuts at a character boundary.
pub fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// One line: control characters become spaces, ends are trimmed.
pub fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    bounded(clean.trim(), LINE_BYTES_MAX).trim_end().to_owned()
}

/// Several lines: line breaks and tabs stay.
pub fn prose(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    bounded(clean.trim(), PROSE_BYTES_MAX).trim_end().to_owned()
}

/// Tags that start a new line.
const BREAKS: [&str; 8] = ["br", "li", "p", "div", "tr", "ul", "ol", "h1"];

/// Plain text of an alert's HTML: `<br>` and list items become lines, entities
/// their characters, other tags go. A `<` that opens no tag stays.
pub fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len().min(2 * PROSE_BYTES_MAX));
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if out.len() > 2 * PROSE_BYTES_MAX {
            rest = "";
        }
        let taken = if rest.starts_with('<') { tag(rest, &mut out) } else { entity(rest, &mut out) };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    let mut lines: Vec<&str> = out.lines().map(str::trim).collect();
    lines.retain(|line| !line.is_empty());
    prose(&lines.join("\n"))
}

/// Longest text between `<` and `>` that counts as a tag.
const TAG_BYTES_MAX: usize = 256;

/// Takes a tag off the front; returns its length.
fn tag(rest: &str, out: &mut String) -> usize {
    let inner = rest.get(1..).unwrap_or_default();
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let opens = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let end = bounded(rest, TAG_BYTES_MAX).find('>');
    let (true, Some(end)) = (opens, end) else {
        out.push_str(rest.get(..1).unwrap_or_default());
        return 1.min(rest.len());
    };
    let word: String =
        name.chars().take_while(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if BREAKS.contains(&word.as_str()) {
        out.push('\n');
        if word == "li" && !inner.starts_with('/') {
            out.push_str("- ");
        }
    }
    end + 1
}

/// Takes a character reference off the front; returns its length.
fn entity(rest: &str, out: &mut String) -> usize {
    if let Some(end) = rest.get(..rest.floor_char_boundary(12)).and_then(|head| head.find(';')) {
        let name = &rest[1..end];
        let known = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some(' '),
            _ => name.strip_prefix('#').and_then(|digits| {
                match digits.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok(),
                    None => digits.parse().ok(),
                }
                .and_then(char::from_u32)
            }),
        };
        if let Some(known) = known {
            out.push(known);
            return end + 1;
        }
    }
    out.push_str(rest.get(..1).unwrap_or_default());
    1.min(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_clean_and_bounded() {
        assert_eq!(line(" a\u{7}b\n"), "a b");
        assert_eq!(prose("a\u{0}b\r\n\tc"), "ab\n\tc");
        let long = "ü".repeat(LINE_BYTES_MAX);
        assert_eq!(line(&long).len(), LINE_BYTES_MAX);
        assert!(prose(&format!("x{}", "ü".repeat(PROSE_BYTES_MAX))).len() <= PROSE_BYTES_MAX);
    }

    #[test]
    fn markup_becomes_lines() {
        assert_eq!(
            plain("Pool a is DEGRADED: b.<br>The following:<ul><li>Disk X</li><li>Disk Y</li></ul>"),
            "Pool a is DEGRADED: b.\nThe following:\n- Disk X\n- Disk Y"
        );
        assert_eq!(plain("a &lt;b&gt; &amp; &#39;c&#x27; &bogus; & d"), "a <b> & 'c' &bogus; & d");
        assert_eq!(plain("1 < 2 <b>bold</b> <a href=\"x\">link</a> <"), "1 < 2 bold link <");
        assert_eq!(plain("&amp;lt;"), "&lt;");
    }
}
