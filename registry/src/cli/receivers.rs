//! `pulse-registry receivers`: who is told of alerts, and whether that works.

use std::process::ExitCode;

use clap::Subcommand;
use pulse_proto::pb::registry::v1::{
    ListReceiversRequest, Receiver, ReceiverTest, TestReceiverRequest, TestReceiverResponse,
};
use pulse_shell::table::lines;

use super::alerts::{client, show};
use super::resources::{Target, explained, word};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List receivers and how each of their addresses does.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Send a test to every address of a receiver. Ends with 1 when one does not take it.
    Test {
        /// As in the settings.
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { target } => {
            let answer = client(&target).await?.list_receivers(ListReceiversRequest {}).await;
            let receivers = answer.map_err(explained)?.into_inner().receivers;
            show(&target, "pulse.registry.v1.Receiver", &receivers, table)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { name, target } => {
            let answer = client(&target).await?.test_receiver(TestReceiverRequest { name }).await;
            let answer = answer.map_err(explained)?.into_inner();
            let success = answer.success;
            show(&target, "pulse.registry.v1.TestReceiverResponse", &[answer], |all| {
                all.iter().flat_map(tested).collect()
            })?;
            Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn table(receivers: &[Receiver]) -> Vec<String> {
    if receivers.is_empty() {
        return vec![
            "nobody is told of alerts: notify.receivers_file names none, see docs/delivery.md".to_owned(),
        ];
    }
    let row = |receiver: &Receiver| {
        vec![
            receiver.name.clone(),
            word(receiver.kind().as_str_name(), "KIND_"),
            receiver.address.clone(),
            word(receiver.state().as_str_name(), "STATE_"),
            receiver.waiting.to_string(),
            receiver.told.to_string(),
            receiver.error.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = receivers.iter().map(row).collect();
    lines(&["RECEIVER", "KIND", "ADDRESS", "STATE", "WAITING", "TOLD", "ERROR"], &rows)
}

fn tested(answer: &TestReceiverResponse) -> Vec<String> {
    let line = |ReceiverTest { address, success, error, latency }: &ReceiverTest| {
        let took =
            latency.as_ref().map_or(0, |took| took.seconds * 1_000 + i64::from(took.nanos) / 1_000_000);
        if *success {
            format!("{address} took it in {took} ms")
        } else {
            format!("{address} did not take it: {error}")
        }
    };
    answer.tests.iter().map(line).collect()
}
