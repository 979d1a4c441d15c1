//! Receivers and their tests as clients see them.

use std::time::Duration;

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::receiver::{Kind, State};

use crate::notify::board::{Standing, Status};
use crate::notify::lane::Tally;
use crate::notify::send::Outcome;

pub(super) fn shown(status: Status) -> pb::Receiver {
    let Status { receiver, kind, address, standing, error, since, next_attempt_at, waiting, told, tally } =
        status;
    let Tally { delivered, failed, refused, last_success_at, refusing: _ } = tally;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    pb::Receiver {
        name: receiver,
        kind: match kind {
            "alertmanager" => Kind::Alertmanager,
            _ => Kind::Webhook,
        }
        .into(),
        address,
        state: match standing {
            Standing::Untried => State::Untried,
            Standing::Works => State::Works,
            Standing::Failing => State::Failing,
            Standing::Refusing => State::Refusing,
        }
        .into(),
        error,
        since: since.map(timestamp_to_wire),
        last_success_at: last_success_at.map(timestamp_to_wire),
        next_attempt_at: next_attempt_at.map(timestamp_to_wire),
        waiting: count(waiting as u64),
        told: count(told as u64),
        delivered: count(delivered),
        failed: count(failed),
        refused: count(refused),
    }
}

pub(super) fn tested(outcomes: Vec<(String, Outcome, Duration)>) -> pb::TestReceiverResponse {
    let one = |(address, outcome, took): (String, Outcome, Duration)| {
        let error = match outcome {
            Outcome::Delivered => String::new(),
            Outcome::Refused(why) | Outcome::Failed { why, .. } => why,
        };
        let latency = prost_types::Duration::try_from(took).ok();
        pb::ReceiverTest { address, success: error.is_empty(), error, latency }
    };
    let tests: Vec<pb::ReceiverTest> = outcomes.into_iter().map(one).collect();
    pb::TestReceiverResponse { success: tests.iter().all(|test| test.success), tests }
}
