//! The reference: a poller that visits one appliance after the other each minute, logs in, and reads all there is with the
//! calls that come to mind first. What one visit costs is measured; what a minute costs follows.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use pulse_collector::secret::{Credential, Secret};
use pulse_collector::session::{Session, SessionOptions, connect};
use pulse_collector::transport::{Endpoint, Security, Trust};
use serde_json::{Value, json};

use super::Plan;
use super::appliances::{Address, World};
use super::fleet::as_f64;

const EVERY: Duration = Duration::from_mins(1);

pub(crate) struct Naive {
    /// How long it takes until it is back at the same appliance.
    pub(crate) cycle_s: f64,
    pub(crate) logins_per_hour: f64,
    pub(crate) calls_per_min: f64,
    pub(crate) bytes_per_min: f64,
}

pub(crate) async fn measure(world: &mut World, plan: Plan) -> anyhow::Result<Naive> {
    let before = world.counts().await?;
    let visits = world.addresses.iter().take(plan.naive).cloned().collect::<Vec<_>>();
    let began = Instant::now();
    for address in &visits {
        visit(address).await?;
    }
    let visited = as_f64(u64::try_from(visits.len())?);
    let each = began.elapsed().as_secs_f64() / visited;
    let after = world.counts().await?;
    let cycle_s = (each * as_f64(u64::try_from(plan.appliances)?)).max(EVERY.as_secs_f64());
    let per_min = 60.0 / cycle_s / visited;
    Ok(Naive {
        cycle_s,
        logins_per_hour: 3_600.0 / cycle_s,
        calls_per_min: as_f64(after.calls - before.calls) * per_min,
        bytes_per_min: as_f64(after.bytes - before.bytes) * per_min,
    })
}

async fn visit(address: &Address) -> anyhow::Result<()> {
    let fingerprint = address.fingerprint.parse().ok().context("a fingerprint")?;
    let endpoint = Endpoint {
        host: address.host.clone(),
        port: address.port,
        security: Security::Tls(Trust::Pinned(fingerprint)),
    };
    let credential = Credential::ApiKey {
        username: Some(address.user.clone()),
        key: Secret::new(address.api_key.clone()),
    };
    let session: Session = connect(&endpoint, &credential, &SessionOptions::default()).await?;
    let all = || json!([[], {}]);
    let calls: [(&str, Value); 5] = [
        ("system.info", json!([])),
        ("pool.query", all()),
        ("pool.dataset.query", all()),
        ("disk.query", all()),
        ("alert.list", json!([])),
    ];
    for (method, params) in &calls {
        session.call(method, params).await.with_context(|| format!("call {method}"))?;
    }
    session.close().await;
    Ok(())
}
