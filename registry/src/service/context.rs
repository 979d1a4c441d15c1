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

use self::request::{Terms, Wish};
use super::audit::{self, Answered, Caller};
use crate::alert::{AlertFeed, Book};
use crate::clock::Clock;
use crate::context::asked::Asking;
use crate::context::asked::reference::Lost;
use crate::context::fleet::{self, Scope};
use crate::context::memo::Memo;
use crate::context::names::Known;
use crate::context::pack::{Draft, Packed, pack};
use crate::context::redact::{Policy, Pseudonyms, holds_pseudonym};
use crate::context::render::Rendering;
use crate::context::single;
use crate::error;
use crate::query::sight::Sight;
use crate::state::feed::Feed;
use crate::state::view::{Shard, View};

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
        self.memo.ask();
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
fn packed(options: &Options, draft: &Draft, terms: &Terms, known: &Known) -> Packed {
    let rendering =
        Rendering { now: terms.now, policy: terms.policy, pseudonyms: &options.pseudonyms, known };
    pack(draft, terms.max_tokens, rendering)
}

/// Names of things, where some are hidden or asked for by pseudonym.
fn known(view: &View, memo: &Memo, sight: &Sight, terms: &Terms, asked: &str) -> Arc<Known> {
    let is_open = terms.policy.max(terms.floor) == Policy::None && !holds_pseudonym(asked);
    if is_open { Arc::default() } else { memo.names(view, sight) }
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
        const METHOD: &str = "GetInfrastructureContext";
        let caller = Caller::of(&request);
        let asker = access::Caller::of(request.extensions());
        let labels = asker.scope();
        let pb::GetInfrastructureContextRequest {
            max_tokens,
            filter: asked,
            since,
            redaction,
            include_pseudonyms,
            topics,
        } = request.into_inner();
        let now = self.clock.now();
        let wish = Wish { max_tokens, redaction, reveal: include_pseudonyms };
        let terms = Terms::check(&self.options, now, wish, &asker)
            .inspect_err(|status| audit::refused(METHOD, &caller, "", status))?;
        let since = request::since(since, now, fleet::RECENT)?;
        let topics = request::topics(&topics)?;
        let (answer, packed) = self
            .compute(move |view, book, memo, options| {
                let sight = Sight::of(view, &labels);
                let known = known(view, memo, &sight, &terms, &asked);
                let asking = asking(view, &sight, options, &known, &terms);
                let filter = asking.filter(&asked, &labels)?;
                if let Some(name) = asking.stranger(&asked)? {
                    return Err(stranger(&name, &asking, &terms));
                }
                let scope = Scope { filter, sight, since, max_tokens: terms.max_tokens, topics };
                let draft = fleet::draft(view, book, memo, &scope, now);
                let packed = packed(options, &draft, &terms, &known);
                Ok((answer::infrastructure(view, &packed, &terms, &options.pseudonyms), packed))
            })
            .await?;
        record((METHOD, "", answer.revision), &caller, &terms, &packed);
        Ok(audit::with_id(answer, &caller))
    }

    async fn get_resource_context(
        &self,
        request: Request<pb::GetResourceContextRequest>,
    ) -> Result<Response<pb::GetResourceContextResponse>, Status> {
        const METHOD: &str = "GetResourceContext";
        let caller = Caller::of(&request);
        let asker = access::Caller::of(request.extensions());
        let labels = asker.scope();
        let pb::GetResourceContextRequest { resource_id, max_tokens, redaction, include_pseudonyms, since } =
            request.into_inner();
        let now = self.clock.now();
        let wish = Wish { max_tokens, redaction, reveal: include_pseudonyms };
        let terms = Terms::check(&self.options, now, wish, &asker)
            .inspect_err(|status| audit::refused(METHOD, &caller, &resource_id, status))?;
        let since = request::since(since, now, single::RECENT)?;
        let wanted = request::reference(resource_id)?;
        let (answer, packed, id) = self
            .compute(move |view, book, memo, options| {
                let scope = single::Scope { sight: Sight::of(view, &labels), since, now };
                let known = known(view, memo, &scope.sight, &terms, &wanted);
                let asking = asking(view, &scope.sight, options, &known, &terms);
                let (draft, id) = match asking.resource(&wanted) {
                    Ok(found) => {
                        let draft = single::draft(view, book, &found, &scope);
                        (draft, found.resource.id.to_string())
                    }
                    Err(Lost::Unread(connection)) => {
                        let draft = |shard: &Arc<Shard>| single::unread::draft(view, book, shard);
                        (view.shard(&connection).map(draft), connection.to_string())
                    }
                    Err(lost) => return Err(unfound(&wanted, &lost, &asking, &terms)),
                };
                let draft = draft
                    .ok_or_else(|| Status::data_loss(format!("what is stored of {wanted} cannot be read")))?;
                let packed = packed(options, &draft, &terms, &known);
                let answer = answer::resource(view, &packed, &terms, &options.pseudonyms);
                Ok((answer, packed, id))
            })
            .await?;
        record((METHOD, id.as_str(), answer.revision), &caller, &terms, &packed);
        Ok(audit::with_id(answer, &caller))
    }
}

const fn asking<'a>(
    view: &'a View,
    sight: &'a Sight,
    options: &'a Options,
    known: &'a Known,
    terms: &Terms,
) -> Asking<'a> {
    Asking { view, sight, pseudonyms: &options.pseudonyms, known, floor: terms.floor }
}

/// The same whether a name is hidden or nothing is called so.
fn unfound(wanted: &str, lost: &Lost, asking: &Asking<'_>, terms: &Terms) -> Status {
    match lost {
        Lost::Nothing | Lost::Unread(_) => {
            let remedy = if terms.floor == Policy::None {
                "ListResources shows what exists; a name is written \"<system>/<name>\""
            } else {
                "names are hidden here: write an id or \"<system>/<name>\" as a context shows them, with pseudonyms"
            };
            let remedy = format!("{remedy}; {}", asking.systems_shown(terms.policy));
            error::not_found("pulse.resource.v1.Resource", wanted, &remedy)
        }
        Lost::Ambiguous(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| answer::id(id, terms, asking.pseudonyms)).collect();
            let problem = format!("several are called so; ask for one of {}", ids.join(", "));
            error::invalid("resource_id", "AMBIGUOUS_NAME", &problem)
        }
    }
}

/// A question about a system that is not there: an answer would read as if all were well with it.
fn stranger(name: &str, asking: &Asking<'_>, terms: &Terms) -> Status {
    let known = asking.systems_shown(terms.policy);
    error::invalid("filter", "UNKNOWN_SYSTEM", &format!("no system is called {name:?}; {known}"))
}

/// A client may not be told.
fn forbidden(reason: &'static str, message: &str) -> Status {
    error::reasoned(Code::PermissionDenied, reason, message, [])
}
