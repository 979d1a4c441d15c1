//! What kinds of devices there are, and how many members each can lose. A kind
//! nobody knows is counted, and its state is judged all the same.

/// A kind of device as ZFS names it.
pub(super) struct Kind {
    /// Upper case. A dRAID says its layout after a colon, and older releases its parity in the name.
    pub(super) word: &'static str,
    pub(super) meaning: &'static str,
}

const fn kind(word: &'static str, meaning: &'static str) -> Kind {
    Kind { word, meaning }
}

pub(super) static KINDS: &[Kind] = &[
    kind("DISK", "one device; it can lose nothing"),
    kind("FILE", "one file; it can lose nothing"),
    kind("MIRROR", "copies; it can lose all members but one"),
    kind("RAIDZ1", "single parity; it can lose one member"),
    kind("RAIDZ2", "double parity; it can lose two members"),
    kind("RAIDZ3", "triple parity; it can lose three members"),
    kind("RAIDZ", "parity of an untold number"),
    kind("DRAID", "distributed parity and spares"),
    kind("DRAID1", "distributed single parity; it can lose one member at a time"),
    kind("DRAID2", "distributed double parity; it can lose two members at a time"),
    kind("DRAID3", "distributed triple parity; it can lose three members at a time"),
    kind("SPARE", "a member and the hot spare that stands in for it"),
    kind("REPLACING", "a member and its replacement, while data is copied"),
    kind("DSPARE", "a distributed spare of a dRAID"),
    kind("L2CACHE", "a read cache"),
    kind("LOG", "a log device"),
    kind("MISSING", "a device that is not there"),
    kind("ROOT", "the pool itself"),
    kind("HOLE", "a place that a removed log left"),
    kind("INDIRECT", "what a removed device left"),
];

/// Without regard to case and to what stands after a colon.
pub(super) fn is_known(word: &str) -> bool {
    let word = word.split(':').next().unwrap_or_default();
    KINDS.iter().any(|kind| kind.word.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_an_appliance_names_is_known() {
        for word in [
            "DISK",
            "FILE",
            "MIRROR",
            "RAIDZ1",
            "RAIDZ2",
            "RAIDZ3",
            "DRAID",
            "SPARE",
            "REPLACING",
            "DSPARE",
            "L2CACHE",
            "LOG",
            "MISSING",
            "disk",
            "draid1:1d:2c:0s",
            "draid2:4d:11c:1s",
            "HOLE",
            "INDIRECT",
        ] {
            assert!(is_known(word), "{word}");
        }
        for word in ["", "RAIDZ9", "BLOB"] {
            assert!(!is_known(word), "{word}");
        }
    }
}
