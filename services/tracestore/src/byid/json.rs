//! A trace as JSON, in protobuf's mapping as Tempo writes it: lowerCamel names, 64-bit integers as strings, enums by name,
//! ids and bytes in base64, zero values left out (but for the members of a oneof).

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Found;
use crate::model::{AttrValue, Chunk, Event, Kind, Link, Row, Scope, Status};

/// Tempo's first form: `{"batches":[…]}`.
pub fn write_v1(found: &Found<'_>) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        json.list("batches", &found.groups, |json, group| {
            write_group(json, found, group);
        });
    });
    json.out
}

/// Tempo's second form: `{"trace":{"resourceSpans":[…]},"metrics":{…}}`; without a trace, the answer for an unknown id.
pub fn write_v2(found: Option<&Found<'_>>) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        json.field("trace", |json| {
            json.object(|json| {
                if let Some(found) = found {
                    json.list("resourceSpans", &found.groups, |json, group| {
                        write_group(json, found, group);
                    });
                }
            });
        });
        json.field("metrics", |json| {
            json.object(|json| json.long("inspectedBytes", found.map_or(0, Found::wire_bytes)));
        });
        if let Some(message) = found.and_then(Found::partial_message) {
            json.text("status", "PARTIAL");
            json.text("message", message);
        }
    });
    json.out
}

fn write_group(json: &mut Json, found: &Found<'_>, group: &super::ResourceGroup) {
    let chunk = found.chunk;
    let resource = chunk.resources()[group.resource as usize];
    let trace_id = chunk.traces()[found.slot as usize].id.to_be_bytes();
    json.object(|json| {
        json.field("resource", |json| {
            json.object(|json| {
                write_set(json, chunk, resource.attrs);
                json.count("droppedAttributesCount", resource.dropped);
            });
        });
        json.list("scopeSpans", &group.scopes, |json, scope_group| {
            let scope = chunk.scopes()[scope_group.scope as usize];
            json.object(|json| {
                json.field("scope", |json| write_scope(json, chunk, &scope));
                json.list("spans", &scope_group.rows, |json, &row| {
                    write_span(json, chunk, trace_id, row);
                });
                json.text("schemaUrl", chunk.text(scope.schema_url));
            });
        });
        json.text("schemaUrl", chunk.text(resource.schema_url));
    });
}

fn write_scope(json: &mut Json, chunk: &Chunk, scope: &Scope) {
    json.object(|json| {
        json.text("name", chunk.text(scope.name));
        json.text("version", chunk.text(scope.version));
        write_set(json, chunk, scope.attrs);
        json.count("droppedAttributesCount", scope.dropped);
    });
}

fn write_span(json: &mut Json, chunk: &Chunk, trace_id: [u8; 16], row: Row) {
    let extras = chunk.extras(row);
    let at = row as usize;
    json.object(|json| {
        json.bytes("traceId", &trace_id);
        json.bytes("spanId", &chunk.span_ids()[at].to_be_bytes());
        if let Some(extras) = &extras {
            json.text("traceState", extras.trace_state);
        }
        if chunk.parent_ids()[at] != 0 {
            json.bytes("parentSpanId", &chunk.parent_ids()[at].to_be_bytes());
        }
        json.count("flags", chunk.flags()[at]);
        json.text("name", chunk.name(chunk.name_codes()[at]));
        json.text("kind", kind_name(chunk.kind(row)));
        json.long("startTimeUnixNano", chunk.starts_ns()[at]);
        json.long("endTimeUnixNano", chunk.ends_ns()[at]);
        write_set(json, chunk, chunk.attr_sets()[at]);
        if let Some(extras) = &extras {
            json.count("droppedAttributesCount", extras.dropped_attributes());
            json.list("events", extras.events(), |json, event| {
                write_event(json, &event);
            });
            json.count("droppedEventsCount", extras.dropped_events());
            json.list("links", extras.links(), |json, link| {
                write_link(json, &link);
            });
            json.count("droppedLinksCount", extras.dropped_links());
        }
        json.field("status", |json| {
            json.object(|json| {
                if let Some(extras) = &extras {
                    json.text("message", extras.status_message);
                }
                json.text("code", status_name(chunk.status(row)));
            });
        });
    });
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "",
        Kind::Internal => "SPAN_KIND_INTERNAL",
        Kind::Server => "SPAN_KIND_SERVER",
        Kind::Client => "SPAN_KIND_CLIENT",
        Kind::Producer => "SPAN_KIND_PRODUCER",
        Kind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unset => "",
        Status::Ok => "STATUS_CODE_OK",
        Status::Error => "STATUS_CODE_ERROR",
    }
}

fn write_event(json: &mut Json, event: &Event<'_>) {
    json.object(|json| {
        json.long("timeUnixNano", event.time_ns);
        json.text("name", event.name);
        json.list("attributes", event.attributes(), write_attribute);
        json.count("droppedAttributesCount", event.dropped_attributes);
    });
}

fn write_link(json: &mut Json, link: &Link<'_>) {
    json.object(|json| {
        json.bytes("traceId", link.trace_id);
        json.bytes("spanId", link.span_id);
        json.text("traceState", link.trace_state);
        json.list("attributes", link.attributes(), write_attribute);
        json.count("droppedAttributesCount", link.dropped_attributes);
        json.count("flags", link.flags);
    });
}

fn write_set(json: &mut Json, chunk: &Chunk, set: u32) {
    let attributes = chunk.attributes();
    json.list("attributes", attributes.set(set), |json, &attr| {
        write_attribute(
            json,
            (
                attributes.key(attributes.key_of(attr)),
                attributes.value(attr),
            ),
        );
    });
}

fn write_attribute(json: &mut Json, (key, value): (&str, AttrValue<'_>)) {
    json.object(|json| {
        json.text("key", key);
        json.field("value", |json| write_value(json, value));
    });
}

/// Recursion ends: the depth of values was bounded when they came in.
fn write_value(json: &mut Json, value: AttrValue<'_>) {
    json.object(|json| match value {
        AttrValue::Empty => {}
        AttrValue::Str(text) => json.field("stringValue", |json| json.string(text)),
        AttrValue::Bool(truth) => json.field("boolValue", |json| {
            json.raw(if truth { "true" } else { "false" });
        }),
        AttrValue::Int(int) => json.field("intValue", |json| json.quoted(int)),
        AttrValue::Double(double) => json.field("doubleValue", |json| json.double(double)),
        AttrValue::Bytes(bytes) => json.field("bytesValue", |json| json.base64(bytes)),
        AttrValue::Array(_) => json.field("arrayValue", |json| {
            json.object(|json| json.list("values", value.elements(), write_value));
        }),
        AttrValue::Map(_) => json.field("kvlistValue", |json| {
            json.object(|json| json.list("values", value.entries(), write_attribute));
        }),
    });
}

/// Writes JSON without building it first: traces are read far more often than there is reason to allocate for them.
struct Json {
    out: Vec<u8>,
    /// Whether a comma is due before the next field or element.
    comma: bool,
}

impl Json {
    fn new() -> Self {
        Json {
            out: Vec::with_capacity(8192),
            comma: false,
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.out.push(b'{');
        self.comma = false;
        write(self);
        self.comma = true;
        self.out.push(b'}');
    }

    /// A field that is always there. Names are plain ASCII.
    fn field(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(b'"');
        self.raw(name);
        self.raw("\":");
        write(self);
    }

    /// A list, left out when it is empty.
    fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        self.field(name, |json| {
            json.out.push(b'[');
            json.comma = false;
            for item in items {
                json.separate();
                write(json, item);
            }
            json.comma = true;
            json.out.push(b']');
        });
    }

    /// A string field, left out when it is empty.
    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.field(name, |json| json.string(text));
        }
    }

    /// A bytes field, left out when it is empty.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(name, |json| json.base64(bytes));
        }
    }

    /// A 32-bit field, left out when it is zero.
    fn count(&mut self, name: &str, count: u32) {
        if count != 0 {
            self.field(name, |json| json.display(count));
        }
    }

    /// A 64-bit field, left out when it is zero.
    fn long(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.field(name, |json| json.quoted(value));
        }
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("writing text to memory does not fail");
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        let written = BASE64_STANDARD
            .encode_slice(bytes, &mut self.out[start..])
            .expect("base64 takes four bytes for every three begun");
        self.out.truncate(start + written);
        self.out.push(b'"');
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        write!(self.out, "{value}").expect("writing to memory does not fail");
    }

    fn quoted(&mut self, value: impl std::fmt::Display) {
        self.out.push(b'"');
        self.display(value);
        self.out.push(b'"');
    }

    /// Rust's shortest forms are valid JSON; what JSON has no number for is written as protobuf's mapping says.
    fn double(&mut self, value: f64) {
        if value.is_nan() {
            self.raw("\"NaN\"");
        } else if value.is_infinite() {
            self.raw(if value > 0.0 {
                "\"Infinity\""
            } else {
                "\"-Infinity\""
            });
        } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
            self.display(format_args!("{value:e}"));
        } else {
            self.display(value);
        }
    }
}
