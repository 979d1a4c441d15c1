//! Which API to speak: the rule over the version list, and over the version text of older appliances. Pure.

use std::fmt;

/// A release line: what decides the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    pub year: u16,
    pub minor: u16,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.year, self.minor)
    }
}

/// Lines whose replies we know. Not 25.04: pinned to it, newer servers fail most methods.
const KNOWN_LINES: [Line; 3] =
    [Line { year: 25, minor: 10 }, Line { year: 26, minor: 0 }, Line { year: 27, minor: 0 }];

/// The path that serves whatever is newest there.
pub const CURRENT: &str = "current";

/// REST is for appliances before this line.
const FIRST_RPC_LINE: Line = Line { year: 25, minor: 4 };

/// From this line on an API key is proven, not shown.
pub const FIRST_SCRAM_LINE: Line = Line { year: 26, minor: 0 };

/// The newest line in a version list.
pub fn newest_line(listed: &[String]) -> Option<Line> {
    listed.iter().filter_map(|text| api_line(text)).max()
}

/// Picks from `GET /api/versions`: the newest that we know, else `current`.
pub fn pick(listed: &[String]) -> String {
    listed
        .iter()
        .filter_map(|text| parse_api(text).map(|version| (version, text)))
        .filter(|((line, _patch), _)| KNOWN_LINES.contains(line))
        .max_by_key(|(version, _)| *version)
        .map_or_else(|| CURRENT.to_owned(), |(_, text)| text.clone())
}

/// `v25.10.1` as line and patch; nothing else passes, since the text becomes part of a path.
fn parse_api(text: &str) -> Option<(Line, u16)> {
    let mut parts = text.strip_prefix('v')?.split('.');
    let mut number = || parts.next().filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let version = (Line { year: number()?, minor: number()? }, number()?);
    if parts.next().is_some() { None } else { Some(version) }
}

/// The line of an API path, when it names one.
pub fn api_line(version: &str) -> Option<Line> {
    parse_api(version).map(|(line, _patch)| line)
}

/// Newer than all that is known here.
pub fn is_unknown(line: Line) -> bool {
    KNOWN_LINES.iter().all(|known| *known < line)
}

/// Finds the line in any version text: `TrueNAS-SCALE-24.10.2.4`, `25.10.6`, `26.0.0-BETA.3`, `TrueNAS-13.3-U1.2`.
pub fn line_of(version: &str) -> Option<Line> {
    version.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|part| {
        let mut numbers = part.split('.');
        let year = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Line { year, minor })
    })
}

/// May REST be used, judging by the version text alone? Anything not recognised may not.
pub fn is_legacy(version: &str) -> bool {
    let version = version.trim().to_ascii_uppercase();
    if version.contains("SCALE") {
        return line_of(&version).is_some_and(|line| line < FIRST_RPC_LINE);
    }
    version.contains("CORE")
        || version.starts_with("TRUENAS-12")
        || version.starts_with("TRUENAS-13")
        || version.starts_with("FREENAS-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_newest_known() {
        for (listed, want) in [
            (&["v25.04.0", "v25.04.1", "v25.04.2"][..], "current"),
            (&["v25.04.0", "v25.10.0", "v25.10.5"], "v25.10.5"),
            (&["v25.10.0", "v25.10.10", "v25.10.9"], "v25.10.10"),
            (&["v25.04.2", "v25.10.4", "v26.0.0"], "v26.0.0"),
            (&["v25.10.4", "v26.0.0", "v27.0.0"], "v27.0.0"),
            (&["v26.0.0", "v27.0.0", "v28.0.0"], "v27.0.0"),
            (&["v28.0.0"], "current"),
            (&["v26.0.0/../x", "v26.0", "26.0.0", "v26.0.0.1", "v26.0.+1", ""], "current"),
            (&[], "current"),
        ] {
            let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
            assert_eq!(pick(&listed), want, "{listed:?}");
        }
    }

    #[test]
    fn lines() {
        for (version, want) in [
            ("TrueNAS-SCALE-24.10.2.4", Some((24, 10))),
            ("25.10.6", Some((25, 10))),
            ("26.0.0-BETA.3", Some((26, 0))),
            ("TrueNAS-25.04.2.1", Some((25, 4))),
            ("TrueNAS-13.3-U1.2", Some((13, 3))),
            ("FreeNAS-11.3-U5", Some((11, 3))),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(line_of(version), want.map(|(year, minor)| Line { year, minor }), "{version}");
        }
    }

    #[test]
    fn rest_is_for_the_old_ones() {
        for (version, want) in [
            ("TrueNAS-SCALE-24.10.2.4", true),
            ("TrueNAS-SCALE-24.04.0", true),
            ("TrueNAS-SCALE-22.12.4", true),
            ("TrueNAS-13.3-U1.2", true),
            ("TrueNAS-12.0-U8", true),
            ("TrueNAS-CORE-13.0", true),
            ("FreeNAS-11.3-U5", true),
            ("TrueNAS-SCALE-25.04.0", false),
            ("TrueNAS-SCALE-", false),
            ("TrueNAS-25.10.1", false),
            ("25.04.0", false),
            ("24.10.2", false),
            ("26.0.0-BETA.3", false),
            ("", false),
            ("nginx", false),
        ] {
            assert_eq!(is_legacy(version), want, "{version}");
        }
    }
}
