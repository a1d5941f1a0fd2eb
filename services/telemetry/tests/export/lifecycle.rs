//! Stopping, from every kind of runtime and from none.

use std::time::Duration;

use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use super::receiver::{DEADLINE, PROTOCOLS, Receiver};
use super::{block_on, emit, flush, settings, start};

async fn emit_and_shut_down(receiver: &Receiver) {
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 2_000);
    let report = telemetry.shutdown(DEADLINE).await;
    assert_eq!((report.in_time, report.abandoned), (true, 0));
    assert_eq!(report.ledger.exported, 2_000);
}

#[test]
fn shutdown_without_a_runtime() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        block_on(emit_and_shut_down(&receiver));
        assert_eq!(receiver.accepted_spans(), 2_000);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn shutdown_in_a_current_thread_runtime() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        emit_and_shut_down(&receiver).await;
        assert_eq!(receiver.accepted_spans(), 2_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_in_a_multi_thread_runtime() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    tokio::join!(emit_and_shut_down(&receiver), emit_and_shut_down(&receiver));
    assert_eq!(receiver.accepted_spans(), 4_000);
}

#[tokio::test(flavor = "current_thread")]
async fn dropping_everything_in_a_runtime_sends_what_waits() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    emit(&telemetry, 1_500);
    drop(telemetry);
    assert_eq!(receiver.accepted_spans(), 1_500);
}

#[test]
fn a_tracer_outlives_its_telemetry() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    let tracer: SdkTracer = telemetry.tracer().clone();
    drop(telemetry);
    tracer.start("late").end();
    drop(tracer);
    assert_eq!(receiver.accepted_spans(), 1);
}

#[test]
fn spans_that_end_after_the_shutdown_are_dropped_by_count() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    let mut open = telemetry.tracer().start("open");
    let report = block_on(telemetry.shutdown(DEADLINE));
    assert_eq!((report.ledger.started, report.ledger.ended), (1, 0));
    open.end();
    emit(&telemetry, 2);
    let ledger = telemetry.ledger();
    assert_eq!((ledger.ended, ledger.dropped), (3, 3));

    let again = block_on(telemetry.shutdown(DEADLINE));
    assert!(again.in_time);
    assert_eq!(again.ledger, ledger);
}

#[test]
fn flushes_that_overlap_are_all_answered() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    emit(&telemetry, 50);
                    flush(&telemetry);
                }
            });
        }
    });
    assert_eq!(telemetry.ledger().exported, 4_000);
}

#[test]
fn a_flush_under_load_waits_only_for_what_had_ended() {
    let receiver = Receiver::start(PROTOCOLS[0]);
    let telemetry = start(settings(receiver.settings()));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                emit(&telemetry, 10);
                std::thread::yield_now();
            }
        });
        let before = telemetry.ledger().ended;
        let report = block_on(telemetry.flush(DEADLINE));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(report.in_time);
        let ledger = report.ledger;
        assert!(ledger.exported + ledger.dropped >= before, "{ledger:?}");
    });
    assert!(block_on(telemetry.shutdown(DEADLINE)).in_time);
}

#[test]
fn a_flush_with_nothing_to_do_is_quick() {
    let mut receiver = Receiver::start(PROTOCOLS[0]);
    receiver.stop();
    let telemetry = start(settings(receiver.settings()));
    let begun = std::time::Instant::now();
    flush(&telemetry);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
