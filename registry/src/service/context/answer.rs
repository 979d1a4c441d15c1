//! Packed contexts as they go over the wire.

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::ResourceId;
use pulse_proto::pb::registry::v1 as pb;

use super::request::Terms;
use crate::context::fact::{Basis, Origin, Trust};
use crate::context::pack::{Packed, PackedFact, PackedSection};
use crate::context::redact::{Policy, Pseudonyms};
use crate::state::view::View;

pub(super) fn infrastructure(
    view: &View,
    packed: &Packed,
    terms: &Terms,
    pseudonyms: &Pseudonyms,
) -> pb::GetInfrastructureContextResponse {
    pb::GetInfrastructureContextResponse {
        text: packed.text.clone(),
        sections: sections(view, packed, terms, pseudonyms),
        tokens: narrow(packed.tokens),
        revision: view.revision.0,
        redaction: policy(terms.policy).into(),
        pseudonyms: table(packed, terms),
    }
}

pub(super) fn resource(
    view: &View,
    packed: &Packed,
    terms: &Terms,
    pseudonyms: &Pseudonyms,
) -> pb::GetResourceContextResponse {
    pb::GetResourceContextResponse {
        text: packed.text.clone(),
        sections: sections(view, packed, terms, pseudonyms),
        tokens: narrow(packed.tokens),
        revision: view.revision.0,
        redaction: policy(terms.policy).into(),
        pseudonyms: table(packed, terms),
    }
}

fn sections(view: &View, packed: &Packed, terms: &Terms, pseudonyms: &Pseudonyms) -> Vec<pb::ContextSection> {
    let section = |section: &PackedSection| pb::ContextSection {
        title: section.title.to_owned(),
        facts: section.facts.iter().map(|found| fact(view, found, terms, pseudonyms)).collect(),
        omitted: i32::try_from(section.omitted).unwrap_or(i32::MAX),
        omitted_hint: section.omitted_hint.clone(),
    };
    packed.sections.iter().map(section).collect()
}

fn fact(view: &View, packed: &PackedFact, terms: &Terms, pseudonyms: &Pseudonyms) -> pb::ContextFact {
    let PackedFact { fact, text } = packed;
    let origin = fact.origin.as_ref();
    let read_at =
        |origin: &Origin| view.shard(&origin.connection)?.sections.get(&origin.section)?.observed_at;
    let basis = match origin {
        Some(origin) => {
            Some(Basis { source: origin.source, observed_at: read_at(origin), freshness: origin.freshness })
        }
        None => fact.basis,
    };
    pb::ContextFact {
        resource_id: origin.map(|origin| id(&origin.resource, terms, pseudonyms)).unwrap_or_default(),
        statement: text.clone(),
        value: fact.value.to_string(),
        unit: fact.unit.to_owned(),
        source: basis.map(|basis| basis.source.to_wire()).unwrap_or_default(),
        observed_at: basis.and_then(|basis| basis.observed_at).map(timestamp_to_wire),
        freshness: basis.map(|basis| basis.freshness.to_wire()).unwrap_or_default(),
        trust: match fact.trust {
            Trust::Derived => pb::ContextTrust::Derived,
            Trust::Told => pb::ContextTrust::Told,
        }
        .into(),
        code: fact.code.to_owned(),
        covers: u32::try_from(fact.covers).unwrap_or(u32::MAX),
    }
}

/// As this client may see it.
pub(super) fn id(id: &ResourceId, terms: &Terms, pseudonyms: &Pseudonyms) -> String {
    if terms.policy.max(terms.floor) == Policy::None { id.to_string() } else { pseudonyms.seal(id) }
}

const fn policy(policy: Policy) -> pb::RedactionPolicy {
    match policy {
        Policy::None => pb::RedactionPolicy::None,
        Policy::Names => pb::RedactionPolicy::Names,
        Policy::Strict => pb::RedactionPolicy::Strict,
    }
}

fn table(packed: &Packed, terms: &Terms) -> Vec<pb::Pseudonym> {
    let pseudonym = |(pseudonym, stands_for): &(String, String)| pb::Pseudonym {
        pseudonym: pseudonym.clone(),
        stands_for: stands_for.clone(),
    };
    packed.pseudonyms.iter().filter(|_| terms.reveal).map(pseudonym).collect()
}

fn narrow(tokens: usize) -> i32 {
    i32::try_from(tokens).unwrap_or(i32::MAX)
}
