//! A naive model of ingest, list, get and watch, and the real registry beside
//! it: any history of batches, snapshots, removals, fencing, links, restarts and
//! slow readers must look the same through both. Over the wire, without sockets.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod mirror;
mod op;
mod reference;
mod subject;

use proptest::prelude::*;

use self::mirror::{Mirror, READERS};
use self::op::{Filter, Op, Order, op};
use self::reference::{Heartbeat, Model, Row, Said};
use self::subject::Subject;

const CASES: u32 = 600;

type Check = Result<(), TestCaseError>;

/// Both worlds, and those who read the real one.
struct Pair {
    model: Model,
    subject: Subject,
    mirrors: [Option<Mirror>; READERS],
    /// A list that was begun: the rest of its rows, its token and its question.
    list: Option<Begun>,
}

struct Begun {
    rest: Vec<Row>,
    token: String,
    filter: Filter,
    order: Order,
    revision: u64,
}

impl Pair {
    async fn run(&mut self, op: &Op) -> Check {
        match op {
            Op::Batch(batch) => {
                let batch = self.model.address(batch);
                let expected = self.model.batch(&batch);
                let said = self.subject.batch(&batch, expected.len()).await;
                self.compare(said, expected)?;
            }
            Op::Heartbeat { connection, collector, is_known, is_newer } => {
                let (heartbeat, expected) =
                    self.model.heartbeat(*connection, *collector, *is_known, *is_newer);
                let is_taken = expected.is_empty();
                let said = self.subject.heartbeat(&heartbeat, expected.len()).await;
                self.compare(said, expected)?;
                if is_taken {
                    // Not answered: what is answered after it says that it is durable.
                    let other = Heartbeat { digest: heartbeat.digest.wrapping_add(100), ..heartbeat };
                    let said = self.subject.heartbeat(&other, 1).await;
                    self.compare(said, vec![Said::Resync])?;
                }
            }
            Op::Disconnect { connection, collector, turn, names_held } => {
                let (removal, expected) = self.model.disconnect(*connection, *collector, *turn, *names_held);
                let said = self.subject.removal(&removal).await;
                self.compare(said, vec![expected])?;
            }
            Op::Say(stand) => {
                let expected = self.model.say(*stand);
                let revision = self.subject.say(*stand).await;
                prop_assert_eq!(revision.is_some(), expected, "{:?}", stand);
                if let Some(revision) = revision {
                    self.model.moved_to(revision, true)?;
                }
            }
            Op::List { filter, order, size } => self.list(*filter, *order, *size).await?,
            Op::Continue { size } => self.list_on(*size).await?,
            Op::Get(number) => self.get(*number).await?,
            Op::Watch { reader, filter } => {
                self.mirrors[*reader] = Some(Mirror::open(&self.subject, *filter).await);
            }
            Op::Read(reader) => {
                if let Some(mirror) = &mut self.mirrors[*reader] {
                    mirror.read_to_head(&self.model).await?;
                }
            }
            Op::Reconnect(reader) => {
                if let Some(mirror) = &mut self.mirrors[*reader] {
                    mirror.reconnect(&self.subject).await;
                }
            }
            Op::Restart => {
                self.subject.restart().await;
                self.model.restarted();
                self.list = None;
                for mirror in self.mirrors.iter_mut().flatten() {
                    mirror.reconnect(&self.subject).await;
                }
            }
        }
        Ok(())
    }

    /// What was answered is what the model says, and the revision is the next one when something visible changed.
    fn compare(&mut self, said: Vec<(Said, u64)>, expected: Vec<Said>) -> Check {
        let words: Vec<Said> = said.iter().map(|(said, _)| *said).collect();
        prop_assert_eq!(words, expected);
        for (_, revision) in said.into_iter().filter(|(said, _)| *said == Said::Ack) {
            self.model.moved_to(revision, false)?;
        }
        Ok(())
    }

    async fn list(&mut self, filter: Filter, order: Order, size: i32) -> Check {
        let page = self.subject.page(filter, order, size, "").await.unwrap();
        prop_assert_eq!(page.revision, self.model.revision());
        let rows = self.model.rows(filter, order);
        prop_assert_eq!(usize::try_from(page.total_size).unwrap(), rows.len());
        self.take_page(page, Begun { rest: rows, token: String::new(), filter, order, revision: 0 })
    }

    async fn list_on(&mut self, size: i32) -> Check {
        let Some(begun) = self.list.take() else { return Ok(()) };
        let page = self.subject.page(begun.filter, begun.order, size, &begun.token).await.unwrap();
        // Of the revision that it began with, whatever was written since.
        prop_assert_eq!(page.revision, begun.revision);
        self.take_page(page, begun)
    }

    fn take_page(&mut self, page: subject::Page, begun: Begun) -> Check {
        let Begun { mut rest, filter, order, .. } = begun;
        let shown: Vec<Row> = page.resources.iter().map(Row::shown).collect();
        let here: Vec<Row> = rest.drain(..shown.len().min(rest.len())).collect();
        prop_assert_eq!(shown, here);
        prop_assert_eq!(page.next_page_token.is_empty(), rest.is_empty());
        let (token, revision) = (page.next_page_token, page.revision);
        self.list = (!rest.is_empty()).then_some(Begun { rest, token, filter, order, revision });
        Ok(())
    }

    async fn get(&mut self, number: usize) -> Check {
        let rows = self.model.rows(Filter::All, Order::Name);
        let Some(row) = rows.get(number % rows.len().max(1)) else { return Ok(()) };
        let page = self.subject.page(Filter::All, Order::Name, 1_000, "").await.unwrap();
        let id = page.resources.iter().find(|resource| Row::shown(resource) == *row).map(|found| &found.id);
        prop_assert!(id.is_some(), "{row:?} is not listed");
        let (resource, revision) = self.subject.get(id.unwrap()).await;
        prop_assert_eq!((&Row::shown(&resource), revision), (row, self.model.revision()));
        Ok(())
    }

    async fn end(&mut self) -> Check {
        self.list(Filter::All, Order::NameDescending, 1_000).await?;
        for mirror in self.mirrors.iter_mut().flatten() {
            mirror.read_to_head(&self.model).await?;
        }
        self.run(&Op::Restart).await?;
        self.list(Filter::All, Order::Name, 1_000).await
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn the_registry_does_what_the_model_does(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let subject = Subject::start().await;
            let mut pair = Pair { model: Model::default(), subject, mirrors: [None, None], list: None };
            for op in &ops {
                pair.run(op).await?;
            }
            pair.end().await
        })?;
    }
}
