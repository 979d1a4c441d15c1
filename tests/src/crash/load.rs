//! Sends batches, several at a time, and takes their acknowledgements until
//! it is time for the kill.

use std::time::Duration;

use anyhow::bail;
use pulse_proto::pb::registry::v1::Reject;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::reject::Reason;
use rand::rngs::StdRng;

use super::ledger::Ledger;
use crate::harness::feeder::Feeder;

/// Batches without an answer.
const IN_FLIGHT_MAX: usize = 16;

/// How a load ended, and how many batches were acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// It is time; more batches are on their way.
    Due(usize),
    /// The registry could not make a batch durable, or will not take what follows one that it could not.
    Refused(usize),
}

pub(super) async fn until(
    feeder: &mut Feeder,
    ledger: &mut Ledger,
    rng: &mut StdRng,
    acks: u32,
    delay: Duration,
) -> anyhow::Result<Ended> {
    let mut acked = 0;
    // The delay is the chance itself: a kill may come at any moment of a commit.
    let mut due = None;
    loop {
        if due.is_none() && acked >= acks {
            due = Some(Box::pin(tokio::time::sleep(delay)));
        }
        if ledger.in_flight() < IN_FLIGHT_MAX {
            feeder.send(Message::Batch(ledger.draw(rng))).await?;
            if due.is_none() {
                continue;
            }
        }
        let said = match &mut due {
            None => feeder.next().await?,
            Some(due) => tokio::select! {
                said = feeder.next() => said?,
                () = due => return Ok(Ended::Due(acked as usize)),
            },
        };
        match said {
            Said::Reject(reject) if is_for_lack_of_disk(&reject) => {
                return Ok(Ended::Refused(acked as usize));
            }
            said => take(said, ledger)?,
        }
        acked += 1;
    }
}

/// What was answered before the end came.
pub(super) async fn drain(feeder: &mut Feeder, ledger: &mut Ledger) -> usize {
    let mut acked = 0;
    while let Ok(said) = feeder.next().await {
        if take(said, ledger).is_err() {
            break;
        }
        acked += 1;
    }
    acked
}

/// Refused itself, or because of one before it that was.
fn is_for_lack_of_disk(reject: &Reject) -> bool {
    matches!(reject.reason(), Reason::Exhausted | Reason::OutOfSequence)
}

fn take(said: Said, ledger: &mut Ledger) -> anyhow::Result<()> {
    match said {
        Said::Ack(ack) => ledger.acked(&ack),
        other => bail!("expected an ack, got {other:?}"),
    }
}
