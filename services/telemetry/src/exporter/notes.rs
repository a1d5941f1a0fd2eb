//! What the OTLP exporter says beside its result: it tells of rejected spans,
//! of attempts that are made again and of a receiver's own words only in
//! `tracing` events, which are told apart here by name and field.
//!
//! Used by `exporter`, which sets the [`Ear`] as the dispatch of one poll of one
//! delivery, so that what was heard belongs to that delivery.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Code;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// The target of the exporter's events: its crate's name.
const TARGET: &str = "opentelemetry-otlp";

/// What was heard since the last time.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// An attempt has failed, and another will be made.
    pub(super) trying_again: bool,
    /// Spans or records that the receiver has not taken.
    pub(super) rejected: u64,
    /// What it said about a request that it did take.
    pub(super) remark: String,
    /// Why the last attempt failed, in the receiver's or the client's words.
    pub(super) reason: Option<String>,
    /// The gRPC status of the last attempt, if the delivery ended with it.
    code: Option<String>,
}

impl Notes {
    /// Adds what was heard later.
    pub(super) fn add(&mut self, later: Notes) {
        self.trying_again |= later.trying_again;
        self.rejected += later.rejected;
        if !later.remark.is_empty() {
            self.remark = later.remark;
        }
        self.reason = later.reason.or(self.reason.take());
        self.code = later.code.or(self.code.take());
    }

    /// Whether the delivery ended with this gRPC status.
    pub(super) fn ended_with(&self, code: Code) -> bool {
        (self.code.as_ref()).is_some_and(|heard| *heard == format!("{code:?}"))
    }
}

/// Notes under way from the ear, or from the HTTP client, to the delivery.
#[derive(Clone, Debug, Default)]
pub(super) struct Pad(Arc<Mutex<Notes>>);

impl Pad {
    pub(super) fn take(&self) -> Notes {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write(&self, write: impl FnOnce(&mut Notes)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The events that matter.
#[derive(Clone, Copy)]
enum Kind {
    PartialSuccess,
    TryingAgain,
    Failed,
}

impl Kind {
    fn of(metadata: &Metadata<'_>) -> Option<Self> {
        if metadata.target() != TARGET {
            return None;
        }
        match metadata.name() {
            "TonicTracesClient.PartialSuccess"
            | "HttpTraceClient.PartialSuccess"
            | "TonicLogsClient.PartialSuccess"
            | "HttpLogsClient.PartialSuccess" => Some(Self::PartialSuccess),
            "Export.InProgress.Retrying" | "Export.InProgress.Throttled" => Some(Self::TryingAgain),
            "TonicTracesClient.ExportFailed" | "TonicLogsClient.ExportFailed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Listens to the events above, and to nothing else.
pub(super) struct Ear(pub(super) Pad);

impl Subscriber for Ear {
    /// "Never" keeps the cost of all other events, the transport's debug
    /// events above all, where it is without this subscriber.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && Kind::of(metadata).is_some()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let Some(kind) = Kind::of(event.metadata()) else {
            return;
        };
        self.0.write(|notes| match kind {
            Kind::TryingAgain => notes.trying_again = true,
            Kind::PartialSuccess | Kind::Failed => event.record(notes),
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Never asked for: no span is enabled.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Notes {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if matches!(field.name(), "rejected_spans" | "rejected_log_records") {
            self.rejected += u64::try_from(value).unwrap_or(0);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "error_message" => value.clone_into(&mut self.remark),
            "grpc_code" => self.code = Some(value.to_owned()),
            "grpc_message" if !value.is_empty() => self.reason = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
