//! A case as everybody sees it: what is wrong with what, since when, who knows
//! of it and why it may be quiet. Plain data; `life` moves it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    AlertLevel, ConnectionId, ResourceId, ResourceType, Revision, SectionName, Severity, UnixMillis,
};
use sha2::{Digest as _, Sha256};

use super::rule::RuleId;
use super::silence::SilenceId;
use crate::state::Resource;

/// Steps kept of one case.
pub const TRANSITIONS_MAX: usize = 50;

/// Stable while the case lives, and the same for the same input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(uuid::Uuid);

impl CaseId {
    /// Of a case that begins at `first_seen`.
    pub fn of(origin: &Origin, subject: &ResourceId, first_seen: UnixMillis) -> Self {
        let mut hash = Sha256::new();
        for part in [origin.kind(), origin.name(), &subject.text()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(first_seen.get().to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(Self)
    }

    /// Spreads cases evenly.
    pub(super) fn bucket(self) -> usize {
        usize::from(self.0.as_bytes()[0])
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who says that something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Rule(RuleId),
    /// The class of a native alert.
    Native(Arc<str>),
}

impl Origin {
    pub fn name(&self) -> &str {
        match self {
            Self::Rule(id) => id.as_str(),
            Self::Native(klass) => klass,
        }
    }

    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Native(_) => "native",
        }
    }

    pub fn rule(&self) -> Option<&RuleId> {
        match self {
            Self::Rule(id) => Some(id),
            Self::Native(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaseState {
    /// Seen, not confirmed.
    Pending,
    Firing,
    Resolved,
}

impl CaseState {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Firing, Self::Resolved];

    pub const fn token(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// What a case is about. Says enough of the resource to be read when that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    /// What has to be read to know that it is gone; `None` where an earlier release kept the case.
    pub section: Option<SectionName>,
    pub name: Box<str>,
    pub technology: Box<str>,
    pub pool: Box<str>,
    pub connection: ConnectionId,
    pub connection_name: Arc<str>,
    pub labels: Arc<BTreeMap<String, String>>,
}

impl Subject {
    /// Whether it says what the resource is now.
    pub fn is_of(&self, resource: &Resource) -> bool {
        let Self { id, resource_type, section, name, technology, pool, connection, connection_name, labels } =
            self;
        *id == resource.id
            && *resource_type == resource.resource_type()
            && section.as_ref() == Some(&resource.document.section)
            && **name == *resource.display_name()
            && **technology == *resource.document.technology()
            && **pool == *resource.document.pool()
            && *connection == resource.connection
            && *connection_name == resource.connection_name
            && *labels == resource.labels
    }

    pub fn of(resource: &Resource) -> Self {
        Self {
            id: resource.id,
            resource_type: resource.resource_type(),
            section: Some(resource.document.section.clone()),
            name: resource.display_name().into(),
            technology: resource.document.technology().into(),
            pool: resource.document.pool().into(),
            connection: resource.connection.clone(),
            connection_name: Arc::clone(&resource.connection_name),
            labels: Arc::clone(&resource.labels),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub who: String,
    pub at: UnixMillis,
    pub comment: String,
    /// What it was when somebody saw it; more than this wakes again.
    pub severity: Severity,
    /// The native alerts that somebody saw; another one wakes again.
    pub native: Option<Native>,
    /// The services, certificates or devices that somebody saw named; another one wakes again.
    pub named: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Pending,
    Firing,
    Resolved,
    /// Went before it was confirmed.
    Dropped,
    Severity,
    Acknowledged,
    Unacknowledged,
    /// What somebody has seen, or dismissed at the source, is less than what it is now.
    Withdrawn,
    Flapping,
    Calm,
}

impl Step {
    pub const fn token(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Dropped => "dropped",
            Self::Severity => "severity",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::Withdrawn => "withdrawn",
            Self::Flapping => "flapping",
            Self::Calm => "calm",
        }
    }
}

/// A step in the life of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub step: Step,
    pub at: UnixMillis,
    pub severity: Severity,
    /// Of the resource.
    pub revision: Revision,
    pub text: String,
    pub evidence: BTreeMap<String, String>,
    /// Of an acknowledgement.
    pub who: String,
}

/// Of a case that native alerts make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// The worst of them.
    pub level: AlertLevel,
    pub ids: Vec<String>,
    /// All of them are, at the source.
    pub dismissed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub id: CaseId,
    pub origin: Origin,
    pub subject: Subject,
    pub state: CaseState,
    pub severity: Severity,
    pub native: Option<Native>,
    pub summary: String,
    pub remedy: Arc<str>,
    pub evidence: BTreeMap<String, String>,
    /// Revision of the resource the evidence is of.
    pub resource_revision: Revision,
    /// Never moves.
    pub first_seen_at: UnixMillis,
    pub last_seen_at: UnixMillis,
    pub fired_at: Option<UnixMillis>,
    pub resolved_at: Option<UnixMillis>,
    pub acknowledged: Option<Acknowledgement>,
    /// Silences in force that match it.
    pub silenced_by: Vec<SilenceId>,
    /// An open case that tells it already.
    pub suppressed_by: Option<CaseId>,
    /// Oldest first.
    pub transitions: Vec<Transition>,
    /// The alerts' own count, not that of resources.
    pub revision: u64,
    pub(super) progress: Progress,
}

/// How far confirmation has come. Of no interest outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// Observations in a row that say other than the state does: that it holds while pending, that it does not while firing.
    pub(super) streak: u32,
    /// The last observation that counted.
    pub(super) counted_at: UnixMillis,
    /// When the condition began to hold, of this stretch.
    pub(super) holds_since: UnixMillis,
    /// What the last observation said.
    pub(super) held: bool,
    /// When that turned last.
    pub(super) turned_at: UnixMillis,
    /// Recent beginnings and ends, oldest first.
    pub(super) flips: Vec<UnixMillis>,
    pub(super) flapping: bool,
    /// The measured value that was told last.
    pub(super) weight: Option<f64>,
    /// Another severity, on its way to be confirmed.
    pub(super) leaning: Option<Leaning>,
    /// How sure one must be, as it was asked last.
    pub(super) policy: Policy,
    /// When it began, was confirmed or grew worse last.
    pub(super) worse_at: UnixMillis,
    /// Since when nobody is told of it for its own sake; 0 where nobody ever was.
    pub(super) quiet_since: Option<UnixMillis>,
    /// It fired and was not quiet for its own sake, since it began or came back.
    pub(super) loud: bool,
    /// What it names: services, certificates, devices; the words of native alerts that another case is known by.
    pub(super) named: BTreeSet<String>,
}

/// How sure one must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// Distinct observations that it holds before it fires, or grows worse.
    pub(super) raise: u32,
    /// Distinct observations that it does not before it resolves, or grows milder.
    pub(super) clear: u32,
    /// How long it must hold before it fires, or grows worse.
    pub(super) hold: Duration,
}

/// Looks in a row that find a case worse, or milder, than it is taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaning {
    /// What all of them agree on.
    pub(super) severity: Severity,
    pub(super) streak: u32,
    pub(super) counted_at: UnixMillis,
    pub(super) since: UnixMillis,
}

impl Case {
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, CaseState::Resolved)
    }

    /// The last look says that the condition holds.
    pub const fn holds(&self) -> bool {
        self.progress.held
    }

    /// Comes and goes too often.
    pub const fn is_flapping(&self) -> bool {
        self.progress.flapping
    }

    pub fn is_dismissed(&self) -> bool {
        self.native.as_ref().is_some_and(|native| native.dismissed)
    }

    /// Quiet for a reason: somebody knows, wants no word, or was told by another case.
    pub fn is_quiet(&self) -> bool {
        self.suppressed_by.is_some() || self.is_unwanted()
    }

    /// Quiet for its own sake: somebody knows, or wants no word.
    pub(super) fn is_unwanted(&self) -> bool {
        self.acknowledged.is_some() || !self.silenced_by.is_empty() || self.is_dismissed()
    }

    /// Somebody should hear of it now.
    pub fn notifies(&self) -> bool {
        self.state == CaseState::Firing && !self.is_quiet()
    }

    /// Whoever heard that it fires should hear that it does no longer.
    pub fn has_fired(&self) -> bool {
        self.fired_at.is_some()
    }

    /// For optimistic concurrency.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.revision)
    }

    /// The steps it has gone since it was as `before`; all of them where that is another case or none.
    pub(super) fn steps_since(&self, before: Option<&Self>) -> &[Transition] {
        let last = before.filter(|before| before.id == self.id).and_then(|before| before.transitions.last());
        let known = last.and_then(|last| self.transitions.iter().rposition(|step| step == last));
        self.transitions.get(known.map_or(0, |known| known + 1)..).unwrap_or_default()
    }

    pub(super) fn note(&mut self, step: Step, at: UnixMillis, text: String, who: &str) {
        if self.transitions.len() == TRANSITIONS_MAX {
            // The first one tells how it began.
            self.transitions.remove(1);
        }
        self.transitions.push(Transition {
            step,
            at,
            severity: self.severity,
            revision: self.resource_revision,
            text,
            evidence: self.evidence.clone(),
            who: who.to_owned(),
        });
    }
}
