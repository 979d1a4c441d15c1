//! Words that have no list, but a shape too narrow for anything that is of one
//! system alone. All in small letters.

use std::net::Ipv4Addr;

/// Digits of a number that counts or orders; a serial has more.
const DIGITS_MAX: usize = 4;
const PARTS_MAX: usize = 8;
const KERNEL_CHARS_MAX: usize = 24;

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_small_number(text: &str) -> bool {
    is_digits(text) && text.len() <= DIGITS_MAX
}

/// `25.10.0`, `truenas-13.0-u6.1`, `v26_0_0`, `25.10-master-20250901-013045`
pub(super) fn is_version(word: &str) -> bool {
    const BRANDS: [&str; 5] = ["truenas-scale-", "truenas-", "freenas-", "v", ""];
    const SUFFIXES: [&str; 21] = [
        "release", "rc", "beta", "alpha", "master", "internal", "stable", "nightly", "hotfix", "u", "p", "r",
        "rev", "ls", "alpine", "debian", "ubuntu", "slim", "build", "post", "dev",
    ];
    let number = BRANDS.iter().find_map(|brand| word.strip_prefix(brand)).unwrap_or(word);
    // An address of a network looks like a version, but for those that are called by year and month.
    if let Ok(address) = number.parse::<Ipv4Addr>()
        && !matches!(address.octets(), [20..=40, 1..=12, ..])
    {
        return false;
    }
    let mut is_after_day = false;
    let mut is_part = |(at, part): (usize, &str)| {
        let is_day = part.len() == 8 && part.starts_with("20") && is_digits(part);
        let is_time = is_after_day && part.len() == 6 && is_digits(part);
        is_after_day = is_day;
        let suffix = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_suffix = SUFFIXES.contains(&suffix) && part.len() - suffix.len() <= DIGITS_MAX;
        is_small_number(part) || at > 1 && (is_day || is_time || is_suffix)
    };
    let parts: Vec<&str> = number.split(['.', '-', '_', '+']).collect();
    // Groups of four digits are of a card or a serial.
    let groups = parts.iter().filter(|part| part.len() == DIGITS_MAX && is_digits(part)).count();
    let has_place = number.contains('.') || number.len() < word.len();
    has_place
        && groups <= 1
        && (2..=PARTS_MAX).contains(&parts.len())
        && parts.iter().copied().enumerate().all(&mut is_part)
}

/// What kernels and ZFS call devices and interfaces by their order: `sda1`, `nvme0n1`, `raidz2-0`, `enp3s0f0`.
pub(super) fn is_kernel_name(word: &str) -> bool {
    const LETTERED: [&str; 4] = ["sd", "vd", "hd", "xvd"];
    const NUMBERED: [&str; 67] = [
        "ada",
        "sd",
        "da",
        "nvd",
        "nda",
        "nvme",
        "pmem",
        "mmcblk",
        "md",
        "dm-",
        "loop",
        "zd",
        "cd",
        "sr",
        "mfid",
        "vtbd",
        "mirror-",
        "raidz",
        "raidz-",
        "draid",
        "spare-",
        "replacing-",
        "hole-",
        "indirect-",
        "eth",
        "eno",
        "ens",
        "enp",
        "bond",
        "br",
        "vlan",
        "lagg",
        "igb",
        "igc",
        "ix",
        "ixl",
        "ixv",
        "em",
        "re",
        "bge",
        "bxe",
        "cxl",
        "cc",
        "mlxen",
        "mce",
        "vtnet",
        "vmx",
        "wlp",
        "lo",
        "tap",
        "vnet",
        "veth",
        "ntb",
        "usb",
        "virbr",
        "macvtap",
        "bnxt",
        "axgbe",
        "ice",
        "oce",
        "sfxge",
        "epair",
        "bridge",
        "docker",
        "incusbr",
        "ipmi",
        "wlan",
    ];
    const BETWEEN: [&str; 13] = ["n", "p", "s", "f", "np", "c", "d", "-", ".", ":", "d:", "c:", "s-"];
    let name = word.strip_prefix("/dev/").unwrap_or(word);
    if name == "lo" {
        return true;
    }
    if name.len() > KERNEL_CHARS_MAX {
        return false;
    }
    let first = &name[..name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len())];
    let rest = &name[first.len()..];
    let is_lettered = LETTERED.iter().any(|kind| {
        first.strip_prefix(kind).is_some_and(|order| {
            (1..=3).contains(&order.len()) && order.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    });
    let is_numbered = NUMBERED.contains(&first) && !rest.is_empty();
    (is_lettered || is_numbered) && runs(rest).all(|run| is_small_number(run) || BETWEEN.contains(&run))
}

/// Digits, and what stands between them.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_digit = rest.bytes().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

/// `4`, `20tb`, `2.10ghz`, `16-core`
pub(super) fn is_count(word: &str) -> bool {
    const UNITS: [&str; 11] = ["", "b", "kb", "mb", "gb", "tb", "tib", "gib", "ghz", "-core", "rpm"];
    let number = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    UNITS.contains(&&word[number.len()..])
        && number.split('.').count() <= 2
        && number.split('.').all(is_small_number)
}
