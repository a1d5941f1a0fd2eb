//! OTLP/JSON rewritten as OTLP protobuf, so that there is one way into the store.
//!
//! As in protobuf's JSON mapping, names may be lowerCamel or the original ones, 64-bit integers strings or numbers,
//! enums names or numbers, `null` is absence and unknown names are ignored; as in OTLP's, ids are hex. Ids are handed on
//! with whatever length they have: judging them is the protobuf path's work.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::model::pb::{
    put_bytes_field, put_fixed32_field, put_fixed64_field, put_message_field, put_varint_field,
};

/// What is wrong with a JSON request.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("cannot read the request as JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A value is not of its field's type.
    #[error("cannot read the request: {path} is not {expected}")]
    Type {
        /// Where, for example `resourceSpans[0].resource`.
        path: String,
        /// What the field takes.
        expected: &'static str,
    },
}

impl JsonError {
    fn new(expected: &'static str) -> Self {
        JsonError::Type {
            path: String::new(),
            expected,
        }
    }

    /// Puts the place where the error came from in front of its path.
    fn inside(self, place: &str) -> Self {
        match self {
            JsonError::Type { path, expected } if path.is_empty() => JsonError::Type {
                path: place.to_owned(),
                expected,
            },
            JsonError::Type { path, expected } if path.starts_with('[') => JsonError::Type {
                path: format!("{place}{path}"),
                expected,
            },
            JsonError::Type { path, expected } => JsonError::Type {
                path: format!("{place}.{path}"),
                expected,
            },
            JsonError::Syntax(_) => self,
        }
    }
}

type Out = Vec<u8>;
type Written = Result<(), JsonError>;

/// Rewrites an `ExportTraceServiceRequest` from JSON to protobuf.
pub fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let value: Value = serde_json::from_slice(json)?;
    let mut out = Vec::with_capacity(json.len());
    let request = Object::new(&value).map_err(|error| error.inside("the request"))?;
    request.messages(&mut out, 1, "resourceSpans", resource_spans)?;
    Ok(out)
}

/// Rewrites an `ExportLogsServiceRequest` from JSON to protobuf.
pub fn logs_to_protobuf(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let value: Value = serde_json::from_slice(json)?;
    let mut out = Vec::with_capacity(json.len());
    let request = Object::new(&value).map_err(|error| error.inside("the request"))?;
    request.messages(&mut out, 1, "resourceLogs", resource_logs)?;
    Ok(out)
}

fn resource_spans(from: Object<'_>, out: &mut Out) -> Written {
    from.message(out, 1, "resource", resource)?;
    from.messages(out, 2, "scopeSpans", |scope_spans, out| {
        scope_spans.message(out, 1, "scope", scope)?;
        scope_spans.messages(out, 2, "spans", span)?;
        scope_spans.text(out, 3, "schemaUrl")
    })?;
    from.text(out, 3, "schemaUrl")
}

fn resource_logs(from: Object<'_>, out: &mut Out) -> Written {
    from.message(out, 1, "resource", resource)?;
    from.messages(out, 2, "scopeLogs", |scope_logs, out| {
        scope_logs.message(out, 1, "scope", scope)?;
        scope_logs.messages(out, 2, "logRecords", log_record)?;
        scope_logs.text(out, 3, "schemaUrl")
    })?;
    from.text(out, 3, "schemaUrl")
}

fn resource(from: Object<'_>, out: &mut Out) -> Written {
    from.messages(out, 1, "attributes", key_value)?;
    from.count(out, 2, "droppedAttributesCount")
}

fn scope(from: Object<'_>, out: &mut Out) -> Written {
    from.text(out, 1, "name")?;
    from.text(out, 2, "version")?;
    from.messages(out, 3, "attributes", key_value)?;
    from.count(out, 4, "droppedAttributesCount")
}

/// Field numbers are those of `opentelemetry/proto/logs/v1/logs.proto`.
fn log_record(from: Object<'_>, out: &mut Out) -> Written {
    from.time(out, 1, "timeUnixNano")?;
    from.enumeration(out, 2, "severityNumber", &SEVERITIES)?;
    from.text(out, 3, "severityText")?;
    from.message(out, 5, "body", any_value)?;
    from.messages(out, 6, "attributes", key_value)?;
    from.count(out, 7, "droppedAttributesCount")?;
    from.flags(out, 8, "flags")?;
    from.id(out, 9, "traceId")?;
    from.id(out, 10, "spanId")?;
    from.time(out, 11, "observedTimeUnixNano")?;
    from.text(out, 12, "eventName")
}

fn span(from: Object<'_>, out: &mut Out) -> Written {
    from.id(out, 1, "traceId")?;
    from.id(out, 2, "spanId")?;
    from.text(out, 3, "traceState")?;
    from.id(out, 4, "parentSpanId")?;
    from.text(out, 5, "name")?;
    from.enumeration(out, 6, "kind", &KINDS)?;
    from.time(out, 7, "startTimeUnixNano")?;
    from.time(out, 8, "endTimeUnixNano")?;
    from.messages(out, 9, "attributes", key_value)?;
    from.count(out, 10, "droppedAttributesCount")?;
    from.messages(out, 11, "events", |event, out| {
        event.time(out, 1, "timeUnixNano")?;
        event.text(out, 2, "name")?;
        event.messages(out, 3, "attributes", key_value)?;
        event.count(out, 4, "droppedAttributesCount")
    })?;
    from.count(out, 12, "droppedEventsCount")?;
    from.messages(out, 13, "links", |link, out| {
        link.id(out, 1, "traceId")?;
        link.id(out, 2, "spanId")?;
        link.text(out, 3, "traceState")?;
        link.messages(out, 4, "attributes", key_value)?;
        link.count(out, 5, "droppedAttributesCount")?;
        link.flags(out, 6, "flags")
    })?;
    from.count(out, 14, "droppedLinksCount")?;
    from.message(out, 15, "status", |status, out| {
        status.text(out, 2, "message")?;
        status.enumeration(out, 3, "code", &STATUS_CODES)
    })?;
    from.flags(out, 16, "flags")
}

const SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const STATUS_CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

fn key_value(from: Object<'_>, out: &mut Out) -> Written {
    from.text(out, 1, "key")?;
    from.message(out, 2, "value", any_value)
}

fn any_value(from: Object<'_>, out: &mut Out) -> Written {
    if let Some(value) = from.get("stringValue") {
        // Present even when empty: that is what tells an empty string from no value.
        let text = value
            .as_str()
            .ok_or_else(|| JsonError::new("a string").inside("stringValue"))?;
        put_bytes_field(out, 1, text.as_bytes());
    }
    if let Some(value) = from.get("boolValue") {
        let truth = value
            .as_bool()
            .ok_or_else(|| JsonError::new("a boolean").inside("boolValue"))?;
        put_varint_field(out, 2, u64::from(truth));
    }
    if let Some(value) = from.get("intValue") {
        let int =
            as_i64(value).ok_or_else(|| JsonError::new("a 64-bit integer").inside("intValue"))?;
        put_varint_field(out, 3, int.cast_unsigned());
    }
    if let Some(value) = from.get("doubleValue") {
        let double =
            as_f64(value).ok_or_else(|| JsonError::new("a number").inside("doubleValue"))?;
        put_fixed64_field(out, 4, double.to_bits());
    }
    from.message(out, 5, "arrayValue", |array, out| {
        array.messages(out, 1, "values", any_value)
    })?;
    from.message(out, 6, "kvlistValue", |list, out| {
        list.messages(out, 1, "values", key_value)
    })?;
    if let Some(value) = from.get("bytesValue") {
        let bytes = value
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| JsonError::new("a base64 string").inside("bytesValue"))?;
        put_bytes_field(out, 7, &bytes);
    }
    Ok(())
}

fn as_i64(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn as_u64(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Rust reads the words of protobuf's JSON mapping (`NaN`, `Infinity`, `-Infinity`) as they are.
fn as_f64(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

/// A JSON object that stands for a message, with a writer for each kind of field. Absent fields write nothing.
#[derive(Clone, Copy)]
struct Object<'v>(&'v Map<String, Value>);

impl<'v> Object<'v> {
    fn new(value: &'v Value) -> Result<Self, JsonError> {
        value
            .as_object()
            .map(Object)
            .ok_or_else(|| JsonError::new("an object"))
    }

    /// A field by its lowerCamel name or its original one; `null` is absence.
    fn get(self, camel: &str) -> Option<&'v Value> {
        let value = self.0.get(camel).or_else(|| {
            let mut snake = String::with_capacity(camel.len() + 4);
            for letter in camel.chars() {
                if letter.is_ascii_uppercase() {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_lowercase());
            }
            self.0.get(&snake)
        });
        value.filter(|value| !value.is_null())
    }

    fn field<T>(
        self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, JsonError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let read = read(value).ok_or_else(|| JsonError::new(expected).inside(name))?;
        Ok(Some(read))
    }

    fn text(self, out: &mut Out, number: u32, name: &str) -> Written {
        if let Some(text) = self.field(name, "a string", Value::as_str)? {
            put_bytes_field(out, number, text.as_bytes());
        }
        Ok(())
    }

    fn id(self, out: &mut Out, number: u32, name: &str) -> Written {
        if let Some(id) = self.field(name, "a hex string", |value| from_hex(value.as_str()?))? {
            put_bytes_field(out, number, &id);
        }
        Ok(())
    }

    fn time(self, out: &mut Out, number: u32, name: &str) -> Written {
        if let Some(time) = self.field(name, "an unsigned 64-bit integer", as_u64)? {
            put_fixed64_field(out, number, time);
        }
        Ok(())
    }

    fn count(self, out: &mut Out, number: u32, name: &str) -> Written {
        let read = |value| as_u64(value).and_then(|count| u32::try_from(count).ok());
        if let Some(count) = self.field(name, "an unsigned 32-bit integer", read)? {
            put_varint_field(out, number, u64::from(count));
        }
        Ok(())
    }

    fn flags(self, out: &mut Out, number: u32, name: &str) -> Written {
        let read = |value| as_u64(value).and_then(|flags| u32::try_from(flags).ok());
        if let Some(flags) = self.field(name, "an unsigned 32-bit integer", read)? {
            put_fixed32_field(out, number, flags);
        }
        Ok(())
    }

    fn enumeration(self, out: &mut Out, number: u32, name: &str, names: &[&str]) -> Written {
        let read = |value: &Value| {
            let by_name = |text| names.iter().position(|name| *name == text);
            value
                .as_u64()
                .or_else(|| by_name(value.as_str()?)?.try_into().ok())
        };
        if let Some(value) = self.field(name, "a number or name of the enum", read)? {
            put_varint_field(out, number, value);
        }
        Ok(())
    }

    fn message(
        self,
        out: &mut Out,
        number: u32,
        name: &str,
        write: impl FnOnce(Object<'v>, &mut Out) -> Written,
    ) -> Written {
        let Some(value) = self.get(name) else {
            return Ok(());
        };
        let mut result = Ok(());
        put_message_field(out, number, |out| {
            result = Object::new(value).and_then(|object| write(object, out));
        });
        result.map_err(|error| error.inside(name))
    }

    fn messages(
        self,
        out: &mut Out,
        number: u32,
        name: &str,
        write: impl Fn(Object<'v>, &mut Out) -> Written,
    ) -> Written {
        let Some(value) = self.get(name) else {
            return Ok(());
        };
        let list = value
            .as_array()
            .ok_or_else(|| JsonError::new("an array").inside(name))?;
        for (i, element) in list.iter().enumerate() {
            let mut result = Ok(());
            put_message_field(out, number, |out| {
                result = Object::new(element).and_then(|object| write(object, out));
            });
            result.map_err(|error| error.inside(&format!("[{i}]")).inside(name))?;
        }
        Ok(())
    }
}
