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
