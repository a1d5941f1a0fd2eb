//! Log records by OTLP: whole, counted, and as safe from trouble as spans.

use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _, Tracer as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use tdemo_telemetry::{LedgerSnapshot, Telemetry, TelemetrySettings};
use tracing::dispatcher::with_default;

use super::receiver::{Answer, DEADLINE, PROTOCOLS, Receiver};
use super::{assert_adds_up, block_on, start};

/// Spans and records to the same receiver, no lines.
fn settings(receiver: &Receiver) -> TelemetrySettings {
    let mut settings = super::settings(receiver.settings());
    settings.logs.otlp = Some(receiver.log_settings());
    settings
}

/// Logs `count` records.
fn log(telemetry: &Telemetry, count: usize) {
    with_default(telemetry.dispatch(), || {
        for n in 0..count {
            tracing::info!(n, "said");
        }
    });
}

#[track_caller]
fn flush(telemetry: &Telemetry) -> LedgerSnapshot {
    let report = block_on(telemetry.flush(DEADLINE));
    assert!(report.in_time, "{report:?}");
    assert_adds_up(&report.log_ledger);
    report.log_ledger
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// The only record, and the only scope's name.
fn only_record(receiver: &Receiver) -> (LogRecord, String) {
    let accepted = receiver.accepted_logs();
    let [request] = accepted.as_slice() else {
        panic!("{accepted:?}");
    };
    let resource_logs = &request.resource_logs[0];
    let resource = &resource_logs.resource.as_ref().unwrap().attributes;
    assert_eq!(attribute(resource, "service.name"), Some(&text("test")));
    let scope_logs = &resource_logs.scope_logs[0];
    let scope = scope_logs.scope.as_ref().unwrap().name.clone();
    assert_eq!(scope_logs.log_records.len(), 1);
    (scope_logs.log_records[0].clone(), scope)
}

#[test]
fn records_arrive_whole_with_their_resource_and_their_span() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let telemetry = start(settings(&receiver));
        let span = telemetry.tracer().span_builder("work");
        let cx = telemetry.start_span(span, &opentelemetry::Context::new());
        let context: SpanContext = cx.span().span_context().clone();
        with_default(telemetry.dispatch(), || {
            let _active = cx.attach();
            tracing::warn!(
                target: "tests::logs",
                count = 3_u64,
                huge = u64::MAX,
                ratio = 0.5,
                yes = true,
                text = "a \"b\"\n",
                debug = ?Some(1),
                error.r#type = "timeout",
                "went {}",
                "wrong"
            );
        });
        let ledger = flush(&telemetry);
        assert_eq!((ledger.started, ledger.exported), (1, 1));

        let (record, scope) = only_record(&receiver);
        assert_eq!(scope, "tests::logs");
        assert_eq!(record.severity_number, SeverityNumber::Warn as i32);
        assert_eq!(record.severity_text, "WARN");
        let body = AnyValue {
            value: Some(text("went wrong")),
        };
        assert_eq!(record.body, Some(body));
        assert_eq!(record.trace_id, context.trace_id().to_bytes());
        assert_eq!(record.span_id, context.span_id().to_bytes());
        assert_eq!(record.flags & 1, 1, "the span is sampled");
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = since_epoch.as_nanos() - u128::from(record.time_unix_nano);
        assert!(age < DEADLINE.as_nanos(), "{record:?}");

        let attributes = &record.attributes;
        for (key, value) in [
            ("count", Value::IntValue(3)),
            ("huge", text("18446744073709551615")),
            ("ratio", Value::DoubleValue(0.5)),
            ("yes", Value::BoolValue(true)),
            ("text", text("a \"b\"\n")),
            ("debug", text("Some(1)")),
            ("error.type", text("timeout")),
        ] {
            assert_eq!(attribute(attributes, key), Some(&value), "{key}");
        }
        assert_eq!(attributes.len(), 7, "{attributes:?}");
    }
}

#[test]
fn a_record_outside_of_a_span_has_no_ids() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(&receiver));
    log(&telemetry, 1);
    flush(&telemetry);
    let (record, _) = only_record(&receiver);
    assert!(record.trace_id.is_empty() && record.span_id.is_empty());
}

#[test]
fn the_filter_holds_for_records() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(&receiver));
    with_default(telemetry.dispatch(), || {
        tracing::debug!("too fine");
        tracing::error!("kept");
    });
    assert_eq!(flush(&telemetry).ended, 1);
}

#[test]
fn the_export_itself_makes_no_record() {
    // Everything is logged, the transport's own events included, and nothing is
    // accepted at first: what the export says about that must not be exported.
    let receiver = Receiver::start(PROTOCOLS[0]);
    receiver.answer([Answer::Refuse, Answer::Unavailable, Answer::Reject(1)]);
    let mut settings = settings(&receiver);
    settings.logs.filter = "trace".parse().unwrap();
    let telemetry = start(settings);
    for _ in 0..5 {
        log(&telemetry, 10);
        super::emit(&telemetry, 10);
        flush(&telemetry);
    }
    let ledger = telemetry.log_ledger();
    assert_eq!((ledger.ended, ledger.queued), (50, 0), "{ledger:?}");
}

#[test]
fn records_are_bounded_and_counted() {
    const BOUND: u64 = 1_000;
    let receiver = Receiver::start(PROTOCOLS[0]);
    receiver.always(Some(Answer::Silence));
    let mut settings = settings(&receiver);
    settings.logs.otlp.as_mut().unwrap().batch.max_queue_items = BOUND;
    let telemetry = start(settings);
    log(&telemetry, 5_000);
    let ledger = telemetry.log_ledger();
    assert_eq!((ledger.queued, ledger.dropped), (BOUND, 5_000 - BOUND));
    assert_eq!(telemetry.ledger(), LedgerSnapshot::default(), "no spans");
    let report = block_on(telemetry.shutdown(Duration::ZERO));
    assert!(!report.in_time);
    assert_eq!(report.log_ledger.failed, BOUND);
    assert_adds_up(&report.log_ledger);
}

#[test]
fn an_outage_loses_no_record_that_the_queue_holds() {
    for protocol in PROTOCOLS {
        let mut receiver = Receiver::start(protocol);
        let telemetry = start(settings(&receiver));
        receiver.stop();
        log(&telemetry, 2_000);
        let report = block_on(telemetry.flush(Duration::from_secs(1)));
        assert!(!report.in_time);
        assert_eq!(report.log_ledger.queued, 2_000);
        receiver.restart();
        // Export goes on by itself.
        receiver.await_records(2_000);
        assert_eq!(flush(&telemetry).exported, 2_000);
    }
}

#[test]
fn refused_and_rejected_records_have_failed() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        receiver.answer([Answer::Refuse, Answer::Reject(3)]);
        let telemetry = start(settings(&receiver));
        log(&telemetry, 10);
        assert_eq!(flush(&telemetry).failed, 10);
        log(&telemetry, 10);
        let ledger = flush(&telemetry);
        assert_eq!((ledger.exported, ledger.failed), (7, 13));
        assert_eq!(receiver.seen().len(), 2, "neither is tried again");
    }
}

#[test]
fn a_shutdown_sends_the_last_records() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let telemetry = start(settings(&receiver));
        log(&telemetry, 1_300);
        let report = block_on(telemetry.shutdown(DEADLINE));
        assert!(report.in_time);
        assert_eq!(report.log_ledger.exported, 1_300);
        assert_eq!(receiver.accepted_records(), 1_300);
        log(&telemetry, 1);
        assert_eq!(telemetry.log_ledger().dropped, 1);
    }
}

#[test]
fn dropping_everything_sends_the_last_records() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(&receiver));
    log(&telemetry, 700);
    drop(telemetry);
    assert_eq!(receiver.accepted_records(), 700);
}

#[test]
fn a_disabled_sdk_exports_no_record() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let mut settings = settings(&receiver);
    settings.disabled = true;
    let telemetry = start(settings);
    log(&telemetry, 5);
    assert_eq!(flush(&telemetry), LedgerSnapshot::default());
    assert!(receiver.seen().is_empty());
}
