//! A supervisor at work for these tests, and what it has told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_collector::api::Section;
use pulse_collector::connection::roster::{Roster, RosterError, RosterOptions};
use pulse_collector::connection::{Board, Health, Settings, Tls};
use pulse_collector::secret::Credential;
use pulse_collector::snapshot::Snapshot;
use pulse_collector::target::{Options, Sink, supervisor};
use pulse_fixtures::appliance::Appliance;
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_proto::model::{ConnectionId, ConnectionState, SectionOutcome, UnixMillis};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::appliance;

/// Far beyond what anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What reached the sink.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) newest: BTreeMap<ConnectionId, (Arc<Snapshot>, Health)>,
    /// Of all connections, each state once until it changes.
    pub(crate) states: Vec<ConnectionState>,
    pub(crate) removed: BTreeSet<ConnectionId>,
}

pub(crate) struct Probe {
    pub(crate) seen: watch::Sender<Seen>,
    /// Panics when it hears of this one.
    allergic_to: Option<ConnectionId>,
}

impl Sink for Probe {
    fn snapshot(&self, settings: &Arc<Settings>, snapshot: Arc<Snapshot>, health: &Health) {
        assert_ne!(self.allergic_to.as_ref(), Some(&settings.id), "planted");
        self.seen.send_modify(|seen| {
            seen.newest.insert(settings.id.clone(), (snapshot, health.clone()));
            if seen.states.last() != Some(&health.state) {
                seen.states.push(health.state);
            }
        });
    }

    fn removed(&self, id: &ConnectionId) {
        self.seen.send_modify(|seen| {
            seen.removed.insert(id.clone());
        });
    }
}

/// A supervisor at work.
pub(crate) struct Crew {
    pub(crate) roster: Arc<Roster>,
    pub(crate) board: Arc<Board>,
    pub(crate) probe: Arc<Probe>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) fn id(text: &str) -> ConnectionId {
    ConnectionId::parse(text).expect("a good id")
}

pub(crate) fn settings(name: &str, nas: &Appliance, credential: Credential) -> Settings {
    Settings {
        id: id(name),
        name: name.to_owned(),
        host: nas.host(),
        port: nas.port(),
        tls: Tls::Pinned(nas.fingerprint_sha256().parse().expect("a fingerprint")),
        credential,
        enabled: true,
        poll_interval: Duration::from_mins(1),
        labels: BTreeMap::new(),
        scram_seen: false,
        disabled_sections: BTreeSet::new(),
        created_at: UnixMillis::new(1),
        updated_at: UnixMillis::new(1),
        revision: 1,
    }
}

impl Crew {
    pub(crate) fn start(options: Options) -> Self {
        Self::start_allergic(options, None)
    }

    pub(crate) fn start_allergic(options: Options, allergic_to: Option<ConnectionId>) -> Self {
        let roster = Roster::in_memory(RosterOptions::default());
        let board = Arc::new(Board::default());
        let probe = Arc::new(Probe { seen: watch::Sender::default(), allergic_to });
        let shutdown = CancellationToken::new();
        let sink: Arc<dyn Sink> = Arc::<Probe>::clone(&probe);
        let run = supervisor::run(Arc::clone(&roster), Arc::clone(&board), options, sink, shutdown.clone());
        Self { roster, board, probe, shutdown, task: tokio::spawn(run) }
    }

    pub(crate) async fn add(&self, settings: Settings) {
        self.roster.create(settings).await.expect("room for one more");
    }

    pub(crate) async fn change(&self, name: &str, change: impl FnOnce(&mut Settings)) {
        let id = id(name);
        let changed = self.roster.update(&id, "", |settings| {
            let mut settings = settings.clone();
            change(&mut settings);
            Ok::<_, RosterError>(settings)
        });
        changed.await.expect("a good change");
    }

    /// Waits for what the sink heard of a connection.
    pub(crate) async fn until(&self, name: &str, what: &str, condition: impl Fn(&Health) -> bool) -> Health {
        let id = id(name);
        let mut seen = self.probe.seen.subscribe();
        let found = seen.wait_for(|seen| seen.newest.get(&id).is_some_and(|(_, health)| condition(health)));
        let Ok(found) = tokio::time::timeout(PATIENCE, found).await else {
            panic!("never {what}: {:#?}", self.board.get(&id));
        };
        found.expect("the sender is held here").newest[&id].1.clone()
    }

    /// Live, and every section read.
    pub(crate) async fn until_all_fresh(&self, name: &str) -> Health {
        self.until(name, "live with everything read", |health| {
            health.state == ConnectionState::Live && all_read(health)
        })
        .await
    }

    pub(crate) async fn until_state(&self, name: &str, state: ConnectionState) -> Health {
        self.until(name, state.token(), |health| health.state == state).await
    }

    pub(crate) async fn refresh(&self, name: &str) {
        let refresh = self.roster.refresh_signal(&id(name)).expect("the connection is there");
        let ticket = refresh.ask();
        let served = tokio::time::timeout(PATIENCE, refresh.served(ticket)).await;
        served.expect("in time").expect("the connection stays");
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("in time").expect("no panic");
    }
}

/// An appliance of which every section can be read.
pub(crate) async fn readable(line: ApiLine) -> Appliance {
    readable_but(line, &[]).await
}

/// These methods are left as they are.
pub(crate) async fn readable_but(line: ApiLine, but: &[&str]) -> Appliance {
    let nas = appliance(line).await;
    for method in ["pool.query", "pool.dataset.query", "zfs.resource.query", "disk.query", "alert.list"] {
        if !but.contains(&method) {
            nas.faults().on_method(method, nothing());
        }
    }
    nas
}

pub(crate) fn nothing() -> Effect {
    Effect::Answer(json!([]))
}

pub(crate) fn outcome(health: &Health, section: &str) -> Option<SectionOutcome> {
    health.sections.iter().find(|report| report.section.as_str() == section).map(|report| report.outcome)
}

/// Every section but the figures, which come by themselves, was read, or is not on this release.
fn all_read(health: &Health) -> bool {
    let outcome = |section: Section| {
        health.sections.iter().find(|report| report.section == section.name()).map(|report| report.outcome)
    };
    Section::ALL.into_iter().filter(|section| *section != Section::Metrics).all(|section| {
        outcome(section)
            .is_some_and(|outcome| outcome.is_complete() || outcome == SectionOutcome::Unsupported)
    })
}
