//! Logs of one service: a `tracing` dispatch that writes one line an event, as
//! JSON or as text, and exports one record an event by OTLP, as far as each is
//! wanted. Both have the ids of the span in the current OpenTelemetry context.
//!
//! Built by `Telemetry::start`; services scope it with `WithSubscriber`. There
//! is no global subscriber: several services share a process.

mod layer;
mod otlp;
mod sink;

use std::borrow::Cow;

use tracing::Dispatch;
use tracing::field::Field;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::settings::LogSettings;
pub(crate) use otlp::LogExport;
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

/// A dispatch for the log of `service`; the no-op one if nobody wants it.
pub(crate) fn dispatch(
    settings: &LogSettings,
    service: &str,
    export: Option<LogExport>,
) -> Dispatch {
    if settings.sink.is_none() && export.is_none() {
        return Dispatch::none();
    }
    let lines = (!settings.sink.is_none())
        .then(|| layer::LineLayer::new(service, settings.format, settings.sink.clone()));
    Dispatch::new(
        tracing_subscriber::registry()
            .with(settings.filter.clone())
            .with(lines)
            .with(export.map(otlp::RecordLayer::new)),
    )
}

/// A field's name without the `r#` that Rust wants before `type`.
fn field_name(field: &Field) -> Cow<'static, str> {
    let name = field.name();
    if name.contains("r#") {
        name.replace("r#", "").into()
    } else {
        name.into()
    }
}
