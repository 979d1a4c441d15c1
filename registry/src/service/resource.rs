//! `ResourceService`: wire in, a question to the view, wire out. Large
//! questions are answered off the threads that serve everybody else.

mod answer;
pub mod direct;
mod links;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use pulse_proto::encoded::EncodedParts;
use pulse_proto::model::{ResourceId, Revision};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1::resource_service_server::ResourceService;
use pulse_shell::access::Caller;
use pulse_shell::audit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use self::answer::Page;
use crate::clock::Clock;
use crate::error;
use crate::ingest::{Handle, Statement};
use crate::query;
use crate::query::changes::ChangesQuery;
use crate::query::filter::{EntryFilter, Filter, Scan};
use crate::query::list::Listing;
use crate::query::mask::Mask;
use crate::query::order::Order;
use crate::query::page::{Listings, PageError, PageToken, QueryHash, page_size};
use crate::query::show;
use crate::query::sight::Sight;
use crate::query::summary::Summary;
use crate::query::token::Seal;
use crate::state::feed::{Feed, NotKept, Resumption};
use crate::state::view::View;
use crate::state::{Pair, Stand};
use crate::watch::audience::Audiences;
use crate::watch::core::{Scope, Watcher};
use crate::watch::resume;
use crate::watch::task::{self, OUTBOX_MAX, Pace};

/// Resources or shards a request may look at on the thread it came in on.
const INLINE_ROWS_MAX: usize = 2_000;
/// Showing a resource costs as much as testing so many.
const PAGE_ROW_WEIGHT: usize = 3;
/// Large questions answered at the same time.
const HEAVY_MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub pace: Pace,
    /// Most watches at the same time.
    pub watchers_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { pace: Pace::default(), watchers_max: 1_000 }
    }
}

/// The read side of the registry.
#[derive(Clone, Debug)]
pub struct ResourceApi {
    feed: Feed,
    seal: Seal,
    options: Options,
    listings: Arc<Mutex<Listings>>,
    heavy: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    audiences: Audiences,
    draining: CancellationToken,
    clock: Clock,
    /// Takes what operators say; `None`: this registry is only read.
    writer: Option<Handle>,
}

impl ResourceApi {
    pub fn new(feed: Feed, registry_id: &str, options: Options, draining: CancellationToken) -> Self {
        Self {
            feed,
            seal: Seal::new(registry_id),
            options,
            listings: Arc::default(),
            heavy: Arc::new(Semaphore::new(HEAVY_MAX)),
            watchers: Arc::new(Semaphore::new(options.watchers_max)),
            audiences: Audiences::default(),
            draining,
            clock: Clock::default(),
            writer: None,
        }
    }

    /// With a count of the changes that watches' filters were asked about.
    #[must_use]
    pub fn counting(self, judged: Counter) -> Self {
        Self { audiences: Audiences::new(judged), ..self }
    }

    /// With links between records that can be changed.
    #[must_use]
    pub fn with_writer(self, writer: Handle) -> Self {
        Self { writer: Some(writer), ..self }
    }

    /// Durable and visible when it returns.
    async fn state(&self, statement: Statement) -> Result<Revision, Status> {
        let stopping = || error::reasoned(Code::Unavailable, "DRAINING", "the registry is stopping", []);
        let writer = self.writer.as_ref().ok_or_else(stopping)?;
        let said = writer.link(statement).await.map_err(|_stopped| stopping())?;
        said.map_err(links::refused)
    }

    async fn say(
        &self,
        stand: Stand,
        pair: &Pair,
        who: String,
        reason: String,
    ) -> Result<(Option<pb::ResourceLink>, u64), Status> {
        let (who, reason) = links::checked(who, reason)?;
        let revision = self.state(Statement::Say { pair: pair.clone(), stand, reason, who }).await?;
        let (view, pair) = (self.feed.view(), pair.clone());
        self.compute(view.len(), move || links::answer(&view, &pair, revision)).await
    }

    /// Runs `work` where it holds up nobody.
    async fn compute<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        if rows <= INLINE_ROWS_MAX {
            return Ok(work());
        }
        let failed = |what: &str| Status::internal(format!("the answer could not be computed: {what}"));
        let permit = Arc::clone(&self.heavy).acquire_owned().await.map_err(|_closed| failed("stopping"))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(|_panicked| failed("see the log of the registry"))
    }

    async fn scan(&self, view: Arc<View>, filter: Filter) -> Result<(Scan, Filter), Status> {
        let shards = view.shards().len();
        self.compute(shards, move || (filter.scan(&view), filter)).await
    }

    fn listings(&self) -> std::sync::MutexGuard<'_, Listings> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list a request reads, sorted as far as it reads, and how many rows earlier pages had.
    async fn listing(&self, question: Question) -> Result<(Arc<Listing>, usize), Status> {
        let view = self.feed.view();
        let Question { page_token, size, filter, order, query } = question;
        let (kept, offset) = if page_token.is_empty() {
            (self.listings().same(&view, query).map(|(_, listing)| listing), 0)
        } else {
            let token = PageToken::decode(&page_token, &self.seal, query)?;
            let kept = self.listings().resume(&token, self.clock.now());
            // The list is found again as it was, unless it depends on what moves without a revision.
            let steady = filter.observed_at_position().is_none() && !order.uses_observed_at();
            if kept.is_none() && !(steady && view.revision == token.revision) {
                return Err(PageError::Expired(token.revision).into());
            }
            (kept, usize::try_from(token.offset).unwrap_or(usize::MAX))
        };
        let end = offset.saturating_add(size);
        let listing = match kept {
            Some(listing) if listing.covers(end) => listing,
            Some(listing) => self.compute(listing.len(), move || Arc::new(listing.sort_all(&order))).await?,
            None => {
                let (scan, filter) = self.scan(Arc::clone(&view), filter).await?;
                let cost = Listing::cost(&scan, &order);
                self.compute(cost, move || Arc::new(Listing::of(view, scan, &filter, &order, end))).await?
            }
        };
        Ok((listing, offset))
    }
}

/// What a list request asks for, checked.
struct Question {
    page_token: String,
    size: usize,
    filter: Filter,
    order: Order,
    query: QueryHash,
}

fn mask(mask: Option<&prost_types::FieldMask>) -> Result<Mask, Status> {
    let paths = mask.into_iter().flat_map(|mask| &mask.paths).map(String::as_str);
    Ok(Mask::parse(paths)?)
}

/// The labels that everything must carry which this caller sees.
fn scope<T>(request: &Request<T>) -> BTreeMap<String, String> {
    Caller::of(request.extensions()).scope()
}

fn carries(labels: &BTreeMap<String, String>, scope: &BTreeMap<String, String>) -> bool {
    scope.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[tonic::async_trait]
impl ResourceService for ResourceApi {
    type WatchResourcesStream = stream::WatchStream;

    async fn get_resource(
        &self,
        request: Request<pb::GetResourceRequest>,
    ) -> Result<Response<EncodedParts>, Status> {
        let scope = scope(&request);
        let pb::GetResourceRequest { id, read_mask } = request.into_inner();
        let mask = mask(read_mask.as_ref())?;
        let id = ResourceId::parse(&id)
            .map_err(|problem| error::invalid("id", "INVALID_ID", &problem.to_string()))?;
        let view = self.feed.view();
        // What somebody may not see does not exist for him.
        let found =
            view.get(&id).filter(|found| carries(&found.resource.labels, &scope)).ok_or_else(|| {
                error::not_found("pulse.resource.v1.Resource", &id.text(), "ListResources shows what exists")
            })?;
        Ok(Response::new(answer::single(&found, &view, &mask)))
    }

    async fn list_resources(
        &self,
        request: Request<pb::ListResourcesRequest>,
    ) -> Result<Response<EncodedParts>, Status> {
        let scope = scope(&request);
        let pb::ListResourcesRequest { page_size: size, page_token, filter, order_by, read_mask } =
            request.into_inner();
        let size = page_size(size)?;
        let mask = mask(read_mask.as_ref())?;
        let filter = Filter::parse_within(&filter, &scope)?;
        let order = Order::parse(&order_by)?;
        let query = QueryHash::of(&filter, &order);
        let (listing, offset) = self.listing(Question { page_token, size, filter, order, query }).await?;
        let shown = Arc::clone(&listing);
        let page = self
            .compute(size.saturating_mul(PAGE_ROW_WEIGHT), move || Page::of(&shown, offset, size, &mask))
            .await?;
        let next = offset.saturating_add(page.len);
        let next_page_token = if next < listing.len() {
            let number = self.listings().keep(Arc::clone(&listing), query, self.clock.now());
            let token =
                PageToken { revision: listing.revision(), listing: number, offset: next as u64, query };
            token.encode(&self.seal)
        } else {
            String::new()
        };
        Ok(Response::new(page.with(&pb::ListResourcesResponse {
            resources: Vec::new(),
            next_page_token,
            total_size: i32::try_from(listing.len()).unwrap_or(i32::MAX),
            revision: listing.revision().0,
            resume_token: resume::encode(&self.seal, listing.revision()),
        })))
    }

    async fn watch_resources(
        &self,
        request: Request<pb::WatchResourcesRequest>,
    ) -> Result<Response<Self::WatchResourcesStream>, Status> {
        let labels = scope(&request);
        let pb::WatchResourcesRequest { filter, resume_token, read_mask } = request.into_inner();
        let (filter, mask) = (Filter::parse_within(&filter, &labels)?, mask(read_mask.as_ref())?);
        let scope = Scope::new(&self.audiences, filter, mask, self.seal.clone())?;
        if self.draining.is_cancelled() {
            return Err(task::End::Draining.into());
        }
        let watcher = if resume_token.is_empty() {
            Watcher::list(scope, &self.feed.view())
        } else {
            let revision = resume::decode(&self.seal, &resume_token).map_err(error::resume_token)?;
            match self.feed.resume(revision)? {
                Resumption::Changes => Watcher::resume(scope, revision),
                // Of what is gone the labels are not remembered: who sees only some lists again.
                Resumption::View(view) if !labels.is_empty() => {
                    return Err(NotKept { asked: revision, floor: view.revision, head: view.revision }.into());
                }
                Resumption::View(view) => {
                    let rows = view.past.tombstones.len();
                    self.compute(rows, move || Watcher::catch_up(scope, revision, &view)).await?
                }
            }
        };
        let permit = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_full| {
            let max = self.options.watchers_max;
            let message = format!("{max} watches are open, which is the limit; close some and try again");
            error::reasoned(Code::ResourceExhausted, "TOO_MANY_WATCHERS", &message, [])
        })?;
        let (outbox, messages) = tokio::sync::mpsc::channel(OUTBOX_MAX);
        let (feed, pace, draining) = (self.feed.clone(), self.options.pace, self.draining.clone());
        let end = tokio::spawn(async move {
            let end = task::run(watcher, feed, outbox, pace, draining).await;
            drop(permit);
            end
        });
        Ok(Response::new(stream::WatchStream::new(messages, end)))
    }

    async fn summarize_resources(
        &self,
        request: Request<pb::SummarizeResourcesRequest>,
    ) -> Result<Response<pb::SummarizeResourcesResponse>, Status> {
        let scope = scope(&request);
        let filter = Filter::parse_within(&request.into_inner().filter, &scope)?;
        let view = self.feed.view();
        let summary = if let Some(summary) = Summary::counted(&view, &filter) {
            summary
        } else {
            let (scan, filter) = self.scan(Arc::clone(&view), filter).await?;
            self.compute(scan.len(), move || Summary::scanned(&view, &filter, scan)).await?
        };
        Ok(Response::new(answer::summary(summary)))
    }

    async fn list_resource_changes(
        &self,
        request: Request<pb::ListResourceChangesRequest>,
    ) -> Result<Response<pb::ListResourceChangesResponse>, Status> {
        let scope = scope(&request);
        let pb::ListResourceChangesRequest { resource_id, page_size: size, page_token, filter } =
            request.into_inner();
        let size = page_size(size)?;
        let resource = (!resource_id.is_empty()).then(|| ResourceId::parse(&resource_id)).transpose();
        let resource =
            resource.map_err(|problem| error::invalid("resource_id", "INVALID_ID", &problem.to_string()))?;
        let view = self.feed.view();
        let query =
            ChangesQuery::new(resource, EntryFilter::parse(&filter)?).within(Sight::of(&view, &scope));
        let before = (!page_token.is_empty()).then(|| query.decode(&page_token, &self.seal)).transpose()?;
        let (revision, asked) = (view.revision.0, query.clone());
        let rows = view.past.timeline.len();
        let page = self.compute(rows, move || asked.page(&view.past.timeline, before, size)).await?;
        Ok(Response::new(pb::ListResourceChangesResponse {
            changes: page.entries.iter().map(|entry| show::change(entry)).collect(),
            next_page_token: page.next.map(|next| query.encode(next, &self.seal)).unwrap_or_default(),
            revision,
        }))
    }

    async fn link_resources(
        &self,
        request: Request<pb::LinkResourcesRequest>,
    ) -> Result<Response<pb::LinkResourcesResponse>, Status> {
        let (_, extensions, pb::LinkResourcesRequest { left, right, reason, who }) = request.into_parts();
        let pair = links::pair(left, right)?;
        audit::about(&extensions, links::named(&pair));
        let (link, revision) = self.say(Stand::Same, &pair, who, reason).await?;
        Ok(Response::new(pb::LinkResourcesResponse { link, revision }))
    }

    async fn unlink_resources(
        &self,
        request: Request<pb::UnlinkResourcesRequest>,
    ) -> Result<Response<pb::UnlinkResourcesResponse>, Status> {
        let (_, extensions, pb::UnlinkResourcesRequest { left, right, reason, who }) = request.into_parts();
        let pair = links::pair(left, right)?;
        audit::about(&extensions, links::named(&pair));
        let (link, revision) = self.say(Stand::Different, &pair, who, reason).await?;
        Ok(Response::new(pb::UnlinkResourcesResponse { link, revision }))
    }

    async fn delete_resource_link(
        &self,
        request: Request<pb::DeleteResourceLinkRequest>,
    ) -> Result<Response<pb::DeleteResourceLinkResponse>, Status> {
        let (_, extensions, pb::DeleteResourceLinkRequest { left, right }) = request.into_parts();
        let pair = links::pair(left, right)?;
        audit::about(&extensions, links::named(&pair));
        let revision = self.state(Statement::Forget(pair)).await?;
        Ok(Response::new(pb::DeleteResourceLinkResponse { revision: revision.0 }))
    }

    async fn list_resource_links(
        &self,
        request: Request<pb::ListResourceLinksRequest>,
    ) -> Result<Response<pb::ListResourceLinksResponse>, Status> {
        let scope = scope(&request);
        let pb::ListResourceLinksRequest { page_size: size, page_token } = request.into_inner();
        let (size, offset) = (page_size(size)?, links::offset(&page_token, &self.seal)?);
        let (view, seal) = (self.feed.view(), self.seal.clone());
        let listed = self.compute(view.len(), move || {
            let rows = query::links::rows(&view, &Sight::of(&view, &scope));
            links::page(&view, rows, offset, size, &seal)
        });
        Ok(Response::new(listed.await?))
    }
}
