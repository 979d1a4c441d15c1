//! How much a watcher does and says at once.

/// Most events in one message.
pub const EVENTS_MAX: usize = 500;
/// Encoded events beyond which a message gets no further one.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Resources tested in one step, so that one watcher does not hold a thread.
pub const SCAN_STEP_MAX: usize = 10_000;
/// Revisions taken at once.
pub const REVISIONS_MAX: usize = 256;
/// Changes beyond which no further revision is taken at once.
pub const CHANGES_MAX: usize = 20_000;
/// Encoded events that are kept for watchers who ask the same, over all of them.
pub const KEPT_BYTES_MAX: usize = 64 << 20;

/// How much at once; tests ask for less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) scan: usize,
    pub(super) revisions: usize,
    pub(super) changes: usize,
    pub(super) kept_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: EVENTS_MAX,
            scan: SCAN_STEP_MAX,
            revisions: REVISIONS_MAX,
            changes: CHANGES_MAX,
            kept_bytes: KEPT_BYTES_MAX,
        }
    }
}
