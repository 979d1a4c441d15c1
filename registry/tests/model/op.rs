//! What may happen, small and readable: a failing case shrinks to a few of these.

use proptest::prelude::*;

use super::mirror::READERS;

/// Two NAS and an agent. The agent and the first NAS may be on one machine.
pub(crate) const CONNECTIONS: [&str; 3] = ["nas1", "nas2", "agent"];
pub(crate) const AGENT: usize = 2;
/// Who brings them; any may bring any.
pub(crate) const COLLECTORS: [&str; 2] = ["one", "two"];
pub(crate) const NAMES: u8 = 5;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Batch(Draft),
    /// "Nothing changed", of the state that is held or of another.
    Heartbeat {
        connection: usize,
        collector: usize,
        is_known: bool,
        is_newer: bool,
    },
    Disconnect {
        connection: usize,
        collector: usize,
        turn: Turn,
        /// It names an epoch as its own: the one that is held, or another.
        names_held: Option<bool>,
    },
    Say(Stand),
    List {
        filter: Filter,
        order: Order,
        size: i32,
    },
    /// The next page of the list begun last.
    Continue {
        size: i32,
    },
    Get(usize),
    Watch {
        reader: usize,
        filter: Filter,
    },
    Read(usize),
    Reconnect(usize),
    /// The process is killed.
    Restart,
}

/// A batch before it has an epoch and a number.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) connection: usize,
    pub(crate) collector: usize,
    pub(crate) turn: Turn,
    pub(crate) begin: bool,
    pub(crate) end: bool,
    pub(crate) records: Vec<Thing>,
    pub(crate) removals: Vec<What>,
    /// Outcome of a section, when it is told: complete or failed.
    pub(crate) sections: [Option<bool>; 2],
}

/// Where a batch stands among those of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Next,
    /// Sent before, acknowledged or not.
    Again,
    /// One is missing in between.
    Skips,
    /// A newer holder's first.
    NewHolder,
    /// From one whose lease is over.
    OldHolder,
    /// Changes another state than the one held.
    OtherBase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Pool(u8),
    Host,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Thing {
    pub(crate) what: What,
    /// A version of it; of a host: the machine.
    pub(crate) value: u8,
    pub(crate) is_faulted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Same,
    Different,
    Forget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    All,
    Storage,
    FirstNas,
    Agent,
    NotFaulted,
    Value(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Name,
    NameDescending,
    State,
}

impl What {
    /// Which of the sections it is in.
    pub(crate) fn section(self) -> usize {
        match self {
            Self::Pool(name) => usize::from(name % 2),
            Self::Host => 0,
        }
    }
}

impl Filter {
    pub(crate) fn text(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Storage => "type = storage".to_owned(),
            Self::FirstNas => "connection = nas1".to_owned(),
            Self::Agent => "source = agent".to_owned(),
            Self::NotFaulted => "NOT state = FAULTED".to_owned(),
            Self::Value(value) => format!("tags:\"v{value}\""),
        }
    }
}

impl Order {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDescending => "name desc",
            Self::State => "state, name",
        }
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        3 => Just(Filter::All),
        1 => Just(Filter::Storage),
        1 => Just(Filter::FirstNas),
        1 => Just(Filter::Agent),
        2 => Just(Filter::NotFaulted),
        1 => (0..3_u8).prop_map(Filter::Value),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![5 => (0..NAMES).prop_map(What::Pool), 2 => Just(What::Host)]
}

fn collector() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 1 => Just(1_usize)]
}

fn draft() -> impl Strategy<Value = Draft> {
    let turn = prop_oneof![
        12 => Just(Turn::Next),
        1 => Just(Turn::Again),
        1 => Just(Turn::Skips),
        1 => Just(Turn::NewHolder),
        1 => Just(Turn::OldHolder),
        1 => Just(Turn::OtherBase),
    ];
    let marks = prop_oneof![
        6 => Just((false, false)),
        2 => Just((true, true)),
        1 => Just((true, false)),
        1 => Just((false, true)),
    ];
    let thing = (what(), 0..3_u8, any::<bool>());
    let thing = thing.prop_map(|(what, value, is_faulted)| Thing { what, value, is_faulted });
    let section = || prop::option::weighted(0.5, prop::bool::weighted(0.8));
    (
        0..CONNECTIONS.len(),
        collector(),
        turn,
        marks,
        prop::collection::vec(thing, 0..4),
        prop::collection::vec(what(), 0..2),
        [section(), section()],
    )
        .prop_map(|(connection, collector, turn, (begin, end), records, removals, sections)| Draft {
            connection,
            collector,
            turn,
            begin,
            end,
            records,
            removals,
            sections,
        })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let stand = prop_oneof![Just(Stand::Same), Just(Stand::Different), Just(Stand::Forget)];
    let ending = prop_oneof![
        4 => Just(Turn::Next),
        1 => Just(Turn::Again),
        1 => Just(Turn::NewHolder),
        1 => Just(Turn::OldHolder),
    ];
    let order = prop_oneof![Just(Order::Name), Just(Order::NameDescending), Just(Order::State)];
    prop_oneof![
        14 => draft().prop_map(Op::Batch),
        1 => (0..CONNECTIONS.len(), collector(), any::<bool>(), any::<bool>()).prop_map(
            |(connection, collector, is_known, is_newer)| Op::Heartbeat {
                connection,
                collector,
                is_known,
                is_newer,
            }
        ),
        2 => (0..CONNECTIONS.len(), collector(), ending, any::<Option<bool>>()).prop_map(
            |(connection, collector, turn, names_held)| Op::Disconnect {
                connection,
                collector,
                turn,
                names_held,
            }
        ),
        2 => stand.prop_map(Op::Say),
        3 => (filter(), order, 1..4_i32).prop_map(|(filter, order, size)| Op::List { filter, order, size }),
        2 => (1..4_i32).prop_map(|size| Op::Continue { size }),
        1 => (0..8_usize).prop_map(Op::Get),
        2 => (0..READERS, filter()).prop_map(|(reader, filter)| Op::Watch { reader, filter }),
        4 => (0..READERS).prop_map(Op::Read),
        1 => (0..READERS).prop_map(Op::Reconnect),
        1 => Just(Op::Restart),
    ]
}
