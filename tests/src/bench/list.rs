//! `bench list`: the whole list, a page with a filter and one resource, the
//! latter two while changes come in.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use pulse_proto::pb::registry::v1::{
    GetResourceRequest, GetResourceResponse, ListResourcesRequest, ListResourcesResponse,
};
use tokio::time::Instant;

use super::bed::{Bed, LIST};
use super::load::Load;
use super::times::{Times, millis};
use super::wire::{Client, Field, count, fields};

const GET: &str = "/pulse.registry.v1.ResourceService/GetResource";
/// Datasets that are read-only: one in seven resources.
const FILTER: &str = "type = storage AND status = warning";
/// Tags in `ListResourcesResponse`.
const RESOURCES_TAG: u32 = 1;
const NEXT_PAGE_TOKEN_TAG: u32 = 2;
/// Changes that come in meanwhile: 2,000 a second.
pub const EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub resources: u64,
    pub per_connection: u32,
    pub page: i32,
    pub lists: usize,
    pub pages: usize,
    pub gets: usize,
}

impl Plan {
    pub const FULL: Self =
        Self { resources: 50_000, per_connection: 1_000, page: 500, lists: 20, pages: 5_000, gets: 10_000 };
    pub const QUICK: Self =
        Self { resources: 5_000, per_connection: 1_000, page: 100, lists: 3, pages: 50, gets: 500 };
}

#[derive(Debug)]
pub struct Measured {
    pub full: Times,
    /// Processor time of the registry for one whole list.
    pub full_server_ms: f64,
    /// One page with a filter, while changes come in.
    pub page: Times,
    /// The same of a quiet registry.
    pub page_quiet: Times,
    pub get: Times,
    pub get_quiet: Times,
}

pub async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), 1, plan.per_connection).await?;
    load.grow(plan.resources).await?;
    let found = bed.audit("", |_, _| Some(0)).await?;
    ensure!(found == plan.resources, "{found} of {} acked records are listed", plan.resources);
    let mut client = bed.client().await?;

    let (before, mut full) = (bed.usage()?, Times::default());
    for _ in 0..plan.lists {
        let began = Instant::now();
        let listed = list(&mut client).await?;
        full.add(began.elapsed());
        ensure!(listed == plan.resources, "{listed} of {} resources are listed", plan.resources);
    }
    let lists = f64::from(u32::try_from(plan.lists)?);
    let full_server_ms = millis(bed.usage()?.cpu_since(&before)) / lists;

    let ids = ids(&mut client, plan.gets.min(10_000)).await?;
    let page_quiet = pages(&mut client, plan).await?;
    let get_quiet = gets(&mut client, &ids, plan).await?;
    let reads = async {
        let page = pages(&mut client, plan).await?;
        anyhow::Ok((page, gets(&mut client, &ids, plan).await?))
    };
    let (page, get) = tokio::select! {
        read = reads => read?,
        ended = load.change_steadily(EVERY) => anyhow::bail!("changes ended: {ended:?}"),
    };
    Ok(Measured { full, full_server_ms, page, page_quiet, get, get_quiet })
}

/// All pages of all resources, counted.
async fn list(client: &mut Client) -> anyhow::Result<u64> {
    let mut request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let mut listed = 0;
    loop {
        let page = client.unary(LIST, request.clone()).await?;
        listed += count(&page, RESOURCES_TAG);
        let next = fields(&page).find_map(|field| match field {
            Field::Bytes(NEXT_PAGE_TOKEN_TAG, token) => Some(String::from_utf8_lossy(token).into_owned()),
            _ => None,
        });
        let Some(next) = next else { return Ok(listed) };
        request.page_token = next;
    }
}

async fn ids(client: &mut Client, wanted: usize) -> anyhow::Result<Vec<String>> {
    let mut request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let mut ids = Vec::new();
    loop {
        let page = ListResourcesResponse::decode(client.unary(LIST, request.clone()).await?)?;
        ids.extend(page.resources.into_iter().map(|resource| resource.id));
        request.page_token = page.next_page_token;
        if ids.len() >= wanted || request.page_token.is_empty() {
            return Ok(ids);
        }
    }
}

async fn pages(client: &mut Client, plan: Plan) -> anyhow::Result<Times> {
    let request = ListResourcesRequest {
        page_size: plan.page,
        filter: FILTER.to_owned(),
        ..ListResourcesRequest::default()
    };
    let (wanted, mut times) = (u64::try_from(plan.page)?, Times::default());
    for _ in 0..plan.pages {
        let began = Instant::now();
        let page = client.unary(LIST, request.clone()).await?;
        times.add(began.elapsed());
        let found = count(&page, RESOURCES_TAG);
        ensure!(found == wanted, "a page of {found} instead of {wanted}");
    }
    Ok(times)
}

async fn gets(client: &mut Client, ids: &[String], plan: Plan) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for number in 0..plan.gets {
        // A stride that meets every id.
        let id = ids.get(number * 7_919 % ids.len()).context("an id")?;
        let request = GetResourceRequest { id: id.clone(), read_mask: None };
        let began = Instant::now();
        let answer = client.unary(GET, request).await?;
        times.add(began.elapsed());
        if number % 97 == 0 {
            let found = GetResourceResponse::decode(answer)?.resource.context("a resource")?;
            ensure!(found.id == *id, "{} instead of {id}", found.id);
        }
    }
    Ok(times)
}
