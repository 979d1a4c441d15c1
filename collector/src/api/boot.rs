//! The boot pool: a pool object without id and guid. A section of its own, since a login may read pools and not this one.

use super::json::rows;
use super::plan::{Tag, required};
use super::pool::{Pool, decode_pool};
use super::section::{Data, Spec};
use super::{DecodeError, json};

pub const SPEC: Spec = Spec {
    token: "boot",
    role: "READONLY_ADMIN",
    cadence: 1,
    large: false,
    collections: &[],
    plan: |_| vec![required(Tag::BootPool, "boot.get_state", "/boot/get_state", serde_json::json!([]))],
    assemble: |replies| Ok(Data::Boot(Box::new(decode_boot(replies.required(Tag::BootPool)?)?))),
};

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
