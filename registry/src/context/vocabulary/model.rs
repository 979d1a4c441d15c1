//! What makers call their products. All in small letters.

use super::shape::{is_count, is_version};

/// Who makes systems, disks and processors, and how they sign.
const MAKERS: &[&str] = &[
    "wdc",
    "wd",
    "western",
    "digital",
    "seagate",
    "samsung",
    "intel",
    "amd",
    "toshiba",
    "kioxia",
    "hgst",
    "hitachi",
    "micron",
    "crucial",
    "kingston",
    "sandisk",
    "corsair",
    "adata",
    "lexar",
    "transcend",
    "qemu",
    "vmware",
    "vbox",
    "virtualbox",
    "msft",
    "microsoft",
    "red",
    "hat",
    "kvm",
    "proxmox",
    "xen",
    "ixsystems",
    "supermicro",
    "super",
    "micro",
    "dell",
    "emc",
    "hp",
    "hpe",
    "hewlett",
    "packard",
    "hewlett-packard",
    "lenovo",
    "ibm",
    "cisco",
    "fujitsu",
    "asus",
    "asustek",
    "asrock",
    "asrockrack",
    "gigabyte",
    "msi",
    "micro-star",
    "tyan",
    "quanta",
    "inspur",
    "huawei",
    "wiwynn",
    "apple",
    "synology",
    "qnap",
    "broadcom",
    "lsi",
    "avago",
    "mellanox",
    "nvidia",
    "ampere",
    "arm",
    "nutanix",
    "google",
    "amazon",
    "ec2",
    "innodisk",
    "phison",
    "solidigm",
    "technology",
    "technologies",
    "computer",
    "computers",
    "corporation",
    "corp",
    "inc",
    "co",
    "ltd",
    "llc",
    "gmbh",
    "international",
    "enterprise",
    "systems",
];
/// Of their lines of products.
const LINES: &[&str] = &[
    "ssd",
    "hdd",
    "nvme",
    "evo",
    "pro",
    "plus",
    "qvo",
    "ultrastar",
    "ironwolf",
    "exos",
    "barracuda",
    "red",
    "gold",
    "purple",
    "blue",
    "green",
    "black",
    "harddisk",
    "hard",
    "disk",
    "drive",
    "cd-rom",
    "dvd-rom",
    "virtual",
    "series",
    "optane",
    "portable",
    "ultra",
    "xeon",
    "core",
    "atom",
    "celeron",
    "pentium",
    "epyc",
    "ryzen",
    "threadripper",
    "opteron",
    "athlon",
    "silver",
    "bronze",
    "platinum",
    "processor",
    "cpu",
    "@",
    "gen",
    "gold",
    "quad-core",
    "eight-core",
    "six-core",
    "dual-core",
    "neoverse-n1",
    "with",
    "radeon",
    "graphics",
    "standard",
    "pc",
    "i440fx",
    "piix",
    "q35",
    "ich9",
    "+",
    "platform",
    "machine",
    "server",
    "poweredge",
    "proliant",
    "microserver",
    "thinksystem",
    "thinkserver",
    "storage",
];
/// Of these every model has a number of its own.
const PROCESSORS: &[&str] =
    &["xeon", "core", "atom", "celeron", "pentium", "epyc", "ryzen", "threadripper", "opteron", "athlon"];
/// How the numbers of disks begin, before a digit.
const DISKS: &[&str] = &[
    "wd", "wuh", "wus", "st", "huh", "hus", "hdn", "hds", "hms", "hts", "huc", "hdwd", "hdwe", "hdwg",
    "hdwn", "hdwt", "mg", "mn", "mq", "mk", "al", "dt", "kpm", "px", "kxg", "kcd", "ssdsc", "ssdpe", "ssdpf",
    "ssdsa", "ct", "sa", "skc", "suv", "sv", "sedc", "pm", "sm", "sdlf",
];
/// The same, before more letters and a digit.
const LETTERED_DISKS: &[&str] = &["mz", "mtfd", "thns", "sdssd"];
const LETTERS_MAX: usize = 4;
const NUMBER_CHARS_MAX: usize = 16;
/// What stands behind the dash: the variant. A serial is longer.
const VARIANT_CHARS_MAX: usize = 7;
const SHORT_CHARS_MAX: usize = 8;
const SHORT_DIGITS_MAX: usize = 5;

pub(super) fn is_common(small: &str) -> bool {
    if is_appliance(small) {
        return true;
    }
    let plain = small.replace("(r)", " ").replace("(tm)", " ");
    let words: Vec<&str> = plain
        .split([' ', '_', ',', '(', ')'])
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect();
    let is_known = |word: &str| MAKERS.contains(&word) || LINES.contains(&word);
    let Some(first) = words.first() else { return false };
    let has_processor = words.iter().any(|word| PROCESSORS.contains(word));
    (is_known(first) || is_disk(first))
        && words.iter().all(|word| {
            is_known(word)
                || is_disk(word)
                || is_count(word)
                || is_version(word)
                || has_processor && is_short(word)
        })
}

/// `truenas-m40-ha`
fn is_appliance(small: &str) -> bool {
    const PARTS: [&str; 14] =
        ["mini", "ha", "s", "x", "x+", "xl", "xl+", "e", "e+", "r", "certified", "h", "rack", "es"];
    let Some(rest) = small.strip_prefix("truenas-").or_else(|| small.strip_prefix("freenas-")) else {
        return false;
    };
    // "m40"
    let is_series = |part: &str| {
        let number = part.trim_start_matches(|c: char| c.is_ascii_lowercase());
        part.len() - number.len() <= 2
            && (2..=3).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    };
    rest.split('-').all(|part| PARTS.contains(&part) || is_count(part) || is_series(part))
}

/// `wd40efrx-68n32n0`
fn is_disk(word: &str) -> bool {
    let (number, variant) = word.split_once('-').unwrap_or((word, ""));
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let letters = |known: &&str| {
        let rest = number.strip_prefix(*known)?;
        rest.find(|c: char| c.is_ascii_digit())
    };
    let begins = DISKS.iter().any(|known| letters(known) == Some(0))
        || LETTERED_DISKS.iter().filter_map(letters).any(|letters| letters <= LETTERS_MAX);
    begins
        && number.len() <= NUMBER_CHARS_MAX
        && variant.len() <= VARIANT_CHARS_MAX
        && is_part(number)
        && is_part(variant)
}

/// `e5-2620`, `7302p`, `v4`
fn is_short(word: &str) -> bool {
    word.len() <= SHORT_CHARS_MAX
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && (1..=SHORT_DIGITS_MAX).contains(&word.bytes().filter(u8::is_ascii_digit).count())
}
