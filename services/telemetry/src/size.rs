//! How much a waiting span or log record weighs: an estimate that is cheap to
//! take, and that its protobuf encoding never exceeds.
//!
//! Called by `processor` and `logs`, for a queue's bound in bytes and its batches'.

use std::mem::size_of;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{Event, Link, Status};
use opentelemetry::{Array, Key, KeyValue, Value};
use opentelemetry_sdk::logs::SdkLogRecord;
use opentelemetry_sdk::trace::SpanData;

/// Protobuf's tags and lengths around one attribute, with a margin.
const ATTRIBUTE_FRAME: usize = 24;
/// An array's element on the wire beside its own bytes: tags, lengths, and the
/// ten bytes that a negative number takes.
const ELEMENT_FRAME: usize = 24;

/// Estimated bytes of a span in memory; never less than on the wire.
pub(crate) fn of_span(span: &SpanData) -> u64 {
    let status = match &span.status {
        Status::Error { description } => description.len(),
        Status::Ok | Status::Unset => 0,
    };
    let events: usize = span.events.events.iter().map(of_event).sum();
    let links: usize = span.links.links.iter().map(of_link).sum();
    let state = span.span_context.trace_state().header().len();
    let total = size_of::<SpanData>()
        + span.name.len()
        + status
        + of_attributes(&span.attributes)
        + events
        + links
        + state;
    total as u64
}

/// Estimated bytes of a log record in memory; never less than on the wire. Its
/// values are plain ones, as `logs` makes them.
pub(crate) fn of_record(record: &SdkLogRecord) -> u64 {
    let attributes: usize = record
        .attributes_iter()
        .map(|(key, value)| {
            size_of::<(Key, AnyValue)>() + ATTRIBUTE_FRAME + key.as_str().len() + of_any(value)
        })
        .sum();
    let body = record.body().map_or(0, of_any);
    (size_of::<SdkLogRecord>() + body + attributes) as u64
}

fn of_any(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        // Numbers and booleans lie in the value itself.
        _ => 0,
    }
}

fn of_event(event: &Event) -> usize {
    size_of::<Event>() + event.name.len() + of_attributes(&event.attributes)
}

fn of_link(link: &Link) -> usize {
    size_of::<Link>()
        + link.span_context.trace_state().header().len()
        + of_attributes(&link.attributes)
}

fn of_attributes(attributes: &[KeyValue]) -> usize {
    attributes
        .iter()
        .map(|attribute| {
            size_of::<KeyValue>()
                + ATTRIBUTE_FRAME
                + attribute.key.as_str().len()
                + of_value(&attribute.value)
        })
        .sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts
            .iter()
            .map(|text| ELEMENT_FRAME + text.as_str().len())
            .sum(),
        Value::Array(Array::Bool(items)) => items.len() * ELEMENT_FRAME,
        Value::Array(Array::I64(items)) => items.len() * ELEMENT_FRAME,
        Value::Array(Array::F64(items)) => items.len() * ELEMENT_FRAME,
        // Numbers and booleans lie in the attribute itself.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
    use opentelemetry::{InstrumentationScope, StringValue};
    use opentelemetry_proto::tonic::logs::v1::LogRecord as WireRecord;
    use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
    use opentelemetry_sdk::logs::SdkLoggerProvider;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use prost::Message as _;

    use super::*;

    fn span(attributes: Vec<KeyValue>) -> SpanData {
        let state = TraceState::from_key_value([("k", "v".repeat(200))]).unwrap();
        let context = SpanContext::new(
            TraceId::from(u128::MAX),
            SpanId::from(u64::MAX),
            TraceFlags::SAMPLED,
            true,
            state,
        );
        let mut events = SpanEvents::default();
        let mut links = SpanLinks::default();
        for _ in 0..20 {
            let now = SystemTime::now();
            events
                .events
                .push(Event::new("event", now, attributes.clone(), u32::MAX));
            links
                .links
                .push(Link::new(context.clone(), attributes.clone(), u32::MAX));
        }
        events.dropped_count = u32::MAX;
        links.dropped_count = u32::MAX;
        SpanData {
            span_context: context,
            parent_span_id: SpanId::from(u64::MAX),
            parent_span_is_remote: true,
            span_kind: SpanKind::Server,
            name: "name".into(),
            start_time: SystemTime::now(),
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: u32::MAX,
            events,
            links,
            status: Status::error("description"),
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn the_estimate_is_never_below_the_encoding() {
        let texts = || (0..50).map(|_| StringValue::from("")).collect::<Vec<_>>();
        for attributes in [
            vec![],
            vec![KeyValue::new("", i64::MIN); 128],
            vec![KeyValue::new("key", f64::MAX); 128],
            vec![KeyValue::new("key", true); 128],
            vec![KeyValue::new("key", "x".repeat(70_000)); 4],
            vec![KeyValue::new("key", Value::Array(Array::I64(vec![i64::MIN; 200]))); 4],
            vec![KeyValue::new("key", Value::Array(Array::Bool(vec![true; 200]))); 4],
            vec![KeyValue::new("key", Value::Array(Array::F64(vec![1.5; 200]))); 4],
            vec![KeyValue::new("key", Value::Array(Array::String(texts()))); 4],
        ] {
            let span = span(attributes);
            let estimate = of_span(&span);
            let wire = WireSpan::from(span).encoded_len() as u64;
            assert!(estimate >= wire, "{estimate} < {wire}");
        }
    }

    #[test]
    fn the_estimate_of_a_record_is_never_below_the_encoding() {
        let logger = SdkLoggerProvider::builder().build().logger("test");
        for (attributes, text) in [(0, 0), (1, 10), (5, 1_000), (200, 3), (20, 70_000)] {
            let mut record = logger.create_log_record();
            record.set_timestamp(SystemTime::now());
            record.set_observed_timestamp(SystemTime::now());
            record.set_severity_number(Severity::Error);
            record.set_severity_text("ERROR");
            record.set_body("x".repeat(text).into());
            let flags = Some(TraceFlags::SAMPLED);
            record.set_trace_context(TraceId::from(u128::MAX), SpanId::from(u64::MAX), flags);
            for n in 0..attributes {
                record.add_attribute(format!("key {n}"), "x".repeat(text));
                record.add_attribute("number", i64::MIN);
            }
            let estimate = of_record(&record);
            let wire = WireRecord::from(&record).encoded_len() as u64;
            assert!(estimate >= wire, "{estimate} < {wire}");
        }
    }
}
