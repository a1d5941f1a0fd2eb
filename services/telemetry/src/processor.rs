//! The span processor: the SDK calls it for every recorded span, and it queues
//! the ended ones for export.
//!
//! Built by `Telemetry::start`.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::queue::{Drained, Goal, Queue};
use crate::size;

/// How long the SDK's own `force_flush`, which takes no deadline, may take.
const SDK_FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// A cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct ExportProcessor(pub(crate) Queue<SpanData>);

impl SpanProcessor for ExportProcessor {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        if span.span_context().is_sampled() {
            self.0.count_start();
        }
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let bytes = size::of_span(&span);
        self.0.push(span, bytes);
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self.0.drain(Goal::Flush, SDK_FLUSH_DEADLINE).wait() {
            Drained::Fully => Ok(()),
            Drained::Late { .. } => Err(OTelSdkError::Timeout(SDK_FLUSH_DEADLINE)),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self.0.drain(Goal::Stop, timeout).wait() {
            Drained::Fully => Ok(()),
            Drained::Late { .. } => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}
