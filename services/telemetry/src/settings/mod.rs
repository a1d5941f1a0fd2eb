//! What telemetry can be told to do: typed settings, their defaults (each
//! written once, here), and how the standard `OTEL_*` variables change them.
//!
//! Called by the binaries' and the services' own settings, which pass the
//! environment in as a function; nothing here reads the process environment.

mod env;

use std::path::PathBuf;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Uri};

use crate::logs::{LogFormat, LogSink};
use crate::sampler::TraceSampler;
use env::{Env, Signal};

/// `OTEL_EXPORTER_OTLP_ENDPOINT` where the protocol is gRPC.
pub const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";
/// `OTEL_EXPORTER_OTLP_ENDPOINT` where the protocol is HTTP.
pub const DEFAULT_HTTP_ENDPOINT: &str = "http://localhost:4318";
/// `OTEL_EXPORTER_OTLP_TIMEOUT`: the time one attempt to send a batch may take.
pub const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// `OTEL_BSP_EXPORT_TIMEOUT` and `OTEL_BLRP_EXPORT_TIMEOUT`: the time a batch may
/// take with all its attempts, after which what is in it counts as failed. Long,
/// so that a collector may restart.
pub const DEFAULT_EXPORT_DEADLINE: Duration = Duration::from_secs(300);
/// `OTEL_BSP_MAX_QUEUE_SIZE` and `OTEL_BLRP_MAX_QUEUE_SIZE`: spans, or log records,
/// that may wait, the ones being sent included.
pub const DEFAULT_MAX_QUEUE_ITEMS: u64 = 65_536;
/// Bytes (an estimate, see `size`) that the waiting ones may hold. Ordinary spans
/// reach the bound above first; this one is for spans with huge attributes.
pub const DEFAULT_MAX_QUEUE_BYTES: u64 = 128 << 20;
/// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`: spans, or
/// log records, in one request.
pub const DEFAULT_MAX_BATCH_ITEMS: usize = 512;
/// `OTEL_BSP_SCHEDULE_DELAY` and `OTEL_BLRP_SCHEDULE_DELAY`: how long a span, or a
/// log record, may wait for its batch to fill.
pub const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_millis(500);
/// `RUST_LOG`: which log events are written.
pub const DEFAULT_LOG_FILTER: &str = "info";

/// Path of a signal below a base endpoint, by the OTLP specification.
const HTTP_TRACES_PATH: &str = "/v1/traces";
const HTTP_LOGS_PATH: &str = "/v1/logs";

/// Everything [`Telemetry::start`](crate::Telemetry::start) needs beside the
/// resource. `Default` gives the defaults above and no log sink.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySettings {
    /// `OTEL_SDK_DISABLED`: no span is recorded, but context still travels.
    pub disabled: bool,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: TraceSampler,
    /// Bounds of the queue of spans and of a batch.
    pub batch: BatchSettings,
    /// Where spans go. A caller that has its own endpoint assigns this field
    /// after [`from_env`](Self::from_env): then nothing of the environment's
    /// exporter variables is left, headers and certificate included.
    pub exporter: ExporterSettings,
    /// Further receivers of every span. Each has its own queue and ledger.
    pub mirrors: Vec<ExporterSettings>,
    /// `OTEL_SERVICE_NAME`, which wins over `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, decoded; they win over the program's own.
    pub resource_attributes: Vec<(String, String)>,
    /// Which events are logged, and where to.
    pub logs: LogSettings,
}

/// Bounds of a queue, of spans or of log records, and of the batches taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Spans that may wait; a span that ends while so many wait is dropped.
    pub max_queue_items: u64,
    /// Estimated bytes that may wait; likewise.
    pub max_queue_bytes: u64,
    /// Spans in one request, at most.
    pub max_batch_items: usize,
    /// How long a span may wait for its batch to fill.
    pub schedule_delay: Duration,
    /// How long one batch is retried before its spans count as failed.
    pub export_deadline: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            max_queue_items: DEFAULT_MAX_QUEUE_ITEMS,
            max_queue_bytes: DEFAULT_MAX_QUEUE_BYTES,
            max_batch_items: DEFAULT_MAX_BATCH_ITEMS,
            schedule_delay: DEFAULT_SCHEDULE_DELAY,
            export_deadline: DEFAULT_EXPORT_DEADLINE,
        }
    }
}

/// How telemetry travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP/1.1 with protobuf bodies.
    HttpProtobuf,
}

/// One receiver of spans or of log records.
#[derive(Clone, Debug)]
pub struct ExporterSettings {
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// The address that requests go to. For HTTP it is the whole URL, path
    /// included; for gRPC there is no path but the method's.
    pub endpoint: Uri,
    /// Sent with every request, and no others: not even those of the process
    /// environment, which `opentelemetry-otlp` reads by itself.
    pub headers: HeaderMap,
    /// Whether request bodies are gzip-compressed. Where this is `false` and
    /// the process environment asks for compression, `opentelemetry-otlp`
    /// compresses all the same.
    pub gzip: bool,
    /// The time one attempt may take, connecting included.
    pub timeout: Duration,
    /// PEM file of the certificate authorities to trust; the system's if `None`.
    pub certificate: Option<PathBuf>,
}

impl Default for ExporterSettings {
    fn default() -> Self {
        Self {
            protocol: Protocol::Grpc,
            endpoint: Uri::from_static(DEFAULT_GRPC_ENDPOINT),
            headers: HeaderMap::new(),
            gzip: false,
            timeout: DEFAULT_ATTEMPT_TIMEOUT,
            certificate: None,
        }
    }
}

impl ExporterSettings {
    /// Settings for a base endpoint such as `http://localhost:4317`; over HTTP
    /// `/v1/traces` is appended to it, as the OTLP specification says.
    ///
    /// # Errors
    /// Where `base` is not an `http` or `https` URL with a host. The error
    /// names the setting `name`.
    pub fn for_base(name: &str, protocol: Protocol, base: &str) -> Result<Self, SettingsError> {
        Self::below(name, protocol, base, HTTP_TRACES_PATH)
    }

    /// The same for log records: over HTTP, `/v1/logs` is appended.
    ///
    /// # Errors
    /// As [`for_base`](Self::for_base).
    pub fn for_logs(name: &str, protocol: Protocol, base: &str) -> Result<Self, SettingsError> {
        Self::below(name, protocol, base, HTTP_LOGS_PATH)
    }

    fn below(
        name: &str,
        protocol: Protocol,
        base: &str,
        http_path: &str,
    ) -> Result<Self, SettingsError> {
        let endpoint = parse_endpoint(name, base, false)?;
        let endpoint = match protocol {
            Protocol::Grpc => without_path(name, endpoint)?,
            Protocol::HttpProtobuf => append_path(name, endpoint, http_path)?,
        };
        Ok(Self {
            protocol,
            endpoint,
            ..Self::default()
        })
    }
}

/// Which log events are written, how and where.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Directives as in `RUST_LOG`: `info`, `warn,tdemo_services=debug`.
    pub filter: tracing_subscriber::filter::Targets,
    /// JSON lines or text.
    pub format: LogFormat,
    /// Where lines go; `LogSink::none()` costs next to nothing an event.
    pub sink: LogSink,
    /// `OTEL_LOGS_EXPORTER=otlp`: where records go by OTLP, beside the lines.
    pub otlp: Option<LogExportSettings>,
}

/// Export of log records by OTLP.
#[derive(Clone, Debug, Default)]
pub struct LogExportSettings {
    /// Where records go.
    pub exporter: ExporterSettings,
    /// Bounds of the queue of records and of a batch.
    pub batch: BatchSettings,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: DEFAULT_LOG_FILTER
                .parse()
                .expect("the default filter is a valid directive"),
            format: LogFormat::Json,
            sink: LogSink::none(),
            otlp: None,
        }
    }
}

/// A setting that cannot be used: one line that names it, shows what it holds
/// (never the value of a header) and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?} cannot be used: {allowed}")]
pub struct SettingsError {
    /// The variable or flag.
    pub name: String,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub allowed: String,
}

impl SettingsError {
    fn new(name: &str, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            allowed: allowed.into(),
        }
    }
}

impl TelemetrySettings {
    /// Applies the standard environment variables to `defaults`.
    ///
    /// `lookup` gives a variable's value; an empty value counts as unset, as
    /// the OpenTelemetry specification says. A `_TRACES_` variable wins over
    /// its general form.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(
        lookup: &dyn Fn(&str) -> Option<String>,
        defaults: Self,
    ) -> Result<Self, SettingsError> {
        let env = Env(lookup);
        let mut settings = defaults;
        if let Some(disabled) = env.boolean("OTEL_SDK_DISABLED")? {
            settings.disabled = disabled;
        }
        if let Some(sampler) = env.sampler()? {
            settings.sampler = sampler;
        }
        settings.batch = env.batch("BSP", &settings.batch)?;
        settings.exporter = env.exporter(Signal::TRACES, settings.exporter)?;
        if let Some(name) = env.text("OTEL_SERVICE_NAME") {
            settings.service_name = Some(name);
        }
        if let Some(attributes) = env.resource_attributes()? {
            settings.resource_attributes = attributes;
        }
        if let Some(filter) = env.log_filter()? {
            settings.logs.filter = filter;
        }
        let mut otlp = settings.logs.otlp.take();
        if let Some(wanted) = env.logs_by_otlp()? {
            otlp = wanted.then(|| otlp.unwrap_or_default());
        }
        if let Some(otlp) = otlp {
            settings.logs.otlp = Some(LogExportSettings {
                exporter: env.exporter(Signal::LOGS, otlp.exporter)?,
                batch: env.batch("BLRP", &otlp.batch)?,
            });
        }
        Ok(settings)
    }
}

/// Checks an endpoint. `insecure` is the scheme of a gRPC endpoint that has none.
fn parse_endpoint(name: &str, text: &str, insecure: bool) -> Result<Uri, SettingsError> {
    let refuse = || {
        SettingsError::new(
            name,
            text,
            "an http:// or https:// URL with a host, such as http://localhost:4317",
        )
    };
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("{}://{text}", if insecure { "http" } else { "https" })
    };
    let uri: Uri = with_scheme.parse().map_err(|_| refuse())?;
    let scheme_is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host_is_there = uri.host().is_some_and(|host| !host.is_empty());
    if !scheme_is_known || !host_is_there {
        return Err(refuse());
    }
    // A password here would be sent to the log with every failed export.
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(SettingsError::new(
            name,
            "<hidden>",
            "a URL without user and password (put them into OTEL_EXPORTER_OTLP_HEADERS)",
        ));
    }
    Ok(uri)
}

/// `endpoint`, if it has no path: OTLP over gRPC cannot be sent to one.
fn without_path(name: &str, endpoint: Uri) -> Result<Uri, SettingsError> {
    if endpoint.path_and_query().is_none_or(|path| path == "/") {
        return Ok(endpoint);
    }
    let allowed = "a URL without a path, as the protocol is grpc (http/protobuf takes a path)";
    Err(SettingsError::new(name, endpoint.to_string(), allowed))
}

/// `endpoint` with `path` behind its own path.
fn append_path(name: &str, endpoint: Uri, path: &str) -> Result<Uri, SettingsError> {
    let shown = endpoint.to_string();
    let mut parts = endpoint.into_parts();
    let own = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
    let joined = format!("{}{path}", own.trim_end_matches('/'));
    parts.path_and_query = joined.parse().ok();
    Uri::from_parts(parts).map_err(|_| SettingsError::new(name, shown, "a URL with a valid path"))
}

/// Host and port of an endpoint, for messages.
pub(crate) fn origin(endpoint: &Uri) -> String {
    format!(
        "{}://{}",
        endpoint.scheme().unwrap_or(&Scheme::HTTP),
        endpoint.authority().map_or("", Authority::as_str)
    )
}

#[cfg(test)]
mod tests;
