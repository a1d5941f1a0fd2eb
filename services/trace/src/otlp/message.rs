//! Between OTLP's generated messages and the model of this crate.
//!
//! [`Trace::from_otlp`] and [`Trace::to_otlp`] are the way in.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1 as wire_resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event as WireEvent, Link as WireLink};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as WireSpan, Status as WireStatus,
};
use prost::Message;

use super::OtlpError;
use crate::id::{SpanId, TraceId};
use crate::span::{Dropped, Event, Link, Resource, Scope, Span, SpanKind, Status, StatusCode};
use crate::trace::Trace;
use crate::value::{Attributes, Value};

/// Calls `each` with every span of `groups`. Equal resources and scopes become
/// one shared value, however many groups repeat them: Tempo may answer with a
/// group a span.
pub(crate) fn read_spans(
    groups: impl IntoIterator<Item = ResourceSpans>,
    mut each: impl FnMut(TraceId, Span) -> Result<(), OtlpError>,
) -> Result<(), OtlpError> {
    let mut resources = Shared::default();
    let mut scopes = Shared::default();
    for group in groups {
        let ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        } = group;
        let resource = resources.intern(resource.unwrap_or_default(), schema_url, read_resource);
        for ScopeSpans {
            scope,
            spans,
            schema_url,
        } in scope_spans
        {
            let scope = scopes.intern(scope.unwrap_or_default(), schema_url, read_scope);
            for span in spans {
                let (id, span) = read_span(span, &resource, &scope)?;
                each(id, span)?;
            }
        }
    }
    Ok(())
}

/// Messages that were seen, by their bytes: these hash, the messages do not.
struct Shared<T> {
    seen: HashMap<(Vec<u8>, String), Arc<T>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            seen: HashMap::new(),
        }
    }
}

impl<T> Shared<T> {
    fn intern<M: Message>(
        &mut self,
        message: M,
        schema_url: String,
        read: fn(M, String) -> T,
    ) -> Arc<T> {
        let entry = self.seen.entry((message.encode_to_vec(), schema_url));
        let schema_url = entry.key().1.clone();
        Arc::clone(entry.or_insert_with(|| Arc::new(read(message, schema_url))))
    }
}

fn read_resource(message: wire_resource::Resource, schema_url: String) -> Resource {
    Resource {
        attributes: read_attributes(message.attributes),
        dropped_attributes: message.dropped_attributes_count,
        entity_refs: message.entity_refs,
        schema_url,
    }
}

fn read_scope(message: InstrumentationScope, schema_url: String) -> Scope {
    Scope {
        name: message.name,
        version: message.version,
        attributes: read_attributes(message.attributes),
        dropped_attributes: message.dropped_attributes_count,
        schema_url,
    }
}

fn read_span(
    span: WireSpan,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
) -> Result<(TraceId, Span), OtlpError> {
    let trace_id = read_id(&span.trace_id, &span.name, "trace_id")?;
    let id = read_id(&span.span_id, &span.name, "span_id")?;
    // A parent of eight zeros is what some senders write for "none".
    let parent = if span.parent_span_id.iter().all(|byte| *byte == 0) {
        None
    } else {
        Some(read_id(&span.parent_span_id, &span.name, "parent_span_id")?)
    };
    let links = span
        .links
        .into_iter()
        .map(|link| read_link(link, &span.name))
        .collect::<Result<_, _>>()?;
    let status = span.status.unwrap_or_default();
    let read = Span {
        id: SpanId(id),
        parent: parent.map(SpanId),
        kind: kind_from_number(span.kind),
        status: Status {
            code: match status.code {
                1 => StatusCode::Ok,
                2 => StatusCode::Error,
                _ => StatusCode::Unset,
            },
            message: status.message,
        },
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        attributes: read_attributes(span.attributes),
        events: span.events.into_iter().map(read_event).collect(),
        links,
        flags: span.flags,
        trace_state: span.trace_state,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        dropped: Dropped {
            attributes: span.dropped_attributes_count,
            events: span.dropped_events_count,
            links: span.dropped_links_count,
        },
        name: span.name,
    };
    Ok((TraceId(trace_id), read))
}

fn read_id<const N: usize>(
    bytes: &[u8],
    span: &str,
    field: &'static str,
) -> Result<[u8; N], OtlpError> {
    let bad = |found: String| OtlpError::BadId {
        span: span.to_owned(),
        field,
        expected: N,
        found,
    };
    let id: [u8; N] = bytes
        .try_into()
        .map_err(|_| bad(format!("{} bytes", bytes.len())))?;
    if id == [0; N] {
        return Err(bad("only zeros".to_owned()));
    }
    Ok(id)
}

fn kind_from_number(number: i32) -> SpanKind {
    usize::try_from(number)
        .ok()
        .and_then(|place| SpanKind::ALL.get(place).copied())
        .unwrap_or_default()
}

fn read_event(event: WireEvent) -> Event {
    Event {
        unix_nanos: event.time_unix_nano,
        name: event.name,
        attributes: read_attributes(event.attributes),
        dropped_attributes: event.dropped_attributes_count,
    }
}

fn read_link(link: WireLink, span: &str) -> Result<Link, OtlpError> {
    Ok(Link {
        trace_id: TraceId(read_id(&link.trace_id, span, "link's trace_id")?),
        span_id: SpanId(read_id(&link.span_id, span, "link's span_id")?),
        trace_state: link.trace_state,
        attributes: read_attributes(link.attributes),
        dropped_attributes: link.dropped_attributes_count,
        flags: link.flags,
    })
}

fn read_attributes(entries: Vec<KeyValue>) -> Attributes {
    Attributes(
        entries
            .into_iter()
            .map(|entry| (entry.key, read_value(entry.value)))
            .collect(),
    )
}

// How deep values nest is bounded by the decoders (prost 100, serde_json 128).
fn read_value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        // A reference into a profile's string table means nothing in a trace.
        None | Some(any_value::Value::StringValueStrindex(_)) => Value::Empty,
        Some(any_value::Value::StringValue(text)) => Value::String(text),
        Some(any_value::Value::BoolValue(truth)) => Value::Bool(truth),
        Some(any_value::Value::IntValue(number)) => Value::Int(number),
        Some(any_value::Value::DoubleValue(number)) => Value::Double(number),
        Some(any_value::Value::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(any_value::Value::KvlistValue(list)) => Value::Map(read_attributes(list.values)),
        Some(any_value::Value::ArrayValue(array)) => Value::Array(
            array
                .values
                .into_iter()
                .map(|value| read_value(Some(value)))
                .collect(),
        ),
    }
}

/// The spans of `trace`, one group a resource and in it one a scope.
pub(crate) fn write_spans(trace: &Trace) -> Vec<ResourceSpans> {
    let mut groups: Vec<ResourceSpans> = Vec::new();
    let mut group_of: HashMap<*const Resource, usize> = HashMap::new();
    let mut scope_of: HashMap<(*const Resource, *const Scope), usize> = HashMap::new();
    for span in &trace.spans {
        let resource = Arc::as_ptr(&span.resource);
        let group = *group_of.entry(resource).or_insert_with(|| {
            groups.push(write_resource(&span.resource));
            groups.len() - 1
        });
        let scopes = &mut groups[group].scope_spans;
        let scope = *scope_of
            .entry((resource, Arc::as_ptr(&span.scope)))
            .or_insert_with(|| {
                scopes.push(write_scope(&span.scope));
                scopes.len() - 1
            });
        scopes[scope].spans.push(write_span(trace.id, span));
    }
    groups
}

fn write_resource(resource: &Resource) -> ResourceSpans {
    ResourceSpans {
        resource: Some(wire_resource::Resource {
            attributes: write_attributes(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes,
            entity_refs: resource.entity_refs.clone(),
        }),
        scope_spans: Vec::new(),
        schema_url: resource.schema_url.clone(),
    }
}

fn write_scope(scope: &Scope) -> ScopeSpans {
    ScopeSpans {
        scope: Some(InstrumentationScope {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: write_attributes(&scope.attributes),
            dropped_attributes_count: scope.dropped_attributes,
        }),
        spans: Vec::new(),
        schema_url: scope.schema_url.clone(),
    }
}

fn write_span(trace_id: TraceId, span: &Span) -> WireSpan {
    WireSpan {
        trace_id: trace_id.0.to_vec(),
        span_id: span.id.0.to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.0.to_vec()),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start_unix_nanos,
        end_time_unix_nano: span.end_unix_nanos,
        attributes: write_attributes(&span.attributes),
        dropped_attributes_count: span.dropped.attributes,
        events: span.events.iter().map(write_event).collect(),
        dropped_events_count: span.dropped.events,
        links: span.links.iter().map(write_link).collect(),
        dropped_links_count: span.dropped.links,
        status: Some(WireStatus {
            message: span.status.message.clone(),
            code: span.status.code as i32,
        }),
    }
}

fn write_event(event: &Event) -> WireEvent {
    WireEvent {
        time_unix_nano: event.unix_nanos,
        name: event.name.clone(),
        attributes: write_attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn write_link(link: &Link) -> WireLink {
    WireLink {
        trace_id: link.trace_id.0.to_vec(),
        span_id: link.span_id.0.to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: write_attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

fn write_attributes(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| KeyValue {
            key: key.to_owned(),
            value: Some(write_value(value)),
            key_strindex: 0,
        })
        .collect()
}

fn write_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(any_value::Value::StringValue(text.clone())),
        Value::Bool(truth) => Some(any_value::Value::BoolValue(*truth)),
        Value::Int(number) => Some(any_value::Value::IntValue(*number)),
        Value::Double(number) => Some(any_value::Value::DoubleValue(*number)),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.clone())),
        Value::Array(values) => Some(any_value::Value::ArrayValue(ArrayValue {
            values: values.iter().map(write_value).collect(),
        })),
        Value::Map(entries) => Some(any_value::Value::KvlistValue(KeyValueList {
            values: write_attributes(entries),
        })),
    };
    AnyValue { value }
}
