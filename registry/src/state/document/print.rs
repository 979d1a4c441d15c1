//! The print of a record as it travelled. Kept beside a document so that a record
//! told again is known before anything of it is decoded.

use std::hash::BuildHasher as _;
use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use twox_hash::XxHash3_64;

/// Two states of one record have the same once in 2^64 times, and then the later one is missed until the record changes
/// again: who compares compares the id, too. No proof against who makes up records: he may hide a change of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print(NonZeroU64);

impl Print {
    /// Of the bytes of an `IngestRecord`.
    pub fn of(record: &[u8]) -> Self {
        static SEED: LazyLock<u64> = LazyLock::new(|| std::hash::RandomState::new().hash_one(0));
        let hash = XxHash3_64::oneshot_with_seed(*SEED, record);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }
}

/// Of a document that is exactly one record. Not part of what it says: it is unknown after a restart, and where the
/// record was put together of several, until the same record comes again.
#[derive(Debug, Default)]
pub(super) struct Known(AtomicU64);

impl Known {
    pub(super) const fn of(print: Print) -> Self {
        Self(AtomicU64::new(print.0.get()))
    }

    pub(super) fn get(&self) -> Option<Print> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed)).map(Print)
    }

    pub(super) fn learn(&self, other: &Self) {
        if let Some(print) = other.get() {
            // Whoever was first knew one as good: other bytes can say the same.
            let _known = self.0.compare_exchange(0, print.0.get(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
