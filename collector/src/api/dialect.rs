//! Release lines of TrueNAS and how they are spoken to.

use std::fmt;

/// A release line, ordered by age. Newer than known counts as the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// FreeNAS 11 and TrueNAS CORE 12 and 13.
    Core,
    V24_04,
    V24_10,
    V25_04,
    V25_10,
    V26_0,
    V27_0,
    /// Newer than this program.
    Newer,
}

impl Line {
    /// Reads any of the ways TrueNAS writes its version, e.g. `TrueNAS-SCALE-24.10.2.4`, `TrueNAS-25.10.6`,
    /// `26.0.0-BETA.3`, `TrueNAS-13.3-U1.2`, `v25.10.0`. `None` when there is no version in it.
    pub fn from_version(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let mut parts = text[start..].split(|c: char| !c.is_ascii_digit());
        let major: u32 = parts.next()?.parse().ok()?;
        let minor: u32 = parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        Some(match (major, minor) {
            (0..=8, _) => return None,
            (9..=21, _) => Self::Core,
            // 22.x and 23.x (Angelfish, Bluefin, Cobia) speak as 24.04 does.
            (22 | 23, _) | (24, 0..=9) => Self::V24_04,
            (24, _) => Self::V24_10,
            (25, 0..=9) => Self::V25_04,
            (25, _) => Self::V25_10,
            (26, _) => Self::V26_0,
            (27, _) => Self::V27_0,
            _ => Self::Newer,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "CORE",
            Self::V24_04 => "24.04",
            Self::V24_10 => "24.10",
            Self::V25_04 => "25.04",
            Self::V25_10 => "25.10",
            Self::V26_0 => "26.0",
            Self::V27_0 => "27.0",
            Self::Newer => "newer than 27",
        }
    }

    /// The JSON-RPC endpoint exists.
    pub const fn has_jsonrpc(self) -> bool {
        !matches!(self, Self::Core | Self::V24_04 | Self::V24_10)
    }

    /// REST v2.0 exists.
    pub const fn has_rest(self) -> bool {
        matches!(self, Self::Core | Self::V24_04 | Self::V24_10 | Self::V25_04 | Self::V25_10)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How an appliance is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    JsonRpc,
    LegacyWebsocket,
    LegacyRest,
}

impl Transport {
    /// Methods are called by name, and the server tells events.
    pub const fn is_rpc(self) -> bool {
        matches!(self, Self::JsonRpc | Self::LegacyWebsocket)
    }

    /// The word records carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "jsonrpc-websocket",
            Self::LegacyWebsocket => "legacy-websocket",
            Self::LegacyRest => "legacy-rest",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What decides which calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    pub line: Line,
    pub transport: Transport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_version() {
        for (text, line) in [
            ("TrueNAS-SCALE-24.10.2.4", Line::V24_10),
            ("TrueNAS-SCALE-24.04.2", Line::V24_04),
            ("TrueNAS-SCALE-23.10.2", Line::V24_04),
            ("TrueNAS-SCALE-25.04.0", Line::V25_04),
            ("TrueNAS-25.10.6", Line::V25_10),
            ("25.10.6", Line::V25_10),
            ("v25.10.0", Line::V25_10),
            ("26.0.0-BETA.3", Line::V26_0),
            ("TrueNAS-26.0.0-BETA.1", Line::V26_0),
            ("27.0.0-BETA.1", Line::V27_0),
            ("TrueNAS-28.04", Line::Newer),
            ("TrueNAS-13.3-U1.2", Line::Core),
            ("TrueNAS-13.0-U6.1", Line::Core),
            ("FreeNAS-11.3", Line::Core),
        ] {
            assert_eq!(Line::from_version(text), Some(line), "{text}");
        }
        for text in ["", "TrueNAS", "TrueNAS-MASTER", "99999999999999999999.1", "v2.0"] {
            assert_eq!(Line::from_version(text), None, "{text}");
        }
    }

    #[test]
    fn lines_are_ordered_and_know_their_endpoints() {
        assert!(Line::Core < Line::V24_04 && Line::V25_10 < Line::V26_0 && Line::V27_0 < Line::Newer);
        assert!(Line::V25_04.has_jsonrpc() && Line::V25_04.has_rest());
        assert!(!Line::V24_10.has_jsonrpc() && Line::V24_10.has_rest());
        assert!(Line::V26_0.has_jsonrpc() && !Line::V26_0.has_rest());
    }
}
