//! Carries out what an operator wants changed on the NAS, over the session that is there, and answers when the
//! change was read back.

use tokio::time::Instant;

use super::live::{Done, Round};
use super::reader::{Change, Lost, Reader};
use super::schedule::Urgency;
use super::task::Task;
use crate::api::alert::{WRITE_ROLE, mark};
use crate::api::section::Data;
use crate::api::{Section, SectionFailure};
use crate::connection::order::{Action, Answer, Carried, Order, Undone};

/// Orders on their way.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// One is with the NAS: the next one waits, so that they keep their order.
    pub(super) busy: bool,
    /// Carried out; the alerts are to be read again.
    waiting: Vec<Told>,
    /// Of these, the read under way brings what came of them.
    reading: Vec<Told>,
}

/// An order that was carried out. Whoever asked hears so when this is dropped, whatever becomes of the read.
#[derive(Debug)]
struct Told(Option<Order>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(order) = self.0.take() {
            order.answer(Ok(Carried::Changed));
        }
    }
}

impl Desk {
    /// A read of the alerts begins.
    pub(super) fn begun(&mut self) {
        self.reading.append(&mut self.waiting);
    }

    /// And has ended, well or not.
    pub(super) fn read(&mut self) {
        self.reading.clear();
    }
}

impl Task {
    pub(super) fn carry_out(round: &mut Round, order: Order) {
        round.desk.busy = true;
        let reader = std::sync::Arc::clone(&round.reader);
        round.running.spawn(async move {
            let outcome = carry_out(&reader, order.action, order.uuid.as_str()).await;
            Done::Order(order, outcome)
        });
    }

    pub(super) fn carried_out(
        &mut self,
        round: &mut Round,
        order: Order,
        outcome: Result<Answer, Lost>,
    ) -> Result<(), Lost> {
        round.desk.busy = false;
        let answer = outcome?;
        if answer == Ok(Carried::Changed) && !self.disabled.contains(&Section::Alerts) {
            round.desk.waiting.push(Told(Some(order)));
            self.pacing.schedule.hint(Section::Alerts, Urgency::Now, Instant::now());
        } else {
            order.answer(answer);
        }
        Ok(())
    }
}

/// The NAS takes the name of an alert it does not have without a word, so that is looked up first.
async fn carry_out(reader: &Reader, action: Action, uuid: &str) -> Result<Answer, Lost> {
    let alerts = match reader.read(Section::Alerts).await? {
        Ok(read) => match read.data {
            Data::Alerts(alerts) => alerts,
            _ => Vec::new(),
        },
        Err(SectionFailure::Failed(why)) => return Ok(Err(Undone::Failed(why))),
        Err(SectionFailure::Forbidden) => {
            return Ok(Err(Undone::Forbidden { role: Section::Alerts.role() }));
        }
        Err(SectionFailure::Unsupported) => return Ok(Err(Undone::Unsupported)),
    };
    let Some(alert) = alerts.iter().find(|alert| alert.uuid == uuid) else {
        return Ok(Err(Undone::NoSuchAlert));
    };
    if alert.dismissed == (action == Action::Dismiss) {
        return Ok(Ok(Carried::Unchanged));
    }
    let call = mark(action, uuid, reader.dialect().transport);
    Ok(match reader.change(&call).await? {
        Change::Made => Ok(Carried::Changed),
        Change::Forbidden => Err(Undone::Forbidden { role: WRITE_ROLE }),
        Change::Unsupported => Err(Undone::Unsupported),
        Change::Failed(why) => Err(Undone::Failed(why)),
    })
}
