//! How much a waiting span weighs: an estimate that is cheap to take when a
//! span ends, and that its protobuf encoding never exceeds.
//!
//! Called by the processor, for the queue's bound in bytes and the batches'.

use std::mem::size_of;

use opentelemetry::trace::{Event, Link, Status};
use opentelemetry::{Array, KeyValue, Value};
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

    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
    use opentelemetry::{InstrumentationScope, StringValue};
    use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
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
}
