//! The decoder against prost: the same of valid input, and an error, never a panic, of anything else.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use tdemo_tracestore::byid::{Found, protobuf_v1};
use tdemo_tracestore::wire::{MAX_ATTRIBUTE_BYTES, WireError, decode};
use tdemo_tracestore::{Limits, Store};

use crate::demo;
use crate::generated::{TRACE_ID, key_value, request};

/// Each span with its resource and scope, by span id: what must not change.
fn flat(resource_spans: Vec<ResourceSpans>) -> Vec<(Vec<u8>, ResourceSpans)> {
    let mut spans = Vec::new();
    for group in resource_spans {
        for scope in &group.scope_spans {
            for span in &scope.spans {
                let mut alone = group.clone();
                alone.scope_spans = vec![ScopeSpans {
                    spans: vec![span.clone()],
                    ..scope.clone()
                }];
                spans.push((span.span_id.clone(), alone));
            }
        }
    }
    spans.sort_by(|a, b| a.0.cmp(&b.0));
    spans
}

fn stored(store: &Store) -> Vec<u8> {
    let (chunk, slot) = store
        .find(u128::from_be_bytes(TRACE_ID))
        .expect("the trace is stored");
    protobuf_v1(&Found::new(&chunk, slot))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_prost_wrote_comes_back_whole(request in request()) {
        let store = Store::new(Limits::default());
        store.insert(&decode(&request.encode_to_vec()).unwrap());
        let back = TracesData::decode(&*stored(&store)).unwrap();
        prop_assert_eq!(flat(back.resource_spans), flat(request.resource_spans));
    }

    #[test]
    fn any_order_split_and_repetition_gives_the_same_answer(
        request in request(),
        order in any::<u64>(),
        repeats in vec(0..64_usize, 0..8),
    ) {
        let whole = Store::new(Limits::default());
        whole.insert(&decode(&request.encode_to_vec()).unwrap());

        let mut parts: Vec<ResourceSpans> = flat(request.resource_spans).into_iter().map(|(_, part)| part).collect();
        for repeat in repeats {
            parts.push(parts[repeat % parts.len()].clone());
        }
        parts.sort_by_key(|part| demo::trace_id(order ^ part.encoded_len() as u64));
        let pieces = Store::new(Limits::default());
        for part in parts {
            let request = ExportTraceServiceRequest { resource_spans: vec![part] };
            pieces.insert(&decode(&request.encode_to_vec()).unwrap());
        }
        prop_assert_eq!(stored(&pieces), stored(&whole));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        // prost may refuse what concerns fields that are skipped here; but nothing is taken that prost cannot read.
        if let Ok(batch) = decode(&bytes) {
            let spans = batch.spans.len();
            let known = ExportTraceServiceRequest::decode(&*bytes).map(|request| count(&request));
            if let Ok(known) = known {
                prop_assert_eq!(spans, known);
            }
        }
    }

    #[test]
    fn damaged_requests_are_read_or_refused(
        request in request(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(batch) = decode(bytes) {
                let store = Store::new(Limits::default());
                let report = store.insert(&batch);
                prop_assert_eq!(report.stored + report.duplicate, batch.spans.len() as u64);
                for chunk in store.snapshot().chunks {
                    for slot in chunk.live_slots() {
                        let found = Found::new(&chunk, slot);
                        let back = TracesData::decode(&*protobuf_v1(&found));
                        prop_assert!(back.is_ok(), "{:?}", back);
                        prop_assert!(serde_json::from_slice::<serde_json::Value>(&tdemo_tracestore::byid::json_v1(&found)).is_ok());
                    }
                }
            }
        }
    }
}

fn count(request: &ExportTraceServiceRequest) -> usize {
    request
        .resource_spans
        .iter()
        .flat_map(|r| &r.scope_spans)
        .map(|s| s.spans.len())
        .sum()
}

/// A request of two spans, of which `change` may spoil the second.
fn spoiled(change: impl FnOnce(&mut Span)) -> Vec<u8> {
    let mut spans = demo::spans(1, "frontend");
    spans.truncate(2);
    change(&mut spans[1]);
    demo::request("frontend", spans).encode_to_vec()
}

#[test]
fn ids_of_the_wrong_kind_refuse_the_whole_request() {
    for id in [vec![], vec![1; 15], vec![1; 17], vec![0; 16]] {
        let bits = id.len() * 8;
        let request = spoiled(|span| span.trace_id = id);
        assert_eq!(
            decode(&request).unwrap_err(),
            WireError::TraceId { bits, spans: 2 }
        );
    }
    for id in [vec![], vec![1; 7], vec![1; 9], vec![0; 8]] {
        let bits = id.len() * 8;
        let request = spoiled(|span| span.span_id = id);
        assert_eq!(
            decode(&request).unwrap_err(),
            WireError::SpanId { bits, spans: 2 }
        );
    }
    for id in [vec![1; 7], vec![1; 16]] {
        let request = spoiled(|span| span.parent_span_id = id);
        assert!(matches!(decode(&request), Err(WireError::Malformed(_))));
    }
    let request = spoiled(|span| {
        span.links.push(Link {
            trace_id: vec![1; 3],
            ..Link::default()
        });
    });
    assert!(matches!(decode(&request), Err(WireError::Malformed(_))));
}

#[test]
fn strings_that_are_not_text_are_refused() {
    let request = spoiled(|span| span.name = "find me".to_owned());
    let place = request
        .windows(7)
        .position(|window| window == b"find me")
        .unwrap();
    let mut request = request;
    request[place] = 0xff;
    assert!(matches!(decode(&request), Err(WireError::Malformed(_))));
}

#[test]
fn values_nested_too_deep_are_refused() {
    let mut value = AnyValue {
        value: Some(Value::IntValue(1)),
    };
    for _ in 0..60 {
        value = AnyValue {
            value: Some(Value::ArrayValue(ArrayValue {
                values: vec![value],
            })),
        };
    }
    let request = spoiled(|span| {
        span.attributes
            .push(key_value("deep".to_owned(), Some(value)));
    });
    assert!(matches!(decode(&request), Err(WireError::Malformed(_))));
}

#[test]
fn long_keys_and_strings_are_cut_between_characters() {
    let text = |text: String| {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        })
    };
    let long = format!("x{}", "é".repeat(MAX_ATTRIBUTE_BYTES));
    let cut = format!("x{}", "é".repeat((MAX_ATTRIBUTE_BYTES - 1) / 2));
    let sent = vec![
        key_value(long.clone(), text(long.clone())),
        key_value("short".to_owned(), text("as it is".to_owned())),
    ];
    let expected = vec![
        key_value(cut.clone(), text(cut)),
        key_value("short".to_owned(), text("as it is".to_owned())),
    ];

    let mut span = demo::spans(1, "frontend").remove(0);
    span.trace_id = TRACE_ID.into();
    span.attributes.clone_from(&sent);
    span.events = vec![Event {
        name: long.clone(),
        attributes: sent.clone(),
        ..Event::default()
    }];
    let store = Store::new(Limits::default());
    let mut request = demo::request("frontend", vec![span.clone(), span]);
    request.resource_spans[0].scope_spans[0].spans[1].span_id[0] ^= 1;
    request.resource_spans[0]
        .resource
        .as_mut()
        .unwrap()
        .attributes = sent;
    store.insert(&decode(&request.encode_to_vec()).unwrap());

    let back = TracesData::decode(&*stored(&store)).unwrap();
    assert_eq!(
        back.resource_spans[0].resource.as_ref().unwrap().attributes,
        expected
    );
    let spans = &back.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!(span.attributes, expected);
        assert_eq!(span.events[0].attributes, expected);
        assert_eq!(span.events[0].name, long, "only attributes are cut");
    }
}

#[test]
fn attributes_may_lie_anywhere_in_a_span() {
    let span = demo::spans(1, "frontend").remove(0);
    let expected = span.attributes.clone();
    let mut spread = Span {
        attributes: Vec::new(),
        ..span
    }
    .encode_to_vec();
    for attribute in &expected {
        spread.extend_from_slice(
            &Span {
                attributes: vec![attribute.clone()],
                ..Span::default()
            }
            .encode_to_vec(),
        );
        // A dropped count between the attributes, the last of which counts.
        spread.extend_from_slice(
            &Span {
                dropped_attributes_count: 3,
                ..Span::default()
            }
            .encode_to_vec(),
        );
    }
    let mut scope = vec![0x12];
    prost::encoding::encode_varint(spread.len() as u64, &mut scope);
    scope.extend_from_slice(&spread);
    let mut request = Vec::new();
    for number in [0x12, 0x0a] {
        let inner = std::mem::take(&mut scope);
        scope.push(number);
        prost::encoding::encode_varint(inner.len() as u64, &mut scope);
        scope.extend_from_slice(&inner);
    }
    request.append(&mut scope);

    let store = Store::new(Limits::default());
    store.insert(&decode(&request).unwrap());
    let (chunk, slot) = store.find(demo::trace_id(1)).unwrap();
    let back = TracesData::decode(&*protobuf_v1(&Found::new(&chunk, slot))).unwrap();
    let span = &back.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.attributes, expected);
    assert_eq!(span.dropped_attributes_count, 3);
}
