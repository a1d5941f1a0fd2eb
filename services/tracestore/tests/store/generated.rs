//! Generators of OTLP requests of one trace, with everything in them that OTLP allows.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;

/// The trace that every generated span belongs to.
pub(crate) const TRACE_ID: [u8; 16] = [7; 16];

fn any_value() -> impl Strategy<Value = Option<AnyValue>> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |v| !v.is_nan())
            .prop_map(Value::DoubleValue),
        vec(any::<u8>(), 0..8).prop_map(Value::BytesValue),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        let some = inner.prop_map(|value| AnyValue { value: Some(value) });
        prop_oneof![
            vec(some.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(("[a-z.]{1,8}", some), 0..4).prop_map(|entries| {
                let values = entries
                    .into_iter()
                    .map(|(key, value)| key_value(key, Some(value)))
                    .collect();
                Value::KvlistValue(KeyValueList { values })
            }),
        ]
    });
    proptest::option::weighted(0.9, value.prop_map(|value| AnyValue { value: Some(value) }))
}

pub(crate) fn key_value(key: String, value: Option<AnyValue>) -> KeyValue {
    KeyValue {
        key,
        value,
        ..KeyValue::default()
    }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(
        ("[a-z.é]{1,8}", any_value()).prop_map(|(key, value)| key_value(key, value)),
        0..5,
    )
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), ".{0,9}", attributes(), 0..3_u32).prop_map(
        |(time_unix_nano, name, attributes, dropped)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (
        any::<[u8; 16]>(),
        any::<[u8; 8]>(),
        ".{0,9}",
        attributes(),
        any::<u32>(),
    )
        .prop_map(|(trace_id, span_id, trace_state, attributes, flags)| Link {
            trace_id: trace_id.into(),
            span_id: span_id.into(),
            trace_state,
            attributes,
            flags,
            ..Link::default()
        })
}

prop_compose! {
    /// A span of the one trace; its id is set afterwards, so that there are no two of the same.
    fn span()(
        parent in proptest::option::of(1..u64::MAX),
        names in (".{0,12}", ".{0,12}", ".{0,12}"),
        kind in 0..6_i32,
        times in any::<(u64, u64)>(),
        attributes in attributes(),
        events in vec(event(), 0..3),
        links in vec(link(), 0..3),
        dropped in (0..3_u32, 0..3_u32, 0..3_u32),
        code in 0..3_i32,
        flags in any::<u32>(),
    ) -> Span {
        Span {
            trace_id: TRACE_ID.into(),
            parent_span_id: parent.map_or(Vec::new(), |id| id.to_be_bytes().into()),
            name: names.0,
            trace_state: names.1,
            status: Some(Status { message: names.2, code }),
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes,
            events,
            links,
            dropped_attributes_count: dropped.0,
            dropped_events_count: dropped.1,
            dropped_links_count: dropped.2,
            flags,
            ..Span::default()
        }
    }
}

prop_compose! {
    fn resource_spans()(
        service in "[a-c]",
        attributes in attributes(),
        dropped in 0..3_u32,
        urls in ("[a-b]{0,1}", "[a-b]{0,1}"),
        scope in ("[a-b]{0,1}", "[a-b]{0,1}", 0..3_u32),
        spans in vec(span(), 1..5),
    ) -> ResourceSpans {
        let name = AnyValue { value: Some(Value::StringValue(service)) };
        let mut resource = vec![key_value("service.name".to_owned(), Some(name))];
        resource.extend(attributes);
        ResourceSpans {
            resource: Some(Resource { attributes: resource, dropped_attributes_count: dropped, entity_refs: Vec::new() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: scope.0,
                    version: scope.1,
                    attributes: Vec::new(),
                    dropped_attributes_count: scope.2,
                }),
                spans,
                schema_url: urls.0,
            }],
            schema_url: urls.1,
        }
    }
}

/// A request of one trace, without two spans of one id.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 1..4).prop_map(|mut resource_spans| {
        let mut next = 0_u64;
        for span in resource_spans
            .iter_mut()
            .flat_map(|r| &mut r.scope_spans)
            .flat_map(|s| &mut s.spans)
        {
            next += 1;
            span.span_id = next.to_be_bytes().into();
        }
        ExportTraceServiceRequest { resource_spans }
    })
}
