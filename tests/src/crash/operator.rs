//! An operator who acknowledges, silences and changes a rule while the registry is
//! killed. What he was answered must be there afterwards; what he was not may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, AlertRule, AlertState, CreateSilenceRequest, DeleteSilenceRequest,
    GetAlertRuleRequest, ListAlertsRequest, ListSilencesRequest, Silence, UnacknowledgeAlertRequest,
    UpdateAlertRuleRequest,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::alerts::{AlertMirror, client};
use crate::harness::feeder::{Feeder, batch, pool};
use crate::harness::within;

/// What is ill, and stays so.
pub(super) const CONNECTION: &str = "ill";
const POOLS: usize = 6;
const RULE: &str = "pool-usage";
/// Silences at a time, about.
const SILENCES: usize = 20;
const WHO: &str = "operator";

/// What a thing may be like: one value when it was answered, more when it was not.
#[derive(Clone, Debug)]
struct Belief<T>(BTreeSet<T>);

impl<T: Ord + Clone + Debug> Belief<T> {
    fn sure(value: T) -> Self {
        Self(BTreeSet::from([value]))
    }

    fn tried(&mut self, value: T) {
        self.0.insert(value);
    }

    fn check(&self, what: &str, found: &T) -> anyhow::Result<()> {
        ensure!(self.0.contains(found), "{what}: answered {:?}, found {found:?}", self.0);
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Operator {
    rng: StdRng,
    /// Ids of the alerts he looks after, with the comments of his acknowledgements.
    alerts: BTreeMap<String, Belief<Option<String>>>,
    /// By their reasons, which are his alone.
    silences: BTreeMap<String, Belief<bool>>,
    silence_ids: BTreeMap<String, String>,
    description: Belief<String>,
    number: u64,
    pub(super) answered: usize,
    pub(super) unanswered: usize,
}

impl Operator {
    /// Pools fall ill, and each is an alert.
    pub(super) async fn begin(registry: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        within("the ill pools to be taken", fall_ill(registry)).await?;
        let mut mirror = AlertMirror::open(registry, "rule = pool-state", "").await?;
        let fires = |mirror: &AlertMirror| {
            mirror.alerts.values().filter(|alert| alert.state() == AlertState::Firing).count() == POOLS
        };
        mirror.until("an alert for each ill pool", fires).await?;
        let rule = rule(&mut client(registry).await?).await?;
        Ok(Self {
            rng: StdRng::seed_from_u64(seed),
            alerts: mirror.alerts.into_keys().map(|id| (id, Belief::sure(None))).collect(),
            silences: BTreeMap::new(),
            silence_ids: BTreeMap::new(),
            description: Belief::sure(rule.description),
            number: 0,
            answered: 0,
            unanswered: 0,
        })
    }

    /// Some deeds, one after the other. What is on its way when this is dropped was not answered.
    pub(super) async fn work(&mut self, registry: SocketAddr, deeds: usize) -> anyhow::Result<()> {
        let mut client = client(registry).await?;
        for _ in 0..deeds {
            self.number += 1;
            // Counted as unanswered until it is.
            self.unanswered += 1;
            let done = match self.rng.random_range(0..6) {
                0 | 1 => self.acknowledge(&mut client).await,
                2 => self.unacknowledge(&mut client).await,
                3 => self.silence(&mut client).await,
                4 => self.unsilence(&mut client).await,
                _ => self.change_rule(&mut client).await,
            };
            match done {
                Ok(done) => {
                    self.unanswered -= 1;
                    self.answered += usize::from(done);
                }
                Err(status)
                    if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => {}
                Err(status) => bail!("a deed was refused: {status:?}"),
            }
        }
        Ok(())
    }

    fn alert(&mut self) -> String {
        let at = self.rng.random_range(0..self.alerts.len());
        self.alerts.keys().nth(at).cloned().unwrap_or_default()
    }

    /// Says whether there was anything to do; so do the others.
    async fn acknowledge(&mut self, client: &mut AlertServiceClient<Channel>) -> Result<bool, Status> {
        let (id, comment) = (self.alert(), format!("seen, {}", self.number));
        let Some(belief) = self.alerts.get_mut(&id) else { return Ok(false) };
        belief.tried(Some(comment.clone()));
        let request = AcknowledgeAlertRequest {
            id,
            comment: comment.clone(),
            etag: String::new(),
            who: WHO.to_owned(),
        };
        client.acknowledge_alert(request).await?;
        *belief = Belief::sure(Some(comment));
        Ok(true)
    }

    async fn unacknowledge(&mut self, client: &mut AlertServiceClient<Channel>) -> Result<bool, Status> {
        let id = self.alert();
        let Some(belief) = self.alerts.get_mut(&id) else { return Ok(false) };
        belief.tried(None);
        let request = UnacknowledgeAlertRequest { id, etag: String::new(), who: WHO.to_owned() };
        match client.unacknowledge_alert(request).await {
            // Nobody had acknowledged it: an answer, too.
            Err(status) if status.code() != Code::FailedPrecondition => return Err(status),
            _ => *belief = Belief::sure(None),
        }
        Ok(true)
    }

    async fn silence(&mut self, client: &mut AlertServiceClient<Channel>) -> Result<bool, Status> {
        if self.silences.len() >= SILENCES {
            return Ok(false);
        }
        let reason = format!("reason {}", self.number);
        let belief = self.silences.entry(reason.clone()).or_insert_with(|| Belief::sure(false));
        belief.tried(true);
        let expires_at = jiff::Timestamp::now().as_second() + 86_400;
        let silence = Silence {
            filter: "rule = nothing".to_owned(),
            reason: reason.clone(),
            author: WHO.to_owned(),
            expires_at: Some(prost_types::Timestamp { seconds: expires_at, nanos: 0 }),
            ..Silence::default()
        };
        let made = client.create_silence(CreateSilenceRequest { silence: Some(silence) }).await?;
        *belief = Belief::sure(true);
        let id = made.into_inner().silence.unwrap_or_default().id;
        self.silence_ids.insert(reason, id);
        Ok(true)
    }

    async fn unsilence(&mut self, client: &mut AlertServiceClient<Channel>) -> Result<bool, Status> {
        let Some((reason, id)) = self.silence_ids.pop_first() else { return Ok(false) };
        let Some(belief) = self.silences.get_mut(&reason) else { return Ok(false) };
        belief.tried(false);
        client.delete_silence(DeleteSilenceRequest { id, etag: String::new() }).await?;
        *belief = Belief::sure(false);
        Ok(true)
    }

    async fn change_rule(&mut self, client: &mut AlertServiceClient<Channel>) -> Result<bool, Status> {
        let description = format!("as changed, {}", self.number);
        self.description.tried(description.clone());
        let rule =
            AlertRule { id: RULE.to_owned(), description: description.clone(), ..AlertRule::default() };
        let request = UpdateAlertRuleRequest { rule: Some(rule), ..UpdateAlertRuleRequest::default() };
        client.update_alert_rule(request).await?;
        self.description = Belief::sure(description);
        Ok(true)
    }

    /// Everything is as it was answered. After a restart nothing is on its way any more: what is found is so.
    pub(super) async fn audit(&mut self, registry: SocketAddr, restarted: bool) -> anyhow::Result<()> {
        let mut client = client(registry).await?;
        let request = ListAlertsRequest {
            filter: "rule = pool-state".to_owned(),
            page_size: 1_000,
            ..ListAlertsRequest::default()
        };
        let listed = client.list_alerts(request).await?.into_inner().alerts;
        ensure!(listed.len() == self.alerts.len(), "{POOLS} alerts, and {} are listed", listed.len());
        for alert in listed {
            ensure!(alert.state() == AlertState::Firing, "{alert:?} has ended");
            let belief = self.alerts.get_mut(&alert.id).with_context(|| format!("a phantom: {alert:?}"))?;
            let found = alert.acknowledged.then_some(alert.acknowledge_comment);
            belief.check(&format!("acknowledgement of {}", alert.resource_name), &found)?;
            if restarted {
                *belief = Belief::sure(found);
            }
        }
        let request = ListSilencesRequest { page_size: 1_000, page_token: String::new() };
        let listed = client.list_silences(request).await?.into_inner().silences;
        let listed: BTreeMap<String, String> = listed.into_iter().map(|one| (one.reason, one.id)).collect();
        let phantom = listed.keys().find(|reason| !self.silences.contains_key(*reason));
        ensure!(phantom.is_none(), "a phantom: silence {phantom:?}");
        for (reason, belief) in &mut self.silences {
            let found = listed.contains_key(reason);
            belief.check(&format!("silence {reason}"), &found)?;
            if restarted {
                *belief = Belief::sure(found);
            }
        }
        let found = rule(&mut client).await?.description;
        self.description.check("the rule's description", &found)?;
        if restarted {
            self.description = Belief::sure(found);
            self.silences.retain(|reason, _| listed.contains_key(reason));
            self.silence_ids = listed;
        }
        Ok(())
    }
}

/// One batch, sent until it is acknowledged.
async fn fall_ill(registry: SocketAddr) -> anyhow::Result<()> {
    loop {
        let mut feeder = match Feeder::open(registry, "operator", &[CONNECTION]).await {
            Ok(feeder) => feeder,
            // The disk fails at times; each attempt has the registry ask it.
            Err(error) if super::is_unavailable(&error) => continue,
            Err(error) => return Err(error),
        };
        if feeder.welcome.cursors.iter().any(|cursor| cursor.connection == CONNECTION && cursor.sequence > 0)
        {
            return Ok(());
        }
        let pools = (0..POOLS).map(|at| pool(CONNECTION, &format!("ill-{at}"), "FAULTED"));
        let mut told = batch(CONNECTION, 1, 1, pools.collect());
        // So long that nothing grows stale.
        for section in &mut told.sections {
            section.interval = Some(prost_types::Duration::try_from(Duration::from_hours(24))?);
        }
        if feeder.put(told).await.is_ok() {
            return Ok(());
        }
    }
}

async fn rule(client: &mut AlertServiceClient<Channel>) -> anyhow::Result<AlertRule> {
    let answer = client.get_alert_rule(GetAlertRuleRequest { id: RULE.to_owned() }).await?;
    answer.into_inner().rule.context("the rule")
}
