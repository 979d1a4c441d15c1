//! Structured logs on stderr: text on a terminal, one JSON object per line
//! otherwise. How much they say can be changed while they run.

pub mod cli;
mod control;
pub mod service;

use std::io::IsTerminal as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

use self::control::Control;
use crate::audit::file::Log;
use crate::audit::layer::AuditLayer;
use crate::command::remedied;
use crate::{audit, serve, trace};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

impl Format {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// `level` is one of the five levels, or a filter such as `info,pulse_collector=debug`.
pub fn is_level(level: &str) -> bool {
    const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // A bare word that is no level would be taken for a target, and everything else would fall silent.
    let known =
        |directive: &str| directive.contains('=') || WORDS.contains(&directive.to_ascii_lowercase().as_str());
    level.split(',').map(str::trim).all(known) && EnvFilter::try_new(level).is_ok()
}

/// Libraries that print whole messages, secrets included, when they are asked for detail.
const TALKATIVE: [&str; 8] =
    ["tungstenite", "tokio_tungstenite", "h2", "hyper", "hyper_util", "reqwest", "rustls", "tonic"];

/// Whatever the operator's filter says: what passes over a wire stays out of the log.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || !TALKATIVE.contains(&root)
}

/// Who silences the log does not mean the audit lines, unless it is said.
fn with_audit(level: &str) -> String {
    let target = audit::TARGET;
    let named = level.split(',').any(|directive| directive.trim().starts_with(&format!("{target}=")));
    if named { level.to_owned() } else { format!("{level},{target}=info") }
}

/// What a process says, and where.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub service: &'static str,
    pub format: Format,
    pub level: &'a str,
    /// `None`: audit lines are in the log alone.
    pub audit: Option<&'a audit::config::Config>,
    pub traces: &'a trace::Config,
}

/// Sets up logging and traces for the process, and the audit log in its file. Fails when `level` is no filter, when it was set up
/// before, or when the file cannot be written. `None`: traces go nowhere.
pub fn start(options: Options<'_>) -> anyhow::Result<Option<trace::Exporting>> {
    let Options { service, format, level, audit, traces } = options;
    let audit = audit.map(open).transpose()?;
    let (traces, exporting) = trace::layer(traces, service)?.unzip();
    let has_traces = traces.is_some();
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(with_audit(level))?);
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    // Spans are told with lines only where somebody looks for their trace.
    let is_told = move |metadata: &Metadata<'_>| {
        is_discreet(metadata) && (has_traces || metadata.target() != trace::TARGET)
    };
    let filter = filter.and(filter_fn(is_told).with_max_level_hint(LevelFilter::TRACE));
    let registry =
        tracing_subscriber::registry().with(only(audit::TARGET, audit)).with(only(trace::TARGET, traces));
    if json {
        let layer = layer.json().flatten_event(true).with_current_span(has_traces).with_span_list(false);
        registry.with(layer.with_filter(filter)).try_init()?;
    } else {
        registry.with(layer.with_ansi(terminal).with_target(false).with_filter(filter)).try_init()?;
    }
    Control::new(level, Box::new(move |filter| handle.reload(filter))).install();
    Ok(exporting)
}

/// A layer of one target, all of which is told at level `info`. The filter is around the option, and has a level: a layer that is
/// not there, or one without, would have every frame of HTTP/2 looked at.
fn only<S, L>(target: &'static str, layer: Option<L>) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    L: Layer<S>,
{
    let is_there = layer.is_some();
    let is_wanted = move |metadata: &Metadata<'_>| is_there && metadata.target() == target;
    layer.with_filter(filter_fn(is_wanted).with_max_level_hint(LevelFilter::INFO))
}

fn open(config: &audit::config::Config) -> anyhow::Result<AuditLayer> {
    let told = |error: std::io::Error| {
        let fault = format!("the audit log {} cannot be written: {error}", config.file.display());
        remedied(fault, "check audit.file")
    };
    if let Some(folder) = config.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        serve::own_folder(folder)?;
    }
    let (strangers, rotation) = config.strangers();
    let strangers = Log::open(&strangers, rotation).map_err(told)?;
    Ok(AuditLayer::new(Log::open(&config.file, config.rotation).map_err(told)?, strangers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_level_hides_the_audit_lines_unless_it_names_them() {
        for (level, want) in [
            ("warn", "warn,audit=info"),
            ("info,a=debug", "info,a=debug,audit=info"),
            ("off,audit=off", "off,audit=off"),
        ] {
            assert_eq!(with_audit(level), want);
            assert!(EnvFilter::try_new(want).is_ok());
        }
    }

    #[test]
    fn what_no_level_wants_is_dropped_where_it_arises() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("audit.log");
        let rotation = audit::file::Rotation { file_bytes_max: 1 << 20, files_max: 1 };
        let audit = audit::config::Config { file, rotation };
        let traces = trace::Config::default();
        let options = Options {
            service: "test",
            format: Format::Json,
            level: "info,pulse_shell=debug",
            audit: Some(&audit),
            traces: &traces,
        };
        assert!(start(options)?.is_none());
        assert_eq!(LevelFilter::current(), LevelFilter::DEBUG, "the most that anybody wants");
        assert!(tracing::enabled!(target: audit::TARGET, Level::INFO));
        assert!(!tracing::enabled!(target: trace::TARGET, Level::INFO), "nobody asked for traces");
        assert!(!tracing::enabled!(target: "h2", Level::DEBUG));
        assert!(tracing::enabled!(target: "pulse_shell", Level::DEBUG));
        Ok(())
    }
}
