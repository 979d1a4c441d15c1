//! Who may write a connection, and which batch comes next. Pure.

use pulse_proto::digest::Digest;
use pulse_proto::model::{CollectorId, Epoch, Sequence};

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub collector: CollectorId,
    pub epoch: Epoch,
    /// 0: nothing was applied in this epoch yet.
    pub sequence: Sequence,
    /// The sender's name for the state held; `None` while a snapshot is under way.
    pub digest: Option<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Apply,
    /// Applied before: say so again.
    Replay,
    Fenced(Epoch),
    /// Something is missing in between.
    Gap {
        expected: Sequence,
    },
    /// The batch changes another state than the one held.
    OtherBase,
}

/// What to do with a batch. A snapshot starts anew, so it may skip numbers and bases.
pub fn judge(
    held: Option<&Cursor>,
    epoch: Epoch,
    sequence: Sequence,
    snapshot_begin: bool,
    base: Option<Digest>,
) -> Verdict {
    let Some(held) = held else {
        // Nobody held the connection: a state that is to be changed, or what came before, is missing.
        return match (snapshot_begin, base, sequence) {
            (true, ..) | (false, None, Sequence(1)) => Verdict::Apply,
            (false, Some(_), _) => Verdict::OtherBase,
            (false, None, _) => Verdict::Gap { expected: Sequence(1) },
        };
    };
    if epoch < held.epoch {
        return Verdict::Fenced(held.epoch);
    }
    if epoch == held.epoch {
        if sequence <= held.sequence {
            return Verdict::Replay;
        }
        if sequence != held.sequence.next() && !snapshot_begin {
            return Verdict::Gap { expected: held.sequence.next() };
        }
    } else if sequence.0 != 1 && !snapshot_begin {
        return Verdict::Gap { expected: Sequence(1) };
    }
    if !snapshot_begin && base.is_some() && base != held.digest {
        return Verdict::OtherBase;
    }
    Verdict::Apply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_epoch_sequence_and_base() {
        let digest = |n| Some(Digest([n; 32]));
        let held = Cursor {
            collector: CollectorId::parse("c").unwrap(),
            epoch: Epoch(5),
            sequence: Sequence(7),
            digest: digest(1),
        };
        let gap = |n| Verdict::Gap { expected: Sequence(n) };
        for (epoch, sequence, begin, base, expected) in [
            (4, 8, false, None, Verdict::Fenced(Epoch(5))),
            (4, 1, true, None, Verdict::Fenced(Epoch(5))),
            (5, 7, false, None, Verdict::Replay),
            (5, 1, true, None, Verdict::Replay),
            (5, 8, false, None, Verdict::Apply),
            (5, 8, false, digest(1), Verdict::Apply),
            (5, 8, false, digest(2), Verdict::OtherBase),
            (5, 9, false, digest(1), gap(8)),
            (5, 9, true, None, Verdict::Apply),
            (6, 1, false, digest(1), Verdict::Apply),
            (6, 1, false, digest(2), Verdict::OtherBase),
            (6, 2, false, None, gap(1)),
            (6, 9, true, digest(2), Verdict::Apply),
        ] {
            let verdict = judge(Some(&held), Epoch(epoch), Sequence(sequence), begin, base);
            assert_eq!(verdict, expected, "{epoch} {sequence} {begin} {base:?}");
        }
        assert_eq!(judge(None, Epoch(1), Sequence(1), false, None), Verdict::Apply);
        assert_eq!(judge(None, Epoch(1), Sequence(9), false, None), gap(1));
        assert_eq!(judge(None, Epoch(1), Sequence(9), true, None), Verdict::Apply);
        assert_eq!(judge(None, Epoch(1), Sequence(1), false, digest(1)), Verdict::OtherBase);
        assert_eq!(judge(None, Epoch(1), Sequence(1), true, digest(1)), Verdict::Apply);
    }
}
