//! The boot pool: a pool object without id and guid.

use super::json::rows;
use super::pool::{Pool, decode_pool};
use super::{DecodeError, json};

pub fn decode_boot(reply: &[u8]) -> Result<Pool, DecodeError> {
    let value = rows::object(reply)?;
    decode_pool(&value).map_err(|_| {
        if json::Fields::of(&value).name("name").is_none() {
            DecodeError::Lacks("a pool name")
        } else {
            DecodeError::Lacks("a vdev tree of sane size")
        }
    })
}
