//! The span processor: hands ended spans to a worker thread through a bounded
//! queue, and never makes the thread that ended them wait.
//!
//! Built by `Telemetry::start`; the SDK calls it for every recorded span. The
//! worker (`worker.rs`) has a runtime of its own, so that flushing works from
//! any runtime and from none.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc::UnboundedSender;

use crate::exporter::Exporter;
use crate::ledger::{Ledger, LedgerSnapshot};
use crate::settings::BatchSettings;
use crate::size;
use crate::worker::{Alarm, Command, Queued, Worker};

/// How long the SDK's own `force_flush`, which takes no deadline, may take.
const SDK_FLUSH_DEADLINE: Duration = Duration::from_secs(10);
/// The worker keeps the deadline; this much longer its caller waits for it to
/// say so before it gives up on a starved machine.
const REPLY_GRACE: Duration = Duration::from_secs(1);

/// A cheap handle; its clones share one queue, one ledger and one worker.
#[derive(Clone, Debug)]
pub(crate) struct ExportProcessor {
    ledger: Arc<Ledger>,
    alarm: Arc<Alarm>,
    spans: mpsc::Sender<Queued>,
    commands: UnboundedSender<Command>,
    max_batch_spans: u64,
}

/// How a flush or a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Every span that had ended is settled.
    Fully,
    /// The deadline came first. After a shutdown so many spans were given up,
    /// and are counted as failed.
    Late { abandoned: u64 },
}

impl ExportProcessor {
    /// Starts the worker thread. Its log lines go to `dispatch`.
    pub(crate) fn start(
        name: &str,
        batch: &BatchSettings,
        resource: &Resource,
        exporter: Exporter,
        dispatch: tracing::Dispatch,
    ) -> std::io::Result<Self> {
        let ledger = Arc::new(Ledger::new(batch.max_queue_spans, batch.max_queue_bytes));
        let alarm = Arc::new(Alarm::default());
        let (spans, incoming) = mpsc::channel();
        let (commands, inbox) = tokio::sync::mpsc::unbounded_channel();
        let worker = Worker::new(
            Arc::clone(&ledger),
            Arc::clone(&alarm),
            incoming,
            inbox,
            batch.clone(),
            exporter,
            resource.into(),
        );
        // The runtime is built and dropped on its own thread: dropping one
        // inside another runtime panics.
        let (ready, started) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(format!("spans {name}"))
            .spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || worker.run_thread(&ready));
            })?;
        match started.recv() {
            Ok(result) => result?,
            Err(_) => return Err(std::io::Error::other("the export thread ended at once")),
        }
        Ok(Self {
            ledger,
            alarm,
            spans,
            commands,
            max_batch_spans: batch.max_batch_spans as u64,
        })
    }

    pub(crate) fn ledger(&self) -> LedgerSnapshot {
        self.ledger.snapshot()
    }

    /// Asks for every span that has ended to be settled, by the deadline.
    pub(crate) fn begin_flush(&self, deadline: Duration) -> Draining {
        self.begin(deadline, |until, reply| Command::Flush { until, reply })
    }

    /// Asks the worker to send what it can by the deadline, and then to stop.
    pub(crate) fn begin_stop(&self, deadline: Duration) -> Draining {
        self.begin(deadline, |until, reply| Command::Stop { until, reply })
    }

    fn begin(
        &self,
        deadline: Duration,
        command: impl FnOnce(Instant, mpsc::SyncSender<Drained>) -> Command,
    ) -> Draining {
        let until = Instant::now() + deadline;
        let (reply, answer) = mpsc::sync_channel(1);
        // If the worker has stopped, `reply` is dropped here, and says so.
        let _ = self.commands.send(command(until, reply));
        Draining { until, answer }
    }
}

/// A flush or a shutdown under way.
#[derive(Debug)]
pub(crate) struct Draining {
    until: Instant,
    answer: mpsc::Receiver<Drained>,
}

impl Draining {
    /// Blocks until the worker answers.
    pub(crate) fn wait(self) -> Drained {
        let patience = self.until.saturating_duration_since(Instant::now()) + REPLY_GRACE;
        match self.answer.recv_timeout(patience) {
            Ok(drained) => drained,
            // The worker has stopped, and has settled every span before.
            Err(mpsc::RecvTimeoutError::Disconnected) => Drained::Fully,
            Err(mpsc::RecvTimeoutError::Timeout) => Drained::Late { abandoned: 0 },
        }
    }
}

impl SpanProcessor for ExportProcessor {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        if span.span_context().is_sampled() {
            self.ledger.start();
        }
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let bytes = size::of_span(&span);
        let Some(waiting) = self.ledger.admit(bytes) else {
            return;
        };
        // An error means that the worker gave up at its deadline between these
        // two steps, and has counted this span as failed.
        let _ = self.spans.send(Queued { span, bytes });
        // Less than a batch waits for the timer.
        if waiting >= self.max_batch_spans {
            self.alarm.ring();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self.begin_flush(SDK_FLUSH_DEADLINE).wait() {
            Drained::Fully => Ok(()),
            Drained::Late { .. } => Err(OTelSdkError::Timeout(SDK_FLUSH_DEADLINE)),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self.begin_stop(timeout).wait() {
            Drained::Fully => Ok(()),
            Drained::Late { .. } => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}
