//! A few small traces that hold one case each of what queries tell apart.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use tdemo_tracestore::{Limits, Store, wire};

pub(crate) const START: u64 = 1_700_000_000_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
const INTERNAL: i32 = 1;
pub(crate) const SERVER: i32 = 2;
pub(crate) const CLIENT: i32 = 3;

fn attr(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attr(key, Any::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attr(key, Any::IntValue(value))
}

fn array(key: &str, values: Vec<Any>) -> KeyValue {
    let values = values
        .into_iter()
        .map(|value| AnyValue { value: Some(value) });
    attr(
        key,
        Any::ArrayValue(ArrayValue {
            values: values.collect(),
        }),
    )
}

/// A span of trace `trace`; parent 0 means none.
pub(crate) fn span(
    trace: u8,
    id: u8,
    parent: u8,
    name: &str,
    kind: i32,
    ms: u64,
    attributes: Vec<KeyValue>,
) -> Span {
    let start = START + u64::from(trace) * 1_000 * MS + u64::from(id) * MS;
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![0, 0, 0, 0, 0, 0, trace, id],
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![0, 0, 0, 0, 0, 0, trace, parent]
        },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + ms * MS,
        attributes,
        ..Span::default()
    }
}

pub(crate) fn service(name: &str, extra: Vec<KeyValue>, spans: Vec<Span>) -> ResourceSpans {
    let mut attributes = vec![text("service.name", name)];
    attributes.extend(extra);
    ResourceSpans {
        resource: Some(Resource {
            attributes,
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: format!("{name}-lib"),
                version: "1.2".to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

/// Four traces:
///
/// ```text
/// 1  entry (web, server) -> logic -> call (client) -> serve (db, server, error) -> query
///                        -> cache
/// 2  lost (parent never came) -> found
/// 3  first and second, both roots; second -> third
/// 4  types: one attribute in all its types
/// ```
pub(crate) fn store() -> Store {
    let event = |name: &str, ms: u64, attributes| Event {
        time_unix_nano: START + 1_004 * MS + ms * MS,
        name: name.to_owned(),
        attributes,
        ..Event::default()
    };
    let mut serve = span(
        1,
        4,
        3,
        "serve",
        SERVER,
        60,
        vec![int("n", 4), text("who", "bob")],
    );
    serve.status = Some(Status {
        code: 2,
        message: "broke".to_owned(),
    });
    serve.events = vec![
        event("exception", 3, vec![text("type", "Io"), int("size", 1)]),
        event("retry", 5, vec![text("type", "Again"), int("size", 2)]),
    ];
    let mut call = span(1, 3, 2, "call", CLIENT, 70, vec![int("n", 3)]);
    call.links = vec![Link {
        trace_id: vec![0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2],
        span_id: vec![2; 8],
        attributes: vec![text("why", "retry")],
        ..Link::default()
    }];
    let strings = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Any::StringValue((*text).to_owned()))
            .collect()
    };
    let groups = vec![
        service(
            "web",
            vec![text("zone", "eu"), int("n", 9)],
            vec![
                span(
                    1,
                    1,
                    0,
                    "entry",
                    SERVER,
                    100,
                    vec![
                        int("n", 1),
                        text("who", "ann"),
                        attr("ok", Any::BoolValue(true)),
                    ],
                ),
                span(
                    1,
                    2,
                    1,
                    "logic",
                    INTERNAL,
                    90,
                    vec![array("keys", strings(&["a", "b"])), text("zone", "moon")],
                ),
                call,
                span(
                    1,
                    6,
                    1,
                    "cache",
                    INTERNAL,
                    5,
                    vec![
                        attr("f", Any::DoubleValue(2.0)),
                        attr("ok", Any::BoolValue(false)),
                    ],
                ),
            ],
        ),
        service(
            "db",
            Vec::new(),
            vec![serve, span(1, 5, 4, "query", INTERNAL, 50, Vec::new())],
        ),
        service(
            "web",
            Vec::new(),
            vec![
                span(2, 2, 1, "lost", SERVER, 10, Vec::new()),
                span(2, 3, 2, "found", CLIENT, 10, Vec::new()),
            ],
        ),
        service(
            "two",
            Vec::new(),
            vec![
                span(3, 1, 0, "first", SERVER, 10, Vec::new()),
                span(3, 2, 0, "second", SERVER, 10, Vec::new()),
                span(3, 3, 2, "third", CLIENT, 10, Vec::new()),
            ],
        ),
        service(
            "types",
            Vec::new(),
            vec![
                span(4, 1, 0, "int", INTERNAL, 1, vec![int("v", 1)]),
                span(
                    4,
                    2,
                    1,
                    "float",
                    INTERNAL,
                    1,
                    vec![attr("v", Any::DoubleValue(1.0))],
                ),
                span(4, 3, 1, "text", INTERNAL, 1, vec![text("v", "1")]),
                span(
                    4,
                    4,
                    1,
                    "bool",
                    INTERNAL,
                    1,
                    vec![attr("v", Any::BoolValue(true))],
                ),
                span(4, 5, 1, "none", INTERNAL, 1, Vec::new()),
                span(
                    4,
                    6,
                    1,
                    "ints",
                    INTERNAL,
                    1,
                    vec![array("v", vec![Any::IntValue(1), Any::IntValue(7)])],
                ),
                span(
                    4,
                    7,
                    1,
                    "mixed",
                    INTERNAL,
                    1,
                    vec![array(
                        "v",
                        vec![Any::IntValue(1), Any::StringValue("1".into())],
                    )],
                ),
            ],
        ),
    ];
    filled(groups)
}

/// A store that was sent these spans.
pub(crate) fn filled(resource_spans: Vec<ResourceSpans>) -> Store {
    let request = ExportTraceServiceRequest { resource_spans };
    let store = Store::new(Limits::default());
    store.insert(&wire::decode(&request.encode_to_vec()).unwrap());
    store
}
