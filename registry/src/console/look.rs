//! How health looks: a word, a shape and a colour that say the same. Severity,
//! age and reach stay apart: what is old keeps its last known health and says
//! since when it is old.

use std::fmt;

use askama::filters::HtmlSafe;
use pulse_proto::model::{ConnectionState, Freshness, ResourceType, Severity, Status, UnixMillis};

use super::figure::When;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard, View};

/// What a badge says of a thing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Healthy,
    Monitor,
    /// Not running, and nothing is wrong with that.
    Stopped,
    Unknown,
    Warning,
    Critical,
}

impl Health {
    /// What an alert can be, with the word of a filter.
    pub const ALERTING: [(Self, &'static str); 3] =
        [(Self::Critical, "critical"), (Self::Warning, "warning"), (Self::Monitor, "monitor")];

    pub fn of(resource: &Resource) -> Self {
        match (resource.severity, resource.status) {
            (Severity::Critical, _) => Self::Critical,
            (Severity::Warning, _) => Self::Warning,
            (_, Status::Offline) => Self::Stopped,
            (_, Status::Unknown) => Self::Unknown,
            (Severity::Monitor, _) => Self::Monitor,
            (Severity::Healthy, _) => Self::Healthy,
        }
    }

    pub const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Healthy => Self::Healthy,
            Severity::Monitor => Self::Monitor,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }

    /// The name of its colour and its shape.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Healthy => "ok",
            Self::Monitor => "watch",
            Self::Stopped => "off",
            Self::Unknown => "unknown",
            Self::Warning => "warn",
            Self::Critical => "bad",
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Monitor => "Monitor",
            Self::Stopped => "Stopped",
            Self::Unknown => "Unknown",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
        }
    }
}

/// Whether somebody can still be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Fresh,
    Stale,
    Lost,
    /// Its collector does not get through to it.
    Unreachable,
    /// Nobody asks it: an operator said so.
    SwitchedOff,
}

impl Reach {
    /// Of something that `shard` brought.
    pub fn of(freshness: Freshness, shard: Option<&Shard>) -> Self {
        let state = shard.and_then(|shard| shard.status.as_ref()).map(|status| status.state);
        match (freshness, state) {
            (_, Some(ConnectionState::Disabled)) => Self::SwitchedOff,
            (Freshness::Fresh, _) => Self::Fresh,
            (_, Some(ConnectionState::BackingOff | ConnectionState::Refused)) => Self::Unreachable,
            (Freshness::Stale, _) => Self::Stale,
            (Freshness::Lost, _) => Self::Lost,
        }
    }

    pub const fn token(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Lost => "lost",
            Self::Unreachable => "away",
            Self::SwitchedOff => "paused",
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "Fresh",
            Self::Stale => "Stale",
            Self::Lost => "Lost",
            Self::Unreachable => "Unreachable",
            Self::SwitchedOff => "Switched off",
        }
    }
}

/// A badge, and beside it how old what it says is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub health: Health,
    pub reach: Reach,
    /// When it was seen last.
    pub seen: Option<UnixMillis>,
    pub now: UnixMillis,
}

impl Look {
    pub fn of(found: &Found, view: &View, now: UnixMillis) -> Self {
        let resource = &found.resource;
        let shard = view.shard(&resource.connection);
        let mut health = Health::of(resource);
        // A machine that cannot be asked is not known to have stopped.
        if resource.resource_type() == ResourceType::Host && health == Health::Stopped {
            health = Health::Critical;
        }
        let reach = Reach::of(resource.freshness, shard.map(|shard| &**shard));
        Self { health, reach, seen: found.observed_at, now }
    }

    /// The first is what needs somebody most.
    pub fn urgency(&self) -> (std::cmp::Reverse<Health>, std::cmp::Reverse<bool>) {
        let unseen = matches!(self.reach, Reach::Unreachable | Reach::Lost | Reach::Stale);
        (std::cmp::Reverse(self.health), std::cmp::Reverse(unseen))
    }

    /// In words, for a title.
    pub fn words(&self) -> String {
        match self.reach {
            Reach::Fresh => self.health.word().to_owned(),
            reach => format!("{}, last known {}", reach.word(), self.health.word().to_lowercase()),
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reach != Reach::Fresh {
            badge(f, self.reach.token(), self.reach.word(), "")?;
            f.write_str(" <small class=\"was\">")?;
            match self.seen {
                Some(at) => write!(f, "seen {}", When { at, now: self.now })?,
                None => f.write_str("never seen")?,
            }
            f.write_str("</small> ")?;
        }
        badge(
            f,
            self.health.token(),
            self.health.word(),
            if self.reach == Reach::Fresh { "" } else { " old" },
        )
    }
}

impl HtmlSafe for Look {}

/// One badge by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Its colour and shape.
    pub token: &'static str,
    pub word: &'static str,
}

impl From<Health> for Badge {
    fn from(health: Health) -> Self {
        Self { token: health.token(), word: health.word() }
    }
}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        badge(f, self.token, self.word, "")
    }
}

impl HtmlSafe for Badge {}

fn badge(f: &mut fmt::Formatter<'_>, token: &str, word: &str, more: &str) -> fmt::Result {
    write!(
        f,
        "<span class=\"badge {token}{more}\"><svg class=\"i\" aria-hidden=\"true\"><use href=\"#i-{token}\"/></svg>{word}</span>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(health: Health, reach: Reach) -> String {
        let now = UnixMillis::new(1_700_000_000_000);
        Look { health, reach, seen: Some(UnixMillis::new(now.get() - 600_000)), now }.to_string()
    }

    #[test]
    fn what_is_old_says_so_and_keeps_its_health() {
        let fresh = look(Health::Warning, Reach::Fresh);
        assert!(fresh.contains("badge warn\"") && fresh.contains("Warning") && !fresh.contains("seen"));
        for (reach, word) in
            [(Reach::Stale, "Stale"), (Reach::Lost, "Lost"), (Reach::Unreachable, "Unreachable")]
        {
            let old = look(Health::Warning, reach);
            assert!(old.contains(word) && old.contains("10 min ago"), "{old}");
            assert!(old.contains("badge warn old") && old.contains("Warning"), "{old}");
        }
    }

    #[test]
    fn every_look_has_a_word_a_colour_and_a_shape_of_its_own() {
        use Health::{Critical, Healthy, Monitor, Stopped, Unknown, Warning};
        let all = [Healthy, Monitor, Stopped, Unknown, Warning, Critical];
        let tokens: std::collections::BTreeSet<&str> = all.iter().map(|health| health.token()).collect();
        let words: std::collections::BTreeSet<&str> = all.iter().map(|health| health.word()).collect();
        assert_eq!((tokens.len(), words.len()), (all.len(), all.len()));
        let sprite = include_str!("../../templates/console/icons.html");
        for token in tokens.into_iter().chain(["stale", "lost", "away", "paused"]) {
            assert!(sprite.contains(&format!("id=\"i-{token}\"")), "{token}");
        }
    }
}
