//! `ContextService`: wire in, a draft of the view, wire out. Every answer is
//! made off the threads that serve everybody else, and recorded.

mod answer;
mod request;

use std::sync::Arc;

use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::context_service_server::ContextService;
use pulse_shell::access;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use self::request::Terms;
use super::audit::{self, Answered, Caller};
use crate::alert::{AlertFeed, Book};
use crate::clock::Clock;
use crate::context::find::{self, Lost};
use crate::context::fleet::{self, Scope};
use crate::context::memo::Memo;
use crate::context::pack::{Draft, Packed, pack};
use crate::context::redact::{Known, Policy, Pseudonyms};
use crate::context::render::Rendering;
use crate::context::single;
use crate::error;
use crate::query::filter::Filter;
use crate::query::sight::Sight;
use crate::state::feed::Feed;
use crate::state::view::View;

/// Contexts that are made at the same time.
const HEAVY_MAX: usize = 4;

/// What the deployment says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hidden at least.
    pub redaction: Policy,
    /// Whether a client may be told what pseudonyms stand for.
    pub reveal: bool,
    pub pseudonyms: Pseudonyms,
}

#[derive(Clone, Debug)]
pub struct Contexts {
    feed: Feed,
    alerts: AlertFeed,
    clock: Clock,
    memo: Arc<Memo>,
    heavy: Arc<Semaphore>,
    options: Options,
}

impl Contexts {
    pub fn new(feed: Feed, alerts: AlertFeed, clock: Clock, memo: Arc<Memo>, options: Options) -> Self {
        Self { feed, alerts, clock, memo, heavy: Arc::new(Semaphore::new(HEAVY_MAX)), options }
    }

    /// One view, seen from the draft to the answer.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View, &Book, &Memo, &Options) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let failed = |what: &str| Status::internal(format!("the context could not be made: {what}"));
        let permit = Arc::clone(&self.heavy).acquire_owned().await.map_err(|_closed| failed("stopping"))?;
        let (view, book) = (self.feed.view(), self.alerts.book());
        let (memo, options) = (Arc::clone(&self.memo), self.options.clone());
        tokio::task::spawn_blocking(move || {
            let done = work(&view, &book, &memo, &options);
            drop(permit);
            done
        })
        .await
        .map_err(|_panicked| failed("see the log of the registry"))?
    }
}

/// A draft as these terms want it.
fn packed(
    view: &View,
    memo: &Memo,
    options: &Options,
    draft: &Draft,
    terms: &Terms,
    sight: &Sight,
) -> Packed {
    let known = if terms.policy == Policy::None { Known::default() } else { memo.names(view, sight) };
    let rendering =
        Rendering { now: terms.now, policy: terms.policy, pseudonyms: &options.pseudonyms, known: &known };
    pack(draft, terms.max_tokens, rendering)
}

fn record(answer: (&'static str, &str, u64), caller: &Caller, terms: &Terms, packed: &Packed) {
    let (method, resource, revision) = answer;
    audit::record(&Answered {
        method,
        caller,
        resource,
        policy: terms.policy.token(),
        revealed: terms.reveal,
        bytes: packed.text.len(),
        tokens: packed.tokens,
        facts: packed.sections.iter().map(|section| section.facts.len()).sum(),
        omitted: packed.sections.iter().map(|section| section.omitted).sum(),
        revision,
    });
}

#[tonic::async_trait]
impl ContextService for Contexts {
    async fn get_infrastructure_context(
        &self,
        request: Request<pb::GetInfrastructureContextRequest>,
    ) -> Result<Response<pb::GetInfrastructureContextResponse>, Status> {
        let caller = Caller::of(&request);
        let asker = access::Caller::of(request.extensions());
        let labels = asker.scope();
        let pb::GetInfrastructureContextRequest {
            max_tokens,
            filter,
            since,
            redaction,
            include_pseudonyms,
            topics,
        } = request.into_inner();
        let now = self.clock.now();
        let reveal = revealing(include_pseudonyms, &asker)?;
        let terms = Terms::check(&self.options, now, max_tokens, redaction, reveal)?;
        let since = request::since(since, now, fleet::RECENT)?;
        let (filter, topics) = (Filter::parse_within(&filter, &labels)?, request::topics(&topics)?);
        let max_tokens = terms.max_tokens;
        let (answer, packed) = self
            .compute(move |view, book, memo, options| {
                let scope = Scope { filter, sight: Sight::of(view, &labels), since, max_tokens, topics };
                let draft = fleet::draft(view, book, memo, &scope, now);
                let packed = packed(view, memo, options, &draft, &terms, &scope.sight);
                Ok((answer::infrastructure(view, &packed, &terms), packed))
            })
            .await?;
        record(("GetInfrastructureContext", "", answer.revision), &caller, &terms, &packed);
        Ok(audit::with_id(answer, &caller))
    }

    async fn get_resource_context(
        &self,
        request: Request<pb::GetResourceContextRequest>,
    ) -> Result<Response<pb::GetResourceContextResponse>, Status> {
        let caller = Caller::of(&request);
        let asker = access::Caller::of(request.extensions());
        let labels = asker.scope();
        let pb::GetResourceContextRequest { resource_id, max_tokens, redaction, include_pseudonyms, since } =
            request.into_inner();
        let now = self.clock.now();
        let reveal = revealing(include_pseudonyms, &asker)?;
        let terms = Terms::check(&self.options, now, max_tokens, redaction, reveal)?;
        let since = request::since(since, now, single::RECENT)?;
        let wanted = request::reference(resource_id)?;
        let (answer, packed, id) = self
            .compute(move |view, book, memo, options| {
                let scope = single::Scope { sight: Sight::of(view, &labels), since, now };
                let found = find::resource(view, &wanted, &options.pseudonyms, &scope.sight)
                    .map_err(|lost| unfound(&wanted, &lost))?;
                let draft = single::draft(view, book, &found, &scope)
                    .ok_or_else(|| Status::data_loss(format!("what is stored of {wanted} cannot be read")))?;
                let packed = packed(view, memo, options, &draft, &terms, &scope.sight);
                Ok((answer::resource(view, &packed, &terms), packed, found.resource.id.clone()))
            })
            .await?;
        record(("GetResourceContext", id.as_str(), answer.revision), &caller, &terms, &packed);
        Ok(audit::with_id(answer, &caller))
    }
}

fn unfound(wanted: &str, lost: &Lost) -> Status {
    match lost {
        Lost::Nothing => error::not_found(
            "pulse.resource.v1.Resource",
            wanted,
            "ListResources shows what exists; a name is written \"<system>/<name>\"",
        ),
        Lost::Ambiguous(ids) => {
            let ids: Vec<&str> = ids.iter().map(pulse_proto::model::ResourceId::as_str).collect();
            let problem = format!("several are called so; ask for one of {}", ids.join(", "));
            error::invalid("resource_id", "AMBIGUOUS_NAME", &problem)
        }
    }
}

/// What pseudonyms stand for is for those who may act on it, not for everybody who may look.
fn revealing(asked: bool, asker: &access::Caller) -> Result<bool, Status> {
    let may = asker.grant.as_ref().is_none_or(|grant| grant.role.allows(access::Role::Operator));
    if asked && !may {
        return Err(forbidden(
            "PSEUDONYMS_NOT_REVEALED",
            "what pseudonyms stand for is told to operators only",
        ));
    }
    Ok(asked)
}

/// A client may not be told.
fn forbidden(reason: &'static str, message: &str) -> Status {
    error::reasoned(Code::PermissionDenied, reason, message, [])
}
