//! Receivers that are down, slow, full or refusing.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tdemo_telemetry::LogSink;

use super::receiver::{Answer, DEADLINE, PROTOCOLS, Receiver};
use super::{assert_adds_up, block_on, emit, flush, settings, start};

/// Log lines as a test reads them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn read(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn an_outage_loses_nothing_that_the_queue_holds() {
    for protocol in PROTOCOLS {
        let mut receiver = Receiver::start(protocol);
        let lines = Lines::default();
        let mut settings = settings(receiver.settings());
        settings.logs.sink = LogSink::to_writer(lines.clone()).unwrap();
        let telemetry = start(settings);
        emit(&telemetry, 100);
        assert_eq!(flush(&telemetry).exported, 100);

        receiver.stop();
        emit(&telemetry, 5_000);
        // The receiver is away for as long as this flush tries.
        let report = block_on(telemetry.flush(Duration::from_secs(2)));
        assert!(!report.in_time);
        assert_eq!((report.ledger.queued, report.ledger.failed), (5_000, 0));

        receiver.restart();
        // Export goes on by itself, from where it stood.
        receiver.await_spans(5_100);
        let ledger = flush(&telemetry);
        assert_eq!((ledger.exported, ledger.dropped), (5_100, 0), "{ledger:?}");

        let lines = lines.read();
        let messages: Vec<_> = lines
            .iter()
            .filter_map(|line| line["message"].as_str())
            .collect();
        let [begin, end] = messages.as_slice() else {
            panic!("{lines:?}");
        };
        assert!(begin.starts_with("spans cannot be exported for now"));
        assert!(lines[0]["reason"].is_string(), "{lines:?}");
        assert_eq!(*end, "spans are exported again");
    }
}

#[test]
fn a_refusal_fails_at_once_and_is_logged_once() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.always(Some(Answer::Refuse));
        let lines = Lines::default();
        let mut settings = settings(receiver.settings());
        settings.logs.sink = LogSink::to_writer(lines.clone()).unwrap();
        let telemetry = start(settings);
        emit(&telemetry, 2_000);
        let ledger = flush(&telemetry);
        assert_eq!((ledger.failed, ledger.exported), (2_000, 0));
        let sent: usize = receiver.seen().iter().map(|seen| seen.items).sum();
        assert_eq!(sent, 2_000, "no span was sent twice");

        receiver.always(None);
        emit(&telemetry, 10);
        assert_eq!(flush(&telemetry).exported, 10);
        let lines = lines.read();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "spans could not be exported");
        assert!(lines[0]["reason"].is_string() && lines[0]["count"].is_u64());
        assert_eq!(lines[1]["message"], "spans are exported again");
    }
}

#[test]
fn unavailable_is_tried_again() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.answer([Answer::Unavailable, Answer::Unavailable]);
        let telemetry = start(settings(receiver.settings()));
        emit(&telemetry, 7);
        assert_eq!(flush(&telemetry).exported, 7);
        assert_eq!(receiver.seen().len(), 3);
    }
}

#[test]
fn a_full_receiver_is_given_the_time_it_asks_for() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.answer([Answer::Exhausted(Some(1))]);
        let telemetry = start(settings(receiver.settings()));
        emit(&telemetry, 7);
        assert_eq!(flush(&telemetry).exported, 7);
        let seen = receiver.seen();
        assert_eq!(seen.len(), 2);
        let pause = seen[1].at - seen[0].at;
        assert!(pause >= Duration::from_secs(1), "{pause:?}");
    }
}

#[test]
fn a_full_grpc_receiver_that_names_no_time_has_refused() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    receiver.answer([Answer::Exhausted(None)]);
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 7);
    assert_eq!(flush(&telemetry).failed, 7);
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn a_full_http_receiver_is_tried_again_in_any_case() {
    let receiver = Receiver::start(PROTOCOLS[1]);
    receiver.answer([Answer::Exhausted(None)]);
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 7);
    assert_eq!(flush(&telemetry).exported, 7);
}

#[test]
fn rejected_spans_have_failed() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.answer([Answer::Reject(3)]);
        let telemetry = start(settings(receiver.settings()));
        emit(&telemetry, 10);
        let ledger = flush(&telemetry);
        assert_eq!((ledger.exported, ledger.failed), (7, 3));
        assert_eq!(receiver.seen().len(), 1, "a partial success is final");
    }
}

#[test]
fn a_receiver_that_hangs_is_asked_again_after_the_timeout() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.answer([Answer::Silence]);
        let mut exporter = receiver.settings();
        exporter.timeout = Duration::from_millis(200);
        let telemetry = start(settings(exporter));
        emit(&telemetry, 5);
        assert_eq!(flush(&telemetry).exported, 5);
        assert_eq!(receiver.seen().len(), 2);
    }
}

#[test]
fn a_receiver_that_hangs_costs_neither_time_nor_memory() {
    const BOUND: u64 = 3_000;
    let receiver = Receiver::start(PROTOCOLS[0]);
    receiver.always(Some(Answer::Silence));
    let mut settings = settings(receiver.settings());
    settings.batch.max_queue_items = BOUND;
    let telemetry = start(settings);
    let begun = Instant::now();
    emit(&telemetry, 20_000);
    // One wait for the receiver would take its time-out, 10 s.
    assert!(begun.elapsed() < Duration::from_secs(5));
    let ledger = telemetry.ledger();
    assert_eq!((ledger.queued, ledger.dropped), (BOUND, 20_000 - BOUND));
    let report = block_on(telemetry.shutdown(Duration::ZERO));
    assert_eq!((report.in_time, report.abandoned), (false, BOUND));
}

#[test]
fn huge_spans_are_bounded_by_their_bytes() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    receiver.always(Some(Answer::Silence));
    let mut settings = settings(receiver.settings());
    settings.batch.max_queue_bytes = 10 << 20;
    let telemetry = start(settings);
    let text = "x".repeat(1 << 20);
    for _ in 0..30 {
        use opentelemetry::trace::{Span as _, Tracer as _};
        let mut span = telemetry.tracer().start("huge");
        span.set_attribute(opentelemetry::KeyValue::new("text", text.clone()));
    }
    let ledger = telemetry.ledger();
    assert_eq!((ledger.queued, ledger.dropped), (9, 21), "{ledger:?}");
    block_on(telemetry.shutdown(Duration::ZERO));
}

#[test]
fn a_span_too_large_for_the_receiver_fails_alone_and_at_once() {
    use opentelemetry::trace::{Span as _, Tracer as _};
    for gzip in [false, true] {
        let receiver = Receiver::start(PROTOCOLS[0]);
        let mut exporter = receiver.settings();
        exporter.gzip = gzip;
        let telemetry = start(settings(exporter));
        emit(&telemetry, 5);
        let mut span = telemetry.tracer().start("too large");
        let text = "x".repeat(5 << 20);
        span.set_attribute(opentelemetry::KeyValue::new("text", text));
        span.end();
        emit(&telemetry, 5);
        let ledger = flush(&telemetry);
        assert_eq!((ledger.exported, ledger.failed), (10, 1));
    }
}

#[test]
fn a_batch_out_of_time_has_failed() {
    let mut receiver = Receiver::start(PROTOCOLS[0]);
    receiver.stop();
    let mut settings = settings(receiver.settings());
    settings.batch.export_deadline = Duration::from_millis(300);
    let telemetry = start(settings);
    emit(&telemetry, 5);
    let ledger = flush(&telemetry);
    assert_eq!((ledger.failed, ledger.queued), (5, 0));
}

#[test]
fn a_shutdown_keeps_its_deadline_and_counts_what_it_gives_up() {
    for protocol in PROTOCOLS {
        let mut receiver = Receiver::start(protocol);
        receiver.stop();
        let telemetry = start(settings(receiver.settings()));
        emit(&telemetry, 3_000);
        let begun = Instant::now();
        let report = block_on(telemetry.shutdown(Duration::from_millis(500)));
        assert!(begun.elapsed() < DEADLINE);
        assert!(begun.elapsed() >= Duration::from_millis(500));
        assert_eq!((report.in_time, report.abandoned), (false, 3_000));
        assert_eq!((report.ledger.failed, report.ledger.queued), (3_000, 0));
        assert_adds_up(&report.ledger);
    }
}

#[test]
fn a_shutdown_sends_what_a_returning_receiver_takes() {
    let mut receiver = Receiver::start(PROTOCOLS[0]);
    receiver.stop();
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 1_000);
    // Long enough for a back-off that the shutdown then has to cut short.
    block_on(telemetry.flush(Duration::from_secs(1)));
    receiver.restart();
    let report = block_on(telemetry.shutdown(DEADLINE));
    assert_eq!((report.in_time, report.ledger.exported), (true, 1_000));
}
