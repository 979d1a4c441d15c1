//! Records with every field filled, by what the contract says there is: a field
//! that is added later is planted, too.

use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value,
};
use pulse_proto::pb::resource::v1::{IngestRecord, ResourceType};

/// Deep enough for a vdev in a vdev.
const DEPTH_MAX: usize = 6;
/// These place a record; others depend on them.
const KEPT: [&str; 6] = ["source_id", "parent_source_id", "section", "type", "args_json", "topology"];
const FACETS: [(&str, ResourceType); 7] = [
    ("agent", ResourceType::Host),
    ("storage", ResourceType::Storage),
    ("physical_disk", ResourceType::PhysicalDisk),
    ("app", ResourceType::AppContainer),
    ("vm", ResourceType::Vm),
    ("network_share", ResourceType::NetworkShare),
    ("protection_task", ResourceType::ProtectionTask),
];

/// One record of each type, pools and datasets apart, whose texts are what `text` says for the field of that path.
pub(crate) fn records(connection: &str, text: &dyn Fn(&str) -> String) -> Vec<IngestRecord> {
    let mut records = Vec::new();
    for (facet, kind) in FACETS {
        for zfs in ["zfs_pool", "zfs_dataset"] {
            if facet != "storage" && zfs == "zfs_dataset" {
                continue;
            }
            let of_type = |name: &str| {
                let is_other_facet = FACETS.iter().any(|(other, _)| *other == name && *other != facet);
                let is_of_host = ["truenas", "metrics"].contains(&name) && facet != "agent";
                let is_other_zfs =
                    name.starts_with("zfs_") && ["zfs_pool", "zfs_dataset"].contains(&name) && name != zfs;
                !(is_other_facet || is_of_host || is_other_zfs)
            };
            let pool = DescriptorPool::decode(pulse_proto::DESCRIPTOR_SET).unwrap();
            let descriptor = pool.get_message_by_name("pulse.resource.v1.IngestRecord").unwrap();
            let mut message = DynamicMessage::new(descriptor);
            fill(&mut message, "", 0, text, &of_type);
            let mut record = IngestRecord::decode(message.encode_to_vec().as_slice()).unwrap();
            let number = records.len();
            record.source_id = format!("system:{connection}/x:{number}");
            record.parent_source_id =
                if facet == "agent" { String::new() } else { format!("system:{connection}/x:0") };
            record.r#type = kind.into();
            "pools".clone_into(&mut record.section);
            if let Some(storage) = &mut record.storage {
                storage.topology = if zfs == "zfs_pool" { 1 } else { 2 };
            }
            records.push(record);
        }
    }
    records
}

fn fill(
    message: &mut DynamicMessage,
    path: &str,
    depth: usize,
    text: &dyn Fn(&str) -> String,
    wanted: &dyn Fn(&str) -> bool,
) {
    if depth > DEPTH_MAX {
        return;
    }
    let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
    for field in fields.into_iter().filter(|field| wanted(field.name()) && !KEPT.contains(&field.name())) {
        let path = format!("{path}.{}", field.name());
        if field.is_map() {
            let entry = [(MapKey::String(text(&path)), Value::String(text(&path)))];
            message.set_field(&field, Value::Map(entry.into_iter().collect()));
            continue;
        }
        let value = match field.kind() {
            Kind::String => Value::String(text(&path)),
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
                let mut time = DynamicMessage::new(inner);
                time.set_field_by_name("seconds", Value::I64(1_789_000_000));
                Value::Message(time)
            }
            Kind::Message(inner) => {
                // Devices nest; one level of them will do.
                if inner.full_name().ends_with(".Vdev") && path.matches("children").count() > 0 && depth > 5 {
                    continue;
                }
                let mut value = DynamicMessage::new(inner);
                fill(&mut value, &path, depth + 1, text, wanted);
                Value::Message(value)
            }
            Kind::Enum(_) => Value::EnumNumber(3),
            Kind::Bool => Value::Bool(true),
            Kind::Double => Value::F64(40.0),
            Kind::Float => Value::F32(40.0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(40),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(40),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(40),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(40),
            Kind::Bytes => continue,
        };
        let is_list = field.cardinality() == Cardinality::Repeated;
        message.set_field(&field, if is_list { Value::List(vec![value]) } else { value });
    }
}
