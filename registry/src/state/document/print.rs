//! The print of a record as it travelled: equal prints, equal records. Kept beside
//! a document so that a record told again is known before anything of it is decoded.

use std::sync::OnceLock;

use twox_hash::XxHash3_128;

/// 128 bits, not keyed: who compares compares the id of the record, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print([u8; 16]);

impl Print {
    /// Of the bytes of an `IngestRecord`.
    pub fn of(record: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(record).to_ne_bytes())
    }
}

/// Of a document that is exactly one record. Not part of what it says: it is unknown after a restart, and where the
/// record was put together of several, until the same record comes again.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(OnceLock<Print>);

impl Known {
    pub(super) fn of(print: Print) -> Self {
        Self(print.into())
    }

    pub(super) fn get(&self) -> Option<Print> {
        self.0.get().copied()
    }

    pub(super) fn learn(&self, other: &Self) {
        if let Some(print) = other.get() {
            // Whoever was first knew one as good: other bytes can say the same.
            let _known = self.0.set(print);
        }
    }
}

impl PartialEq for Known {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Known {}
