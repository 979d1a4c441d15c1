//! The appliances, in a process of their own so that what they cost is not counted as ours. Spoken to line by line over its
//! input and output.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::World as Model;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Its events tell of pool changes, and its logins are cheap: on 26.0 a thousand first logins by SCRAM are minutes of hashing.
const LINE: ApiLine = ApiLine::V25_10;
pub(crate) const POOLS: usize = 4;
const DATASETS_PER_POOL: usize = 29;
const DISKS_PER_POOL: usize = 6;

/// How to reach one appliance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) api_key: String,
    pub(crate) fingerprint: String,
}

/// What the appliances have, and what was asked of them, all together.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) pools: u64,
    pub(crate) datasets: u64,
    pub(crate) disks: u64,
    pub(crate) logins: u64,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Count,
    /// Takes a pool of an appliance down, or brings it back.
    Change {
        appliance: usize,
        pool: usize,
        down: bool,
    },
}

/// Microseconds since 1970: what both processes have in common.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Runs the appliances until the input ends.
pub(crate) async fn serve(count: usize) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    let mut fleet = Vec::with_capacity(count);
    for number in 0..count {
        let model = Model::sized(&format!("nas-{number:04}"), POOLS, DATASETS_PER_POOL, DISKS_PER_POOL);
        let config = ApplianceConfig { world: model, ..ApplianceConfig::of(LINE) };
        let appliance =
            Appliance::start(config).await.with_context(|| format!("start appliance {number}"))?;
        let address = Address {
            host: appliance.host(),
            port: appliance.port(),
            user: appliance.user(),
            api_key: appliance.api_key(),
            fingerprint: appliance.fingerprint_sha256(),
        };
        out.write_all(format!("{}\n", serde_json::to_string(&address)?).as_bytes()).await?;
        fleet.push(appliance);
    }
    out.flush().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line)? {
            Order::Count => serde_json::to_string(&counts(&fleet))?,
            Order::Change { appliance, pool, down } => {
                let name = format!("tank{pool}");
                let at = now_us();
                fleet.get(appliance).context("no such appliance")?.mutate(|model, now| {
                    if down {
                        model.degrade_pool(LINE, &name, now)
                    } else {
                        model.online_pool(LINE, &name, now)
                    }
                });
                at.to_string()
            }
        };
        out.write_all(format!("{answer}\n").as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}

fn counts(fleet: &[Appliance]) -> Counts {
    let mut sum = Counts::default();
    for appliance in fleet {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        appliance.world(|model| {
            sum.pools += count(model.pools.len()) + 1;
            sum.datasets += count(model.datasets.len());
            sum.disks += count(model.disks.len());
        });
        let stats = appliance.stats();
        sum.logins += stats.logins;
        sum.calls += stats.calls.values().sum::<u64>();
        sum.bytes += stats.bytes_sent;
    }
    sum
}

/// The other side: the process, and how it is spoken to.
pub(crate) struct World {
    pub(crate) addresses: Vec<Address>,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Ends with this.
    _child: Child,
}

impl World {
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["appliances", &count.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start the appliances")?;
        let input = child.stdin.take().context("its input")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut addresses = Vec::with_capacity(count);
        while addresses.len() < count {
            let Some(line) = output.next_line().await? else { bail!("the appliances ended") };
            addresses.push(serde_json::from_str(&line)?);
        }
        Ok(Self { addresses, input, output, _child: child })
    }

    pub(crate) async fn counts(&mut self) -> anyhow::Result<Counts> {
        Ok(serde_json::from_str(&self.ask(&Order::Count).await?)?)
    }

    /// When it was changed.
    pub(crate) async fn change(&mut self, appliance: usize, pool: usize, down: bool) -> anyhow::Result<u64> {
        Ok(self.ask(&Order::Change { appliance, pool, down }).await?.parse()?)
    }

    async fn ask(&mut self, order: &Order) -> anyhow::Result<String> {
        self.input.write_all(format!("{}\n", serde_json::to_string(order)?).as_bytes()).await?;
        self.output.next_line().await?.context("the appliances ended")
    }
}
