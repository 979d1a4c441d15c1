//! Reads single fields of an encoded message where they lie: a filter over a
//! million resources looks at a few bytes of each. Knows the wire format and
//! the numbers of the fields that are asked for; a broken message reads as empty.

/// Field numbers of `pulse.resource.v1.Resource`; a test holds them to the contract.
pub mod number {
    pub const TYPE: u32 = 2;
    pub const TECHNOLOGY: u32 = 3;
    pub const NAME: u32 = 4;
    pub const STATE: u32 = 6;
    pub const IDENTITY: u32 = 19;
    pub const CAPACITY: u32 = 20;
    pub const TAGS: u32 = 21;
    pub const INCIDENTS: u32 = 23;
    pub const AGENT: u32 = 24;
    pub const TRUENAS: u32 = 25;
    pub const STORAGE: u32 = 26;
    pub const PHYSICAL_DISK: u32 = 27;
    pub const APP: u32 = 31;
    pub const VM: u32 = 32;
    pub const NETWORK_SHARE: u32 = 33;
    pub const PROTECTION_TASK: u32 = 34;
    pub const METRICS: u32 = 35;
}

/// An encoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a>(&'a [u8]);

/// A field as it lies there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed64(u64),
    Fixed32,
}

impl<'a> Message<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Empty when it is not there.
    pub fn text(self, number: u32) -> &'a str {
        match self.find(number) {
            Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => "",
        }
    }

    pub fn texts(self, number: u32) -> impl Iterator<Item = &'a str> {
        self.all(number).filter_map(|bytes| std::str::from_utf8(bytes).ok())
    }

    pub fn message(self, number: u32) -> Option<Self> {
        match self.find(number)? {
            Value::Bytes(bytes) => Some(Self(bytes)),
            _ => None,
        }
    }

    pub fn messages(self, number: u32) -> impl Iterator<Item = Self> {
        self.all(number).map(Self)
    }

    /// Also enums and booleans. A field without presence is not there when it is zero.
    pub fn integer(self, number: u32) -> Option<u64> {
        match self.find(number)? {
            Value::Varint(value) => Some(value),
            _ => None,
        }
    }

    pub fn double(self, number: u32) -> Option<f64> {
        match self.find(number)? {
            Value::Fixed64(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Fields below 64 that are not the same in both, a bit each.
    pub fn differing(self, other: Self) -> u64 {
        let bit = |number: u32| 1_u64.checked_shl(number).unwrap_or_default();
        let (mut ours, mut theirs) = (Fields(self.0), Fields(other.0));
        let mut differing = 0;
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return differing,
                (Some(field), Some(beside)) if field == beside => {}
                (field, beside) => {
                    let numbers = [field, beside].into_iter().flatten().map(|(number, _)| number);
                    differing |= numbers.map(bit).fold(0, std::ops::BitOr::bitor);
                }
            }
        }
    }

    /// All fields in one walk, for who wants many of them.
    pub(super) fn fields(self) -> impl Iterator<Item = (u32, Value<'a>)> {
        Fields(self.0)
    }

    fn all(self, wanted: u32) -> impl Iterator<Item = &'a [u8]> {
        Fields(self.0).filter_map(move |(number, value)| match value {
            Value::Bytes(bytes) if number == wanted => Some(bytes),
            _ => None,
        })
    }

    /// Fields lie ascending by number, as they were encoded here.
    fn find(self, wanted: u32) -> Option<Value<'a>> {
        Fields(self.0)
            .take_while(|(number, _)| *number <= wanted)
            .find_map(|(number, value)| (number == wanted).then_some(value))
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Fixed64(u64::from_le_bytes(take(&mut self.0, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                Value::Bytes(take(&mut self.0, length)?)
            }
            5 => {
                take(&mut self.0, 4)?;
                Value::Fixed32
            }
            _ => return None,
        };
        Some((number, value))
    }
}

/// Keys and lengths have one byte or two, and at the end of every message there is none.
#[inline]
fn varint(input: &mut &[u8]) -> Option<u64> {
    match *input {
        [] => None,
        [byte @ 0..0x80, rest @ ..] => {
            *input = rest;
            Some(u64::from(*byte))
        }
        [low, high @ 0..0x80, rest @ ..] => {
            *input = rest;
            Some(u64::from(low & 0x7f) | u64::from(*high) << 7)
        }
        _ => prost::encoding::decode_varint(input).ok(),
    }
}

#[inline]
fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    use pulse_proto::pb::resource::v1 as wire;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_contract() {
        let set = FileDescriptorSet::decode(pulse_proto::DESCRIPTOR_SET).unwrap();
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        let resource = messages.into_iter().find(|message| message.name() == "Resource").unwrap();
        for (name, number) in [
            ("type", number::TYPE),
            ("technology", number::TECHNOLOGY),
            ("name", number::NAME),
            ("state", number::STATE),
            ("identity", number::IDENTITY),
            ("capacity", number::CAPACITY),
            ("tags", number::TAGS),
            ("incidents", number::INCIDENTS),
            ("agent", number::AGENT),
            ("truenas", number::TRUENAS),
            ("storage", number::STORAGE),
            ("physical_disk", number::PHYSICAL_DISK),
            ("app", number::APP),
            ("vm", number::VM),
            ("network_share", number::NETWORK_SHARE),
            ("protection_task", number::PROTECTION_TASK),
            ("metrics", number::METRICS),
        ] {
            let field = resource.field.iter().find(|field| field.name() == name).unwrap();
            assert_eq!(u32::try_from(field.number()), Ok(number), "{name}");
        }
    }

    #[test]
    fn what_differs_is_named_and_what_is_equal_may_be_named_too() {
        let bytes = |name: &str, state: &str, used: Option<u64>| {
            let capacity = used.map(|used| wire::Capacity { used_bytes: Some(used), ..Default::default() });
            let (name, state) = (name.to_owned(), state.to_owned());
            wire::Resource { name, state, capacity, ..Default::default() }.encode_to_vec()
        };
        let (name, state, capacity) = (1 << number::NAME, 1 << number::STATE, 1 << number::CAPACITY);
        let one = bytes("a", "ONLINE", Some(1));
        for (other, expected) in [
            (bytes("a", "ONLINE", Some(1)), 0),
            (bytes("b", "ONLINE", Some(1)), name),
            (bytes("a", "ONLINE", Some(2)), capacity),
            (bytes("b", "FAULTED", Some(2)), name | state | capacity),
            (bytes("a", "ONLINE", None), capacity),
            // Once a field is missing, those behind it stand elsewhere.
            (bytes("a", "", Some(1)), state | capacity),
        ] {
            assert_eq!(Message::new(&one).differing(Message::new(&other)), expected);
            assert_eq!(Message::new(&other).differing(Message::new(&one)), expected);
        }
    }

    #[test]
    fn fields_are_found_where_they_lie() {
        let disk = wire::PhysicalDiskFacet {
            serial: "S1".to_owned(),
            temperature_celsius: Some(41.5),
            missing: true,
            ..wire::PhysicalDiskFacet::default()
        };
        let resource = wire::Resource {
            name: "sda".to_owned(),
            tags: vec!["a".to_owned(), "b".to_owned()],
            capacity: Some(wire::Capacity { total_bytes: Some(0), ..wire::Capacity::default() }),
            physical_disk: Some(disk),
            ..wire::Resource::default()
        };
        let bytes = resource.encode_to_vec();
        let message = Message::new(&bytes);
        assert_eq!(message.text(number::NAME), "sda");
        assert_eq!(message.text(number::STATE), "");
        assert_eq!(message.texts(number::TAGS).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(message.message(number::CAPACITY).unwrap().integer(1), Some(0));
        assert_eq!(message.message(number::CAPACITY).unwrap().integer(2), None);
        let disk = message.message(number::PHYSICAL_DISK).unwrap();
        assert_eq!((disk.text(4), disk.double(18), disk.integer(17)), ("S1", Some(41.5), Some(1)));
        assert!(message.message(number::STORAGE).is_none());
        for end in 0..bytes.len() {
            // Cut anywhere: something may be missing, nothing breaks.
            let cut = Message::new(&bytes[..end]);
            let _ = (cut.text(number::NAME), cut.message(number::PHYSICAL_DISK).and_then(|d| d.double(18)));
        }
    }
}
