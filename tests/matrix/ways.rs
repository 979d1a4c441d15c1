//! The ways to an appliance: each API line over each of its transports.

use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::line::ApiLine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Rest,
    LegacyWebsocket,
    JsonRpc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) line: ApiLine,
    pub(crate) over: Over,
}

const fn way(line: ApiLine, over: Over) -> Way {
    Way { line, over }
}

pub(crate) const WAYS: [Way; 8] = [
    way(ApiLine::V24_04, Over::Rest),
    way(ApiLine::V24_04, Over::LegacyWebsocket),
    way(ApiLine::V24_10, Over::Rest),
    way(ApiLine::V24_10, Over::LegacyWebsocket),
    way(ApiLine::V25_04, Over::JsonRpc),
    way(ApiLine::V25_10, Over::JsonRpc),
    way(ApiLine::V26_0, Over::JsonRpc),
    way(ApiLine::V27_0, Over::JsonRpc),
];

impl Way {
    pub(crate) fn config(self) -> ApplianceConfig {
        ApplianceConfig { legacy_websocket: self.over != Over::Rest, ..ApplianceConfig::of(self.line) }
    }

    /// A name for its connection.
    pub(crate) fn name(self) -> String {
        let over = match self.over {
            Over::Rest => "rest",
            Over::LegacyWebsocket => "legacy",
            Over::JsonRpc => "rpc",
        };
        format!("nas-{}-{over}", self.line)
    }

    /// Where it is asked.
    pub(crate) const fn route(self) -> &'static str {
        match self.over {
            Over::Rest => "/api/v2.0",
            Over::LegacyWebsocket => "/websocket",
            Over::JsonRpc => "/api",
        }
    }
}

#[test]
fn every_line_has_a_way() {
    for line in ApiLine::ALL {
        assert!(WAYS.iter().any(|way| way.line == line), "{line}");
    }
}
