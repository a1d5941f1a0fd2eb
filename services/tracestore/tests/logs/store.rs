//! The log store as a library: what it makes of OTLP, what it answers, what it gives up.

use std::collections::BTreeMap;

use crate::support::{attribute, record, request, traced};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tdemo_tracestore::logs::logql::{self, Pipeline};
use tdemo_tracestore::logs::query::{self, Direction, Entry, LogQuery};
use tdemo_tracestore::logs::streams::streams;
use tdemo_tracestore::logs::{LogLimits, LogStats, LogStore};

pub(crate) fn pipeline(query: &str) -> Pipeline {
    logql::compile(query).unwrap()
}

pub(crate) fn ask(
    store: &LogStore,
    query: &str,
    start: i64,
    end: i64,
    limit: usize,
    direction: Direction,
) -> Vec<Entry> {
    let pipeline = pipeline(query);
    let query = LogQuery {
        pipeline: &pipeline,
        start,
        end,
        limit,
        direction,
    };
    query::run(&store.snapshot(), &query).entries
}

/// The lines of all records that a query keeps, in order of time.
fn lines(store: &LogStore, query: &str) -> Vec<String> {
    ask(
        store,
        query,
        i64::MIN,
        i64::MAX,
        usize::MAX,
        Direction::Forward,
    )
    .into_iter()
    .map(|entry| entry.line)
    .collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

#[test]
fn a_record_gets_the_labels_that_loki_gives_it() {
    let store = LogStore::new(LogLimits::default());
    let mut request = request(
        "frontend",
        vec![LogRecord {
            observed_time_unix_nano: 2_000,
            severity_number: 13,
            severity_text: "WARN".to_owned(),
            attributes: vec![
                attribute("http.route", "/api/process"),
                attribute("service.name", "mine"),
                attribute("telemetry.sdk.language", "mine too"),
            ],
            trace_id: (0x0af7_u128 << 112).to_be_bytes().to_vec(),
            span_id: vec![0, 0xf0, 0x67, 0, 0, 0, 0, 1],
            flags: 1,
            event_name: "done".to_owned(),
            ..record(1_000, "slow answer")
        }],
    );
    let resource = request.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.extend([
        attribute("service.namespace", "tracing-demo"),
        attribute("service.instance.id", "i-1"),
        attribute("deployment.environment.name", "demo"),
        attribute("k8s.pod.name", "pod-1"),
        attribute("service.version", "1.2.3"),
        attribute("telemetry.sdk.language", "rust"),
    ]);
    request.resource_logs[0].scope_logs[0]
        .scope
        .as_mut()
        .unwrap()
        .version = "0.1".to_owned();
    store.export(&request).unwrap();

    let found = ask(
        &store,
        "{service_name=\"frontend\"}",
        0,
        5_000,
        10,
        Direction::Backward,
    );
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].timestamp, found[0].line.as_str()),
        (1_000, "slow answer")
    );
    assert_eq!(
        found[0].labels.stream,
        map(&[
            ("deployment_environment_name", "demo"),
            ("k8s_pod_name", "pod-1"),
            ("service_instance_id", "i-1"),
            ("service_name", "frontend"),
            ("service_namespace", "tracing-demo"),
        ])
    );
    assert_eq!(
        found[0].labels.metadata,
        map(&[
            ("detected_level", "warn"),
            ("event_name", "done"),
            ("flags", "1"),
            ("http_route", "/api/process"),
            ("observed_timestamp", "2000"),
            ("scope_name", "demo"),
            ("scope_version", "0.1"),
            ("service_name_extracted", "mine"),
            ("service_version", "1.2.3"),
            ("severity_number", "13"),
            ("severity_text", "WARN"),
            ("span_id", "00f0670000000001"),
            ("telemetry_sdk_language", "rust"),
            ("trace_id", "0af70000000000000000000000000000"),
        ])
    );
    assert!(found[0].labels.parsed.is_empty());
}

#[test]
fn a_record_without_a_time_or_service_gets_one() {
    let store = LogStore::new(LogLimits::default());
    let mut request = request(
        "x",
        vec![
            record(0, "now"),
            LogRecord {
                observed_time_unix_nano: 7,
                ..record(0, "seen")
            },
        ],
    );
    request.resource_logs[0].resource = None;
    store.export(&request).unwrap();
    let found = ask(
        &store,
        "{service_name=\"unknown_service\"}",
        0,
        i64::MAX,
        10,
        Direction::Forward,
    );
    assert_eq!((found[0].timestamp, found[0].line.as_str()), (7, "seen"));
    assert!(!found[0].labels.metadata.contains_key("observed_timestamp"));
    assert!(found[1].timestamp > 1_700_000_000_000_000_000);
}

#[test]
fn answers_are_in_order_of_time_and_bounded() {
    let store = LogStore::new(LogLimits::default());
    for times in [[50, 10], [30, 40], [20, 30]] {
        let records = times
            .iter()
            .map(|t| record(*t, &format!("at {t}")))
            .collect();
        store.export(&request("a", records)).unwrap();
    }
    let times = |start, end, limit, direction| -> Vec<i64> {
        let found = ask(&store, "{service_name=\"a\"}", start, end, limit, direction);
        found.iter().map(|entry| entry.timestamp).collect()
    };
    // The second record of time 30 says the same as the first: it is one record.
    assert_eq!(times(0, 100, 10, Direction::Forward), [10, 20, 30, 40, 50]);
    assert_eq!(times(0, 100, 10, Direction::Backward), [50, 40, 30, 20, 10]);
    assert_eq!(times(0, 100, 2, Direction::Forward), [10, 20]);
    assert_eq!(times(0, 100, 2, Direction::Backward), [50, 40]);
    assert_eq!(
        times(20, 50, 10, Direction::Forward),
        [20, 30, 40],
        "the end is not in it"
    );
    assert_eq!(times(0, 100, 0, Direction::Forward), [0; 0]);
}

#[test]
fn the_logs_of_a_trace_are_found_wherever_they_are() {
    let store = LogStore::new(LogLimits {
        max_records: 160,
        ..LogLimits::default()
    });
    // Ten records to a chunk.
    for n in 0..100_u64 {
        let service = if n % 2 == 0 { "a" } else { "b" };
        let trace = u128::from(n % 20) + 1;
        store
            .export(&request(
                service,
                vec![traced(n, &format!("line {n}"), trace)],
            ))
            .unwrap();
    }
    let in_line = format!("{{\"trace_id\":\"{:032x}\"}}", 3);
    store
        .export(&request("a", vec![record(100, &in_line)]))
        .unwrap();
    let odd = LogRecord {
        attributes: vec![attribute("trace.id", "odd")],
        ..record(101, "odd id")
    };
    store.export(&request("a", vec![odd])).unwrap();

    let by_id = |stages: &str| lines(&store, &format!("{{service_name=~\".+\"}} {stages}"));
    let three = format!("trace_id=\"{:032x}\"", 3);
    let expected = ["line 2", "line 22", "line 42", "line 62", "line 82"];
    assert_eq!(by_id(&format!("| {three}")), expected);
    assert_eq!(by_id(&format!("|= \"2\" | {three} |= \"6\"")), ["line 62"]);
    let parsed = by_id(&format!("| json | drop __error__ | {three}"));
    assert_eq!(parsed[..5], expected);
    assert_eq!(parsed[5..], [in_line]);
    assert_eq!(by_id("| trace_id=\"odd\""), ["odd id"]);
    assert_eq!(by_id(&format!("| trace_id=\"{:032x}\"", 99)), [""; 0]);
    assert_eq!(
        lines(&store, &format!("{{service_name=\"b\"}} | {three}")),
        [""; 0]
    );
}

#[test]
fn the_oldest_records_make_room() {
    let store = LogStore::new(LogLimits {
        max_records: 64,
        ..LogLimits::default()
    });
    let report = store
        .export(&request(
            "a",
            (0..100).map(|n| record(n, &n.to_string())).collect(),
        ))
        .unwrap();
    assert_eq!(report.stored, 100);
    let stats = store.stats();
    assert_eq!((stats.received, stats.held + stats.evicted), (100, 100));
    assert!(stats.held <= 64 && stats.held > 56, "{stats:?}");
    let kept: Vec<String> = (100 - stats.held..100).map(|n| n.to_string()).collect();
    assert_eq!(lines(&store, "{service_name=\"a\"}"), kept);

    let max_bytes = 400_000;
    let store = LogStore::new(LogLimits {
        max_bytes,
        ..LogLimits::default()
    });
    for n in 0..2_000 {
        let line = format!("{n} {}", "x".repeat(1_000));
        store.export(&request("a", vec![record(n, &line)])).unwrap();
        assert!(
            store.stats().bytes <= max_bytes as u64,
            "{:?}",
            store.stats()
        );
    }
    let stats = store.stats();
    assert!(stats.held > 200 && stats.evicted > 1_000, "{stats:?}");
    assert_eq!(stats.received, stats.held + stats.evicted);
}

#[test]
fn a_repeated_request_adds_nothing_and_a_large_record_is_refused() {
    let store = LogStore::new(LogLimits {
        max_record_bytes: 100,
        ..LogLimits::default()
    });
    let first = request(
        "a",
        vec![traced(1, "one", 5), record(1, "one"), record(2, "two")],
    );
    assert_eq!(store.export(&first).unwrap().stored, 3);
    let again = store.export(&first).unwrap();
    assert_eq!((again.stored, again.duplicate), (0, 3));
    let large = store
        .export(&request(
            "a",
            vec![record(3, &"x".repeat(101)), record(4, "small")],
        ))
        .unwrap();
    assert_eq!((large.stored, large.too_large), (1, 1));
    assert_eq!(
        store.stats(),
        LogStats {
            held: 4,
            received: 8,
            duplicate: 3,
            too_large: 1,
            evicted: 0,
            bytes: store.stats().bytes
        }
    );
}

#[test]
fn a_request_with_a_bad_id_is_refused_as_a_whole() {
    let store = LogStore::new(LogLimits::default());
    let bad = LogRecord {
        trace_id: vec![1; 15],
        ..record(2, "bad")
    };
    let error = store
        .export(&request("a", vec![record(1, "good"), bad]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid trace_id of 15 bytes in log record 1: it must have 16 bytes, or none"
    );
    let bad = LogRecord {
        span_id: vec![1; 9],
        ..record(2, "bad")
    };
    assert!(
        store
            .export(&request("a", vec![bad]))
            .unwrap_err()
            .to_string()
            .contains("span_id of 9 bytes")
    );
    assert_eq!(
        store.stats(),
        LogStats {
            bytes: store.stats().bytes,
            ..LogStats::default()
        }
    );
}

#[test]
fn a_snapshot_does_not_change() {
    let store = LogStore::new(LogLimits::default());
    store
        .export(&request("a", vec![record(1, "before")]))
        .unwrap();
    let snapshot = store.snapshot();
    store
        .export(&request("a", vec![record(2, "after")]))
        .unwrap();
    assert_eq!((snapshot.first(), snapshot.end()), (0, 1));
    assert_eq!(
        snapshot
            .from(0)
            .map(|record| record.text().to_owned())
            .collect::<Vec<_>>(),
        ["before"]
    );
    assert_eq!(*store.subscribe().borrow(), 2);
}

#[test]
fn streams_are_those_with_a_record_in_the_time() {
    let store = LogStore::new(LogLimits::default());
    store.export(&request("a", vec![record(10, "x")])).unwrap();
    store.export(&request("b", vec![record(20, "x")])).unwrap();
    let names = |start, end, selectors: &[&str]| -> Vec<String> {
        let selectors: Vec<_> = selectors.iter().map(|s| pipeline(s)).collect();
        let found = streams(&store.snapshot(), start, end, &selectors);
        found
            .into_iter()
            .map(|labels| labels["service_name"].clone())
            .collect()
    };
    assert_eq!(names(0, 100, &[]), ["a", "b"]);
    assert_eq!(names(0, 20, &[]), ["a"]);
    assert_eq!(names(20, 21, &[]), ["b"]);
    assert_eq!(names(0, 100, &["{service_name=\"b\"}"]), ["b"]);
    assert_eq!(names(11, 20, &[]), [""; 0]);
}
