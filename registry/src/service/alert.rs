//! `AlertService`: wire in, a question to the book or a command to the core,
//! wire out. Knows no rule and no case in particular.

mod answer;
mod deed;
mod page;
mod receivers;
mod refused;
mod watch;

use std::sync::Arc;

use http::Extensions;
use pulse_proto::model::UnixMillis;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_service_server::AlertService;
use pulse_shell::access::Caller;
use pulse_shell::audit::about;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use self::page::Lists;
use crate::alert::case::{Case, CaseId, CaseState};
use crate::alert::dry_run::{Remembered, Trial, dry_run};
use crate::alert::engine::{Command, Done, changed_rule, new_rule};
use crate::alert::explain::{Deliveries, explain};
use crate::alert::feed::AlertFeed;
use crate::alert::list::{Scope, summarize};
use crate::alert::rule::{Rule, RuleId, wire};
use crate::alert::silence::{self, SilenceId};
use crate::alert::{show, task};
use crate::clock::Clock;
use crate::error;
use crate::notify::Board;
use crate::query::filter::{AlertFilter, AlertOrder};
use crate::query::sight::Sight;
use crate::query::token::Seal;
use crate::state::{Feed, View};
use crate::watch::task::Pace;

const WHO_BYTES_MAX: usize = 256;
const COMMENT_BYTES_MAX: usize = 1_024;

#[derive(Clone)]
pub struct AlertApi {
    feed: AlertFeed,
    resources: Feed,
    /// `None`: alerts are switched off; what is kept of them can be read.
    core: Option<task::Handle>,
    receivers: Option<Arc<Board>>,
    seal: Seal,
    clock: Clock,
    pace: Pace,
    lists: Arc<Lists>,
    watchers: Arc<Semaphore>,
    draining: CancellationToken,
}

/// What the service runs with.
pub struct Options {
    pub pace: Pace,
    /// Most watches at the same time.
    pub watchers_max: usize,
    /// `None`: nobody is told.
    pub receivers: Option<Arc<Board>>,
}

impl AlertApi {
    pub fn new(
        feed: AlertFeed,
        resources: Feed,
        core: Option<task::Handle>,
        registry_id: &str,
        clock: Clock,
        options: Options,
        draining: CancellationToken,
    ) -> Self {
        Self {
            feed,
            resources,
            core,
            receivers: options.receivers,
            seal: Seal::new(registry_id),
            clock,
            pace: options.pace,
            lists: Arc::default(),
            watchers: Arc::new(Semaphore::new(options.watchers_max)),
            draining,
        }
    }

    async fn run(&self, command: Command) -> Result<Done, Status> {
        let off = || {
            let message = "alerts are switched off; set alerts.enabled to true";
            error::reasoned(Code::FailedPrecondition, "ALERTS_DISABLED", message, [])
        };
        let core = self.core.as_ref().ok_or_else(off)?;
        core.run(command).await.map_err(refused::failure)
    }

    /// What somebody may not see does not exist for him.
    fn case(&self, id: &str, sight: &Sight) -> Result<Arc<Case>, Status> {
        let missing = || error::not_found("pulse.registry.v1.Alert", id, "ListAlerts shows what exists");
        let known = CaseId::parse(id).ok_or_else(missing)?;
        let book = self.feed.book();
        let found = book.get(known).filter(|case| sight.sees(&case.subject.connection));
        found.cloned().ok_or_else(missing)
    }

    /// What this caller sees.
    fn sight(&self, extensions: &Extensions) -> Sight {
        Sight::of(&self.resources.view(), &Caller::of(extensions).scope())
    }

    fn shown(&self, case: &Case) -> pb::Alert {
        shown(case, &self.resources.view())
    }

    async fn dry_run(&self, rule: Rule) -> Result<Trial, Status> {
        let (view, book, now) = (self.resources.view(), self.feed.book(), self.clock.now());
        let remembered = match &self.core {
            Some(core) if rule.condition.looks_back() => core.remembered().await.map_err(refused::failure)?,
            _ => Remembered::default(),
        };
        let asked = tokio::task::spawn_blocking(move || dry_run(&rule, &view, &book, &remembered, now));
        asked.await.map_err(|_panicked| Status::internal("the dry run failed; see the log of the registry"))
    }
}

/// With the time it was last seen to hold, where the view knows it better.
fn shown(case: &Case, view: &View) -> pb::Alert {
    let seen = || -> Option<UnixMillis> {
        let found = view.get(&case.subject.id)?;
        (found.resource.freshness == pulse_proto::model::Freshness::Fresh).then_some(found.observed_at?)
    };
    let holds = case.state != CaseState::Resolved && case.holds();
    show::show(case, if holds { seen() } else { None })
}

fn paths(mask: Option<prost_types::FieldMask>) -> Vec<String> {
    mask.map(|mask| mask.paths).unwrap_or_default()
}

/// Whom a change is charged to: the caller as he is known. What he says of it counts where nobody is asked who he is.
fn speaker(extensions: &Extensions, told: &str) -> String {
    let caller = Caller::of(extensions);
    if caller.grant.is_some() { caller.name } else { told.trim().to_owned() }
}

fn who(field: &str, who: &str) -> Result<String, Status> {
    let who = who.trim();
    if who.is_empty() {
        return Err(error::invalid(field, "MISSING", "name the person or program that says this"));
    }
    if who.len() > WHO_BYTES_MAX {
        return Err(error::invalid(
            field,
            "TOO_LONG",
            &format!("must not be longer than {WHO_BYTES_MAX} bytes"),
        ));
    }
    Ok(who.to_owned())
}

#[tonic::async_trait]
impl AlertService for AlertApi {
    type WatchAlertsStream = ReceiverStream<Result<pb::WatchAlertsResponse, Status>>;

    async fn get_alert(
        &self,
        request: Request<pb::GetAlertRequest>,
    ) -> Result<Response<pb::GetAlertResponse>, Status> {
        let sight = self.sight(request.extensions());
        let case = self.case(&request.into_inner().id, &sight)?;
        Ok(Response::new(pb::GetAlertResponse { alert: Some(self.shown(&case)) }))
    }

    async fn list_alerts(
        &self,
        request: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        let sight = self.sight(request.extensions());
        let pb::ListAlertsRequest { page_size, page_token, filter, order_by } = request.into_inner();
        let scope = Scope { filter: AlertFilter::parse(&filter)?, sight };
        let order = AlertOrder::parse(&order_by)
            .map_err(|error| error::invalid("order_by", "INVALID_ORDER_BY", &error.to_string()))?;
        let page = self.lists.page(
            &self.feed.book(),
            &scope,
            (&order, &order_by),
            page_size,
            &page_token,
            &self.seal,
        )?;
        let view = self.resources.view();
        Ok(Response::new(pb::ListAlertsResponse {
            alerts: page.cases.iter().map(|case| shown(case, &view)).collect(),
            next_page_token: page.next,
            revision: page.revision,
        }))
    }

    async fn watch_alerts(
        &self,
        request: Request<pb::WatchAlertsRequest>,
    ) -> Result<Response<Self::WatchAlertsStream>, Status> {
        let labels = Caller::of(request.extensions()).scope();
        let pb::WatchAlertsRequest { filter, resume_token } = request.into_inner();
        let filter = AlertFilter::parse(&filter)?;
        let too_many = |_full| {
            error::reasoned(
                Code::ResourceExhausted,
                "TOO_MANY_WATCHERS",
                "too many watches are open; close some",
                [],
            )
        };
        let permit = Arc::clone(&self.watchers).try_acquire_owned().map_err(too_many)?;
        let watcher = watch::Watcher::open(
            self.feed.clone(),
            self.resources.clone(),
            filter,
            labels,
            &resume_token,
            self.seal.clone(),
        )?;
        Ok(Response::new(watcher.start(self.pace, self.draining.clone(), permit)))
    }

    async fn acknowledge_alert(
        &self,
        request: Request<pb::AcknowledgeAlertRequest>,
    ) -> Result<Response<pb::AcknowledgeAlertResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let pb::AcknowledgeAlertRequest { id, comment, etag, who: told } = request;
        let sight = self.sight(&extensions);
        let who = speaker(&extensions, &told);
        about(&extensions, deed::on_alert(&self.feed.book(), &id, &who));
        let who = self::who("who", &who)?;
        let id = self.case(&id, &sight)?.id;
        if comment.len() > COMMENT_BYTES_MAX {
            let problem = format!("must not be longer than {COMMENT_BYTES_MAX} bytes");
            return Err(error::invalid("comment", "TOO_LONG", &problem));
        }
        let done = self.run(Command::Acknowledge { id, who, comment, etag }).await?;
        Ok(Response::new(pb::AcknowledgeAlertResponse {
            alert: answer::case(done).map(|case| self.shown(&case)),
        }))
    }

    async fn unacknowledge_alert(
        &self,
        request: Request<pb::UnacknowledgeAlertRequest>,
    ) -> Result<Response<pb::UnacknowledgeAlertResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let pb::UnacknowledgeAlertRequest { id, etag, who: told } = request;
        let sight = self.sight(&extensions);
        let who = speaker(&extensions, &told);
        about(&extensions, deed::on_alert(&self.feed.book(), &id, &who));
        let done = self.run(Command::Unacknowledge { id: self.case(&id, &sight)?.id, who, etag }).await?;
        Ok(Response::new(pb::UnacknowledgeAlertResponse {
            alert: answer::case(done).map(|case| self.shown(&case)),
        }))
    }

    async fn summarize_alerts(
        &self,
        request: Request<pb::SummarizeAlertsRequest>,
    ) -> Result<Response<pb::SummarizeAlertsResponse>, Status> {
        let sight = self.sight(request.extensions());
        let scope = Scope { filter: AlertFilter::parse(&request.into_inner().filter)?, sight };
        Ok(Response::new(answer::summary(&summarize(&self.feed.book(), &scope))))
    }

    async fn explain_alert(
        &self,
        request: Request<pb::ExplainAlertRequest>,
    ) -> Result<Response<pb::ExplainAlertResponse>, Status> {
        let sight = self.sight(request.extensions());
        let case = self.case(&request.into_inner().id, &sight)?;
        let deliveries = self.receivers.as_deref().map(|board| board as &dyn Deliveries);
        let told = explain(&self.feed.book(), &case, deliveries, &sight);
        Ok(Response::new(pb::ExplainAlertResponse {
            alert: Some(self.shown(&case)),
            explanations: told.into_iter().map(answer::explanation).collect(),
        }))
    }

    async fn list_receivers(
        &self,
        _request: Request<pb::ListReceiversRequest>,
    ) -> Result<Response<pb::ListReceiversResponse>, Status> {
        let statuses = self.receivers.as_ref().map(|board| board.statuses()).unwrap_or_default();
        let receivers = statuses.into_iter().map(receivers::shown).collect();
        Ok(Response::new(pb::ListReceiversResponse { receivers }))
    }

    async fn test_receiver(
        &self,
        request: Request<pb::TestReceiverRequest>,
    ) -> Result<Response<pb::TestReceiverResponse>, Status> {
        let (_, extensions, pb::TestReceiverRequest { name }) = request.into_parts();
        about(&extensions, name.as_str());
        let board = self.receivers.as_ref().filter(|board| board.knows(&name)).ok_or_else(|| {
            error::not_found("pulse.registry.v1.Receiver", &name, "ListReceivers shows what exists")
        })?;
        Ok(Response::new(receivers::tested(board.test(&name).await)))
    }

    async fn create_silence(
        &self,
        request: Request<pb::CreateSilenceRequest>,
    ) -> Result<Response<pb::CreateSilenceResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let mut silence = request.silence.unwrap_or_default();
        silence.author = speaker(&extensions, &silence.author);
        let id = SilenceId::new(&uuid::Uuid::new_v4().to_string());
        about(&extensions, deed::new_silence(&id, &silence));
        let done = self.run(Command::CreateSilence { id, silence }).await?;
        Ok(Response::new(pb::CreateSilenceResponse { silence: answer::silence(done) }))
    }

    async fn get_silence(
        &self,
        request: Request<pb::GetSilenceRequest>,
    ) -> Result<Response<pb::GetSilenceResponse>, Status> {
        let id = request.into_inner().id;
        let book = self.feed.book();
        let found = book.silences.get(&SilenceId::new(&id)).ok_or_else(|| {
            error::not_found("pulse.registry.v1.Silence", &id, "ListSilences shows what exists")
        })?;
        Ok(Response::new(pb::GetSilenceResponse { silence: Some(silence::show(found)) }))
    }

    async fn list_silences(
        &self,
        request: Request<pb::ListSilencesRequest>,
    ) -> Result<Response<pb::ListSilencesResponse>, Status> {
        let pb::ListSilencesRequest { page_size, page_token } = request.into_inner();
        let book = self.feed.book();
        let silences: Vec<_> = book.silences.values().map(|silence| silence::show(silence)).collect();
        let (silences, next_page_token) = page::plain(silences, page_size, &page_token, &self.seal)?;
        Ok(Response::new(pb::ListSilencesResponse { silences, next_page_token }))
    }

    async fn update_silence(
        &self,
        request: Request<pb::UpdateSilenceRequest>,
    ) -> Result<Response<pb::UpdateSilenceResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let pb::UpdateSilenceRequest { silence, update_mask } = request;
        let mut silence = silence.unwrap_or_default();
        let paths = paths(update_mask);
        if !silence.author.is_empty() || paths.iter().any(|path| path == "author") {
            silence.author = speaker(&extensions, &silence.author);
        }
        about(&extensions, deed::on_silence(&self.feed.book(), &silence.id));
        let command = Command::UpdateSilence { silence, paths };
        let done = self.run(command).await?;
        Ok(Response::new(pb::UpdateSilenceResponse { silence: answer::silence(done) }))
    }

    async fn delete_silence(
        &self,
        request: Request<pb::DeleteSilenceRequest>,
    ) -> Result<Response<pb::DeleteSilenceResponse>, Status> {
        let (_, extensions, pb::DeleteSilenceRequest { id, etag }) = request.into_parts();
        about(&extensions, deed::on_silence(&self.feed.book(), &id));
        self.run(Command::DeleteSilence { id: SilenceId::new(&id), etag }).await?;
        Ok(Response::new(pb::DeleteSilenceResponse {}))
    }

    async fn create_alert_rule(
        &self,
        request: Request<pb::CreateAlertRuleRequest>,
    ) -> Result<Response<pb::CreateAlertRuleResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let pb::CreateAlertRuleRequest { rule, validate_only } = request;
        let rule = rule.unwrap_or_default();
        about(&extensions, deed::on_rule(&rule, validate_only));
        let checked = new_rule(rule.clone()).map_err(refused::refusal)?;
        if validate_only {
            if self.feed.book().rules.contains_key(&checked.id) {
                return Err(refused::exists(&checked.id));
            }
            let rule = Some(wire::show(&checked));
            return Ok(Response::new(answer::tried_anew(rule, self.dry_run(checked).await?)));
        }
        let done = self.run(Command::CreateRule(rule)).await?;
        let rule = answer::rule(done);
        Ok(Response::new(pb::CreateAlertRuleResponse { rule, ..pb::CreateAlertRuleResponse::default() }))
    }

    async fn get_alert_rule(
        &self,
        request: Request<pb::GetAlertRuleRequest>,
    ) -> Result<Response<pb::GetAlertRuleResponse>, Status> {
        let id = request.into_inner().id;
        let book = self.feed.book();
        let found = RuleId::parse(&id).ok().and_then(|id| book.rules.get(&id)).ok_or_else(|| {
            error::not_found("pulse.registry.v1.AlertRule", &id, "ListAlertRules shows what exists")
        })?;
        Ok(Response::new(pb::GetAlertRuleResponse { rule: Some(wire::show(found)) }))
    }

    async fn list_alert_rules(
        &self,
        request: Request<pb::ListAlertRulesRequest>,
    ) -> Result<Response<pb::ListAlertRulesResponse>, Status> {
        let pb::ListAlertRulesRequest { page_size, page_token } = request.into_inner();
        let book = self.feed.book();
        let mut rules: Vec<_> = book.rules.values().map(|rule| wire::show(rule)).collect();
        rules.sort_by(|a, b| (!a.built_in, &a.id).cmp(&(!b.built_in, &b.id)));
        let (rules, next_page_token) = page::plain(rules, page_size, &page_token, &self.seal)?;
        Ok(Response::new(pb::ListAlertRulesResponse { rules, next_page_token }))
    }

    async fn update_alert_rule(
        &self,
        request: Request<pb::UpdateAlertRuleRequest>,
    ) -> Result<Response<pb::UpdateAlertRuleResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let pb::UpdateAlertRuleRequest { rule, update_mask, validate_only } = request;
        let (rule, paths) = (rule.unwrap_or_default(), paths(update_mask));
        about(&extensions, deed::on_rule(&rule, validate_only));
        if validate_only {
            let book = self.feed.book();
            let known = RuleId::parse(&rule.id).ok().and_then(|id| book.rules.get(&id));
            let known = known.ok_or_else(|| {
                error::not_found("pulse.registry.v1.AlertRule", &rule.id, "ListAlertRules shows what exists")
            })?;
            let changed = changed_rule(known, rule, &paths).map_err(refused::refusal)?;
            let rule = Some(wire::show(&changed));
            return Ok(Response::new(answer::tried_change(rule, self.dry_run(changed).await?)));
        }
        let done = self.run(Command::UpdateRule { rule, paths }).await?;
        let rule = answer::rule(done);
        Ok(Response::new(pb::UpdateAlertRuleResponse { rule, ..pb::UpdateAlertRuleResponse::default() }))
    }

    async fn delete_alert_rule(
        &self,
        request: Request<pb::DeleteAlertRuleRequest>,
    ) -> Result<Response<pb::DeleteAlertRuleResponse>, Status> {
        let (_, extensions, pb::DeleteAlertRuleRequest { id, etag }) = request.into_parts();
        about(&extensions, id.as_str());
        self.run(Command::DeleteRule { id, etag }).await?;
        Ok(Response::new(pb::DeleteAlertRuleResponse {}))
    }
}
