//! A wish to change something on the NAS, and word of what came of it. Given by the service, carried out by the task
//! of the connection, one after another.

use std::fmt;

use tokio::sync::{Mutex, mpsc, oneshot};

/// Wishes of one connection that wait.
pub const WAITING_MAX: usize = 16;
const UUID_CHARS_MAX: usize = 128;

/// What may be changed: nothing that touches data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Mark an alert as seen.
    Dismiss,
    /// Take that back.
    Restore,
}

/// An alert as its NAS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertUuid(String);

impl AlertUuid {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.chars().count() <= UUID_CHARS_MAX;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The NAS is as it was wished to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Changed,
    /// It was already, and nothing was sent.
    Unchanged,
}

/// The NAS is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    #[error("the NAS has no such alert")]
    NoSuchAlert,
    #[error("the account on the NAS lacks the role {role}")]
    Forbidden { role: &'static str },
    #[error("this release of TrueNAS cannot do it")]
    Unsupported,
    #[error("{0}")]
    Failed(String),
}

pub type Answer = Result<Carried, Undone>;

#[derive(Debug)]
pub struct Order {
    pub action: Action,
    pub uuid: AlertUuid,
    answer: oneshot::Sender<Answer>,
}

impl Order {
    pub fn answer(self, answer: Answer) {
        // Whoever asked may have gone.
        drop(self.answer.send(answer));
    }
}

/// So many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Shared by who asks and who carries out.
#[derive(Debug)]
pub struct Orders {
    sender: mpsc::Sender<Order>,
    waiting: Mutex<mpsc::Receiver<Order>>,
}

impl Default for Orders {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        Self { sender, waiting: Mutex::new(waiting) }
    }
}

impl Orders {
    /// The answer does not come when the session ends while the order is carried out, or when the connection is removed.
    pub fn place(&self, action: Action, uuid: AlertUuid) -> Result<oneshot::Receiver<Answer>, Full> {
        let (answer, answered) = oneshot::channel();
        self.sender.try_send(Order { action, uuid, answer }).map_err(|_| Full)?;
        Ok(answered)
    }

    /// For the task: the next order that somebody still waits for. Cancel safe.
    pub async fn next(&self) -> Order {
        let mut waiting = self.waiting.lock().await;
        while let Some(order) = waiting.recv().await {
            if !order.answer.is_closed() {
                return order;
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn uuid(text: &str) -> AlertUuid {
        AlertUuid::parse(text).expect("a uuid")
    }

    #[test]
    fn names_of_alerts_are_bounded_and_printable() {
        for (text, good) in [("7f0c", true), ("", false), ("a\nb", false), (&"x".repeat(129), false)] {
            assert_eq!(AlertUuid::parse(text).is_some(), good, "{text:?}");
        }
    }

    #[tokio::test]
    async fn orders_keep_their_turn_and_those_nobody_waits_for_are_dropped() {
        let orders = Orders::default();
        let gone = orders.place(Action::Dismiss, uuid("a")).expect("room");
        let mut second = orders.place(Action::Restore, uuid("b")).expect("room");
        drop(gone);
        let order = orders.next().await;
        assert_eq!((order.action, order.uuid.as_str()), (Action::Restore, "b"));
        assert!(orders.next().now_or_never().is_none());
        order.answer(Ok(Carried::Changed));
        assert_eq!(second.try_recv(), Ok(Ok(Carried::Changed)));
        let kept: Vec<_> =
            (0..WAITING_MAX).map(|n| orders.place(Action::Dismiss, uuid(&n.to_string()))).collect();
        assert!(kept.iter().all(Result::is_ok));
        assert_eq!(orders.place(Action::Dismiss, uuid("more")).err(), Some(Full));
    }
}
