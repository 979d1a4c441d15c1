//! A wish for a reading now, and word when it is done. Wishes made during a round are served by the next one.

use tokio::sync::watch;

/// Shared by who asks (the service) and who reads (the target's task).
#[derive(Debug)]
pub struct Refresh {
    asked: watch::Sender<u64>,
    done: watch::Sender<u64>,
}

/// A wish, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// The connection was removed while somebody waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was removed")]
pub struct Removed;

impl Default for Refresh {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), done: watch::Sender::new(0) }
    }
}

impl Refresh {
    pub fn ask(&self) -> Ticket {
        let mut ticket = 0;
        self.asked.send_modify(|asked| {
            *asked = asked.saturating_add(1);
            ticket = *asked;
        });
        Ticket(ticket)
    }

    /// Resolves when a round that began after the wish has ended.
    pub async fn served(&self, ticket: Ticket) -> Result<(), Removed> {
        let mut done = self.done.subscribe();
        let reached = done.wait_for(|done| *done >= ticket.0).await.map(|done| *done);
        match reached {
            Ok(u64::MAX) | Err(_) => Err(Removed),
            Ok(_) => Ok(()),
        }
    }

    /// For the task: resolves when there is a wish that no round has served, with the newest one. Cancel safe.
    pub async fn asked(&self) -> Ticket {
        let mut asked = self.asked.subscribe();
        match asked.wait_for(|asked| *asked > *self.done.borrow()).await.map(|asked| *asked) {
            Ok(newest) => Ticket(newest),
            Err(_) => std::future::pending().await,
        }
    }

    /// For the task: the round that began after this wish has ended, well or not.
    pub fn finish(&self, ticket: Ticket) {
        self.done.send_if_modified(|done| {
            let newer = ticket.0 > *done;
            *done = (*done).max(ticket.0);
            newer
        });
    }

    /// Nobody will serve wishes any more.
    pub(super) fn close(&self) {
        self.done.send_replace(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn wishes_are_served_together_and_only_by_later_rounds() {
        let refresh = Refresh::default();
        assert!(refresh.asked().now_or_never().is_none());
        let first = refresh.ask();
        let second = refresh.ask();
        let round = refresh.asked().await;
        let third = refresh.ask();
        refresh.finish(round);
        assert_eq!(refresh.served(first).now_or_never(), Some(Ok(())));
        assert_eq!(refresh.served(second).now_or_never(), Some(Ok(())));
        assert!(refresh.served(third).now_or_never().is_none());
        assert_eq!(refresh.asked().await, third);
        refresh.close();
        assert_eq!(refresh.served(third).now_or_never(), Some(Err(Removed)));
        assert!(refresh.asked().now_or_never().is_none());
    }
}
