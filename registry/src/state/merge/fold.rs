//! One resource out of what each source says of it. Pure, and from the newest
//! records alone: what a source no longer says is nowhere kept.

use std::cmp::Reverse;

use pulse_proto::model::{HealthReason, Severity, Status};

use super::{fill, metrics_rank};
use crate::state::document::Document;
use crate::state::resource::{Part, Rare, Resource};

/// Names the source in the evidence of a reason.
const SOURCE: &str = "source";

/// `alone` are the resources that each record would be by itself, the leading one first.
pub(in crate::state) fn fold(alone: Vec<Resource>, child_count: u32) -> Option<Resource> {
    let document = document(&alone)?;
    let severity = alone.iter().map(|resource| resource.severity).max()?;
    let parent = alone.iter().find_map(|resource| resource.parent.clone());
    let reasons = reasons(&alone);
    let error = alone.first()?.rare.as_ref().and_then(|rare| rare.error.clone());
    let mut parts: Vec<Part> = alone.iter().map(Part::of).collect();
    parts.sort_by_key(|part| part.source);
    let mut leader = alone.into_iter().next()?;
    leader.document = document;
    leader.status = lifted(leader.status, severity);
    leader.severity = severity;
    if leader.parent != parent {
        leader.site_mut().parent = parent;
    }
    leader.child_count = child_count;
    leader.rare = Rare { reasons, error, parts: Some(parts.into()) }.kept();
    Some(leader)
}

/// The leading record, with what it lacks from the others in their order.
fn document(alone: &[Resource]) -> Option<Document> {
    let mut records = alone.iter().map(|resource| resource.document.record().ok());
    let mut merged = records.next()??;
    for other in records.flatten() {
        fill::record(&mut merged, &other);
    }
    // Metrics: the freshest source first, then who measures best.
    let mut measuring: Vec<&Resource> = alone.iter().collect();
    measuring.sort_by_key(|resource| (resource.freshness, metrics_rank(resource.source)));
    let told = measuring.into_iter().filter_map(|resource| resource.document.record().ok()?.facets.metrics);
    merged.facets.metrics = told.reduce(|mut best, next| {
        fill::metrics(&mut best, &next);
        best
    });
    Some(Document::of(&merged))
}

/// All reasons of all sources, the worst first; each names whose it is.
fn reasons(alone: &[Resource]) -> Box<[HealthReason]> {
    let mut reasons: Vec<HealthReason> = Vec::new();
    for resource in alone {
        for reason in resource.reasons() {
            let mut reason = reason.clone();
            reason.evidence = reason.evidence.with(SOURCE, resource.source.token());
            reasons.push(reason);
        }
    }
    reasons.sort_by(|a, b| {
        let key = |r: &HealthReason| (Reverse(r.severity), r.code);
        key(a).cmp(&key(b)).then_with(|| (&a.summary, &a.evidence).cmp(&(&b.summary, &b.evidence)))
    });
    reasons.into()
}

/// What another source finds wrong makes a thing that is online a warning.
const fn lifted(status: Status, severity: Severity) -> Status {
    match (status, severity) {
        (Status::Online, Severity::Warning | Severity::Critical) => Status::Warning,
        (status, _) => status,
    }
}
