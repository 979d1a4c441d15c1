//! What the past of a resource says of its future: when it will be full, and
//! which errors grow. Plain data, made of what the core remembers for its
//! conditions; it is told also where no rule fires yet.

use pulse_proto::model::UnixMillis;

use super::condition::Counter;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    pub fill: Option<Filling>,
    pub growth: Option<Growth>,
}

/// It goes on like in the last week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    pub full_at: UnixMillis,
    pub bytes_per_day: u64,
}

/// A counter that nobody has cleared since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    pub counter: Counter,
    pub from: u64,
    pub to: u64,
    /// When it grew last.
    pub at: UnixMillis,
}

impl Outlook {
    pub const fn is_empty(&self) -> bool {
        self.fill.is_none() && self.growth.is_none()
    }
}
