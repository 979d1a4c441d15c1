//! How many of the facts that operators' questions need are in a context of a
//! given size: fleets are told to a real registry, which is asked over gRPC.

use std::collections::BTreeMap;

use anyhow::Context as _;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::{
    Batch, ContextSection, GetInfrastructureContextRequest, GetResourceContextRequest,
};
use pulse_proto::pb::resource::v1::DataSource;
use serde::Deserialize;
use tonic::transport::Channel;

use super::fleets::{Fleet, Told};
use crate::harness::command::python;
use crate::harness::feeder::Feeder;
use crate::harness::fleet::Service;
use crate::task::root;

pub const BUDGETS: [i32; 3] = [1_000, 4_000, 16_000];
const QUESTIONS: &str = include_str!("questions.toml");
/// Batches under way: an answer is awaited before the registry would stop reading.
const WINDOW: usize = 32;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub ask: String,
    /// The resource it is asked of; the fleet when there is none.
    of: Option<String>,
    /// It comes down to "what is wrong".
    #[serde(default)]
    pub wrong: bool,
    /// By fleet: facts, each as words that stand in one sentence.
    pub needs: BTreeMap<String, Vec<Vec<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    question: Vec<Question>,
}

pub fn questions() -> anyhow::Result<Vec<Question>> {
    Ok(toml::from_str::<Table>(QUESTIONS).context("read the questions")?.question)
}

/// One question to one fleet with one budget.
#[derive(Clone, Debug)]
pub struct Answer {
    pub fleet: &'static str,
    pub ask: String,
    pub wrong: bool,
    pub budget: i32,
    pub needed: usize,
    pub missing: Vec<String>,
}

/// What came of asking a fleet.
#[derive(Debug, Default)]
pub struct Asked {
    pub answers: Vec<Answer>,
    /// Each text, and what the registry says it takes.
    pub texts: Vec<(String, i32)>,
}

/// Tells the fleet to a registry of its own and asks it everything.
pub async fn ask(fleet: &Fleet, questions: &[Question]) -> anyhow::Result<Asked> {
    let folder = tempfile::tempdir()?;
    let registry = Service::start("pulse-registry", folder.path(), "").await?;
    for (round, told) in [&fleet.before, &fleet.now].into_iter().enumerate() {
        tell(&registry, round as u64 + 1, told).await?;
    }
    let mut client = ContextServiceClient::connect(format!("http://{}", registry.grpc())).await?;
    let mut asked = Asked::default();
    for budget in BUDGETS {
        for question in questions {
            let Some(needs) = question.needs.get(fleet.name) else { continue };
            let (text, sections, tokens) = context(&mut client, question, budget).await?;
            let facts: Vec<&str> = sections
                .iter()
                .flat_map(|section| &section.facts)
                .map(|fact| fact.statement.as_str())
                .collect();
            anyhow::ensure!(facts.iter().all(|fact| text.contains(fact)), "facts that are not in the text");
            let is_there = |words: &&Vec<String>| {
                facts.iter().any(|fact| words.iter().all(|word| fact.contains(word.as_str())))
            };
            let missing: Vec<String> =
                needs.iter().filter(|words| !is_there(words)).map(|words| words.join(" + ")).collect();
            asked.answers.push(Answer {
                fleet: fleet.name,
                ask: question.ask.clone(),
                wrong: question.wrong,
                budget,
                needed: needs.len(),
                missing,
            });
            asked.texts.push((text, tokens));
        }
    }
    Ok(asked)
}

async fn context(
    client: &mut ContextServiceClient<Channel>,
    question: &Question,
    max_tokens: i32,
) -> anyhow::Result<(String, Vec<ContextSection>, i32)> {
    let (text, sections, tokens) = if let Some(of) = &question.of {
        let request = GetResourceContextRequest { resource_id: of.clone(), max_tokens, ..Default::default() };
        let answer = client.get_resource_context(request).await.context(of.clone())?.into_inner();
        (answer.text, answer.sections, answer.tokens)
    } else {
        let request = GetInfrastructureContextRequest { max_tokens, ..Default::default() };
        let answer = client.get_infrastructure_context(request).await?.into_inner();
        (answer.text, answer.sections, answer.tokens)
    };
    anyhow::ensure!(tokens <= max_tokens, "{tokens} tokens of {max_tokens}");
    Ok((text, sections, tokens))
}

/// As a collector does after a start: a snapshot of each connection.
async fn tell(registry: &Service, epoch: u64, told: &[Told]) -> anyhow::Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let connections: Vec<&str> = told.iter().map(|told| told.connection.as_str()).collect();
    let mut feeder = Feeder::open(registry.grpc(), "questions", &connections).await?;
    for window in told.chunks(WINDOW) {
        for told in window {
            let Told { connection, status, sections, records } = told.clone();
            feeder
                .send(Message::Batch(Batch {
                    connection,
                    epoch,
                    sequence: 1,
                    source: DataSource::Truenas.into(),
                    snapshot_begin: true,
                    snapshot_end: true,
                    upserts: records,
                    sections,
                    status: Some(status),
                    ..Batch::default()
                }))
                .await?;
        }
        for _ in window {
            match feeder.next().await? {
                Said::Ack(_) => {}
                other => anyhow::bail!("not acknowledged: {other:?}"),
            }
        }
    }
    Ok(())
}

/// What real tokenizers count in each text, the most of them.
pub async fn count_tokens(texts: &[&str]) -> anyhow::Result<Vec<i32>> {
    let script = root().join("tests/src/context/count_tokens.py").display().to_string();
    python(&script, &serde_json::to_value(texts)?).await
}

/// Facts that are there, in percent of those that are needed.
#[allow(clippy::cast_precision_loss, reason = "a few hundred facts")]
pub fn percent<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> f64 {
    let (mut needed, mut missing) = (0, 0);
    for answer in answers {
        needed += answer.needed;
        missing += answer.missing.len();
    }
    if needed == 0 { 100.0 } else { 100.0 * (needed - missing) as f64 / needed as f64 }
}

/// A line for each fleet, and one for what is wrong in each.
pub fn table(answers: &[Answer]) -> Vec<String> {
    let mut fleets: Vec<&str> = Vec::new();
    for answer in answers {
        if !fleets.contains(&answer.fleet) {
            fleets.push(answer.fleet);
        }
    }
    let mut lines =
        vec![format!("{:<32} {:>8} {:>8} {:>8}", "facts present, in percent at", "1 k", "4 k", "16 k")];
    let mut line = |name: String, wanted: &dyn Fn(&Answer) -> bool| {
        let at =
            |budget: i32| percent(answers.iter().filter(|answer| answer.budget == budget && wanted(answer)));
        let [small, middle, large] = BUDGETS.map(at);
        lines.push(format!("{name:<32} {small:>8.1} {middle:>8.1} {large:>8.1}"));
    };
    for fleet in &fleets {
        line((*fleet).to_owned(), &|answer| answer.fleet == *fleet);
        line(format!("{fleet}, what is wrong"), &|answer| answer.fleet == *fleet && answer.wrong);
    }
    line("all".to_owned(), &|_| true);
    lines
}
