//! The two ways in which TrueNAS frames the same calls and events; which one is settled once per connection.
//!
//! Knows words and envelopes. What is called, and when, is the core's and its callers' business.

use serde_json::Value;

use super::frame::{self, FrameError, Message};
use super::legacy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSON-RPC 2.0, from 25.04 on.
    JsonRpc,
    /// `/websocket`: connect, method, sub. All that 24.x and CORE 13 speak.
    Legacy,
}

impl Framing {
    /// What has to be said, and answered, before the first call.
    pub fn greeting(self) -> Option<String> {
        match self {
            Self::JsonRpc => None,
            Self::Legacy => Some(legacy::greeting()),
        }
    }

    /// The text of a call.
    pub fn encode_call(self, id: u64, method: &str, params: &Value) -> String {
        match self {
            Self::JsonRpc => frame::encode_call(id, method, params),
            Self::Legacy => legacy::encode_call(id, method, params),
        }
    }

    /// Reads one message.
    pub fn parse(self, text: &str) -> Result<Message, FrameError> {
        match self {
            Self::JsonRpc => frame::parse(text),
            Self::Legacy => legacy::parse(text),
        }
    }
}
