//! A receiver in good health.

use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tdemo_telemetry::{TraceSampler, propagation};

use super::receiver::{PROTOCOLS, Receiver};
use super::{emit, flush, settings, start};

#[test]
fn spans_arrive_whole_with_their_resource() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let telemetry = start(settings(receiver.settings()));
        let mut span = telemetry.tracer().start("work");
        span.set_attribute(KeyValue::new("answer", 42));
        let context = span.span_context().clone();
        span.end();
        assert_eq!(flush(&telemetry).exported, 1);

        let accepted = receiver.accepted();
        let [request] = accepted.as_slice() else {
            panic!("{accepted:?}");
        };
        let resource_spans = &request.resource_spans[0];
        let name = (resource_spans.resource.as_ref().unwrap().attributes.iter())
            .find(|attribute| attribute.key == "service.name")
            .and_then(|attribute| attribute.value.as_ref()?.value.clone());
        assert_eq!(name, Some(Value::StringValue("test".to_owned())));
        let span = &resource_spans.scope_spans[0].spans[0];
        assert_eq!(span.name, "work");
        assert_eq!(span.trace_id, context.trace_id().to_bytes());
        assert_eq!(span.span_id, context.span_id().to_bytes());
        assert_eq!(span.attributes[0].key, "answer");
    }
}

#[test]
fn a_flood_within_the_bound_loses_nothing() {
    const THREADS: usize = 3;
    const EACH: usize = 100_000;
    let receiver = Receiver::start(PROTOCOLS[0]);
    let mut settings = settings(receiver.settings());
    settings.batch.max_queue_items = 300_000;
    settings.batch.max_queue_bytes = u64::MAX;
    let telemetry = start(settings);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| emit(&telemetry, EACH));
        }
    });
    let ledger = flush(&telemetry);
    assert_eq!(ledger.started, 300_000);
    assert_eq!(ledger.exported, 300_000, "{ledger:?}");
    assert_eq!(receiver.accepted_spans(), 300_000);
}

#[test]
fn a_flood_beyond_the_bound_is_accounted_for() {
    const BOUND: u64 = 2_000;
    let receiver = Receiver::start(PROTOCOLS[0]);
    let mut settings = settings(receiver.settings());
    settings.batch.max_queue_items = BOUND;
    let telemetry = start(settings);
    thread::scope(|scope| {
        let flood = scope.spawn(|| emit(&telemetry, 50_000));
        while !flood.is_finished() {
            let ledger = telemetry.ledger();
            assert!(ledger.queued <= BOUND, "{ledger:?}");
            super::assert_adds_up(&ledger);
        }
    });
    let ledger = flush(&telemetry);
    assert_eq!((ledger.ended, ledger.failed, ledger.queued), (50_000, 0, 0));
    assert_eq!(receiver.accepted_spans() as u64, ledger.exported);
}

#[test]
fn less_than_a_batch_goes_out_after_the_delay_by_itself() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 3);
    receiver.await_spans(3);
}

#[test]
fn a_full_batch_does_not_wait_for_the_delay() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let mut settings = settings(receiver.settings());
    settings.batch.schedule_delay = Duration::from_secs(3_600);
    settings.batch.max_batch_items = 10;
    let telemetry = start(settings);
    emit(&telemetry, 25);
    receiver.await_spans(20);
    assert!(receiver.seen().iter().all(|seen| seen.items == 10));
    assert_eq!(flush(&telemetry).exported, 25);
}

#[test]
fn batches_stay_below_what_receivers_take() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let telemetry = start(settings(receiver.settings()));
        let text = "x".repeat(20_000);
        for _ in 0..1_000 {
            let mut span = telemetry.tracer().start("big");
            span.set_attribute(KeyValue::new("text", text.clone()));
            span.end();
        }
        let ledger = flush(&telemetry);
        assert_eq!(ledger.exported, 1_000, "{ledger:?}");
        let largest = receiver.seen().iter().map(|seen| seen.bytes).max();
        assert!(largest <= Some(2 << 20), "{largest:?}");
    }
}

#[test]
fn gzip_and_headers_are_sent() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let mut exporter = receiver.settings();
        exporter.gzip = true;
        let token = "Bearer secret".parse().unwrap();
        exporter.headers.insert("authorization", token);
        let telemetry = start(settings(exporter));
        emit(&telemetry, 10);
        assert_eq!(flush(&telemetry).exported, 10);
        let headers = &receiver.seen()[0].headers;
        let tokens: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(tokens, ["Bearer secret"]);
        assert!(!headers.contains_key("x-environment"));
        let encoding = headers
            .get("content-encoding")
            .or(headers.get("grpc-encoding"));
        assert_eq!(encoding.unwrap(), "gzip");
    }
}

#[test]
fn the_process_environment_adds_no_header() {
    // The test above, in a process whose environment says otherwise.
    let test = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "traffic::gzip_and_headers_are_sent"])
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=other,x-environment=1",
        )
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&test.stdout);
    assert!(stdout.contains("1 passed"), "{stdout}");
}

#[test]
fn every_receiver_has_its_own_ledger() {
    let (first, second) = (Receiver::start(PROTOCOLS[0]), Receiver::start(PROTOCOLS[1]));
    second.always(Some(super::receiver::Answer::Refuse));
    let mut settings = settings(first.settings());
    settings.mirrors.push(second.settings());
    let telemetry = start(settings);
    emit(&telemetry, 5);
    assert_eq!(flush(&telemetry).exported, 5);
    let mirrors = telemetry.mirror_ledgers();
    assert_eq!((mirrors.len(), mirrors[0].failed), (1, 5));
    assert_eq!(first.accepted_spans(), 5);
}

#[test]
fn what_is_not_sampled_is_neither_sent_nor_counted() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    let mut headers = http::HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    headers.insert("traceparent", parent.parse().unwrap());
    let caller = propagation::extract(&headers);
    let span = telemetry.tracer().span_builder("work");
    let cx = telemetry.start_span(span, &caller);
    assert!(!cx.span().is_recording());
    let mut outgoing = http::HeaderMap::new();
    propagation::inject(&cx, &mut outgoing);
    let sent = outgoing["traceparent"].to_str().unwrap();
    assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent.ends_with("-00"));
    assert_ne!(sent, parent, "the span is a new one");
    drop(cx);

    emit(&telemetry, 1);
    let ledger = flush(&telemetry);
    assert_eq!((ledger.started, ledger.ended), (1, 1));

    let mut off = settings(receiver.settings());
    off.sampler = TraceSampler::AlwaysOff;
    let telemetry = start(off);
    emit(&telemetry, 3);
    assert_eq!(
        flush(&telemetry),
        tdemo_telemetry::LedgerSnapshot::default()
    );
    assert_eq!(receiver.accepted_spans(), 1);
}

#[test]
fn disabled_telemetry_records_nothing_and_passes_the_context_on() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let mut settings = settings(receiver.settings());
    settings.disabled = true;
    let telemetry = start(settings);
    assert!(!telemetry.is_enabled());
    let mut headers = http::HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", parent.parse().unwrap());
    headers.insert("tracestate", "a=1".parse().unwrap());
    headers.insert("baggage", "b=2".parse().unwrap());
    let caller = propagation::extract(&headers);
    let cx = telemetry.start_span(telemetry.tracer().span_builder("work"), &caller);
    let mut outgoing = http::HeaderMap::new();
    propagation::inject(&cx, &mut outgoing);
    assert_eq!(outgoing, headers);
    drop(cx);
    assert_eq!(
        flush(&telemetry),
        tdemo_telemetry::LedgerSnapshot::default()
    );
    assert!(receiver.seen().is_empty());
}
