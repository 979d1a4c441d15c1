//! Traces for OpenTelemetry: where a record's time goes, from the NAS to the disk of the registry. Off unless `otlp.endpoint` says
//! where to; then spans of the target [`TARGET`] are sent there, and log lines and exemplars name the trace they belong to.
//!
//! Owns the form of a trace on the wire (W3C `traceparent`). Knows nothing of what is traced.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::transport::Endpoint;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::Settings;
use crate::tls::connector::{self, ClientFiles};

/// Spans of this target are traces, and nothing else is.
pub const TARGET: &str = "pulse_trace";
/// The header, and the field of messages.
pub(crate) const HEADER: &str = "traceparent";
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const EXPORT_DEADLINE: Duration = Duration::from_secs(10);

/// Where traces go, and how many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `http://host:4317` or `https://…`; `None`: nowhere.
    pub endpoint: Option<String>,
    pub ca_file: Option<PathBuf>,
    /// Of those that begin here.
    pub ratio: f64,
}

impl Config {
    pub fn read(settings: &mut Settings) -> Self {
        let url = |text: &str| {
            let web = text.starts_with("http://") || text.starts_with("https://");
            web.then(|| text.to_owned())
        };
        let ratio = |text: &str| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        Self {
            endpoint: settings.optional("otlp.endpoint", "a URL such as \"http://127.0.0.1:4317\"", url),
            ca_file: settings.optional("otlp.ca_file", "a path", |text| Some(PathBuf::from(text))),
            ratio: settings.get("otlp.sample_ratio", "a number from 0 to 1", ratio),
        }
    }
}

/// Sends what is left when the process ends.
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

impl Exporting {
    pub async fn finish(self) {
        // What cannot be sent any more is lost, and was never promised.
        drop(tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(EXPORT_DEADLINE)).await);
    }
}

pub(crate) fn layer<S>(
    config: &Config,
    service: &'static str,
) -> anyhow::Result<Option<(OpenTelemetryLayer<S, SdkTracer>, Exporting)>>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(url) = &config.endpoint else { return Ok(None) };
    let endpoint = Endpoint::from_shared(url.clone())
        .with_context(|| format!("otlp.endpoint {url:?} is no URL"))?
        .connect_timeout(CONNECT_DEADLINE);
    let files = ClientFiles { ca: config.ca_file.clone(), identity: None };
    let channel = connector::lazy(&endpoint, &files).context("otlp.ca_file")?;
    let exporter =
        SpanExporter::builder().with_tonic().with_channel(channel).with_timeout(EXPORT_DEADLINE).build()?;
    let about = [KeyValue::new("service.name", service), KeyValue::new("service.version", crate::VERSION)];
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.ratio))))
        .with_resource(Resource::builder_empty().with_attributes(about).build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("pulse"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    Ok(Some((layer, Exporting(provider))))
}

/// What another process needs to go on with this span's trace; empty when there is none.
pub fn traceparent(span: &Span) -> String {
    known(span).map_or_else(String::new, |context| {
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
        format!("00-{trace}-{span}-{:02x}", flags.to_u8())
    })
}

/// Goes on with the trace of another process. Anything but a whole `traceparent` begins a new one. Names the trace in `trace_id`.
pub fn follow(span: &Span, traceparent: &str) {
    if span.is_disabled() {
        return;
    }
    if let Some(parent) = parse(traceparent) {
        // Fails only for a span that has begun.
        drop(span.set_parent(Context::new().with_remote_span_context(parent)));
    }
    if let Some(context) = known(span) {
        span.record("trace_id", tracing::field::display(context.trace_id()));
    }
}

/// The trace of a span that is sent.
pub(crate) fn sampled(span: &Span) -> Option<String> {
    known(span).filter(SpanContext::is_sampled).map(|context| context.trace_id().to_string())
}

fn known(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, none of the ids zero.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if version != "00"
        || parts.next().is_some()
        || !is_hex(trace, 32)
        || !is_hex(span, 16)
        || !is_hex(flags, 2)
    {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_one() {
        let whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parse(whole).expect("the example of the standard");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for wrong in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn without_an_exporter_nothing_is_traced() {
        let span = tracing::info_span!(target: TARGET, "call", trace_id = tracing::field::Empty);
        follow(&span, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!((traceparent(&span), sampled(&span)), (String::new(), None));
    }
}
