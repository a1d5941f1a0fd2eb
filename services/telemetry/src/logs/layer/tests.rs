//! Lines as a reader sees them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
use opentelemetry::{SpanId, TraceId};
use tracing::dispatcher::with_default;

use super::*;
use crate::logs::dispatch;
use crate::settings::LogSettings;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `log` writes as the service `front "end"`.
fn lines(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
    let output = Output::default();
    let sink = LogSink::to_writer(output.clone()).unwrap();
    let settings = LogSettings {
        format,
        sink: sink.clone(),
        ..LogSettings::default()
    };
    with_default(&dispatch(&settings, "front \"end\"", None), log);
    assert!(sink.flush(Duration::from_secs(10)));
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn json(log: impl FnOnce()) -> Value {
    let lines = lines(LogFormat::Json, log);
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    serde_json::from_str(line).unwrap()
}

#[test]
fn fields_keep_their_types() {
    let line = json(|| {
        tracing::info!(
            count = 3_u64,
            below = -1,
            ratio = 0.5,
            whole = 2.0,
            nan = f64::NAN,
            yes = true,
            text = "a \"b\"\n\u{1}ü",
            debug = ?Some(1),
            r#type = "t",
            error.r#type = "dotted",
            "done \"well\""
        );
    });
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["service"], "front \"end\"");
    assert_eq!(line["message"], "done \"well\"");
    assert_eq!(line["count"], 3);
    assert_eq!(line["below"], -1);
    assert_eq!(line["ratio"], 0.5);
    assert!(line["whole"].is_f64());
    assert_eq!(line["nan"], "NaN");
    assert_eq!(line["yes"], true);
    assert_eq!(line["text"], "a \"b\"\n\u{1}ü");
    assert_eq!(line["debug"], "Some(1)");
    assert_eq!(line["type"], "t");
    assert_eq!(line["error.type"], "dotted");
    assert!(line.get("trace_id").is_none());
    let timestamp = line["timestamp"].as_str().unwrap();
    let age = Timestamp::now().duration_since(timestamp.parse().unwrap());
    assert!(age.as_secs().abs() < 60, "{timestamp}");
}

#[test]
fn the_ids_are_those_of_the_current_span() {
    let span = SpanContext::new(
        TraceId::from(0xab),
        SpanId::from(0xcd),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let line = json(|| {
        let _active = Context::new().with_remote_span_context(span).attach();
        tracing::warn!("inside");
    });
    assert_eq!(line["trace_id"], format!("{:032x}", 0xab));
    assert_eq!(line["span_id"], format!("{:016x}", 0xcd));
}

#[test]
fn a_field_cannot_take_the_place_of_the_lines_own() {
    let line = json(|| tracing::info!(level = "mine", trace_id = "mine", "said"));
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["field.level"], "mine");
    assert_eq!(line["field.trace_id"], "mine");
}

#[test]
fn the_filter_keeps_lines_out() {
    let lines = lines(LogFormat::Json, || {
        tracing::debug!("too fine");
        tracing::error!("kept");
    });
    assert_eq!(lines.len(), 1);
}

#[test]
fn text_stays_on_its_line() {
    let lines = lines(LogFormat::Text, || {
        tracing::info!(reason = "two\nlines \u{1b}[31m", n = 1, "said\r");
    });
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    let (_, rest) = line.split_once(' ').unwrap();
    let expected = "  INFO front \"end\": said\\r reason=two\\nlines \\u{1b}[31m n=1";
    assert_eq!(rest, &expected[1..]);
}

#[test]
fn a_field_that_logs_itself_is_written_too() {
    struct Talks;
    impl fmt::Debug for Talks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("inner");
            f.write_str("talks")
        }
    }
    let lines = lines(LogFormat::Json, || tracing::info!(it = ?Talks, "outer"));
    // `tracing` itself may keep an event out that happens inside another.
    let outer: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(
        (outer["message"].as_str(), outer["it"].as_str()),
        (Some("outer"), Some("talks"))
    );
}
