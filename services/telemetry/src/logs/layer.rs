//! Turns one event into one line.
//!
//! Called by `tracing` for the events that the filter lets through.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;

use super::{LogFormat, LogSink, field_name};

/// Fields of every line. An event's field of such a name is written with
/// `field.` before it: two keys of one name are no JSON.
const RESERVED: [&str; 6] = [
    "timestamp",
    "level",
    "service",
    "message",
    "trace_id",
    "span_id",
];

pub(super) struct LineLayer {
    /// The service's name as it stands in a line: a JSON string, or plain.
    service: String,
    format: LogFormat,
    sink: LogSink,
}

impl LineLayer {
    pub(super) fn new(service: &str, format: LogFormat, sink: LogSink) -> Self {
        let service = match format {
            LogFormat::Json => Value::from(service).to_string(),
            LogFormat::Text => service.to_owned(),
        };
        Self {
            service,
            format,
            sink,
        }
    }

    fn write(&self, event: &Event<'_>, scratch: &mut Scratch) {
        scratch.clear();
        event.record(scratch);
        let Scratch {
            line,
            fields,
            message,
            format: _,
        } = scratch;
        let now = Timestamp::now();
        let level = event.metadata().level();
        // Writing to a String cannot fail.
        let _ = match self.format {
            LogFormat::Json => write!(
                line,
                r#"{{"timestamp":"{now:.6}","level":"{level}","service":{}"#,
                self.service
            ),
            LogFormat::Text => write!(line, "{now:.3} {level:>5} {}:", self.service),
        };
        match self.format {
            LogFormat::Json => {
                line.push_str(r#","message":"#);
                push_json(line, message.as_str());
            }
            LogFormat::Text => {
                line.push(' ');
                push_plain(line, message);
            }
        }
        self.push_ids(line);
        line.push_str(fields);
        if self.format == LogFormat::Json {
            line.push('}');
        }
        line.push('\n');
        self.sink.write(line.as_bytes());
    }

    /// The span in whose context the event happens, if there is one.
    fn push_ids(&self, line: &mut String) {
        Context::map_current(|cx| {
            let span = cx.span();
            let span = span.span_context();
            if !span.is_valid() {
                return;
            }
            let (trace_id, span_id) = (span.trace_id(), span.span_id());
            let _ = match self.format {
                LogFormat::Json => {
                    write!(line, r#","trace_id":"{trace_id}","span_id":"{span_id}""#)
                }
                LogFormat::Text => write!(line, " trace_id={trace_id} span_id={span_id}"),
            };
        });
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _cx: layer::Context<'_, S>) {
        SCRATCH.with(|scratch| {
            // Taken otherwise where the `Debug` of a field logs by itself.
            let mut own = Scratch::default();
            let mut shared = scratch.try_borrow_mut();
            let scratch = shared.as_deref_mut().unwrap_or(&mut own);
            scratch.format = self.format;
            self.write(event, scratch);
        });
    }
}

/// A thread's buffers, and the visitor that fills them.
#[derive(Default)]
struct Scratch {
    line: String,
    /// The fields but the message, each with what parts it from the one before.
    fields: String,
    message: String,
    format: LogFormat,
}

impl Scratch {
    fn clear(&mut self) {
        self.line.clear();
        self.fields.clear();
        self.message.clear();
    }

    fn push_name(&mut self, field: &Field) {
        let name = field_name(field);
        let name = name.as_ref();
        let prefix = if RESERVED.contains(&name) {
            "field."
        } else {
            ""
        };
        match self.format {
            LogFormat::Json => {
                self.fields.push(',');
                if prefix.is_empty() {
                    push_json(&mut self.fields, name);
                } else {
                    push_json(&mut self.fields, &format!("{prefix}{name}"));
                }
                self.fields.push(':');
            }
            LogFormat::Text => {
                let _ = write!(self.fields, " {prefix}{name}=");
            }
        }
    }

    /// A value whose text is the same in JSON and outside of it.
    fn push_literal(&mut self, field: &Field, value: impl fmt::Display) {
        self.push_name(field);
        let _ = write!(self.fields, "{value}");
    }
}

impl Visit for Scratch {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            // `Debug` keeps the point of a whole number, and so the type.
            self.push_literal(field, format_args!("{value:?}"));
        } else {
            self.record_str(field, &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_literal(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_literal(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        // More digits than most readers of JSON keep.
        self.record_str(field, &value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record_str(field, &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_literal(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        self.push_name(field);
        match self.format {
            LogFormat::Json => push_json(&mut self.fields, value),
            LogFormat::Text => push_plain(&mut self.fields, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// `text` as a JSON string.
fn push_json(line: &mut String, text: &str) {
    // Most texts need no escape, and none then needs a buffer.
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        line.push_str(&Value::from(text).to_string());
    }
}

/// `text` without what could end the line or command the terminal.
fn push_plain(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests;
