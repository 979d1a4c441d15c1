//! A connection that is deleted here while another collector holds it.

use std::collections::BTreeSet;

use pb::reject::Reason;
use pulse_proto::model::{ConnectionState, ConnectionStatus};

use super::*;
use crate::batch::Told;

const EPOCH: u64 = 5;

fn nas() -> ConnectionId {
    ConnectionId::parse("nas").unwrap()
}

fn update(core: &mut Core, update: Update) -> Vec<Notice> {
    core.update(BTreeMap::from([(nas(), update)]))
}

fn state() -> Update {
    let status = ConnectionStatus {
        name: "nas".to_owned(),
        state: ConnectionState::Live,
        reason: String::new(),
        since: None,
        labels: BTreeMap::new(),
    };
    Update::State(Told::new(Vec::new(), Vec::new(), status, BTreeSet::new(), None).into())
}

/// `holder`: the epoch that the registry knows of the connection.
fn welcome(core: &mut Core, holder: Option<u64>, now: Instant) -> Vec<Notice> {
    let cursor = |epoch| pb::ConnectionCursor {
        connection: "nas".to_owned(),
        epoch,
        ..pb::ConnectionCursor::default()
    };
    let cursors = holder.map(cursor).into_iter().collect();
    core.welcomed(&pb::Welcome { cursors, ..pb::Welcome::default() }, now)
}

fn fence(core: &mut Core, sequence: u64, current_epoch: u64, now: Instant) -> Vec<Notice> {
    let mut reject = pb::Reject {
        connection: "nas".to_owned(),
        epoch: EPOCH,
        sequence,
        current_epoch,
        ..pb::Reject::default()
    };
    reject.set_reason(Reason::Fenced);
    core.received(Said::Reject(reject), now)
}

/// Nothing is told of it, nor is it waited for.
fn assert_left(core: &mut Core, notices: &[Notice], now: Instant) {
    assert_eq!(notices, [Notice::Left(nas())]);
    assert_eq!(core.poll(now), None);
    assert_eq!(core.connections().count(), 0);
    assert!(core.is_settled());
}

#[test]
fn what_another_collector_holds_is_left_to_it() {
    let now = Instant::now();
    let fenced = [Notice::Fenced { connection: nas(), current: 9 }];

    // Fenced first, then deleted.
    let mut core = Core::new(Epoch(EPOCH), BTreeSet::new());
    update(&mut core, state());
    welcome(&mut core, None, now);
    assert!(matches!(core.poll(now), Some(Message::Batch(batch)) if batch.sequence == 1));
    assert_eq!(fence(&mut core, 1, 9, now), fenced);
    let notices = update(&mut core, Update::Removed);
    assert_left(&mut core, &notices, now);
    // It may come back, and goes on with the numbers of its epoch.
    assert_eq!(update(&mut core, state()), []);
    assert!(matches!(core.poll(now), Some(Message::Batch(batch)) if batch.sequence == 2));

    // Deleted while there was no stream, and fenced when there is one.
    let mut core = Core::new(Epoch(EPOCH), BTreeSet::new());
    assert_eq!(update(&mut core, Update::Removed), []);
    let notices = welcome(&mut core, Some(9), now);
    assert_left(&mut core, &notices, now);

    // Told as deleted, and refused.
    let mut core = Core::new(Epoch(EPOCH), BTreeSet::new());
    update(&mut core, Update::Removed);
    welcome(&mut core, None, now);
    assert!(matches!(core.poll(now), Some(Message::ConnectionRemoval(_))));
    let notices = fence(&mut core, 1, 9, now);
    assert_left(&mut core, &notices, now);

    // The same, and added again before that is heard: what is told now is another matter.
    let mut core = Core::new(Epoch(EPOCH), BTreeSet::new());
    update(&mut core, Update::Removed);
    welcome(&mut core, None, now);
    assert!(matches!(core.poll(now), Some(Message::ConnectionRemoval(_))));
    update(&mut core, state());
    assert!(matches!(&*fence(&mut core, 1, 9, now), [Notice::Refused { .. }]));
    assert!(matches!(core.poll(now), Some(Message::Batch(batch)) if batch.sequence == 2));

    // One that is still here waits for the other to let it go.
    let mut core = Core::new(Epoch(EPOCH), BTreeSet::new());
    update(&mut core, state());
    assert_eq!(welcome(&mut core, Some(9), now), fenced);
    assert_eq!(core.connections().count(), 1);
}

#[test]
fn what_is_held_of_an_earlier_epoch_is_removed_as_ones_own() {
    let now = Instant::now();
    let begun = || Core::new(Epoch(EPOCH), BTreeSet::from([2, 3]));
    let own_epoch = |core: &mut Core| match core.poll(now) {
        Some(Message::ConnectionRemoval(removal)) => removal.own_epoch,
        other => panic!("{other:?} is no removal"),
    };

    // Known when the stream begins.
    let mut core = begun();
    update(&mut core, Update::Removed);
    assert_eq!(welcome(&mut core, Some(3), now), []);
    assert_eq!(own_epoch(&mut core), 3);

    // Not asked for then.
    let mut core = begun();
    welcome(&mut core, None, now);
    update(&mut core, Update::Removed);
    assert_eq!(own_epoch(&mut core), 0);
    assert_eq!(fence(&mut core, 1, 3, now), []);
    assert_eq!(own_epoch(&mut core), 3);
    // A registry that does not know better is not asked for ever.
    let notices = fence(&mut core, 2, 3, now);
    assert_left(&mut core, &notices, now);

    // Another one's, though older than this start.
    let mut core = begun();
    update(&mut core, Update::Removed);
    welcome(&mut core, Some(4), now);
    assert_eq!(own_epoch(&mut core), 0);
    let notices = fence(&mut core, 1, 4, now);
    assert_left(&mut core, &notices, now);
}
