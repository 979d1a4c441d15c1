//! Whether a resource satisfies a typed tree. For who lists, what a resource does
//! not have satisfies no comparison, and so every negated one; for who decides by
//! it, what is absent or cannot be believed is unknown.

use pulse_proto::model::UnixMillis;

use super::check::{Node, Operand, Test};
use super::decide::all;
use super::field::{EnumField, Field, TextsField};
use crate::query::number::{number, used_ratio};
use crate::query::value::{text, time};
use crate::state::resource::Resource;

pub(super) fn matches(node: &Node, resource: &Resource, observed_at: Option<UnixMillis>) -> bool {
    match node {
        Node::All(parts) => parts.iter().all(|part| matches(part, resource, observed_at)),
        Node::Any(parts) => parts.iter().any(|part| matches(part, resource, observed_at)),
        Node::Not(inner) => !matches(inner, resource, observed_at),
        Node::Test(test) => holds(test, resource, observed_at),
    }
}

/// As in three-valued logic; `believed` says whether the value of a field is one to go by.
pub(super) fn judge(
    node: &Node,
    resource: &Resource,
    observed_at: Option<UnixMillis>,
    believed: &dyn Fn(&Field, Option<&str>) -> bool,
) -> Option<bool> {
    match node {
        Node::All(parts) => all(parts, true, |part| judge(part, resource, observed_at, believed)),
        Node::Any(parts) => all(parts, false, |part| judge(part, resource, observed_at, believed)),
        Node::Not(inner) => judge(inner, resource, observed_at, believed).map(|holds| !holds),
        Node::Test(test) => (believed(&test.field, test.operand.exact()) && !is_absent(test, resource))
            .then(|| holds(test, resource, observed_at)),
    }
}

/// Something is compared with a value that was not told. Who asks whether there is one gets his answer.
fn is_absent(test: &Test, resource: &Resource) -> bool {
    if test.operand == Operand::Present {
        return false;
    }
    match &test.field {
        Field::Text(field) => field.is_told() && text(*field, resource).is_empty(),
        Field::Number(field) => number(*field, resource).is_none(),
        Field::UsedRatio => used_ratio(resource).is_none(),
        // That there is none is known: of tags, labels, alerts and reasons, and of what only some types have.
        Field::Texts(_)
        | Field::Enum(_)
        | Field::Time(_)
        | Field::Labels
        | Field::Label(_)
        | Field::Entry(_)
        | Field::Alert(_) => false,
    }
}

pub(super) fn holds(test: &Test, resource: &Resource, observed_at: Option<UnixMillis>) -> bool {
    let operand = &test.operand;
    match &test.field {
        Field::Text(field) => text_holds(operand, &text(*field, resource)),
        Field::Texts(field) => any_text(*field, resource, |value| text_holds(operand, value)),
        // No resource has one.
        Field::Entry(_) | Field::Alert(_) => false,
        Field::Label(key) => resource.labels.get(key).is_some_and(|value| text_holds(operand, value)),
        Field::Labels => resource.labels.keys().any(|key| text_holds(operand, key)),
        Field::Enum(field) => any_enum(*field, resource, |value| match operand {
            Operand::Enum(relation, wanted) => relation.holds(value, *wanted),
            _ => matches!(operand, Operand::Present),
        }),
        Field::Number(field) => number(*field, resource).is_some_and(|value| match operand {
            Operand::Number(relation, wanted) => relation.holds(value, *wanted),
            _ => matches!(operand, Operand::Present),
        }),
        Field::UsedRatio => used_ratio(resource).is_some_and(|value| match operand {
            Operand::Ratio(relation, wanted) => relation.holds(value, *wanted),
            _ => matches!(operand, Operand::Present),
        }),
        Field::Time(field) => time(*field, resource, observed_at).is_some_and(|value| match operand {
            Operand::Time(relation, wanted) => {
                relation.holds(i64::try_from(value.get()).unwrap_or(i64::MAX), *wanted)
            }
            _ => matches!(operand, Operand::Present),
        }),
    }
}

pub(super) fn text_holds(operand: &Operand, value: &str) -> bool {
    match operand {
        Operand::Present => !value.is_empty(),
        Operand::Exact(wanted) => value == wanted,
        Operand::Prefix(wanted) => value.starts_with(wanted.as_str()),
        Operand::Contains(wanted) => wanted.is_in(value),
        Operand::Number(..) | Operand::Ratio(..) | Operand::Time(..) | Operand::Enum(..) => false,
    }
}

fn any_text(field: TextsField, resource: &Resource, mut test: impl FnMut(&str) -> bool) -> bool {
    match field {
        TextsField::SourceId => resource.sources().any(|part| test(part.source_id.as_str())),
        TextsField::Tags => resource.document.tags().any(test),
        TextsField::IncidentKlass => resource.document.incident_klasses().any(test),
        TextsField::ReasonCode => resource.reasons().iter().any(|reason| test(reason.code)),
    }
}

fn any_enum(field: EnumField, resource: &Resource, mut test: impl FnMut(i32) -> bool) -> bool {
    match field {
        EnumField::Type => test(resource.resource_type().to_wire()),
        EnumField::Topology => resource.document.topology().is_some_and(|topology| test(topology.to_wire())),
        EnumField::Status => test(resource.status.to_wire()),
        EnumField::Severity => test(resource.severity.to_wire()),
        EnumField::Freshness => test(resource.freshness.to_wire()),
        EnumField::Source => resource.sources().any(|part| test(part.source.to_wire())),
        EnumField::IncidentLevel => resource.document.incident_levels().any(|level| test(level.to_wire())),
    }
}
