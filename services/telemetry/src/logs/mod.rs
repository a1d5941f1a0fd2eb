//! Log lines of one service: a `tracing` dispatch that writes one line an event,
//! as JSON or as text, with the ids of the span in the current OpenTelemetry
//! context.
//!
//! Built by `Telemetry::start`; services scope it with `WithSubscriber`. There
//! is no global subscriber: several services share a process.

mod layer;
mod sink;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::settings::LogSettings;
pub use sink::LogSink;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a terminal: time, level, service, message, fields.
    Text,
}

/// A dispatch for the lines of `service`; the no-op one if there is no sink.
pub(crate) fn dispatch(settings: &LogSettings, service: &str) -> Dispatch {
    if settings.sink.is_none() {
        return Dispatch::none();
    }
    let layer = layer::LineLayer::new(service, settings.format, settings.sink.clone());
    Dispatch::new(
        tracing_subscriber::registry()
            .with(settings.filter.clone())
            .with(layer),
    )
}
