//! Links between records: what is asked checked, what is found as messages.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::{ConnectionId, DataSource, ResourceId, Revision, SourceId};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::resource_link::Kind;
use tonic::{Code, Status};

use crate::error;
use crate::query::links::{Candidate, Row, Stated, shown_by};
use crate::query::page::PageError;
use crate::query::token::{Purpose, Seal, TokenError};
use crate::state::{Key, Link, LinkError, Pair, Stand, View};

/// Longest reason and name, in bytes.
const REASON_BYTES_MAX: usize = 1_024;
const WHO_BYTES_MAX: usize = 256;

pub(super) fn pair(left: Option<pb::RecordRef>, right: Option<pb::RecordRef>) -> Result<Pair, Status> {
    Ok(Pair::of(key("left", left)?, key("right", right)?))
}

/// For the audit log.
pub(super) fn named(pair: &Pair) -> String {
    let name = |(connection, id): &Key| format!("{connection} {id}");
    pair.ends().map(name).join(", ")
}

fn key(field: &str, record: Option<pb::RecordRef>) -> Result<Key, Status> {
    let pb::RecordRef { connection, source_id } = record.unwrap_or_default();
    let invalid = |part: &str, problem: &pulse_proto::ProtocolError| {
        error::invalid(&format!("{field}.{part}"), "INVALID_ID", &problem.to_string())
    };
    let connection = ConnectionId::parse(&connection).map_err(|problem| invalid("connection", &problem))?;
    let source_id = SourceId::parse(&source_id).map_err(|problem| invalid("source_id", &problem))?;
    Ok((connection, source_id))
}

/// Who says it and why.
pub(super) fn checked(who: String, reason: String) -> Result<(String, String), Status> {
    let too_long = |field: &str, max: usize| {
        error::invalid(field, "TOO_LONG", &format!("must not be longer than {max} bytes"))
    };
    if who.trim().is_empty() {
        return Err(error::invalid("who", "MISSING", "name the person or program that says this"));
    }
    if who.len() > WHO_BYTES_MAX {
        return Err(too_long("who", WHO_BYTES_MAX));
    }
    if reason.len() > REASON_BYTES_MAX {
        return Err(too_long("reason", REASON_BYTES_MAX));
    }
    Ok((who, reason))
}

pub(super) fn refused(error: LinkError) -> Status {
    let message = error.to_string();
    match error {
        LinkError::NotHeld((connection, id)) => error::not_found(
            "pulse.resource.v1.IngestRecord",
            &format!("{connection} {id}"),
            "source_status of a resource names its records",
        ),
        LinkError::NotThere => error::not_found(
            "pulse.registry.v1.ResourceLink",
            "this link",
            "ListResourceLinks shows what exists",
        ),
        LinkError::OneRecord | LinkError::Type(..) | LinkError::OneSource(_) => {
            error::invalid("right", "NOT_MERGEABLE", &message)
        }
        LinkError::Boundary(_) => {
            error::reasoned(Code::FailedPrecondition, "LINK_CROSSES_BOUNDARY", &message, [])
        }
        LinkError::Conflict => error::reasoned(Code::FailedPrecondition, "LINK_CONFLICT", &message, []),
        LinkError::Full => error::reasoned(Code::ResourceExhausted, "TOO_MANY_LINKS", &message, []),
        LinkError::Store(_) => error::reasoned(Code::Unavailable, "STORE", &message, []),
    }
}

/// Where the next page begins.
pub(super) fn offset(token: &str, seal: &Seal) -> Result<usize, PageError> {
    if token.is_empty() {
        return Ok(0);
    }
    let payload = seal.open(Purpose::Links, token)?;
    let offset = payload.try_into().map(u64::from_be_bytes).map_err(|_| TokenError::Malformed)?;
    Ok(usize::try_from(offset).unwrap_or(usize::MAX))
}

/// One page of what `rows` found in `view`.
pub(super) fn page(
    view: &View,
    rows: Vec<Row>,
    offset: usize,
    size: usize,
    seal: &Seal,
) -> pb::ListResourceLinksResponse {
    let total = rows.len();
    let rows: Vec<Row> = rows.into_iter().skip(offset).take(size).collect();
    let next = offset.saturating_add(rows.len());
    let ends = rows.iter().flat_map(|row| match row {
        Row::Said(link) => link.pair.ends(),
        Row::Candidate(candidate) => [&candidate.left, &candidate.right],
    });
    let wanted: BTreeSet<&Key> = ends.collect();
    let shown = Shown(shown_by(view, &wanted));
    pb::ListResourceLinksResponse {
        links: rows.iter().map(|row| shown.row(row)).collect(),
        next_page_token: if next < total {
            seal.seal(Purpose::Links, &(next as u64).to_be_bytes())
        } else {
            String::new()
        },
        revision: view.revision.0,
    }
}

/// One link as it is after `revision` or later.
pub(super) fn answer(view: &View, pair: &Pair, revision: Revision) -> (Option<pb::ResourceLink>, u64) {
    let shown = Shown(shown_by(view, &pair.ends().into_iter().collect()));
    let link = view.links.get(pair).map(|link| shown.row(&Row::Said(link.clone())));
    (link, revision.0)
}

struct Shown(BTreeMap<Key, (DataSource, ResourceId)>);

impl Shown {
    fn row(&self, row: &Row) -> pb::ResourceLink {
        match row {
            Row::Said(Link { pair, stand, reason, who, at }) => {
                let kind = match stand {
                    Stand::Same => Kind::Same,
                    Stand::Different => Kind::Different,
                };
                pb::ResourceLink {
                    reason: reason.clone(),
                    who: who.clone(),
                    at: Some(timestamp_to_wire(*at)),
                    ..self.pair(kind, pair.ends())
                }
            }
            Row::Candidate(candidate) => {
                let Candidate { left, right, evidence } = candidate;
                pb::ResourceLink {
                    evidence: evidence.iter().map(stated).collect(),
                    confidence: ratio(candidate.percent()),
                    ..self.pair(Kind::Candidate, [left, right])
                }
            }
        }
    }

    fn pair(&self, kind: Kind, [left, right]: [&Key; 2]) -> pb::ResourceLink {
        let source = |key| self.0.get(key).map_or(0, |(source, _)| source.to_wire());
        let id = |key| self.0.get(key).map_or_else(String::new, |(_, id)| id.to_string());
        let record = |(connection, id): &Key| {
            Some(pb::RecordRef { connection: connection.to_string(), source_id: id.to_string() })
        };
        pb::ResourceLink {
            kind: kind.into(),
            left: record(left),
            right: record(right),
            left_source: source(left),
            right_source: source(right),
            left_resource_id: id(left),
            right_resource_id: id(right),
            ..pb::ResourceLink::default()
        }
    }
}

fn stated(Stated { evidence, ambiguous }: &Stated) -> pb::MatchEvidence {
    pb::MatchEvidence {
        kind: evidence.kind.token().to_owned(),
        value: evidence.text.to_string(),
        confidence: ratio(evidence.kind.percent()),
        ambiguous: *ambiguous,
    }
}

fn ratio(percent: u8) -> f64 {
    f64::from(percent) / 100.0
}
