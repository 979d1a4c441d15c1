//! Packed contexts as they go over the wire.

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::{ResourceId, ResourceType};
use pulse_proto::pb::registry::v1 as pb;

use super::request::Terms;
use crate::context::fact::Trust;
use crate::context::pack::{Packed, PackedFact, PackedSection};
use crate::context::redact::Policy;
use crate::state::view::View;

pub(super) fn infrastructure(
    view: &View,
    packed: &Packed,
    terms: &Terms,
) -> pb::GetInfrastructureContextResponse {
    pb::GetInfrastructureContextResponse {
        text: packed.text.clone(),
        sections: sections(view, packed, terms),
        tokens: narrow(packed.tokens),
        revision: view.revision.0,
        redaction: policy(terms.policy).into(),
        pseudonyms: pseudonyms(packed, terms),
    }
}

pub(super) fn resource(view: &View, packed: &Packed, terms: &Terms) -> pb::GetResourceContextResponse {
    pb::GetResourceContextResponse {
        text: packed.text.clone(),
        sections: sections(view, packed, terms),
        tokens: narrow(packed.tokens),
        revision: view.revision.0,
        redaction: policy(terms.policy).into(),
        pseudonyms: pseudonyms(packed, terms),
    }
}

fn sections(view: &View, packed: &Packed, terms: &Terms) -> Vec<pb::ContextSection> {
    let section = |section: &PackedSection| pb::ContextSection {
        title: section.title.to_owned(),
        facts: section.facts.iter().map(|found| fact(view, found, terms)).collect(),
        omitted: i32::try_from(section.omitted).unwrap_or(i32::MAX),
        omitted_hint: section.omitted_hint.clone(),
    };
    packed.sections.iter().map(section).collect()
}

fn fact(view: &View, packed: &PackedFact, terms: &Terms) -> pb::ContextFact {
    let PackedFact { fact, text } = packed;
    let origin = fact.origin.as_ref();
    let observed_at =
        origin.and_then(|origin| view.shard(&origin.connection)?.sections.get(&origin.section)?.observed_at);
    pb::ContextFact {
        resource_id: origin.map(|origin| id(&origin.resource, terms.policy)).unwrap_or_default(),
        statement: text.clone(),
        value: fact.value.to_string(),
        unit: fact.unit.to_owned(),
        source: origin.map(|origin| origin.source.to_wire()).unwrap_or_default(),
        observed_at: observed_at.map(timestamp_to_wire),
        freshness: origin.map(|origin| origin.freshness.to_wire()).unwrap_or_default(),
        trust: match fact.trust {
            Trust::Derived => pb::ContextTrust::Derived,
            Trust::Told => pb::ContextTrust::Told,
        }
        .into(),
        code: fact.code.to_owned(),
        covers: u32::try_from(fact.covers).unwrap_or(u32::MAX),
    }
}

/// The id of a disk is a hash of its serial alone, which can be tried out.
fn id(id: &ResourceId, policy: Policy) -> String {
    let is_disk = id.as_str().starts_with(ResourceType::PhysicalDisk.token());
    if policy == Policy::Strict && is_disk { String::new() } else { id.to_string() }
}

const fn policy(policy: Policy) -> pb::RedactionPolicy {
    match policy {
        Policy::None => pb::RedactionPolicy::None,
        Policy::Names => pb::RedactionPolicy::Names,
        Policy::Strict => pb::RedactionPolicy::Strict,
    }
}

fn pseudonyms(packed: &Packed, terms: &Terms) -> Vec<pb::Pseudonym> {
    let pseudonym = |(pseudonym, stands_for): &(String, String)| pb::Pseudonym {
        pseudonym: pseudonym.clone(),
        stands_for: stands_for.clone(),
    };
    packed.pseudonyms.iter().filter(|_| terms.reveal).map(pseudonym).collect()
}

fn narrow(tokens: usize) -> i32 {
    i32::try_from(tokens).unwrap_or(i32::MAX)
}
