//! The bodies of the search and tag routes, as JSON and as protobuf. Field names and numbers are
//! those of Tempo's `tempopb`; zero values are left out, 64-bit integers are strings in JSON.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use prost::Message;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Accept;
use crate::server::{Body, answer};
use crate::traceql::eval::{FoundSpan, FoundSpanset, FoundTrace, Value};

/// What a rootless trace has instead of its root's service.
const NO_ROOT: &str = "<root span not yet received>";

/// A body in the form that was asked for.
pub(super) trait Respond: Message + Serialize + Sized {
    fn respond(self, accept: Accept) -> Response<Body> {
        let body = match accept {
            Accept::Json => {
                serde_json::to_vec(&self).expect("texts, numbers and lists of them are all JSON")
            }
            Accept::Protobuf => self.encode_to_vec(),
        };
        answer(StatusCode::OK, accept.content_type(), body)
    }
}

/// The answer of `/api/search`.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct SearchAnswer {
    #[prost(message, repeated, tag = "1")]
    traces: Vec<TraceAnswer>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<SearchMetrics>,
}

#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchMetrics {
    #[prost(uint32, tag = "4")]
    completed_jobs: u32,
    #[prost(uint32, tag = "5")]
    total_jobs: u32,
}

#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceAnswer {
    #[prost(string, tag = "1")]
    #[serde(rename = "traceID")]
    trace_id: String,
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    root_service_name: String,
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    root_trace_name: String,
    #[prost(uint64, tag = "4")]
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    start_time_unix_nano: u64,
    #[prost(uint32, tag = "5")]
    #[serde(skip_serializing_if = "is_zero")]
    duration_ms: u32,
    /// The first of the spansets; deprecated, but what Grafana's trace table shows.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    span_set: Option<SpansetAnswer>,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    span_sets: Vec<SpansetAnswer>,
    #[prost(btree_map = "string, message", tag = "8")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_stats: BTreeMap<String, ServiceAnswer>,
}

#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceAnswer {
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    span_count: u32,
    #[prost(uint32, tag = "2")]
    #[serde(skip_serializing_if = "is_zero")]
    error_count: u32,
}

#[derive(Clone, PartialEq, Message, Serialize)]
struct SpansetAnswer {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<SpanAnswer>,
    #[prost(uint32, tag = "2")]
    #[serde(skip_serializing_if = "is_zero")]
    matched: u32,
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanAnswer {
    #[prost(string, tag = "1")]
    #[serde(rename = "spanID")]
    span_id: String,
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[prost(uint64, tag = "3")]
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    start_time_unix_nano: u64,
    #[prost(uint64, tag = "4")]
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    duration_nanos: u64,
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message, Serialize)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Scalar", tags = "1, 2, 3, 4, 5")]
    value: Option<Scalar>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Scalar {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
}

#[derive(Clone, PartialEq, Message, Serialize)]
struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

impl Serialize for AnyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match &self.value {
            None => {}
            Some(Scalar::String(text)) => map.serialize_entry("stringValue", text)?,
            Some(Scalar::Bool(value)) => map.serialize_entry("boolValue", value)?,
            Some(Scalar::Int(value)) => map.serialize_entry("intValue", &value.to_string())?,
            Some(Scalar::Double(value)) if value.is_finite() => {
                map.serialize_entry("doubleValue", value)?;
            }
            // Protobuf's JSON mapping has words for what JSON has no number for.
            Some(Scalar::Double(value)) => {
                let word = if value.is_nan() {
                    "NaN"
                } else if *value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                };
                map.serialize_entry("doubleValue", word)?;
            }
            Some(Scalar::Array(array)) => map.serialize_entry("arrayValue", array)?,
        }
        map.end()
    }
}

/// The answer of `/api/v2/search/tags`.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct TagsAnswer {
    #[prost(message, repeated, tag = "1")]
    pub(super) scopes: Vec<ScopeAnswer>,
    #[prost(message, optional, tag = "2")]
    pub(super) metrics: Option<TagMetrics>,
}

/// The tags of one scope.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct ScopeAnswer {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "2")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
}

/// The answer of `/api/search/tags`.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagsV1Answer {
    #[prost(string, repeated, tag = "1")]
    pub(super) tag_names: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub(super) metrics: Option<TagMetrics>,
}

/// The answer of `/api/v2/search/tag/{tag}/values`.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagValuesAnswer {
    #[prost(message, repeated, tag = "1")]
    pub(super) tag_values: Vec<TagValueAnswer>,
    #[prost(message, optional, tag = "2")]
    pub(super) metrics: Option<TagMetrics>,
}

/// One value.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct TagValueAnswer {
    #[prost(string, tag = "1")]
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) value: String,
}

/// The answer of `/api/search/tag/{tag}/values`.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagValuesV1Answer {
    #[prost(string, repeated, tag = "1")]
    pub(super) tag_values: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub(super) metrics: Option<TagMetrics>,
}

/// Nothing that a client needs to know; the field itself is expected.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct TagMetrics {}

impl Respond for SearchAnswer {}
impl Respond for TagsAnswer {}
impl Respond for TagsV1Answer {}
impl Respond for TagValuesAnswer {}
impl Respond for TagValuesV1Answer {}

impl SearchAnswer {
    pub(super) fn new(found: Vec<FoundTrace>) -> Self {
        SearchAnswer {
            traces: found.into_iter().map(TraceAnswer::new).collect(),
            // One job: the whole store.
            metrics: Some(SearchMetrics {
                completed_jobs: 1,
                total_jobs: 1,
            }),
        }
    }
}

impl TraceAnswer {
    fn new(trace: FoundTrace) -> Self {
        let span_sets: Vec<_> = trace.spansets.into_iter().map(SpansetAnswer::new).collect();
        let root_service_name = if trace.root_service.is_empty() {
            NO_ROOT.to_owned()
        } else {
            trace.root_service
        };
        TraceAnswer {
            trace_id: format!("{:x}", trace.id),
            root_service_name,
            root_trace_name: trace.root_name.unwrap_or_default(),
            start_time_unix_nano: trace.start_ns,
            duration_ms: u32::try_from(trace.duration_ns / 1_000_000).unwrap_or(u32::MAX),
            span_set: span_sets.first().cloned(),
            span_sets,
            service_stats: trace
                .services
                .into_iter()
                .map(|stats| {
                    (
                        stats.service,
                        ServiceAnswer {
                            span_count: stats.spans,
                            error_count: stats.errors,
                        },
                    )
                })
                .collect(),
        }
    }
}

impl SpansetAnswer {
    fn new(spanset: FoundSpanset) -> Self {
        SpansetAnswer {
            spans: spanset.spans.into_iter().map(SpanAnswer::new).collect(),
            matched: u32::try_from(spanset.matched).unwrap_or(u32::MAX),
            attributes: key_values(spanset.attributes),
        }
    }
}

impl SpanAnswer {
    fn new(span: FoundSpan) -> Self {
        SpanAnswer {
            span_id: format!("{:016x}", span.id),
            name: span.name.unwrap_or_default(),
            start_time_unix_nano: span.start_ns,
            duration_nanos: span.duration_ns,
            attributes: key_values(span.attributes),
        }
    }
}

fn key_values(pairs: Vec<(String, Value<'static>)>) -> Vec<KeyValue> {
    pairs
        .into_iter()
        .map(|(key, value)| KeyValue {
            key,
            value: Some(AnyValue::new(value)),
        })
        .collect()
}

impl AnyValue {
    fn new(value: Value<'static>) -> Self {
        let scalar = match value {
            Value::Int(value) => Scalar::Int(value),
            Value::Float(value) => Scalar::Double(value),
            Value::Bool(value) => Scalar::Bool(value),
            Value::Array(elements) => Scalar::Array(ArrayValue {
                values: elements.into_iter().map(AnyValue::new).collect(),
            }),
            Value::Nil | Value::Str(_) | Value::Duration(_) | Value::Status(_) | Value::Kind(_) => {
                Scalar::String(value.to_text())
            }
        };
        AnyValue {
            value: Some(scalar),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_text<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
