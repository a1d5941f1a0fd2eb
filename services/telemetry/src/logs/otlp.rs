//! Turns one event into one OpenTelemetry log record, and queues it for export.
//!
//! Called by `tracing` for the events that the filter lets through. The threads
//! that export run without this layer, so that nothing that happens on the way
//! of a record can make another.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer};

use super::field_name;
use crate::StartError;
use crate::ledger::LedgerSnapshot;
use crate::queue::{Draining, Goal, Queue};
use crate::settings::LogExportSettings;
use crate::size;

/// How long a drop may take to send what waits; as long as the SDK gives spans.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

/// The export of one service's log records. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogExport(Arc<Handle>);

#[derive(Debug)]
struct Handle(Queue<SdkLogRecord>);

impl Drop for Handle {
    fn drop(&mut self) {
        // Returns at once if it was stopped before.
        self.0.drain(Goal::Stop, DROP_DEADLINE).wait();
    }
}

impl LogExport {
    /// Starts the worker; its own log lines go to `dispatch`.
    pub(crate) fn start(
        service: &str,
        settings: &LogExportSettings,
        resource: &Resource,
        dispatch: Dispatch,
    ) -> Result<Self, StartError> {
        let queue = Queue::start(
            service,
            &settings.batch,
            resource,
            &settings.exporter,
            dispatch,
        )?;
        Ok(Self(Arc::new(Handle(queue))))
    }

    /// A record has no beginning apart from its end.
    pub(crate) fn ledger(&self) -> LedgerSnapshot {
        let ledger = self.0.0.ledger();
        LedgerSnapshot {
            started: ledger.ended,
            ..ledger
        }
    }

    pub(crate) fn drain(&self, goal: Goal, deadline: Duration) -> Draining {
        self.0.0.drain(goal, deadline)
    }
}

pub(super) struct RecordLayer {
    /// Only makes empty records: they do not go through the SDK's processors.
    logger: SdkLogger,
    export: LogExport,
}

impl RecordLayer {
    pub(super) fn new(export: LogExport) -> Self {
        let logger = SdkLoggerProvider::builder().build().logger("");
        Self { logger, export }
    }
}

impl<S: Subscriber> Layer<S> for RecordLayer {
    fn on_event(&self, event: &Event<'_>, _cx: layer::Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = self.logger.create_log_record();
        let now = SystemTime::now();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_target(metadata.target());
        record.set_severity_text(metadata.level().as_str());
        record.set_severity_number(severity(*metadata.level()));
        event.record(&mut Fields(&mut record));
        Context::map_current(|cx| {
            let span = cx.span();
            let span = span.span_context();
            if span.is_valid() {
                let flags = Some(span.trace_flags());
                record.set_trace_context(span.trace_id(), span.span_id(), flags);
            }
        });
        let bytes = size::of_record(&record);
        self.export.0.0.push(record, bytes);
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

/// An event's fields: its message becomes the body, the others attributes.
struct Fields<'a>(&'a mut SdkLogRecord);

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: impl Into<AnyValue>) {
        self.0.add_attribute(field_name(field), value);
    }

    fn add_text(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.0.set_body(text.into());
        } else {
            self.add(field, text);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.add(field, value),
            // OTLP has no larger whole number.
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field, value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Holds most messages without growing.
        let mut text = String::with_capacity(64);
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.add_text(field, text);
    }
}
