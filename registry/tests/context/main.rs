//! Contexts as a model gets them: of real states, read through the registry's
//! own decoding, judging and drafting.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod asked;
mod filled;
mod fleet;
mod redaction;
mod safety;
mod scope;
mod single;
mod world;
