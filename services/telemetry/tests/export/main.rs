//! Export against real receivers: nothing is lost that the bounds can hold, and
//! the ledger tells of everything else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lifecycle;
mod logs;
mod receiver;
mod secure;
mod server;
mod traffic;
mod trouble;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Tracer as _};
use tdemo_telemetry::settings::ExporterSettings;
use tdemo_telemetry::{LedgerSnapshot, ResourceInfo, Telemetry, TelemetrySettings};

use receiver::DEADLINE;

fn settings(exporter: ExporterSettings) -> TelemetrySettings {
    TelemetrySettings {
        exporter,
        ..TelemetrySettings::default()
    }
}

fn start(settings: TelemetrySettings) -> Telemetry {
    Telemetry::start(settings, ResourceInfo::new("test", "1.0.0")).unwrap()
}

/// Starts and ends `count` spans.
fn emit(telemetry: &Telemetry, count: usize) {
    for n in 0..count {
        let mut span = telemetry.tracer().start("span");
        span.set_attribute(KeyValue::new("n", i64::try_from(n).unwrap()));
        span.end();
    }
}

#[track_caller]
fn assert_adds_up(ledger: &LedgerSnapshot) {
    let parts = ledger.exported + ledger.dropped + ledger.failed + ledger.queued;
    assert_eq!(ledger.ended, parts, "{ledger:?}");
}

/// Runs a future on this thread without any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(Duration::from_secs(1)),
        }
    }
}

/// Flushes and expects every span to be settled.
#[track_caller]
fn flush(telemetry: &Telemetry) -> LedgerSnapshot {
    let report = block_on(telemetry.flush(DEADLINE));
    assert!(report.in_time, "{report:?}");
    assert_adds_up(&report.ledger);
    report.ledger
}
