//! Words of products that are on everybody's systems, so that no policy hides
//! them: states, versions, models, kernel names. A text that a system told is made
//! of such words only by a list or a narrow shape; anything else somebody chose,
//! or it is of one device alone. Knows no names.

mod model;
mod shape;
mod words;

/// Longer is nothing that a product is called.
const CHARS_MAX: usize = 96;

/// Whether nothing in the text tells one system from another.
pub(super) fn is_common(text: &str) -> bool {
    if text.is_empty() || text.len() > CHARS_MAX || !text.is_ascii() {
        return false;
    }
    let small = text.to_ascii_lowercase();
    let mut parts = small.split([' ', ';', ',']).filter(|part| !part.is_empty());
    parts.all(is_common_word) || model::is_common(&small)
}

/// Whether a sentence of the registry says this by itself: in small letters.
pub(super) fn is_ours(text: &str) -> bool {
    text.split(' ').all(words::is_ours) || is_common(text)
}

fn is_common_word(word: &str) -> bool {
    words::is_listed(word)
        || shape::is_version(word)
        || shape::is_kernel_name(word)
        || shape::is_count(word)
        // "mirror+raidz2"
        || word.contains('+') && word.split('+').all(words::is_listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_products_are_common_and_others_are_not() {
        for text in [
            "ONLINE",
            "degraded",
            "SHUTTING_DOWN",
            "raidz2",
            "mirror+raidz2",
            "zstd-3",
            "zstd-fast-10",
            "VolumeStatus",
            "pool-scrub-age",
            "FAULTED_DEV_NR",
            "25.10.0",
            "TrueNAS-13.0-U6.1",
            "v26_0_0",
            "26.0.0-BETA.1",
            "25.10-MASTER-20250901-013045",
            "1.0.44_2.7.1",
            "24.10.2.4",
            "sda",
            "/dev/sdab1",
            "sda; sdb and 3 more",
            "nvme0n1p2",
            "ada0p2",
            "raidz2-0",
            "draid2:4d:10c:1s-0",
            "enp3s0f0np0",
            "bond0",
            "cifs",
            "WDC WD40EFRX-68N32N0",
            "WDC_WD40EFRX-68N32N0",
            "WDC 20TB",
            "ST12000NM0008-2H3101",
            "Samsung SSD 870 EVO 1TB",
            "QEMU HARDDISK",
            "Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz",
            "AMD EPYC 7302P 16-Core Processor",
            "iXsystems",
            "Dell Inc.",
            "TRUENAS-M40-HA",
            "TRUENAS-MINI-3.0-X+",
            "jsonrpc-websocket",
            "COMMUNITY_EDITION",
        ] {
            assert!(is_common(text), "{text}");
        }
        for text in [
            "",
            "payroll",
            "online for bob",
            "wwn-0x5000c500a1b2c3d4",
            "5000c500a1b2c3d4",
            "ata-WDC_WD40EFRX-68N32N0_WD-WCC4E1234567",
            "WDC_WD40EFRX-68N32N0_WD-WCC4E1234567",
            "disk/by-id/wwn-0x5000c500a1b2c3d4",
            "ST12000NM0008-2H3101 ZL2A1F4K",
            "ST12000NM0008-ZL2A1F4K",
            "Samsung SSD 870 EVO 1TB S5RRNF0R123456",
            "nvme-eui.0025385b71b0a1c2",
            "enx001122334455",
            "gptid/0b1a2c3d",
            "WD-WCC4E1234567",
            "PHYS812345678",
            "12345678",
            "12-34567890",
            "1234-5678-9012-3456",
            "1234.5678.9012.3456",
            "4711-42",
            "192.168.1.20",
            "10.0.0.1",
            "Bob's box",
            "kü",
            "made by Bob",
            "TRUENAS-of-bob",
        ] {
            assert!(!is_common(text), "{text}");
        }
    }
}
