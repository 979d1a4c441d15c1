//! After a round: lifts what is wrong, waits by what both services tell until nothing is under way, and checks everything.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, RefreshConnectionRequest, WatchConnectionsRequest};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, SectionOutcome};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::Channel;

use super::life::Use;
use super::member::Member;
use super::model::{self, first_difference};
use super::{Service, Soak};
use crate::harness::view::{Mirror, client};

/// A NAS that was asked too often is left alone for a minute and a bit; then it is read.
const BACK_AGAIN: Duration = Duration::from_secs(150);
/// From the collector to a watcher of the registry, with the longest wait of the uplink before it connects again.
const ARRIVED: Duration = Duration::from_mins(1);
/// Sessions that are closed.
const CLOSED: Duration = Duration::from_secs(20);
/// Refreshes of a connection that is not back yet; then it comes back by itself.
const REFRESHES: u32 = 3;
/// Readings after which tasks that were under way are over.
const LOOKS: u32 = 20;
/// Figures are pushed when the appliance pleases, and read when they come.
const UNAWAITED: &str = "metrics";
/// Sections that are read less often are not read again by a refresh, when they are known.
const REFRESHED_SECONDS_MAX: i64 = 100;

impl Soak {
    /// From whatever is going on to rest, with everything as it should be.
    pub(super) async fn rest(&mut self) -> anyhow::Result<()> {
        self.end_what_is_due(usize::MAX).await?;
        for member in &mut self.fleet {
            member.lift().await;
        }
        let since = jiff::Timestamp::now();
        let collector = self.pair.connections().await?;
        try_join_all(self.fleet.iter().map(|member| back(collector.clone(), member, since))).await?;
        let revision = self.agree().await?;
        self.check_history(revision).await?;
        self.check_sessions().await?;
        self.check_logs()?;
        self.check_use(&collector).await
    }

    /// Follows the registry until it shows what the appliances say; answers the revision that does.
    async fn agree(&mut self) -> anyhow::Result<u64> {
        let deadline = Instant::now() + ARRIVED;
        let mut mirror = Mirror::open(self.pair.registry.grpc(), "", "").await?;
        loop {
            let told = timeout_at(deadline, mirror.step()).await;
            let difference = self.difference(&mirror.resources.values().cloned().collect::<Vec<_>>());
            match told {
                Ok(told) => told?,
                Err(_late) => {
                    bail!(difference.unwrap_or_else(|| "the registry sent no whole list".to_owned()))
                }
            }
            if mirror.listed && difference.is_none() {
                break;
            }
        }
        let (listed, revision) = self.list().await?;
        if let Some(difference) = self.difference(&listed) {
            bail!("a list shows what a watch does not: {difference}");
        }
        self.report.facts += self
            .fleet
            .iter()
            .flat_map(|one| one.expected().into_values())
            .map(|facts| facts.len())
            .sum::<usize>();
        self.say(&format!("the registry agrees with all appliances on {} resources", listed.len()));
        Ok(revision)
    }

    fn difference(&self, resources: &[Resource]) -> Option<String> {
        let known = |id: &str| self.fleet.iter().any(|member| member.connection == id);
        if let Some(odd) = resources.iter().find(|one| !known(&one.connection)) {
            return Some(format!("{} is of no connection", odd.id));
        }
        self.fleet.iter().find_map(|member| {
            let own = resources.iter().filter(|one| one.connection == member.connection);
            let difference = first_difference(&member.expected(), &model::shown(own))?;
            Some(format!("{} ({}): {difference}", member.name, member.model.line))
        })
    }

    async fn list(&self) -> anyhow::Result<(Vec<Resource>, u64)> {
        let mut registry = client(self.pair.registry.grpc()).await?;
        let mut all = Vec::new();
        let mut request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
        loop {
            let page = registry.list_resources(request.clone()).await?.into_inner();
            all.extend(page.resources);
            if page.next_page_token.is_empty() {
                return Ok((all, page.revision));
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Of all that was told on the way: what was removed must have gone from the appliance too.
    async fn check_history(&mut self, revision: u64) -> anyhow::Result<()> {
        let removed = timeout(ARRIVED, self.witness.take_gone(revision)).await;
        let removed = removed.with_context(|| format!("a watch never told revision {revision}"))?;
        if let Some(wrong) = self.witness.wrong() {
            bail!(wrong);
        }
        for member in &mut self.fleet {
            let gone = member.take_gone();
            let of_it = removed.iter().filter(|(connection, _)| *connection == member.connection);
            for (_, thing) in of_it {
                ensure!(
                    gone.contains(thing),
                    "{} ({}): {thing} was removed at the registry, and was on the appliance all the time",
                    member.name,
                    member.model.line
                );
            }
        }
        Ok(())
    }

    /// One session for each appliance, with the controller in charge, and none besides.
    async fn check_sessions(&self) -> anyhow::Result<()> {
        for member in self.fleet.iter().filter(|member| member.model.has_sessions()) {
            for (nas, is_active) in member.controllers() {
                let wanted = u64::from(is_active);
                let closed = timeout(CLOSED, nas.wait_for(|stats| stats.sessions_open == wanted)).await;
                let open = nas.stats().sessions_open;
                ensure!(closed.is_ok(), "{}: {open} sessions are open, not {wanted}", member.name);
            }
        }
        Ok(())
    }

    pub(super) fn check_logs(&self) -> anyhow::Result<()> {
        let down = |service| self.down.iter().any(|(_, down)| *down == service);
        for (service, process) in
            [(Service::Collector, &self.pair.collector), (Service::Registry, &self.pair.registry)]
        {
            if down(service) {
                continue;
            }
            let log = process.process().log();
            if let Some((at, _)) = log.lines().enumerate().find(|(_, line)| line.contains("panicked at")) {
                let told: Vec<&str> = log.lines().skip(at).take(3).collect();
                bail!("the {service:?} panicked:\n{}", told.join("\n"));
            }
        }
        Ok(())
    }

    /// Looks again after further readings: what was under way at the first look is over then.
    async fn check_use(&mut self, collector: &ConnectionServiceClient<Channel>) -> anyhow::Result<()> {
        let appliances = self.fleet.len();
        for name in ["collector", "registry"] {
            let mut looks = 0;
            let (pid, used) = loop {
                let service = if name == "collector" { &self.pair.collector } else { &self.pair.registry };
                let (pid, used) = (service.process().pid()?, Use::of(name, service.process()).await?);
                match self.report.lives.check(pid, used, appliances, Instant::now()) {
                    Ok(()) => break (pid, used),
                    Err(error) if looks == LOOKS => return Err(error),
                    Err(_) => looks += 1,
                }
                try_join_all(self.fleet.iter().map(|member| refresh(collector.clone(), &member.connection)))
                    .await?;
            };
            self.say(&format!(
                "{name}: {:.1} MB, {} tasks, {} open files",
                used.rss_mb, used.tasks, used.descriptors
            ));
            self.report.lives.note(name, pid, used);
        }
        Ok(())
    }
}

async fn refresh(
    mut collector: ConnectionServiceClient<Channel>,
    id: &str,
) -> Result<Connection, tonic::Status> {
    let request = RefreshConnectionRequest { id: id.to_owned() };
    let answer = collector.refresh_connection(request).await?.into_inner();
    Ok(answer.connection.unwrap_or_default())
}

/// Resolves when the connection is live and all of it was read since then.
async fn back(
    mut collector: ConnectionServiceClient<Channel>,
    member: &Member,
    since: jiff::Timestamp,
) -> anyhow::Result<()> {
    let id = member.connection.as_str();
    let mut last = None;
    let watched = async {
        let mut stream = collector.watch_connections(WatchConnectionsRequest {}).await?.into_inner();
        let mut refreshed = refresh(collector.clone(), id).await;
        for _ in 1..REFRESHES {
            if refreshed.as_ref().is_ok_and(is_live) {
                break;
            }
            refreshed = refresh(collector.clone(), id).await;
        }
        while let Some(message) = stream.message().await? {
            let Some(connection) = message.connection.filter(|connection| connection.id == id) else {
                continue;
            };
            let unread = unread(&connection, since);
            if is_live(&connection) && unread.is_empty() {
                return anyhow::Ok(());
            }
            last = Some((connection, unread));
        }
        bail!("the watch of connections ended")
    };
    match timeout(BACK_AGAIN, watched).await {
        Ok(told) => told.with_context(|| member.name.clone()),
        Err(_late) => {
            let (connection, unread) = last.unwrap_or_default();
            let status = connection.status.unwrap_or_default();
            bail!(
                "{} ({}) is not back {BACK_AGAIN:?} after all faults were lifted: {} {:?}; not read again: {}",
                member.name,
                member.model.line,
                status.state().as_str_name(),
                status.reason,
                unread.join(", ")
            )
        }
    }
}

fn is_live(connection: &Connection) -> bool {
    connection.status.as_ref().is_some_and(|status| status.state() == ConnectionState::Live)
}

/// Sections that were not read since then, of those that are read again, and of all that the release has.
fn unread(connection: &Connection, since: jiff::Timestamp) -> Vec<String> {
    let sections = connection.status.iter().flat_map(|status| &status.sections);
    let unread = sections.filter(|report| {
        let rarely = report.interval.as_ref().is_some_and(|every| every.seconds > REFRESHED_SECONDS_MAX);
        let seen = report.observed_at.as_ref().is_some_and(|at| {
            (at.seconds, at.nanos / 1_000_000) >= (since.as_second(), since.subsec_millisecond())
        });
        match report.outcome() {
            _ if report.section == UNAWAITED => false,
            SectionOutcome::Unsupported | SectionOutcome::Disabled => false,
            SectionOutcome::Fresh | SectionOutcome::Unchanged => !rarely && !seen,
            _ => true,
        }
    });
    unread.map(|report| format!("{} ({})", report.section, report.outcome().as_str_name())).collect()
}
