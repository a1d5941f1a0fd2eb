//! OpenTelemetry for services that must not lose a span in silence.
//!
//! [`Telemetry::start`] gives one service its tracer, its span ledger and its log
//! dispatch. Nothing is global, so several services can live in one process.
//!
//! A span takes this way: `tracer -> processor -> queue -> worker -> exporter`.
//! - `processor` is called by the SDK, on the application's threads, and never
//!   makes them wait: a span that does not fit into the bounded `queue` is
//!   dropped and counted.
//! - `worker` is a thread with a runtime of its own. It takes batches from the
//!   queue and settles every span in the `ledger`, where
//!   `ended = exported + dropped + failed + queued` holds in every snapshot.
//! - `logs` makes lines and log records of `tracing` events; a record takes the
//!   same way as a span, through a queue, a worker and a ledger of its own.
//! - `exporter` delivers a batch over gRPC or HTTP, with retries, by
//!   `opentelemetry-otlp`.
//!
//! ```no_run
//! use opentelemetry::trace::{Span as _, Tracer as _};
//! use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let env = |name: &str| std::env::var(name).ok();
//! let settings = TelemetrySettings::from_env(&env, TelemetrySettings::default())?;
//! let telemetry = Telemetry::start(settings, ResourceInfo::new("frontend", "1.0.0"))?;
//! let mut span = telemetry.tracer().start("work");
//! span.end();
//! let report = telemetry.shutdown(std::time::Duration::from_secs(5)).await;
//! assert_eq!(report.ledger.exported, 1);
//! # Ok(())
//! # }
//! ```

mod exporter;
mod ledger;
mod logs;
mod processor;
pub mod propagation;
mod queue;
mod report;
mod resource;
mod sampler;
pub mod settings;
mod size;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits};
use tracing::Dispatch;

pub use exporter::ConnectError;
pub use ledger::LedgerSnapshot;
pub use logs::{LogFormat, LogSink};
pub use resource::{DEFAULT_ENVIRONMENT, DEFAULT_NAMESPACE, ResourceInfo};
pub use sampler::TraceSampler;
pub use settings::{SettingsError, TelemetrySettings};

use logs::LogExport;
use processor::ExportProcessor;
use queue::{Drained, Draining, Goal, Queue};

/// Why a service's telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The connection to the receiver can never be made.
    #[error("{what} cannot be exported to {endpoint}: {source}")]
    Exporter {
        /// Spans or log records.
        what: &'static str,
        /// Scheme, host and port.
        endpoint: String,
        /// What is wrong.
        source: ConnectError,
    },
    /// The system gives no thread or no runtime.
    #[error("the export thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// One service's telemetry. A cheap handle: clones share everything.
///
/// Shut it down before the process ends. If the last handle and the last tracer
/// are dropped without that, the drop itself blocks for up to five seconds to
/// send what waits.
#[derive(Clone, Debug)]
pub struct Telemetry {
    tracer: SdkTracer,
    /// Receivers in the order of the settings; none if disabled.
    processors: Arc<[ExportProcessor]>,
    dispatch: Dispatch,
    sink: LogSink,
    log_export: Option<LogExport>,
}

/// How a shutdown or a flush went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Every span that had ended by then, and every log record, was settled
    /// before the deadline.
    pub in_time: bool,
    /// Spans given up at the deadline, over all receivers; they are counted as
    /// failed in the ledgers.
    pub abandoned: u64,
    /// The ledger of the first receiver afterwards.
    pub ledger: LedgerSnapshot,
    /// The ledger of log records afterwards.
    pub log_ledger: LedgerSnapshot,
    /// Whether every log line was written.
    pub logs_written: bool,
}

impl Telemetry {
    /// Starts export for one service; needs no runtime. No connection is made
    /// before there are spans, so a receiver may come up later.
    ///
    /// # Errors
    /// Where TLS cannot be set up, or the system gives no thread.
    pub fn start(settings: TelemetrySettings, resource: ResourceInfo) -> Result<Self, StartError> {
        let (resource_value, service) = resource.build(&settings);
        // For the threads that export: their own lines are not exported.
        let lines = logs::dispatch(&settings.logs, &service, None);
        let mut log_export = None;
        let mut processors = Vec::new();
        let mut provider = SdkTracerProvider::builder()
            .with_resource(resource_value.clone())
            .with_span_limits(SpanLimits::default());
        if settings.disabled {
            // A sampler that drops everything keeps no data of a span, and the
            // caller's context goes on through it all the same.
            provider = provider.with_sampler(Sampler::AlwaysOff);
        } else {
            provider = provider.with_sampler(Sampler::from(settings.sampler));
            for receiver in std::iter::once(&settings.exporter).chain(&settings.mirrors) {
                let processor = ExportProcessor(Queue::start(
                    &service,
                    &settings.batch,
                    &resource_value,
                    receiver,
                    lines.clone(),
                )?);
                provider = provider.with_span_processor(processor.clone());
                processors.push(processor);
            }
            if let Some(otlp) = &settings.logs.otlp {
                let export = LogExport::start(&service, otlp, &resource_value, lines.clone())?;
                log_export = Some(export);
            }
        }
        let dispatch = match &log_export {
            Some(_) => logs::dispatch(&settings.logs, &service, log_export.clone()),
            None => lines,
        };
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Ok(Self {
            tracer: provider.build().tracer_with_scope(scope),
            processors: processors.into(),
            dispatch,
            sink: settings.logs.sink,
            log_export,
        })
    }

    /// Whether spans are recorded at all (`OTEL_SDK_DISABLED` is not set).
    pub fn is_enabled(&self) -> bool {
        !self.processors.is_empty()
    }

    /// The service's tracer, to be used directly.
    pub fn tracer(&self) -> &SdkTracer {
        &self.tracer
    }

    /// The ledger of the service's receiver; zeros if telemetry is disabled.
    pub fn ledger(&self) -> LedgerSnapshot {
        (self.processors.first())
            .map_or_else(LedgerSnapshot::default, |processor| processor.0.ledger())
    }

    /// The ledgers of the mirrors, in the order of the settings.
    pub fn mirror_ledgers(&self) -> Vec<LedgerSnapshot> {
        let mirrors = self.processors.get(1..).unwrap_or_default();
        mirrors
            .iter()
            .map(|processor| processor.0.ledger())
            .collect()
    }

    /// The ledger of the log records exported by OTLP; zeros if none are. A
    /// record counts as started and ended when it is made.
    pub fn log_ledger(&self) -> LedgerSnapshot {
        (self.log_export.as_ref()).map_or_else(LedgerSnapshot::default, LogExport::ledger)
    }

    /// The dispatch of the service's log; scope it over the service's futures with `tracing::instrument::WithSubscriber`.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The sink of the service's log lines, for its counter of dropped ones.
    pub fn log_sink(&self) -> &LogSink {
        &self.sink
    }

    /// Starts a span and gives the context in which it is active. Where
    /// telemetry is disabled that is `parent` itself, so that a caller's context
    /// travels on untouched, as the specification of `OTEL_SDK_DISABLED` says.
    pub fn start_span(&self, span: SpanBuilder, parent: &Context) -> Context {
        if self.processors.is_empty() {
            return parent.clone();
        }
        parent.with_span(self.tracer.build_with_context(span, parent))
    }

    /// Waits until every span that has ended and every log record is settled and
    /// every log line is written, for at most `deadline`. Works in any runtime and in none.
    pub async fn flush(&self, deadline: Duration) -> ShutdownReport {
        self.drain_aside(Goal::Flush, deadline).await
    }

    /// Sends what waits until `deadline` and stops for good: what is left then
    /// is counted as failed, and spans that end later as dropped. Works in any
    /// runtime and in none. A second call finds nothing to do.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        self.drain_aside(Goal::Stop, deadline).await
    }

    /// Waits on a thread of its own, so that doing so needs no particular
    /// runtime and holds up none.
    async fn drain_aside(&self, goal: Goal, deadline: Duration) -> ShutdownReport {
        let (done, report) = tokio::sync::oneshot::channel();
        let this = self.clone();
        let thread = thread::Builder::new()
            .name("telemetry drain".to_owned())
            // The future that waits may have been dropped.
            .spawn(move || {
                let _ = done.send(this.drain(goal, deadline));
            });
        let report = match thread {
            Ok(_) => report.await.ok(),
            Err(_) => None,
        };
        report.unwrap_or_else(|| self.drain(goal, deadline))
    }

    /// Drains all queues at once, then the log's lines.
    fn drain(&self, goal: Goal, deadline: Duration) -> ShutdownReport {
        let until = Instant::now() + deadline;
        let under_way: Vec<Draining> = (self.processors.iter())
            .map(|processor| processor.0.drain(goal, deadline))
            .collect();
        let records = (self.log_export.as_ref()).map(|export| export.drain(goal, deadline));
        let drained: Vec<Drained> = under_way.into_iter().map(Draining::wait).collect();
        let records = records.map_or(Drained::Fully, Draining::wait);
        let abandoned = drained.iter().map(|drained| match drained {
            Drained::Fully => 0,
            Drained::Late { abandoned } => *abandoned,
        });
        let for_logs = until
            .saturating_duration_since(Instant::now())
            .max(LAST_LINES);
        ShutdownReport {
            in_time: drained
                .iter()
                .chain([&records])
                .all(|drained| *drained == Drained::Fully),
            abandoned: abandoned.sum(),
            ledger: self.ledger(),
            log_ledger: self.log_ledger(),
            logs_written: self.sink.flush(for_logs),
        }
    }
}

/// Even at the deadline the log gets a moment, to say what was given up.
const LAST_LINES: Duration = Duration::from_millis(250);
