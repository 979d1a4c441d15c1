//! Columns for people: as wide as they must be, no wider than a limit.

use unicode_width::UnicodeWidthStr as _;

/// A cell is cut beyond this.
const CELL_WIDTH_MAX: usize = 60;
const GAP: &str = "  ";

/// Lines of a table with a header row, without trailing blanks.
pub fn lines(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    columns(header, rows, header.len())
}

/// As `lines`, but what stands in the last column is there to be read: it is never cut.
pub fn prose(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    columns(header, rows, header.len().saturating_sub(1))
}

/// The first `narrow` columns are cut.
fn columns(header: &[&str], rows: &[Vec<String>], narrow: usize) -> Vec<String> {
    let head: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let fit = |(column, cell): (usize, &String)| if column < narrow { cut(cell) } else { printable(cell) };
    let all: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().enumerate().map(fit).collect()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            all.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            let blanks = width.saturating_sub(cell.width());
            format!("{cell}{}", " ".repeat(blanks))
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// Writes lines to stdout at once, so that a pipe sees them as they come.
pub fn print(lines: &[String]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Says something to the person at the terminal, apart from what a pipe takes.
#[allow(clippy::print_stderr, reason = "this is where that is done")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// One line, printable, and read in the order in which it is written.
pub fn printable(cell: &str) -> String {
    let shown = |c: char| match c {
        _ if c.is_control() => Some(' '),
        _ if is_unseen(c) => None,
        _ => Some(c),
    };
    cell.chars().filter_map(shown).collect()
}

/// What turns the direction of text or takes no room: two names could look alike, and one like something else.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// One line, printable, not too wide.
fn cut(cell: &str) -> String {
    let cell = printable(cell);
    if cell.width() <= CELL_WIDTH_MAX {
        return cell;
    }
    let mut short = String::new();
    for c in cell.chars() {
        if short.width() >= CELL_WIDTH_MAX - 1 {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// Sizes as people say them: 1.5 TiB.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["tank".to_owned(), "ONLINE".to_owned()],
            vec!["käse-日本".to_owned(), "DEG\nRADED".to_owned()],
            vec!["x".repeat(100), String::new()],
        ];
        let lines = lines(&["NAME", "STATE"], &rows);
        assert_eq!(lines[1].find("ONLINE"), Some(62));
        assert_eq!(lines[2], format!("käse-日本{}DEG RADED", " ".repeat(53)));
        assert_eq!(lines[3].chars().count(), 60);
        assert!(lines[3].ends_with('…'));
    }

    #[test]
    fn what_cannot_be_seen_is_not_printed() {
        assert_eq!(printable("tank\u{202e}gnp.exe \u{200b}\u{1b}[31m"), "tankgnp.exe  [31m");
    }

    #[test]
    fn a_reason_is_never_cut() {
        let rows = vec![vec!["x".repeat(100), format!("why\n{}", "y".repeat(200))]];
        let lines = prose(&["NAME", "WHY"], &rows);
        assert!(lines[1].ends_with(&format!("…  why {}", "y".repeat(200))), "{}", lines[1]);
    }

    #[test]
    fn sizes() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (11 * 1024 * 1024 * 1024 * 1024, "11.0 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
