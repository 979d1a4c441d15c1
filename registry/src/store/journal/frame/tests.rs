//! Frames against cuts and damage: what comes out is what went in, or nothing.

use proptest::prelude::*;

use super::*;

const SALT: u32 = 0x5eed;

/// The frames behind each other, and where each ends.
fn written(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    for (ordinal, payload) in (1..).zip(payloads) {
        begin(&mut buffer);
        buffer.extend_from_slice(payload);
        assert!(seal(&mut buffer, SALT, FrameKind::Rows, ordinal, ordinal * 10));
        bytes.extend_from_slice(&buffer);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Payloads up to the first that is not whole, and what is wrong with that: the same whether the length is known.
fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Broken>) {
    let of_file = all(Frames::new(bytes, SALT, 0, bytes.len() as u64, 1));
    assert_eq!(of_file, all(Frames::of_stream(bytes, SALT, 0, 1)));
    of_file
}

fn all(mut frames: Frames<&[u8]>) -> (Vec<Vec<u8>>, Option<Broken>) {
    let mut payloads = Vec::new();
    loop {
        match frames.next().expect("memory can be read") {
            Next::Frame(head, payload) => {
                assert_eq!(head.revision, head.ordinal * 10);
                payloads.push(payload);
            }
            Next::End => return (payloads, None),
            Next::Broken(broken) => return (payloads, Some(broken)),
        }
    }
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)
}

proptest! {
    #[test]
    fn a_cut_leaves_the_frames_before_it(payloads in payloads(), at in any::<prop::sample::Index>()) {
        let (bytes, ends) = written(&payloads);
        let cut = at.index(bytes.len() + 1);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (found, broken) = read(&bytes[..cut]);
        prop_assert_eq!(&found[..], &payloads[..whole]);
        let is_boundary = cut == 0 || ends.contains(&cut);
        prop_assert_eq!(broken.is_none(), is_boundary);
        if let Some(broken) = broken {
            // Nothing follows, so it is a torn end.
            let rest = &bytes[usize::try_from(broken.at).expect("small")..cut];
            let is_torn = match broken.reach {
                Reach::Unknown => !has_head_after(rest, SALT, whole as u64 + 1),
                Reach::Ends(end) => end >= cut as u64,
                Reach::Foreign => false,
            };
            prop_assert!(is_torn, "{:?}", broken);
        }
    }

    #[test]
    fn a_damaged_byte_is_found_where_it_is(
        payloads in payloads(), at in any::<prop::sample::Index>(), bits in 1_u8..,
    ) {
        let (mut bytes, ends) = written(&payloads);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let (found, broken) = read(&bytes);
        prop_assert_eq!(&found[..], &payloads[..hit]);
        let broken = broken.expect("a checksum does not match");
        if hit + 1 < payloads.len() {
            // Whole frames stand behind it: that is no torn end.
            let rest = &bytes[usize::try_from(broken.at).expect("small")..];
            let is_torn = match broken.reach {
                Reach::Unknown => !has_head_after(rest, SALT, hit as u64 + 1),
                Reach::Ends(end) => end >= bytes.len() as u64,
                Reach::Foreign => false,
            };
            prop_assert!(!is_torn, "{:?}", broken);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (found, _) = read(&bytes);
        prop_assert!(found.is_empty());
    }
}

#[test]
fn a_frame_of_another_file_is_no_frame_here() {
    let (bytes, _) = written(&[b"row".to_vec()]);
    let mut frames = Frames::new(&bytes[..], SALT + 1, 0, bytes.len() as u64, 1);
    assert!(matches!(frames.next(), Ok(Next::Broken(Broken { reach: Reach::Unknown, .. }))));
    assert!(!has_head_after(&bytes, SALT + 1, 0));
}

#[test]
fn a_frame_that_was_left_out_is_missed() {
    let (bytes, ends) = written(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    let bytes = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    let (found, broken) = read(&bytes);
    assert_eq!(found, [b"one".to_vec()]);
    assert_eq!(broken.map(|broken| broken.reach), Some(Reach::Foreign));
}
