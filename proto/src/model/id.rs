//! Every kind of id, in one place. An id that exists is well formed.

use std::fmt;
use std::sync::Arc;

use super::ResourceType;
use crate::convert::ProtocolError;

/// Longest `source_id`, in bytes: a ZFS name may have 256, a path more.
pub const SOURCE_ID_BYTES_MAX: usize = 1_024;
/// Longest connection or collector id.
pub const NAME_ID_BYTES_MAX: usize = 128;
/// Longest section name.
pub const SECTION_BYTES_MAX: usize = 32;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        /// As texts. Most that are compared share one.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                if Arc::ptr_eq(&self.0, &other.0) {
                    return std::cmp::Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Fails when the text is not a well-formed id of this kind.
            pub fn parse(text: &str) -> Result<Self, ProtocolError> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A TrueNAS connection of a collector.
    ConnectionId,
    check_name
);
text_id!(
    /// A collector, stable over restarts.
    CollectorId,
    check_name
);
text_id!(
    /// A source's own id of a thing, e.g. `system:<connection>/pool:tank`.
    SourceId,
    check_source_id
);
text_id!(
    /// A section of a NAS: system, pools, datasets, disks, alerts ...
    SectionName,
    check_section
);
/// A unified resource: `<type token>-<16 hex digits>`. Ids are as numerous as resources, and are kept as what they say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceId {
    kind: ResourceType,
    number: u64,
}

/// Longest text of a resource id: a test holds the tokens to it.
const RESOURCE_ID_BYTES_MAX: usize = 40;
const HEX_DIGITS: usize = 16;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl ResourceId {
    pub const fn new(kind: ResourceType, number: u64) -> Self {
        Self { kind, number }
    }

    /// Fails when the text is not a well-formed id of this kind.
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        let malformed = || ProtocolError::invalid("expected a type, '-' and 16 hexadecimal digits");
        let (token, hex) = text.rsplit_once('-').ok_or_else(malformed)?;
        let kind = ResourceType::from_token(token).ok_or_else(malformed)?;
        let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if hex.len() != HEX_DIGITS || !hex.bytes().all(is_hex) {
            return Err(malformed());
        }
        let number = u64::from_str_radix(hex, 16).map_err(|_| malformed())?;
        Ok(Self { kind, number })
    }

    pub const fn kind(&self) -> ResourceType {
        self.kind
    }

    /// What the digits say.
    pub const fn number(&self) -> u64 {
        self.number
    }

    pub fn text(&self) -> ResourceIdText {
        let mut text = ResourceIdText { bytes: [0; RESOURCE_ID_BYTES_MAX], len: 0 };
        text.push(self.kind.token().as_bytes());
        text.push(b"-");
        let mut digits = [0; HEX_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.number.to_be_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0xF)];
        }
        text.push(&digits);
        text
    }
}

/// As texts.
impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self.kind == other.kind {
            return self.number.cmp(&other.number);
        }
        let [own, others] = [self, other].map(|id| id.kind.token().as_bytes());
        let shared = own.len().min(others.len());
        // One token may begin another, as `network` does `network-share`.
        own[..shared].cmp(&others[..shared]).then_with(|| self.text().cmp(&other.text()))
    }
}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text())
    }
}

/// A resource id, written out.
#[derive(Clone, Copy)]
pub struct ResourceIdText {
    bytes: [u8; RESOURCE_ID_BYTES_MAX],
    len: usize,
}

impl ResourceIdText {
    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..][..part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::ops::Deref for ResourceIdText {
    type Target = str;

    fn deref(&self) -> &str {
        // Tokens and digits are text.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for ResourceIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// Lease of a connection; a newer holder has a greater one.
    Epoch
);
number_id!(
    /// Number of a batch within an epoch, from 1.
    Sequence
);
number_id!(
    /// Number of a registry state, gapless, from 1; 0 is the empty registry.
    Revision
);

fn check_name(text: &str) -> Result<(), ProtocolError> {
    if text.is_empty() {
        return Err(ProtocolError::missing());
    }
    if text.len() > NAME_ID_BYTES_MAX {
        return Err(ProtocolError::invalid(format!("longer than {NAME_ID_BYTES_MAX} bytes")));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(ProtocolError::invalid("only letters, digits, '.', '_' and '-' are allowed"));
    }
    Ok(())
}

fn check_source_id(text: &str) -> Result<(), ProtocolError> {
    if text.is_empty() {
        return Err(ProtocolError::missing());
    }
    if text.len() > SOURCE_ID_BYTES_MAX {
        return Err(ProtocolError::invalid(format!("longer than {SOURCE_ID_BYTES_MAX} bytes")));
    }
    if crate::convert::has_control(text) {
        return Err(ProtocolError::invalid("control characters are not allowed"));
    }
    Ok(())
}

fn check_section(text: &str) -> Result<(), ProtocolError> {
    if text.is_empty() {
        return Err(ProtocolError::missing());
    }
    if text.len() > SECTION_BYTES_MAX {
        return Err(ProtocolError::invalid(format!("longer than {SECTION_BYTES_MAX} bytes")));
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(ProtocolError::invalid("only a-z, 0-9 and '_' are allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_is_not_well_formed() {
        for good in ["nas-1", "6f1c2e9e-3c1f-4b38-9a80-6a5f0d8c3a55", "a.b_c"] {
            assert!(ConnectionId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ü", "a\n", &"x".repeat(129)] {
            assert!(ConnectionId::parse(bad).is_err(), "{bad:?}");
        }
        for good in
            ["agent-d2d79e79064338d7", "physical_disk-0be7c958aae58dd8", "app-container-0a00cd86575e01a8"]
        {
            assert!(ResourceId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "agent", "agent-D2D79E79064338D7", "pool-d2d79e79064338d7", "agent-d2d79e7906433"] {
            assert!(ResourceId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SourceId::parse("system:c/dataset:tank/käse").is_ok());
        assert!(SourceId::parse("system:c/pool:\u{7}").is_err());
        assert!(SectionName::parse("pools").is_ok());
        assert!(SectionName::parse("Pools").is_err());
    }

    #[test]
    fn ids_of_resources_are_as_their_texts_are() {
        let numbers = [0, 1, 0xF, 0x10, 0x0a00_cd86_575e_01a8, 0xd2d7_9e79_0643_38d7, u64::MAX];
        let of = |kind: &ResourceType| numbers.map(|number| ResourceId::new(*kind, number));
        let ids: Vec<ResourceId> = ResourceType::ALL.iter().flat_map(of).collect();
        for id in &ids {
            let text = format!("{}-{:016x}", id.kind().token(), id.number());
            assert_eq!(
                (&*id.text(), id.to_string(), format!("{id:?}")),
                (&*text, text.clone(), format!("{text:?}"))
            );
            assert_eq!(ResourceId::parse(&text).unwrap(), *id);
            for other in &ids {
                assert_eq!(id.cmp(other), text.as_str().cmp(&other.text()), "{id} {other}");
            }
        }
    }
}
