//! Spans shaped like the demo's, for benchmarks and tests: eight a trace, of three services, with their attributes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// Spans of one trace.
pub(crate) const SPANS: u64 = 8;
/// One in so many traces failed in the backend.
pub(crate) const ERROR_EVERY: u64 = 50;

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// The id of trace number `n`: spread over all bits, as random ids are.
pub(crate) fn trace_id(n: u64) -> u128 {
    u128::from(mix(n)) << 64 | u128::from(mix(n ^ 0x5555_5555))
}

/// Requests holding the traces of a range: for each so many traces one request a service, as three exporters send them.
pub(crate) fn requests(traces: std::ops::Range<u64>, traces_a_request: usize) -> Vec<Vec<u8>> {
    let numbers: Vec<u64> = traces.collect();
    let mut requests = Vec::new();
    for numbers in numbers.chunks(traces_a_request) {
        for service in ["backend", "middleware", "frontend"] {
            let spans = numbers.iter().flat_map(|&n| spans(n, service)).collect();
            requests.push(request(service, spans).encode_to_vec());
        }
    }
    requests
}

/// An export of one service.
pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", service),
                    text("service.namespace", "tracing-demo"),
                    text("service.version", "0.1.0"),
                    text("service.instance.id", &format!("{service}-5d4f7c9b8-x2x9z")),
                    text("deployment.environment.name", "bench"),
                    text("telemetry.sdk.language", "rust"),
                    text("telemetry.sdk.name", "opentelemetry"),
                    text("telemetry.sdk.version", "0.33.0"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "tdemo-services".to_owned(),
                    version: "0.1.0".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// The spans of trace number `n` that a service exports.
pub(crate) fn spans(n: u64, service: &str) -> Vec<Span> {
    let failed = n.is_multiple_of(ERROR_EVERY);
    let status = if failed { 502 } else { 200 };
    match service {
        "frontend" => vec![
            span(
                n,
                1,
                "GET /api/process",
                SERVER,
                failed,
                server("GET", "/api/process", 5000, status),
            ),
            span(
                n,
                2,
                "frontend-process",
                INTERNAL,
                failed,
                vec![
                    text("frontend.handler", "process"),
                    text("frontend.request.method", "GET"),
                    int("frontend.middleware.status", status),
                ],
            ),
            span(
                n,
                3,
                "POST",
                CLIENT,
                failed,
                client("POST", "http://127.0.0.1:5001/api/transform", 5001, status),
            ),
        ],
        "middleware" => vec![
            span(
                n,
                4,
                "POST /api/transform",
                SERVER,
                failed,
                server("POST", "/api/transform", 5001, status),
            ),
            span(
                n,
                5,
                "middleware-transform",
                INTERNAL,
                failed,
                vec![
                    text("middleware.handler", "transform"),
                    attribute(
                        "middleware.input.keys",
                        Value::ArrayValue(ArrayValue {
                            values: vec![AnyValue {
                                value: Some(Value::StringValue("source".to_owned())),
                            }],
                        }),
                    ),
                    int("middleware.backend.status", if failed { 500 } else { 200 }),
                ],
            ),
            span(
                n,
                6,
                "GET",
                CLIENT,
                failed,
                client(
                    "GET",
                    "http://127.0.0.1:5002/api/data",
                    5002,
                    if failed { 500 } else { 200 },
                ),
            ),
        ],
        _ => vec![
            span(
                n,
                7,
                "GET /api/data",
                SERVER,
                failed,
                server("GET", "/api/data", 5002, if failed { 500 } else { 200 }),
            ),
            span(
                n,
                8,
                "backend-get-data",
                INTERNAL,
                failed,
                vec![
                    text("backend.handler", "get_data"),
                    attribute(
                        "backend.query.duration_ms",
                        Value::DoubleValue((mix(n) % 400_000) as f64 / 1000.0),
                    ),
                    text("backend.query.type", "simulated_database_query"),
                ],
            ),
        ],
    }
}

/// Span number `number` of a trace; each is the child of the one before.
fn span(
    n: u64,
    number: u64,
    name: &str,
    kind: i32,
    failed: bool,
    attributes: Vec<KeyValue>,
) -> Span {
    let id = |number: u64| mix(n * 16 + number).to_be_bytes().to_vec();
    let start = 1_795_345_100_000_000_000 + n * 1_000_000 + number * 250_000;
    let duration = 150_000_000 + mix(n) % 200_000_000 - number * 1_000_000;
    Span {
        trace_id: trace_id(n).to_be_bytes().to_vec(),
        span_id: id(number),
        parent_span_id: if number == 1 {
            Vec::new()
        } else {
            id(number - 1)
        },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration,
        attributes,
        flags: if number == 1 { 0x101 } else { 0x301 },
        status: Some(Status {
            code: if failed { 2 } else { 0 },
            message: String::new(),
        }),
        ..Span::default()
    }
}

fn server(method: &str, path: &str, port: i64, status: i64) -> Vec<KeyValue> {
    vec![
        text("http.request.method", method),
        text("url.path", path),
        text("url.scheme", "http"),
        text("http.route", path),
        text("server.address", "127.0.0.1"),
        int("server.port", port),
        text("client.address", "127.0.0.1"),
        text("network.protocol.version", "1.1"),
        text("user_agent.original", "tdemo/0.1.0"),
        int("http.response.status_code", status),
    ]
}

fn client(method: &str, url: &str, port: i64, status: i64) -> Vec<KeyValue> {
    vec![
        text("http.request.method", method),
        text("url.full", url),
        text("server.address", "127.0.0.1"),
        int("server.port", port),
        int("http.response.status_code", status),
        text("network.protocol.version", "1.1"),
    ]
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A bijection that scatters numbers (splitmix64's finalizer); never 0 for the small numbers used here but 0 itself.
fn mix(n: u64) -> u64 {
    let mut n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
