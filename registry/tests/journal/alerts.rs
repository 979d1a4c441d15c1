//! Alerts beside a writer whose disk fails: what is answered is durable, what
//! is not waits without holding up a stop.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::pb::registry::v1 as pb;
use pulse_registry::alert::case::Step as CaseStep;
use pulse_registry::alert::engine::{Command, Done, Engine, Keeping};
use pulse_registry::alert::silence::SilenceId;
use pulse_registry::alert::task::{Failure, Handle, Observer, Task, Why};
use pulse_registry::alert::{AlertFeed, feed};
use pulse_registry::clock::Clock;
use pulse_registry::state::Notes;
use pulse_registry::store::Store as _;
use pulse_registry::store::journal::Options;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::faulty::{Faulty, Step};
use crate::writer::{Running, start};

struct Deaf;

impl Observer for Deaf {
    fn evaluated(&self, _why: Why, _resources: usize, _took: Duration) {}
    fn passed(&self, _took: Duration) {}
    fn stepped(&self, _step: CaseStep) {}
    fn left_out(&self, _cases: u64) {}
}

struct Alerts {
    handle: Handle,
    feed: AlertFeed,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn alerts(running: &Running) -> Alerts {
    let clock = Clock::default();
    let (engine, book, _) = Engine::restore(&Notes::new(), Keeping::default(), clock.now());
    let (publisher, feed) = feed::channel(book);
    let stop = CancellationToken::new();
    let (task, handle) = Task::new(
        engine,
        publisher,
        running.feed.clone(),
        running.handle.clone(),
        clock,
        Arc::new(Deaf),
        stop.clone(),
    );
    Alerts { handle, feed, stop, task: tokio::spawn(task.run()) }
}

fn silence(id: &str) -> Command {
    let until = Clock::default().now() + Duration::from_hours(1);
    let silence = pb::Silence {
        filter: "rule = pool-state".to_owned(),
        reason: "disks are replaced".to_owned(),
        author: "ops".to_owned(),
        expires_at: Some(timestamp_to_wire(until)),
        ..pb::Silence::default()
    };
    Command::CreateSilence { id: SilenceId::new(id), silence }
}

fn no_space(step: &Step) -> Option<ErrorKind> {
    matches!(step, Step::Write(_) | Step::Create(_)).then_some(ErrorKind::StorageFull)
}

/// Whether the store on disk knows of that silence.
fn is_kept(data_dir: &Path, id: &str) -> bool {
    let loaded = crate::rows::open(crate::rows::copy(data_dir).path()).load().unwrap();
    let (engine, book, damaged) =
        Engine::restore(&loaded.remembered.notes, Keeping::default(), Clock::default().now());
    drop(engine);
    assert!(damaged.is_empty(), "{damaged:?}");
    book.silences.contains_key(&SilenceId::new(id))
}

#[tokio::test]
async fn what_is_answered_is_durable_and_what_is_not_comes_about_later() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let running = start(folder.path(), disk.clone(), Options::default());
    let Alerts { handle, feed, task, .. } = alerts(&running);
    assert!(matches!(handle.run(silence("one")).await, Ok(Done::Silence(_))));
    assert!(is_kept(folder.path(), "one"));

    disk.before(no_space);
    assert!(matches!(handle.run(silence("two")).await, Err(Failure::Store(_))));
    assert!(!feed.book().silences.contains_key(&SilenceId::new("two")), "shown is what is durable");
    disk.heal();
    // In order: this is done when the one before it is.
    assert!(matches!(handle.run(silence("three")).await, Ok(Done::Silence(_))));
    assert!(feed.book().silences.contains_key(&SilenceId::new("two")));
    assert!(is_kept(folder.path(), "two"));
    drop(handle);
    task.await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_stop_is_heard_while_the_store_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let running = start(folder.path(), disk.clone(), Options::default());
    let Alerts { handle, stop, task, .. } = alerts(&running);
    disk.before(no_space);
    assert!(matches!(handle.run(silence("one")).await, Err(Failure::Store(_))));
    stop.cancel();
    // Somebody still could ask: it is the stop that is heard.
    task.await.unwrap();
    assert_eq!(handle.run(silence("two")).await, Err(Failure::Stopped));
    running.stop().await;
}
