//! Context for AI: what is known of a fleet or of one resource, in whole
//! sentences under a budget of tokens, worst things first, and the same as
//! structured facts. Pure: a view and `now` go in, text comes out, and the same
//! state makes the same text. Refuses to know gRPC, MCP and the store.
//!
//! A sentence is made of the registry's own words and of what others told
//! ([`piece`]). Only the renderer joins the two: it tames what was told, puts it
//! in quotes, takes secrets out and replaces names as the policy says.

mod alerts;
pub mod asked;
mod best;
pub mod fact;
pub mod fleet;
pub mod memo;
pub mod names;
pub mod pack;
pub mod piece;
pub mod redact;
pub(crate) mod redundancy;
pub mod render;
mod say;
mod secret;
pub mod shown;
pub mod single;
mod sketch;
mod tame;
pub mod tokens;
mod vocabulary;
mod words;
