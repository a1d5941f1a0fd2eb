//! What the log store costs, with 1,000,000 records of 125,000 traces of the demo: CPU a record
//! from a request's bytes to searchable, bytes held a record, and how long queries take.
//!
//! `cargo bench -p tdemo-tracestore --bench logs`
//!
//! Times are CPU time of the measuring thread where the system tells it (Linux), so that other
//! work on the machine blurs them less; elsewhere they are time on the clock.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops and prints"
)]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tdemo_tracestore::logs::logql;
use tdemo_tracestore::logs::query::{self, Direction, LogQuery};
use tdemo_tracestore::logs::{LogLimits, LogStore};

const RECORDS: u64 = 1_000_000;
const RECORDS_A_TRACE: u64 = 8;
/// As the demo's exporters send them at most.
const RECORDS_A_REQUEST: u64 = 512;
const SERVICES: [&str; 3] = ["frontend", "middleware", "backend"];
const START: u64 = 1_700_000_000_000_000_000;
/// Time from one record to the next: 10,000 records a second.
const STEP: u64 = 100_000;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(Value::StringValue(value.to_owned()))),
        ..KeyValue::default()
    }
}

fn trace_id(trace: u64) -> [u8; 16] {
    let spread = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    u128::from(trace + 1).wrapping_mul(spread).to_be_bytes()
}

fn record(n: u64) -> LogRecord {
    let trace = n / RECORDS_A_TRACE;
    let failed = trace.is_multiple_of(100);
    LogRecord {
        time_unix_nano: START + n * STEP,
        observed_time_unix_nano: START + n * STEP + 1_000,
        severity_number: if failed { 17 } else { 9 },
        severity_text: if failed { "ERROR" } else { "INFO" }.to_owned(),
        body: Some(any(Value::StringValue(format!(
            "POST /api/transform answered {} in {} ms",
            if failed { 500 } else { 200 },
            n % 400
        )))),
        attributes: vec![
            text("http.request.method", "POST"),
            text("http.route", "/api/transform"),
            KeyValue {
                key: "http.response.status_code".to_owned(),
                value: Some(any(Value::IntValue(if failed { 500 } else { 200 }))),
                ..KeyValue::default()
            },
        ],
        trace_id: trace_id(trace).to_vec(),
        span_id: (n + 1).to_be_bytes().to_vec(),
        flags: 1,
        ..LogRecord::default()
    }
}

/// A request of one service with a run of records.
fn request(first: u64) -> Vec<u8> {
    let service = SERVICES[usize::try_from(first / RECORDS_A_REQUEST % 3).unwrap()];
    let last = (first + RECORDS_A_REQUEST).min(RECORDS);
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", service),
                    text("service.namespace", "tracing-demo"),
                    text("service.version", "0.1.0"),
                    text(
                        "service.instance.id",
                        "6f1d3d2e-5a44-4e21-9b7e-0a4a8f8f3c11",
                    ),
                    text("deployment.environment.name", "demo"),
                ],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope {
                    name: "tdemo".to_owned(),
                    ..Default::default()
                }),
                log_records: (first..last).map(record).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    request.encode_to_vec()
}

/// Bounds that hold all records.
fn limits() -> LogLimits {
    LogLimits {
        max_bytes: 1 << 30,
        max_records: 2_000_000,
        ..LogLimits::default()
    }
}

fn export(store: &LogStore, request: &[u8]) {
    store
        .export(&ExportLogsServiceRequest::decode(request).unwrap())
        .unwrap();
}

/// CPU time of this thread so far, if the system tells.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = stat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn measure<T>(bencher: &mut Bencher<'_>, mut work: impl FnMut() -> T) {
    bencher.iter_custom(|iterations| {
        let (clock, cpu) = (Instant::now(), cpu_time());
        for _ in 0..iterations {
            black_box(work());
        }
        match (cpu, cpu_time()) {
            (Some(before), Some(after)) => after.checked_sub(before).unwrap_or_default(),
            _ => clock.elapsed(),
        }
    });
}

fn logs(c: &mut Criterion) {
    let requests: Vec<Vec<u8>> = (0..RECORDS)
        .step_by(usize::try_from(RECORDS_A_REQUEST).unwrap())
        .map(request)
        .collect();
    let store = LogStore::new(limits());
    for request in &requests {
        export(&store, request);
    }
    let stats = store.stats();
    assert_eq!(stats.held, RECORDS);
    println!("{} bytes held a record", stats.bytes / stats.held);

    let mut group = c.benchmark_group("logs");
    group.sample_size(20);
    group.throughput(Throughput::Elements(RECORDS_A_REQUEST));
    let fresh = LogStore::new(limits());
    let mut next = requests.iter().cycle();
    group.bench_function("export a request of 512", |bencher| {
        measure(bencher, || export(&fresh, next.next().unwrap()));
    });
    drop(fresh);

    group.throughput(Throughput::Elements(1));
    let all = (i64::MIN, i64::MAX);
    let trace = 54_321;
    let id = format!("{:032x}", u128::from_be_bytes(trace_id(trace)));
    let at = i64::try_from(START + trace * RECORDS_A_TRACE * STEP).unwrap();
    let around = (at - 2_000_000_000, at + 2_000_000_000);
    let grafana = format!(
        "{{service_name=~\".+\"}} | label_format log_line_contains_trace_id=`{{{{ contains \"{id}\" __line__  }}}}` \
         | log_line_contains_trace_id=\"true\" OR trace_id=\"{id}\""
    );
    let by_id = format!("{{service_name=~\".+\"}} | trace_id=\"{id}\"");
    let queries = [
        ("logs of a trace", by_id.as_str(), all, 8),
        ("logs of a trace, as Grafana asks, 4 s", &grafana, around, 8),
        ("logs of a trace, as Grafana asks, all", &grafana, all, 8),
        (
            "last 100 of a service",
            "{service_name=\"frontend\"}",
            all,
            100,
        ),
        (
            "last 100 errors",
            "{service_name=~\".+\"} | detected_level=\"error\"",
            all,
            100,
        ),
        (
            "text that is nowhere",
            "{service_name=~\".+\"} |= \"nowhere\"",
            all,
            0,
        ),
        (
            "JSON that is nowhere",
            "{service_name=~\".+\"} | json | a=\"b\"",
            all,
            0,
        ),
    ];
    for (name, query, (start, end), expected) in queries {
        group.bench_function(name, |bencher| {
            measure(bencher, || {
                let pipeline = logql::compile(query).unwrap();
                let query = LogQuery {
                    pipeline: &pipeline,
                    start,
                    end,
                    limit: 100,
                    direction: Direction::Backward,
                };
                let answer = query::run(&store.snapshot(), &query);
                assert_eq!(answer.entries.len(), expected);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, logs);
criterion_main!(benches);
