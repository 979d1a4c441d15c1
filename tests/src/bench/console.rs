//! `bench console`: how long the pages of a large fleet take, the first time
//! and again, and how many bytes they have, while changes come in.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use super::bed::Bed;
use super::load::Load;
use super::times::{Times, millis};
use crate::harness::http_get;

/// Changes that come in meanwhile: 1,000 a second.
const EVERY: Duration = Duration::from_millis(100);

/// Page, its address, and what stands on it for sure.
const PAGES: [(&str, &str, &str); 7] = [
    ("overview", "/console", "the worst first"),
    ("infrastructure", "/console/infrastructure", "Usable capacity"),
    ("storage", "/console/storage", "Can still lose"),
    ("storage_attention", "/console/storage?health=attention", "Can still lose"),
    ("storage_list", "/console/storage?group=none", "Everything"),
    ("storage_found", "/console/storage?q=nas-0007", "Can still lose"),
    ("connections", "/console/connections", "fine"),
];

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub resources: u64,
    pub per_connection: u32,
    pub times: usize,
}

impl Plan {
    pub const FULL: Self = Self { resources: 100_000, per_connection: 100, times: 100 };
    pub const QUICK: Self = Self { resources: 5_000, per_connection: 100, times: 10 };
}

#[derive(Debug)]
pub struct Page {
    pub name: &'static str,
    pub first_ms: f64,
    pub again: Times,
    /// Of the longest answer.
    pub bytes: usize,
}

pub async fn measure(plan: Plan) -> anyhow::Result<Vec<Page>> {
    let bed = Bed::start_with("[alerts]\nenabled = true").await?;
    let mut load = Load::open(&bed.address(), 1, plan.per_connection).await?;
    load.grow(plan.resources).await?;
    let addr = bed.registry.http();
    let asked = async {
        let mut pages = Vec::new();
        for (name, path, sign) in PAGES {
            let mut page = Page { name, first_ms: 0.0, again: Times::default(), bytes: 0 };
            for time in 0..=plan.times {
                let began = Instant::now();
                let (status, text) = http_get(addr, path).await?;
                let took = began.elapsed();
                ensure!(status == 200 && text.contains(sign), "{path}: {status} {text:.200}");
                if time == 0 {
                    page.first_ms = millis(took);
                } else {
                    page.again.add(took);
                }
                page.bytes = page.bytes.max(text.len());
            }
            pages.push(page);
        }
        anyhow::Ok(pages)
    };
    tokio::select! {
        pages = asked => pages,
        ended = load.change_steadily(EVERY) => anyhow::bail!("changes ended: {ended:?}"),
    }
}
