//! `bench context`: how long the context of a large registry takes while
//! changes come in, every answer checked.

use std::time::Duration;

use anyhow::ensure;
use prost::Message as _;
use pulse_proto::pb::registry::v1::{GetInfrastructureContextRequest, GetInfrastructureContextResponse};
use tokio::time::Instant;

use super::bed::Bed;
use super::load::Load;
use super::times::Times;

const CONTEXT: &str = "/pulse.registry.v1.ContextService/GetInfrastructureContext";
/// Changes that come in meanwhile: 2,000 a second.
const EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub resources: u64,
    pub per_connection: u32,
    pub contexts: usize,
}

impl Plan {
    pub const FULL: Self = Self { resources: 1_000_000, per_connection: 1_000, contexts: 1_000 };
    pub const QUICK: Self = Self { resources: 20_000, per_connection: 1_000, contexts: 50 };
}

/// Contexts of 4,000 tokens, one after the other.
pub async fn measure(plan: Plan) -> anyhow::Result<Times> {
    let bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), 1, plan.per_connection).await?;
    load.grow(plan.resources).await?;
    let mut client = bed.client().await?;
    let contexts = async {
        let mut times = Times::default();
        for _ in 0..plan.contexts {
            let request = GetInfrastructureContextRequest { max_tokens: 4_000, ..Default::default() };
            let began = Instant::now();
            let answer = client.unary(CONTEXT, request).await?;
            times.add(began.elapsed());
            let answer = GetInfrastructureContextResponse::decode(answer)?;
            ensure!((1..=4_000).contains(&answer.tokens), "{} tokens", answer.tokens);
            let total =
                answer.sections.first().and_then(|head| head.facts.first()).map(|fact| fact.value.clone());
            ensure!(total == Some(plan.resources.to_string()), "{total:?} of {} resources", plan.resources);
        }
        anyhow::Ok(times)
    };
    tokio::select! {
        times = contexts => times,
        ended = load.change_steadily(EVERY) => anyhow::bail!("changes ended: {ended:?}"),
    }
}
