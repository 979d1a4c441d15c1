//! Read masks: which fields of a resource travel. Paths are checked against
//! the contract's own descriptor, so a new field needs no entry here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Most paths in one mask.
pub const MASK_PATHS_MAX: usize = 128;
const RESOURCE: &str = ".pulse.resource.v1.Resource";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?}: {problem}")]
pub struct MaskError {
    pub path: String,
    /// With the remedy.
    pub problem: String,
}

/// The checked fields; everything when none are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mask {
    fields: Option<Fields>,
}

/// By field number. `None` keeps the whole field.
type Fields = BTreeMap<u32, Kept>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Whole,
    Some(Fields),
}

impl Mask {
    pub fn parse<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Self, MaskError> {
        let mut fields = Fields::new();
        let mut whole = false;
        for (index, path) in paths.into_iter().enumerate() {
            let refuse = |problem: String| MaskError { path: path.to_owned(), problem };
            if index == MASK_PATHS_MAX {
                return Err(refuse(format!("more than {MASK_PATHS_MAX} paths; name whole messages")));
            }
            if path == "*" {
                whole = true;
            } else {
                add(&mut fields, RESOURCE, path).map_err(refuse)?;
            }
        }
        Ok(Self { fields: (!whole && !fields.is_empty()).then_some(fields) })
    }

    /// Everything travels.
    pub const fn is_whole(&self) -> bool {
        self.fields.is_none()
    }

    /// Copies what travels of an encoded resource, or of a part of one.
    pub fn prune(&self, encoded: &[u8], kept: &mut Vec<u8>) {
        match &self.fields {
            // What is encoded here is well formed, so it is read to its end.
            Some(fields) => prune(encoded, fields, kept).unwrap_or_default(),
            None => kept.extend_from_slice(encoded),
        }
    }
}

struct FieldInfo {
    number: u32,
    repeated: bool,
    /// Full name of a nested message.
    message: Option<String>,
}

type Messages = BTreeMap<String, BTreeMap<String, FieldInfo>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    let mut messages = Messages::new();
    let set = FileDescriptorSet::decode(pulse_proto::DESCRIPTOR_SET).unwrap_or_default();
    for file in &set.file {
        for message in &file.message_type {
            describe(&mut messages, &format!(".{}", file.package()), message);
        }
    }
    messages
});

fn describe(messages: &mut Messages, outer: &str, message: &DescriptorProto) {
    let name = format!("{outer}.{}", message.name());
    for nested in &message.nested_type {
        describe(messages, &name, nested);
    }
    let fields = message.field.iter().map(|field| {
        let info = FieldInfo {
            number: u32::try_from(field.number()).unwrap_or_default(),
            repeated: field.label() == Label::Repeated,
            message: field
                .type_name
                .clone()
                .filter(|_| field.r#type() == prost_types::field_descriptor_proto::Type::Message),
        };
        (field.name().to_owned(), info)
    });
    messages.insert(name, fields.collect());
}

fn add(fields: &mut Fields, message: &str, path: &str) -> Result<(), String> {
    let known = MESSAGES.get(message);
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(info) = known.and_then(|known| known.get(name)) else {
        let names: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        return Err(format!("unknown field {name:?}; known fields are {}", names.join(", ")));
    };
    let Some(rest) = rest else {
        fields.insert(info.number, Kept::Whole);
        return Ok(());
    };
    match &info.message {
        _ if info.repeated => Err(format!("{name} is a list or a map; name it as a whole")),
        None => Err(format!("{name} has no fields; name it alone")),
        Some(message) => match fields.entry(info.number).or_insert_with(|| Kept::Some(Fields::new())) {
            // Still checked, although everything below is kept already.
            Kept::Whole => add(&mut Fields::new(), message, rest),
            Kept::Some(nested) => add(nested, message, rest),
        },
    }
}

/// Copies the kept fields of an encoded message. `None`: not a message.
fn prune(mut input: &[u8], fields: &Fields, output: &mut Vec<u8>) -> Option<()> {
    while !input.is_empty() {
        let start = input;
        let key = varint(&mut input)?;
        let number = u32::try_from(key >> 3).ok()?;
        let body = match key & 7 {
            0 => {
                varint(&mut input)?;
                None
            }
            1 => {
                take(&mut input, 8)?;
                None
            }
            2 => {
                let length = usize::try_from(varint(&mut input)?).ok()?;
                Some(take(&mut input, length)?)
            }
            5 => {
                take(&mut input, 4)?;
                None
            }
            _ => return None,
        };
        match (fields.get(&number), body) {
            (None, _) => {}
            (Some(Kept::Some(nested)), Some(body)) => {
                let mut kept = Vec::new();
                prune(body, nested, &mut kept)?;
                prost::encoding::encode_varint(key, output);
                prost::encoding::encode_varint(kept.len() as u64, output);
                output.extend(kept);
            }
            (Some(_), _) => output.extend(&start[..start.len() - input.len()]),
        }
    }
    Some(())
}

fn varint(input: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(input).ok()
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, UnixMillis};
    use pulse_proto::pb::resource::v1 as wire;

    use super::*;
    use crate::query::fixture::{Seed, capacity};
    use crate::query::show;

    fn resource() -> wire::Resource {
        let seed = Seed { capacity: Some(capacity(10, 5)), ..Seed::new(ResourceType::Storage, 2, "nas") };
        show::decoded(&seed.build(), Some(UnixMillis::new(5_000)))
    }

    fn applied(mask: &Mask) -> wire::Resource {
        let mut kept = Vec::new();
        mask.prune(&resource().encode_to_vec(), &mut kept);
        wire::Resource::decode(kept.as_slice()).expect("a resource")
    }

    #[test]
    fn only_named_fields_travel() {
        let mask =
            Mask::parse(["id", "capacity.used_bytes", "labels", "storage.pool", "tags"]).expect("a mask");
        let full = resource();
        let expected = wire::Resource {
            id: full.id.clone(),
            capacity: Some(wire::Capacity { used_bytes: Some(5), ..wire::Capacity::default() }),
            labels: full.labels.clone(),
            tags: full.tags,
            storage: Some(wire::StorageFacet { pool: "thing-2".to_owned(), ..wire::StorageFacet::default() }),
            ..wire::Resource::default()
        };
        assert_eq!(applied(&mask), expected);
    }

    #[test]
    fn no_path_and_the_star_keep_everything() {
        for paths in [vec![], vec!["*"], vec!["id", "*"]] {
            assert_eq!(applied(&Mask::parse(paths).expect("a mask")), resource());
        }
    }

    #[test]
    fn a_whole_message_contains_its_parts() {
        for paths in [["capacity", "capacity.used_bytes"], ["capacity.used_bytes", "capacity"]] {
            let kept = applied(&Mask::parse(paths).expect("a mask"));
            assert_eq!(kept.capacity, resource().capacity, "{paths:?}");
        }
    }

    #[test]
    fn every_field_of_the_contract_can_be_named() {
        let names: Vec<&str> = MESSAGES[RESOURCE].keys().map(String::as_str).collect();
        assert_eq!(names.len(), 35);
        assert_eq!(applied(&Mask::parse(names).expect("a mask")), resource());
    }

    #[test]
    fn unknown_paths_are_refused() {
        let table = [
            ("", "unknown field"),
            ("nme", "display_name"),
            ("capacity.free", "used_bytes"),
            ("name.first", "no fields"),
            ("labels.site", "as a whole"),
            ("reasons.code", "as a whole"),
            ("capacity.", "unknown field"),
        ];
        for (path, remedy) in table {
            let error = Mask::parse(["id", path]).expect_err(path);
            assert_eq!(error.path, path);
            assert!(error.problem.contains(remedy), "{error}");
        }
        assert!(Mask::parse(["capacity", "capacity.nothing"]).is_err());
        assert!(Mask::parse(std::iter::repeat_n("id", MASK_PATHS_MAX + 1)).is_err());
    }
}
