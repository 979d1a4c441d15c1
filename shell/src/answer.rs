//! Answers of a gRPC service for people and programs: protobuf's JSON form,
//! and errors with what they say beyond their message.

use std::error::Error as _;
use std::fmt::Write as _;

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use pulse_proto::DESCRIPTOR_SET;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::tls::failure;

/// A message as protobuf's JSON, field names as in the contract.
pub fn json<M: Message>(name: &str, message: &M) -> anyhow::Result<serde_json::Value> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET)?;
    let descriptor = pool.get_message_by_name(name).with_context(|| format!("no message {name}"))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(true);
    Ok(dynamic.serialize_with_options(serde_json::value::Serializer, &options)?)
}

/// A message from protobuf's JSON; unknown fields are refused.
pub fn message<M: Message + Default>(name: &str, json: &str) -> anyhow::Result<M> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET)?;
    let descriptor = pool.get_message_by_name(name).with_context(|| format!("no message {name}"))?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let dynamic = DynamicMessage::deserialize(descriptor, &mut deserializer)?;
    deserializer.end()?;
    Ok(M::decode(dynamic.encode_to_vec().as_slice())?)
}

/// Code, message, bad fields and what the server advises.
pub fn explain(status: &Status) -> String {
    let mut text = told(status);
    let details = status.get_error_details();
    for violation in details.bad_request().into_iter().flat_map(|bad| &bad.field_violations) {
        let told = format!("{}: {}", violation.field, violation.description);
        // Most messages are that very sentence.
        if !status.message().contains(&told) {
            let _infallible = write!(text, "\n  {told}");
        }
    }
    if let Some(remedy) = details.error_info().and_then(|info| info.metadata.get("remedy")) {
        let _infallible = write!(text, "\n  what to do: {remedy}");
    }
    for violation in details.quota_failure().into_iter().flat_map(|quota| &quota.violations) {
        let _infallible = write!(text, "\n  {}: {}", violation.subject, violation.description);
    }
    text
}

/// Code and message; where no server said it, what was in the way.
pub fn told(status: &Status) -> String {
    match status.source() {
        Some(source) => format!("no answer: {}", failure::cause(source)),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulse_proto::pb::registry::v1::ListResourcesResponse;
    use tonic::Code;
    use tonic_types::ErrorDetails;

    #[test]
    fn json_has_the_names_of_the_contract() {
        let message =
            ListResourcesResponse { revision: 7, next_page_token: "x".to_owned(), ..Default::default() };
        let json = json("pulse.registry.v1.ListResourcesResponse", &message).expect("a known message");
        assert_eq!(json, serde_json::json!({"next_page_token": "x", "revision": "7"}));
    }

    #[test]
    fn errors_name_fields() {
        let details = ErrorDetails::with_bad_request_violation("filter", "column 3: unknown field");
        let status = Status::with_error_details(Code::InvalidArgument, "bad filter", details);
        assert_eq!(explain(&status), "InvalidArgument: bad filter\n  filter: column 3: unknown field");
        let details = ErrorDetails::with_bad_request_violation("filter", "unknown field");
        let status = Status::with_error_details(Code::InvalidArgument, "filter: unknown field", details);
        assert_eq!(explain(&status), "InvalidArgument: filter: unknown field", "once");
    }
}
