//! What the parts of a fleet's context are about, in the order in which they
//! are told.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    WrongNow,
    GettingWorse,
    Alerts,
    BlindSpots,
    Resources,
    Systems,
    Pools,
    ProtectionTasks,
    TopConsumers,
    RecentChanges,
    Inventory,
}

impl Topic {
    pub const ALL: [Self; 11] = [
        Self::WrongNow,
        Self::GettingWorse,
        Self::Alerts,
        Self::BlindSpots,
        Self::Resources,
        Self::Systems,
        Self::Pools,
        Self::ProtectionTasks,
        Self::TopConsumers,
        Self::RecentChanges,
        Self::Inventory,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::WrongNow => "Wrong now",
            Self::GettingWorse => "Getting worse",
            Self::Alerts => "Alerts",
            Self::BlindSpots => "Blind spots",
            Self::Resources => "Resources",
            Self::Systems => "Systems",
            Self::Pools => "Pools",
            Self::ProtectionTasks => "Protection tasks",
            Self::TopConsumers => "Top consumers",
            Self::RecentChanges => "Recent changes",
            Self::Inventory => "Inventory",
        }
    }

    /// Of the budget, in percent, before what is left over goes to the first that can use it.
    pub(super) const fn share(self) -> usize {
        match self {
            Self::WrongNow | Self::Resources => 80,
            Self::GettingWorse | Self::Pools => 14,
            Self::Systems | Self::Alerts => 12,
            Self::ProtectionTasks | Self::TopConsumers | Self::RecentChanges => 10,
            Self::BlindSpots => 8,
            Self::Inventory => 6,
        }
    }

    /// Continues "Ask with ".
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::WrongNow => "filter 'severity >= warning' or a larger max_tokens",
            Self::GettingWorse => "filter 'severity = monitor' or a larger max_tokens",
            Self::BlindSpots => "filter 'freshness != fresh' or a larger max_tokens",
            Self::Resources => "a narrower filter or a larger max_tokens",
            Self::Systems => "filter 'type = host' or a larger max_tokens",
            Self::Pools => "filter 'topology = pool' or a larger max_tokens",
            Self::ProtectionTasks => "filter 'type = protection_task' or a larger max_tokens",
            Self::RecentChanges => "a later since, a filter or a larger max_tokens",
            Self::Alerts => "a filter or a larger max_tokens",
            Self::TopConsumers | Self::Inventory => "a larger max_tokens",
        }
    }
}

/// What is to be told, each once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    topics: Vec<Topic>,
    are_asked: bool,
}

impl Default for Topics {
    /// A list of everything is nobody's context.
    fn default() -> Self {
        let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::Resources).collect();
        Self { topics, are_asked: false }
    }
}

impl Topics {
    /// All that are worth telling when none is asked for.
    pub fn of(asked: &[Topic]) -> Self {
        if asked.is_empty() {
            return Self::default();
        }
        let topics = Topic::ALL.into_iter().filter(|topic| asked.contains(topic)).collect();
        Self { topics, are_asked: true }
    }

    /// Whether the reader chose them, and waits for each.
    pub(super) const fn are_asked(&self) -> bool {
        self.are_asked
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Topic> {
        self.topics.iter().copied()
    }
}
