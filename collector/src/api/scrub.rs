//! When pools are scrubbed, as `pool.scrub.query` words it. How a scrub goes is told by its pool.

use pulse_proto::model::ScrubSchedule;
use serde_json::json;

use super::item::{Item, cron};
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "scrubs",
    role: "POOL_SCRUB_READ",
    cadence: 60,
    large: false,
    collections: &["pool.scrub.query"],
    plan,
    assemble: |replies| Ok(Data::Scrubs(replies.rows(Tag::Scrubs, decode)?)),
};

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::Scrubs, "pool.scrub.query", "/pool/scrub", json!([[], {}]))]
}

/// The id and name are those of the pool.
fn decode(reply: &[u8]) -> Result<Decoded<Item<ScrubSchedule>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let pool = fields.name("pool_name").ok_or("has no pool_name")?;
        let facet = ScrubSchedule {
            enabled: fields.bool("enabled"),
            schedule: cron(fields),
            threshold_days: fields.u32("threshold"),
        };
        Ok(Item { id: pool.clone(), name: pool, facet })
    })
}
