//! Which fields of a record are numbers that may have any value of a kind. A
//! test holds the table to the contract, another what comes of it to a decoding.

use prost::Message as _;
use prost::encoding::WireType;
use pulse_proto::convert::timestamp_from_wire;

use super::Part;
use crate::state::document::read::number;

#[derive(Debug)]
pub(super) enum Free {
    /// Only as it is held.
    Fixed,
    Unsigned,
    Unsigned32,
    Flag,
    Finite,
    Percent,
    Time,
    /// Fields that are not named are fixed.
    Message(&'static Fields),
    /// Of datasets and disks: a judge looks at it.
    Judged(&'static Self),
    /// The same, where the message around has one of these fields, too.
    JudgedBeside(&'static [u32], &'static Self),
}

pub(super) type Fields = [(u32, Free)];

use Free::{Finite, Fixed, Flag, Judged, JudgedBeside, Message, Percent, Time, Unsigned, Unsigned32};

pub(super) static CAPACITY: Free =
    Message(&[(1, Unsigned), (2, Unsigned), (3, Unsigned), (4, Unsigned), (5, Unsigned), (6, Unsigned)]);

pub(super) static AGENT: Free =
    Message(&[(6, Unsigned32), (7, Unsigned32), (8, Unsigned), (9, Flag), (10, Time)]);

pub(super) static STORAGE: Free = Message(&[(5, Message(&POOL)), (6, Message(&DATASET))]);

static POOL: [(u32, Free); 9] = [
    (7, Unsigned),
    (8, Unsigned),
    (9, Unsigned),
    (10, Unsigned),
    (11, Unsigned32),
    (13, Message(&SCAN)),
    (14, Message(&EXPANSION)),
    (15, Message(&[(2, Message(&VDEV))])),
    (17, Unsigned),
];

static SCAN: [(u32, Free); 8] = [
    (3, Time),
    (4, Time),
    (5, Time),
    (6, Percent),
    (7, Unsigned),
    (8, Unsigned),
    (9, Unsigned),
    (10, Unsigned),
];

static EXPANSION: [(u32, Free); 4] = [(2, Percent), (3, Time), (4, Time), (5, Unsigned)];

/// Lies in itself, as deep as it is held.
static VDEV: [(u32, Free); 6] =
    [(7, Unsigned), (8, Unsigned), (9, Unsigned), (10, Unsigned), (11, Unsigned), (13, Message(&VDEV))];

/// What is used counts for nothing but a quota.
const QUOTA: &[u32] = &[13, 14];

static DATASET: [(u32, Free); 20] = [
    (5, Judged(&Flag)),
    (6, Judged(&Flag)),
    (7, Judged(&Flag)),
    (8, Judged(&Flag)),
    (9, Judged(&Flag)),
    (11, JudgedBeside(QUOTA, &Unsigned)),
    (12, Unsigned),
    (13, Judged(&Unsigned)),
    (14, Judged(&Unsigned)),
    (15, Unsigned),
    (16, Unsigned),
    (17, Unsigned),
    (18, JudgedBeside(QUOTA, &Unsigned)),
    (19, Unsigned),
    (20, Unsigned),
    (22, Finite),
    (23, Unsigned),
    (24, Unsigned),
    (29, Unsigned),
    (30, Time),
];

pub(super) static DISK: Free = Message(&[
    (8, Unsigned),
    (9, Unsigned32),
    (14, Judged(&Unsigned)),
    (15, Judged(&Unsigned)),
    (16, Judged(&Unsigned)),
    (18, Judged(&Finite)),
    (20, Judged(&Flag)),
    (21, Finite),
    (22, Finite),
    (23, Finite),
    (24, Finite),
    (25, Unsigned32),
]);

pub(super) static METRICS: Free = Message(&[
    (1, Time),
    (2, Finite),
    (3, Unsigned),
    (4, Unsigned),
    (5, Unsigned),
    (6, Unsigned),
    (7, Finite),
    (8, Finite),
    (9, Finite),
    (10, Unsigned),
    (11, Unsigned),
    (12, Unsigned),
    (13, Unsigned),
    (14, Finite),
    (15, Unsigned),
]);

static FIXED: Free = Fixed;

/// Where a field of an `IngestRecord` stands in a `Resource`, and what of it may differ.
pub(super) fn of_record(field: u32) -> Option<(u32, &'static Free)> {
    Some(match field {
        4 => (number::NAME, &FIXED),
        6 => (number::STATE, &FIXED),
        7 => (number::IDENTITY, &FIXED),
        8 => (number::CAPACITY, &CAPACITY),
        9 => (number::TAGS, &FIXED),
        10 => (number::INCIDENTS, &FIXED),
        11 => (number::AGENT, &AGENT),
        12 => (number::TRUENAS, &FIXED),
        13 => (number::STORAGE, &STORAGE),
        14 => (number::PHYSICAL_DISK, &DISK),
        15 => (number::APP, &FIXED),
        16 => (number::VM, &FIXED),
        17 => (number::NETWORK_SHARE, &FIXED),
        18 => (number::PROTECTION_TASK, &FIXED),
        19 => (number::METRICS, &METRICS),
        _ => return None,
    })
}

impl Free {
    /// Whether a value is one that a decoding takes, and writes again as it is.
    pub(super) fn may_be(&self, part: &Part<'_>) -> bool {
        match self {
            Fixed | Message(_) => false,
            Judged(free) | JudgedBeside(_, free) => free.may_be(part),
            Unsigned => part.wire == WireType::Varint,
            Unsigned32 => part.wire == WireType::Varint && u32::try_from(part.integer).is_ok(),
            Flag => part.wire == WireType::Varint && part.integer <= 1,
            Finite => part.double().is_some_and(f64::is_finite),
            Percent => part.double().is_some_and(|value| (0.0..=100.0).contains(&value)),
            Time => {
                let time = prost_types::Timestamp::decode(part.payload);
                part.wire == WireType::LengthDelimited
                    && time.is_ok_and(|time| {
                        timestamp_from_wire(&time).is_ok() && time.encode_to_vec() == part.payload
                    })
            }
        }
    }
}

impl Part<'_> {
    fn double(&self) -> Option<f64> {
        let bytes = (self.wire == WireType::SixtyFourBit).then(|| self.payload.try_into().ok())??;
        Some(f64::from_le_bytes(bytes))
    }
}
