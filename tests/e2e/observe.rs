//! What a running pair says of itself beyond metrics: one trace from the NAS to the disk of the registry, and logs that say more for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::admin::v1::log_service_client::LogServiceClient;
use pulse_proto::pb::admin::v1::{GetLogLevelRequest, SetLogLevelRequest};
use pulse_proto::pb::registry::v1::SummarizeResourcesRequest;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::client;
use pulse_tests::harness::{http_get, within};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span, as far as the test looks at it.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
}

/// Takes what an OpenTelemetry collector takes.
struct Sink(mpsc::UnboundedSender<Seen>);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = attributes.into_iter().find(|known| known.key == "service.name");
            let service = match service.and_then(|service| service.value?.value) {
                Some(Value::StringValue(service)) => service,
                _ => String::new(),
            };
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let (trace, id, parent) = (span.trace_id, span.span_id, span.parent_span_id);
                drop(self.0.send(Seen { service: service.clone(), name: span.name, trace, id, parent }));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn sink() -> anyhow::Result<(SocketAddr, mpsc::UnboundedReceiver<Seen>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, spans) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Sink(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Ok((address, spans))
}

/// The way up from a span, itself first, as far as spans have come.
fn way_up(of: &Seen, spans: &BTreeMap<Vec<u8>, Seen>) -> Vec<(String, String)> {
    let mut way = Vec::new();
    let mut next = Some(of);
    while let Some(span) = next {
        way.push((span.service.clone(), span.name.clone()));
        next = spans.get(&span.parent).filter(|parent| parent.trace == span.trace);
    }
    way
}

#[tokio::test]
async fn one_trace_leads_from_the_nas_to_the_disk_of_the_registry() -> anyhow::Result<()> {
    let (address, mut spans) = sink().await?;
    let settings = format!("[otlp]\nendpoint = \"http://{address}\"\n");
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let pair = Pair::start_with(&settings, &settings).await?;
    let id = pair.add("nas", &appliance).await?.id;
    pair.until_state(&id, ConnectionState::Live).await?;
    // The first state is told when everything was read; this is read for itself.
    appliance.mutate(|world, now| world.degrade_pool(ApiLine::V25_10, "tank", now));

    let wanted: Vec<(String, String)> = [
        ("pulse-registry", "commit"),
        ("pulse-registry", "ingest"),
        ("pulse-collector", "deliver"),
        ("pulse-collector", "map"),
        ("pulse-collector", "read"),
    ]
    .map(|(service, name)| (service.to_owned(), name.to_owned()))
    .into();
    let mut known: BTreeMap<Vec<u8>, Seen> = BTreeMap::new();
    let trace = within("a whole trace", async {
        loop {
            let seen = spans.recv().await.context("spans come")?;
            known.insert(seen.id.clone(), seen);
            if let Some(whole) = known.values().find(|span| way_up(span, &known) == wanted) {
                return anyhow::Ok(whole.trace.clone());
            }
        }
    })
    .await?;
    let of_trace: BTreeSet<&str> =
        known.values().filter(|span| span.trace == trace).map(|span| span.name.as_str()).collect();
    ensure!(of_trace.contains("apply"), "{of_trace:?}");
    // What has no trace, such as a heartbeat, begins none in the writer.
    let lonely = known
        .values()
        .find(|span| ["apply", "commit"].contains(&span.name.as_str()) && span.parent.is_empty());
    ensure!(lonely.is_none(), "{lonely:?}");

    // A caller's trace goes on in the call, and its duration names it.
    let caller = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = Request::new(SummarizeResourcesRequest::default());
    request.metadata_mut().insert("traceparent", format!("00-{caller}-00f067aa0ba902b7-01").parse()?);
    client(pair.registry.grpc()).await?.summarize_resources(request).await?;
    let (_, metrics) = http_get(pair.registry.http(), "/metrics").await?;
    let named =
        |line: &str| line.contains("SummarizeResources") && line.contains(&format!("trace_id=\"{caller}\""));
    ensure!(metrics.lines().any(named), "{metrics}");
    let call = within("the call", async {
        while let Some(seen) = spans.recv().await {
            if seen.name.ends_with("/SummarizeResources") {
                return Some(seen);
            }
        }
        None
    })
    .await
    .context("spans come")?;
    let trace = u128::from_be_bytes(call.trace.as_slice().try_into()?);
    ensure!(call.service == "pulse-registry" && format!("{trace:032x}") == caller, "{call:?}");
    Ok(())
}

#[tokio::test]
async fn logs_say_more_for_a_while_and_then_less() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    for (name, address) in
        [("pulse-registry", pair.registry.grpc()), ("pulse-collector", pair.collector.grpc())]
    {
        let mut logs = LogServiceClient::connect(format!("http://{address}")).await?;
        let level =
            logs.get_log_level(GetLogLevelRequest {}).await?.into_inner().log_level.context("a level")?;
        ensure!(level.level == "info" && level.reverts_at.is_none(), "{level:?}");
        let target = address.to_string();
        let set = run(
            name,
            &["log-level", "debug", "--for", "10m", "--address", &target, "--output", "json"],
            &[],
            "",
        )
        .await?;
        ensure!(set.code == 0 && set.stdout.contains("\"level\":\"debug\""), "{set:?}");
        let level =
            logs.get_log_level(GetLogLevelRequest {}).await?.into_inner().log_level.context("a level")?;
        ensure!(
            level.level == "debug" && level.configured == "info" && level.reverts_at.is_some(),
            "{level:?}"
        );

        for (level, duration) in [("loud", 60), ("debug", 0), ("debug", 25 * 3_600)] {
            let duration = Some(prost_types::Duration { seconds: duration, nanos: 0 });
            let request = SetLogLevelRequest { level: level.to_owned(), duration };
            let refused = logs.set_log_level(request).await.expect_err("no level, or no time");
            ensure!(refused.code() == tonic::Code::InvalidArgument, "{refused:?}");
        }
        // A second is soon over: the log says that it went back.
        let duration = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        logs.set_log_level(SetLogLevelRequest { level: "trace".to_owned(), duration }).await?;
        let service = if name == "pulse-registry" { &pair.registry } else { &pair.collector };
        let went_back =
            |line: &str| line.contains("the log level is changed") && line.contains("\"to\":\"info\"");
        service.process().logs("that its level went back", went_back).await;
        let shown = run(name, &["log-level", "--address", &target], &[], "").await?;
        ensure!(shown.stdout.lines().last().is_some_and(|line| line.starts_with("info")), "{shown:?}");
    }
    Ok(())
}
