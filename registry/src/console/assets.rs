//! The stylesheet and the script, in the binary, under names that change with
//! their content: a browser keeps them for good and never an old one.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

const CSS: &str = include_str!("../../assets/console.css");
const JS: &str = include_str!("../../assets/console.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// One file.
#[derive(Debug)]
pub struct Asset {
    pub name: String,
    pub media_type: &'static str,
    pub content: &'static str,
}

static ALL: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |stem: &str, end: &str, media_type, content: &'static str| {
        let digest: [u8; 32] = Sha256::digest(content.as_bytes()).into();
        let hash = u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default());
        Asset { name: format!("{stem}.{hash:016x}.{end}"), media_type, content }
    };
    [
        asset("console", "css", "text/css; charset=utf-8", CSS),
        asset("console", "js", "text/javascript; charset=utf-8", JS),
        asset("icon", "svg", "image/svg+xml", ICON),
    ]
});

pub fn css() -> &'static str {
    &ALL[0].name
}

pub fn js() -> &'static str {
    &ALL[1].name
}

pub fn icon() -> &'static str {
    &ALL[2].name
}

pub fn find(name: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.name == name)
}
