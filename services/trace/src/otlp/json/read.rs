//! From JSON to OTLP's messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use serde_json::{Map, Value as Json};

use super::super::OtlpError;
use super::super::tempo::{PartialStatus, TraceByIdMetrics, TraceByIdResponse};

/// What is wrong, and where; the path is gathered from the inside outwards.
pub(super) struct Fault {
    path: Vec<String>,
    expected: &'static str,
    found: String,
}

type Read<T> = Result<T, Fault>;

impl Fault {
    fn new(expected: &'static str, found: &Json) -> Self {
        const SHOWN: usize = 60;
        let mut found = found.to_string();
        if let Some((end, _)) = found.char_indices().nth(SHOWN) {
            found.truncate(end);
            found.push('…');
        }
        Self {
            path: Vec::new(),
            expected,
            found,
        }
    }

    fn under(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    pub(super) fn into_error(self) -> OtlpError {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            path.push_str(segment);
        }
        if path.is_empty() {
            path.push_str("the top");
        }
        OtlpError::Shape {
            path,
            expected: self.expected,
            found: self.found,
        }
    }
}

pub(super) fn answer(json: &Json) -> Read<TraceByIdResponse> {
    let top = object(json)?;
    let trace = if top.contains_key("trace") {
        get(top, "trace", |inner| traces(object(inner)?))?
    } else {
        traces(top)?
    };
    Ok(TraceByIdResponse {
        trace: Some(trace),
        metrics: get(top, "metrics", |json| {
            let inspected_bytes = get(object(json)?, "inspectedBytes", unsigned)?;
            Ok(Some(TraceByIdMetrics { inspected_bytes }))
        })?,
        status: get(top, "status", |json| {
            number_or_name(json, "PARTIAL, COMPLETE or its number", |name| match name {
                "COMPLETE" => Some(PartialStatus::Complete as i32),
                "PARTIAL" => Some(PartialStatus::Partial as i32),
                _ => None,
            })
        })?,
        message: get(top, "message", string)?,
    })
}

fn traces(top: &Map<String, Json>) -> Read<TracesData> {
    let key = if top.contains_key("batches") {
        "batches"
    } else {
        "resourceSpans"
    };
    Ok(TracesData {
        resource_spans: list(top, key, resource_spans)?,
    })
}

fn resource_spans(json: &Json) -> Read<ResourceSpans> {
    let fields = object(json)?;
    Ok(ResourceSpans {
        resource: get(fields, "resource", |json| resource(json).map(Some))?,
        scope_spans: list(fields, "scopeSpans", scope_spans)?,
        schema_url: get(fields, "schemaUrl", string)?,
    })
}

fn resource(json: &Json) -> Read<Resource> {
    let fields = object(json)?;
    Ok(Resource {
        attributes: attributes(fields)?,
        dropped_attributes_count: get(fields, "droppedAttributesCount", unsigned32)?,
        entity_refs: list(fields, "entityRefs", |json| {
            let fields = object(json)?;
            Ok(EntityRef {
                schema_url: get(fields, "schemaUrl", string)?,
                r#type: get(fields, "type", string)?,
                id_keys: list(fields, "idKeys", string)?,
                description_keys: list(fields, "descriptionKeys", string)?,
            })
        })?,
    })
}

fn scope_spans(json: &Json) -> Read<ScopeSpans> {
    let fields = object(json)?;
    Ok(ScopeSpans {
        scope: get(fields, "scope", |json| {
            let fields = object(json)?;
            Ok(Some(InstrumentationScope {
                name: get(fields, "name", string)?,
                version: get(fields, "version", string)?,
                attributes: attributes(fields)?,
                dropped_attributes_count: get(fields, "droppedAttributesCount", unsigned32)?,
            }))
        })?,
        spans: list(fields, "spans", span)?,
        schema_url: get(fields, "schemaUrl", string)?,
    })
}

fn span(json: &Json) -> Read<Span> {
    let fields = object(json)?;
    Ok(Span {
        trace_id: get(fields, "traceId", id::<16>)?,
        span_id: get(fields, "spanId", id::<8>)?,
        trace_state: get(fields, "traceState", string)?,
        parent_span_id: get(fields, "parentSpanId", id::<8>)?,
        flags: get(fields, "flags", unsigned32)?,
        name: get(fields, "name", string)?,
        kind: get(fields, "kind", |json| {
            number_or_name(json, "a span kind's name or number", |name| {
                Some(SpanKind::from_str_name(name)? as i32)
            })
        })?,
        start_time_unix_nano: get(fields, "startTimeUnixNano", unsigned)?,
        end_time_unix_nano: get(fields, "endTimeUnixNano", unsigned)?,
        attributes: attributes(fields)?,
        dropped_attributes_count: get(fields, "droppedAttributesCount", unsigned32)?,
        events: list(fields, "events", event)?,
        dropped_events_count: get(fields, "droppedEventsCount", unsigned32)?,
        links: list(fields, "links", link)?,
        dropped_links_count: get(fields, "droppedLinksCount", unsigned32)?,
        status: get(fields, "status", |json| status(json).map(Some))?,
    })
}

fn event(json: &Json) -> Read<Event> {
    let fields = object(json)?;
    Ok(Event {
        time_unix_nano: get(fields, "timeUnixNano", unsigned)?,
        name: get(fields, "name", string)?,
        attributes: attributes(fields)?,
        dropped_attributes_count: get(fields, "droppedAttributesCount", unsigned32)?,
    })
}

fn link(json: &Json) -> Read<Link> {
    let fields = object(json)?;
    Ok(Link {
        trace_id: get(fields, "traceId", id::<16>)?,
        span_id: get(fields, "spanId", id::<8>)?,
        trace_state: get(fields, "traceState", string)?,
        attributes: attributes(fields)?,
        dropped_attributes_count: get(fields, "droppedAttributesCount", unsigned32)?,
        flags: get(fields, "flags", unsigned32)?,
    })
}

fn status(json: &Json) -> Read<Status> {
    let fields = object(json)?;
    Ok(Status {
        message: get(fields, "message", string)?,
        code: get(fields, "code", |json| {
            number_or_name(json, "a status code's name or number", |name| {
                Some(StatusCode::from_str_name(name)? as i32)
            })
        })?,
    })
}

fn attributes(fields: &Map<String, Json>) -> Read<Vec<KeyValue>> {
    list(fields, "attributes", key_value)
}

fn key_value(json: &Json) -> Read<KeyValue> {
    let fields = object(json)?;
    Ok(KeyValue {
        key: get(fields, "key", string)?,
        value: get(fields, "value", |json| any_value(json).map(Some))?,
        key_strindex: 0,
    })
}

fn any_value(json: &Json) -> Read<AnyValue> {
    use any_value::Value;
    let fields = object(json)?;
    let mut value = None;
    for (key, json) in fields.iter().filter(|(_, json)| !json.is_null()) {
        let read = match key.as_str() {
            "stringValue" => string(json).map(Value::StringValue),
            "boolValue" => boolean(json).map(Value::BoolValue),
            "intValue" => signed(json).map(Value::IntValue),
            "doubleValue" => double(json).map(Value::DoubleValue),
            "bytesValue" => bytes(json).map(Value::BytesValue),
            "arrayValue" => object(json)
                .and_then(|fields| list(fields, "values", any_value))
                .map(|values| Value::ArrayValue(ArrayValue { values })),
            "kvlistValue" => object(json)
                .and_then(|fields| list(fields, "values", key_value))
                .map(|values| Value::KvlistValue(KeyValueList { values })),
            _ => continue,
        };
        value = Some(read.map_err(|fault| fault.under(key))?);
    }
    Ok(AnyValue { value })
}

/// The field `key`, or the default where it is absent or `null`.
fn get<T: Default>(
    fields: &Map<String, Json>,
    key: &str,
    read: impl FnOnce(&Json) -> Read<T>,
) -> Read<T> {
    match fields.get(key) {
        None | Some(Json::Null) => Ok(T::default()),
        Some(json) => read(json).map_err(|fault| fault.under(key)),
    }
}

fn list<T>(
    fields: &Map<String, Json>,
    key: &str,
    mut read: impl FnMut(&Json) -> Read<T>,
) -> Read<Vec<T>> {
    get(fields, key, |json| {
        let items = json
            .as_array()
            .ok_or_else(|| Fault::new("an array", json))?;
        items
            .iter()
            .enumerate()
            .map(|(at, item)| read(item).map_err(|fault| fault.under(format!("[{at}]"))))
            .collect()
    })
}

fn object(json: &Json) -> Read<&Map<String, Json>> {
    json.as_object()
        .ok_or_else(|| Fault::new("an object", json))
}

fn string(json: &Json) -> Read<String> {
    json.as_str()
        .map(str::to_owned)
        .ok_or_else(|| Fault::new("a string", json))
}

fn boolean(json: &Json) -> Read<bool> {
    json.as_bool()
        .ok_or_else(|| Fault::new("true or false", json))
}

// 64-bit integers are strings in protobuf-JSON; numbers are to be taken too.
fn unsigned(json: &Json) -> Read<u64> {
    json.as_u64()
        .or_else(|| json.as_str()?.parse().ok())
        .ok_or_else(|| Fault::new("an unsigned 64-bit integer", json))
}

fn unsigned32(json: &Json) -> Read<u32> {
    unsigned(json)
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| Fault::new("an unsigned 32-bit integer", json))
}

fn signed(json: &Json) -> Read<i64> {
    json.as_i64()
        .or_else(|| json.as_str()?.parse().ok())
        .ok_or_else(|| Fault::new("a signed 64-bit integer", json))
}

fn double(json: &Json) -> Read<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(text) => text.parse().ok(),
        None => json.as_f64(),
    }
    .ok_or_else(|| Fault::new("a number, NaN, Infinity or -Infinity", json))
}

fn bytes(json: &Json) -> Read<Vec<u8>> {
    json.as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or_else(|| Fault::new("bytes in base64", json))
}

/// An id of `N` bytes, in hex (OTLP) or base64 (Tempo); empty for none.
fn id<const N: usize>(json: &Json) -> Read<Vec<u8>> {
    let fault = || {
        Fault::new(
            match N {
                16 => "a trace id: 32 hex digits, or 16 bytes in base64",
                _ => "a span id: 16 hex digits, or 8 bytes in base64",
            },
            json,
        )
    };
    let text = json.as_str().ok_or_else(fault)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = if text.len() == 2 * N {
        hex(text)
    } else {
        STANDARD.decode(text).ok()
    };
    bytes.filter(|bytes| bytes.len() == N).ok_or_else(fault)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

fn number_or_name(
    json: &Json,
    expected: &'static str,
    by_name: impl FnOnce(&str) -> Option<i32>,
) -> Read<i32> {
    match json.as_str() {
        Some(name) => by_name(name),
        None => json.as_i64().and_then(|number| i32::try_from(number).ok()),
    }
    .ok_or_else(|| Fault::new(expected, json))
}
