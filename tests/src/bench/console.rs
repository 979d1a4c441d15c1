//! `bench console`: how long the pages of a large fleet take, the first time
//! and again, and how many bytes they have, while changes come in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use super::bed::Bed;
use super::load::Load;
use super::record::Shape;
use super::times::{Times, millis};
use super::{alerts, as_f64};
use crate::harness::http_get;
use crate::task::bench::Figure;

/// What every page is to stay below.
const TARGET_MS: f64 = 100.0;
const TARGET_KB: f64 = 100.0;
/// Changes that come in meanwhile: 1,000 a second.
const EVERY: Duration = Duration::from_millis(100);

/// Page, its address, and what stands on it for sure.
const PAGES: [(&str, &str, &str); 21] = [
    ("overview", "/console", "the worst first"),
    ("infrastructure", "/console/infrastructure", "Usable capacity"),
    ("infrastructure_found", "/console/infrastructure?q=nas-0007", "Usable capacity"),
    ("infrastructure_sorted", "/console/infrastructure?sort=temperature", "Usable capacity"),
    ("infrastructure_critical", "/console/infrastructure?severity=critical", "Usable capacity"),
    ("storage", "/console/storage", "Can still lose"),
    ("storage_last", "/console/storage?page=999", "Can still lose"),
    ("storage_attention", "/console/storage?health=attention", "Can still lose"),
    ("storage_healthy", "/console/storage?health=healthy", "Can still lose"),
    ("storage_offline", "/console/storage?health=offline", "Filter storage"),
    ("storage_found", "/console/storage?q=nas-0007", "Can still lose"),
    ("storage_nothing", "/console/storage?q=no-such-serial", "Nothing matches"),
    ("storage_list", "/console/storage?group=none", "Everything"),
    ("storage_list_found", "/console/storage?group=none&q=nas-0007", "Everything"),
    ("storage_disks", "/console/storage?kind=disk&group=none", "Everything"),
    ("storage_full", "/console/storage?filter=capacity.used_ratio+%3E+0.2", "Filter storage"),
    ("alerts", "/console/alerts", "Needs you"),
    ("alerts_firing", "/console/alerts?state=firing", "Needs you"),
    ("alerts_found", "/console/alerts?q=nas-0007", "Needs you"),
    ("connections", "/console/connections", "fine"),
    ("connections_found", "/console/connections?q=nas-0007", "fine"),
];

/// Page, where the first link to one is, how that link begins, and what stands on the page for sure.
const LINKED: [(&str, &str, &str, &str); 5] = [
    ("system", "/console/infrastructure", "/console/resources/", "Who tells of it"),
    ("pool", "/console/storage?kind=pool&group=none", "/console/resources/", "Who tells of it"),
    ("dataset", "/console/storage?kind=dataset&group=none", "/console/resources/", "Who tells of it"),
    ("alert", "/console/alerts?state=firing", "/console/alerts/", "Its history"),
    ("connection", "/console/connections", "/console/connections/", "What is read"),
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
    /// Of the whole process for each page, changes that come in meanwhile among it.
    pub cpu_ms: f64,
    /// Of the longest answer.
    pub bytes: usize,
}

/// Of each page, then the worst of all.
pub fn figures(pages: &[Page]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for page in pages {
        let name = |what: &str| format!("{}_{what}", page.name);
        figures.push(Figure::new(name("first_ms"), "ms", page.first_ms, TARGET_MS));
        figures.push(Figure::new(name("p50_ms"), "ms", page.again.rank(50), TARGET_MS));
        figures.push(Figure::new(name("p99_ms"), "ms", page.again.rank(99), TARGET_MS));
        figures.push(Figure::new(name("cpu_ms"), "ms", page.cpu_ms, TARGET_MS));
        figures.push(Figure::new(name("kb"), "kB", page.kb(), TARGET_KB));
    }
    let worst = |of: &dyn Fn(&Page) -> f64| pages.iter().map(of).fold(f64::NAN, f64::max);
    figures.push(Figure::new("slowest_page_p50_ms", "ms", worst(&|page| page.again.rank(50)), TARGET_MS));
    figures.push(Figure::new("slowest_page_p99_ms", "ms", worst(&|page| page.again.rank(99)), TARGET_MS));
    figures.push(Figure::new("largest_page_kb", "kB", worst(&Page::kb), TARGET_KB));
    figures
}

impl Page {
    fn kb(&self) -> f64 {
        as_f64(self.bytes as u64) / 1e3
    }
}

pub async fn measure(plan: Plan) -> anyhow::Result<Vec<Page>> {
    let bed = Bed::start_with("").await?;
    let shape = Arc::new(Shape::with_alerts()?);
    let mut load = Load::open_with(&bed.address(), 1, plan.per_connection, Arc::clone(&shape)).await?;
    load.grow(plan.resources).await?;
    alerts::settle(&bed, &mut load, &shape).await?;
    let addr = bed.registry.http();
    let asked = async {
        let mut all: Vec<(&str, String, &str)> =
            PAGES.iter().map(|(name, path, sign)| (*name, (*path).to_owned(), *sign)).collect();
        for (name, on, begins, sign) in LINKED {
            let (_, text) = http_get(addr, on).await?;
            all.push((name, link(&text, begins).with_context(|| format!("a link on {on}"))?, sign));
        }
        let mut pages = Vec::new();
        for (name, path, sign) in &all {
            let mut page = Page { name, first_ms: 0.0, again: Times::default(), cpu_ms: 0.0, bytes: 0 };
            let before = bed.usage()?;
            for time in 0..=plan.times {
                let began = Instant::now();
                let (status, text) = http_get(addr, path).await?;
                let took = began.elapsed();
                ensure!(status == 200 && text.contains(sign), "{path}: {status} {text:.2000}");
                if time == 0 {
                    page.first_ms = millis(took);
                } else {
                    page.again.add(took);
                }
                page.bytes = page.bytes.max(text.len());
            }
            page.cpu_ms = millis(bed.usage()?.cpu_since(&before)) / as_f64(plan.times as u64 + 1);
            pages.push(page);
        }
        anyhow::Ok(pages)
    };
    tokio::select! {
        pages = asked => pages,
        ended = load.change_steadily(EVERY) => anyhow::bail!("changes ended: {ended:?}"),
    }
}

/// The first link that begins so and leads to one thing.
fn link(text: &str, begins: &str) -> Option<String> {
    let mut links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.find(|link| link.starts_with(begins) && !link.contains('?')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_page_speaks_for_all() {
        let page = |name, ms, bytes| {
            let mut again = Times::default();
            again.add(Duration::from_millis(ms));
            Page { name, first_ms: 0.0, again, cpu_ms: 0.0, bytes }
        };
        let figures = figures(&[page("a", 3, 9_000), page("b", 7, 2_000), page("c", 5, 1_000)]);
        let value = |name: &str| figures.iter().find(|figure| figure.figure == name).map(|f| f.value);
        let worst = ["slowest_page_p50_ms", "slowest_page_p99_ms", "largest_page_kb"].map(value);
        assert_eq!(worst, [7.0, 7.0, 9.0].map(Some));
    }
}
