//! From OTLP's messages to OTLP/JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Map, Value as Json, json};

use crate::id::hex;

/// An object that leaves out fields at their default.
#[derive(Default)]
struct Fields(Map<String, Json>);

impl Fields {
    fn put(mut self, key: &str, value: Json) -> Self {
        self.0.insert(key.to_owned(), value);
        self
    }

    fn text(self, key: &str, text: &str) -> Self {
        if text.is_empty() {
            return self;
        }
        self.put(key, text.into())
    }

    fn count(self, key: &str, number: u32) -> Self {
        if number == 0 {
            return self;
        }
        self.put(key, number.into())
    }

    fn number(self, key: &str, number: i32) -> Self {
        if number == 0 {
            return self;
        }
        self.put(key, number.into())
    }

    fn nanos(self, key: &str, nanos: u64) -> Self {
        if nanos == 0 {
            return self;
        }
        self.put(key, nanos.to_string().into())
    }

    fn hex(self, key: &str, bytes: &[u8]) -> Self {
        self.text(key, &hex(bytes))
    }

    fn list<T>(self, key: &str, items: &[T], write: fn(&T) -> Json) -> Self {
        if items.is_empty() {
            return self;
        }
        self.put(key, items.iter().map(write).collect())
    }

    fn attributes(self, attributes: &[KeyValue], dropped: u32) -> Self {
        self.list("attributes", attributes, key_value)
            .count("droppedAttributesCount", dropped)
    }

    fn done(self) -> Json {
        Json::Object(self.0)
    }
}

pub(super) fn traces(groups: &[ResourceSpans]) -> Json {
    let groups: Vec<Json> = groups.iter().map(resource_spans).collect();
    json!({ "resourceSpans": groups })
}

fn resource_spans(group: &ResourceSpans) -> Json {
    let mut fields = Fields::default();
    if let Some(Resource {
        attributes,
        dropped_attributes_count,
        entity_refs,
    }) = &group.resource
    {
        let resource = Fields::default()
            .attributes(attributes, *dropped_attributes_count)
            .list("entityRefs", entity_refs, |entity| {
                Fields::default()
                    .text("schemaUrl", &entity.schema_url)
                    .text("type", &entity.r#type)
                    .list("idKeys", &entity.id_keys, |key| key.as_str().into())
                    .list("descriptionKeys", &entity.description_keys, |key| {
                        key.as_str().into()
                    })
                    .done()
            });
        fields = fields.put("resource", resource.done());
    }
    fields
        .list("scopeSpans", &group.scope_spans, scope_spans)
        .text("schemaUrl", &group.schema_url)
        .done()
}

fn scope_spans(group: &ScopeSpans) -> Json {
    let mut fields = Fields::default();
    if let Some(InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    }) = &group.scope
    {
        let scope = Fields::default()
            .text("name", name)
            .text("version", version)
            .attributes(attributes, *dropped_attributes_count);
        fields = fields.put("scope", scope.done());
    }
    fields
        .list("spans", &group.spans, span)
        .text("schemaUrl", &group.schema_url)
        .done()
}

fn span(span: &Span) -> Json {
    let mut fields = Fields::default()
        .hex("traceId", &span.trace_id)
        .hex("spanId", &span.span_id)
        .text("traceState", &span.trace_state)
        .hex("parentSpanId", &span.parent_span_id)
        .count("flags", span.flags)
        .text("name", &span.name)
        .number("kind", span.kind)
        .nanos("startTimeUnixNano", span.start_time_unix_nano)
        .nanos("endTimeUnixNano", span.end_time_unix_nano)
        .attributes(&span.attributes, span.dropped_attributes_count)
        .list("events", &span.events, event)
        .count("droppedEventsCount", span.dropped_events_count)
        .list("links", &span.links, link)
        .count("droppedLinksCount", span.dropped_links_count);
    if let Some(Status { message, code }) = &span.status {
        let status = Fields::default()
            .text("message", message)
            .number("code", *code);
        fields = fields.put("status", status.done());
    }
    fields.done()
}

fn event(event: &Event) -> Json {
    Fields::default()
        .nanos("timeUnixNano", event.time_unix_nano)
        .text("name", &event.name)
        .attributes(&event.attributes, event.dropped_attributes_count)
        .done()
}

fn link(link: &Link) -> Json {
    Fields::default()
        .hex("traceId", &link.trace_id)
        .hex("spanId", &link.span_id)
        .text("traceState", &link.trace_state)
        .attributes(&link.attributes, link.dropped_attributes_count)
        .count("flags", link.flags)
        .done()
}

fn key_value(entry: &KeyValue) -> Json {
    let fields = Fields::default().put("key", entry.key.as_str().into());
    match &entry.value {
        Some(value) => fields.put("value", any_value(value)).done(),
        None => fields.done(),
    }
}

fn any_value(value: &AnyValue) -> Json {
    use any_value::Value;
    match &value.value {
        // A reference into a profile's string table means nothing in a trace.
        None | Some(Value::StringValueStrindex(_)) => json!({}),
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::BoolValue(truth)) => json!({ "boolValue": truth }),
        Some(Value::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Value::DoubleValue(number)) => json!({ "doubleValue": double(*number) }),
        Some(Value::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Value::ArrayValue(array)) => {
            let values: Vec<Json> = array.values.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Some(Value::KvlistValue(list)) => {
            let values: Vec<Json> = list.values.iter().map(key_value).collect();
            json!({ "kvlistValue": { "values": values } })
        }
    }
}

// JSON has no word for these, protobuf-JSON has.
fn double(number: f64) -> Json {
    if number.is_nan() {
        "NaN".into()
    } else if number == f64::INFINITY {
        "Infinity".into()
    } else if number == f64::NEG_INFINITY {
        "-Infinity".into()
    } else {
        number.into()
    }
}
