//! The JSON forms of OTLP and of Tempo, read and written.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::otlp::{decode_protobuf, tempo};
use crate::span::{Event, Link};
use crate::{SpanId, SpanKind, StatusCode, Trace, TraceId, Value, fixture};

fn refused(json: &str) -> String {
    decode(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn tempos_form_reads_as_what_it_says() {
    let trace = fixture::read(fixture::PYTHON_ERROR);
    assert_eq!(trace.id.to_string(), "11112222333344445555666677778888");
    let client = trace
        .spans
        .iter()
        .find(|span| span.service() == "middleware" && span.kind == SpanKind::Client)
        .unwrap();
    assert_eq!(client.name, "GET");
    assert_eq!(client.status.code, StatusCode::Error);
    assert!(client.status.message.starts_with("ConnectionError"));
    assert_eq!(client.start_unix_nanos, 1_795_341_868_103_498_730);
    assert_eq!(client.flags, 0x100);
    assert_eq!(client.trace_flags(), 0);
    assert_eq!(client.parent_is_remote(), Some(false));
    assert_eq!(client.events[0].name, "exception");
    assert_eq!(client.scope.version, "0.49b0");
    assert_eq!(
        client.resource.attributes.get_str("service.namespace"),
        Some("tracing-demo")
    );
}

#[test]
fn both_wrappings_and_the_bare_form_are_read() {
    let whole: serde_json::Value = serde_json::from_slice(fixture::PYTHON).unwrap();
    let v1 = serde_json::json!({ "batches": whole["trace"]["resourceSpans"] }).to_string();
    let bare = whole["trace"].to_string();
    let expected = decode(fixture::PYTHON).unwrap();
    assert_eq!(expected.len(), 3);
    assert_eq!(decode(v1.as_bytes()).unwrap(), expected);
    assert_eq!(decode(bare.as_bytes()).unwrap(), expected);
    let answer = decode_by_id(fixture::PYTHON).unwrap();
    assert_eq!(answer.metrics.unwrap().inspected_bytes, 23_467);
    assert_eq!(answer.status(), tempo::PartialStatus::Complete);
    let partial =
        decode_by_id(br#"{"trace":{},"status":"PARTIAL","message":"too large"}"#).unwrap();
    assert_eq!(partial.status(), tempo::PartialStatus::Partial);
    assert_eq!(partial.message, "too large");
    assert!(decode(b"{}").unwrap().is_empty());
}

#[test]
fn tempos_protobuf_answer_reads_back() {
    let groups = decode(fixture::DEMO).unwrap();
    let answer = tempo::TraceByIdResponse {
        trace: Some(TracesData {
            resource_spans: groups.clone(),
        }),
        metrics: None,
        status: 1,
        message: "cut".to_owned(),
    };
    let bytes = answer.encode_to_vec();
    assert_eq!(
        tempo::TraceByIdResponse::from_protobuf(&bytes).unwrap(),
        answer
    );
    // Field 4 of `metrics`, a map that this reader does not know, is skipped.
    let later = [&bytes[..], &[0x12, 0x04, 0x22, 0x02, 0x08, 0x01]].concat();
    assert_eq!(
        tempo::TraceByIdResponse::from_protobuf(&later)
            .unwrap()
            .trace,
        answer.trace
    );
    let request = ExportTraceServiceRequest {
        resource_spans: groups.clone(),
    };
    assert_eq!(decode_protobuf(&request.encode_to_vec()).unwrap(), groups);
    let error = decode_protobuf(&[0xff]).unwrap_err().to_string();
    assert!(
        error.starts_with("the TracesData is not valid protobuf"),
        "{error}"
    );
}

#[test]
fn lenient_where_the_mapping_says_so() {
    let json =
        br#"{"resourceSpans":[{"resource":null,"unknown":[1],"scopeSpans":[{"scope":null,"spans":[{
        "traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"AAAAAAAAAAE=","parentSpanId":null,
        "name":"x","kind":"SPAN_KIND_CLIENT","startTimeUnixNano":5,"endTimeUnixNano":"9",
        "attributes":[{"key":"a","value":{"intValue":"-3"}},{"key":"b","value":{"intValue":4}},
            {"key":"c","value":{"doubleValue":"NaN"}},{"key":"d","value":{"doubleValue":7}},
            {"key":"e","value":null},{"key":"f","value":{"bytesValue":"AQI="}},{"key":"g"},
            {"key":"h","value":{"stringValue":null,"boolValue":false}}],
        "status":{"code":"STATUS_CODE_OK"},"events":null}]}]}]}"#;
    let trace = fixture::read(json);
    let span = &trace.spans[0];
    assert_eq!(trace.id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.id, fixture::id(1));
    assert_eq!((span.start_unix_nanos, span.end_unix_nanos), (5, 9));
    assert_eq!((span.kind, span.parent), (SpanKind::Client, None));
    assert_eq!(span.status.code, StatusCode::Ok);
    let value = |key| span.attributes.get(key).unwrap();
    assert_eq!(value("a"), &Value::Int(-3));
    assert_eq!(value("b"), &Value::Int(4));
    assert!(matches!(value("c"), Value::Double(number) if number.is_nan()));
    assert_eq!(value("d"), &Value::Double(7.0));
    assert_eq!(value("e"), &Value::Empty);
    assert_eq!(value("f"), &Value::Bytes(vec![1, 2]));
    assert_eq!(value("g"), &Value::Empty);
    assert_eq!(value("h"), &Value::Bool(false));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    assert!(refused("{").starts_with("the trace is not valid JSON"));
    assert_eq!(refused("[]"), "at the top: expected an object, found []");
    assert_eq!(
        refused(r#"{"resourceSpans":{}}"#),
        "at resourceSpans: expected an array, found {}"
    );
    let span = |fields: &str| {
        refused(&format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{}},{{{fields}}}]}}]}}]}}"#
        ))
    };
    assert_eq!(
        span(r#""kind":"SERVER""#),
        "at resourceSpans[0].scopeSpans[0].spans[1].kind: \
         expected a span kind's name or number, found \"SERVER\""
    );
    assert!(span(r#""traceId":"4bf9""#).contains("expected a trace id"));
    assert!(span(r#""spanId":"00f067aa0ba902b""#).contains("expected a span id"));
    assert!(span(r#""spanId":"00f067aa0ba902bg""#).contains("expected a span id"));
    assert!(span(r#""startTimeUnixNano":-1"#).contains("unsigned 64-bit"));
    assert!(span(r#""flags":4294967296"#).contains("unsigned 32-bit"));
    assert!(
        span(r#""attributes":[{"key":"a","value":{"arrayValue":{"values":[{"boolValue":1}]}}}]"#)
            .starts_with(
                "at resourceSpans[0].scopeSpans[0].spans[1].attributes[0].value.arrayValue\
                 .values[0].boolValue: expected true or false"
            )
    );
    let long = format!(r#"{{"resourceSpans":"{}"}}"#, "é".repeat(200));
    assert!(refused(&long).len() < 200);
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert!(refused(&deep).contains("not valid JSON"));
}

#[test]
fn ids_that_otlp_forbids_are_refused() {
    let of = |fields: &str| {
        let json = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"x",{fields}}}]}}]}}]}}"#
        );
        Trace::from_otlp(decode(json.as_bytes()).unwrap())
            .unwrap_err()
            .to_string()
    };
    let trace = r#""traceId":"4bf92f3577b34da6a3ce929d0e0e4736""#;
    assert_eq!(
        of(r#""spanId":"00f067aa0ba902b7""#),
        "span \"x\" has an invalid trace_id: OTLP asks for 16 bytes that are not all zero, and it has 0 bytes"
    );
    assert!(of(&format!(r#"{trace},"spanId":"0000000000000000""#)).contains("only zeros"));
    assert!(
        of(&format!(
            r#"{trace},"spanId":"00f067aa0ba902b7","links":[{{"spanId":"00f067aa0ba902b7"}}]"#
        ))
        .contains("link's trace_id")
    );
}

#[test]
fn one_trace_is_not_taken_for_another() {
    let asked = TraceId([9; 16]);
    let groups = decode(fixture::DEMO).unwrap();
    let error = Trace::one_from_otlp(asked, groups).unwrap_err().to_string();
    assert_eq!(
        error,
        "trace 09090909090909090909090909090909 was asked for, \
         and a span of trace 4bf92f3577b34da6a3ce929d0e0e4736 came back"
    );
    assert!(
        Trace::one_from_otlp(asked, Vec::new())
            .unwrap()
            .spans
            .is_empty()
    );
}

#[test]
fn two_traces_in_one_request_are_told_apart() {
    let mut groups = decode(fixture::DEMO).unwrap();
    groups.extend(decode(fixture::PYTHON_ERROR).unwrap());
    let traces = Trace::from_otlp(groups).unwrap();
    let sizes: Vec<usize> = traces.iter().map(|trace| trace.spans.len()).collect();
    assert_eq!(sizes, [8, 6]);
}

#[test]
fn equal_resources_are_shared_and_written_once() {
    let error = fixture::read(fixture::PYTHON_ERROR);
    assert_eq!(
        decode(fixture::PYTHON_ERROR).unwrap().len(),
        6,
        "Tempo gave a group a span"
    );
    let groups = error.to_otlp();
    assert_eq!(groups.len(), 2);
    assert_eq!(
        Trace::one_from_otlp(error.id, groups).unwrap().spans.len(),
        6
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        any::<String>().prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop_oneof![
            any::<f64>().prop_filter("NaN is not equal to itself", |number| !number.is_nan()),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY)
        ]
        .prop_map(Value::Double),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_trace_comes_back_from_json_and_protobuf_as_it_went(
        values in prop::collection::vec(("[a-z.]{1,8}", any_value()), 0..6),
        (name, message, state) in any::<(String, String, String)>(),
        (flags, dropped, start, end) in any::<(u32, u32, u64, u64)>(),
        kind in 0..6usize,
        parent in prop::option::of(1..9u64),
    ) {
        let mut trace = fixture::read(fixture::DEMO);
        let span = &mut trace.spans[3];
        span.attributes = values.into_iter().collect();
        span.events = vec![Event {
            unix_nanos: end,
            name: message.clone(),
            attributes: span.attributes.clone(),
            dropped_attributes: dropped,
        }];
        span.links = vec![Link {
            trace_id: TraceId([3; 16]),
            span_id: SpanId([4; 8]),
            trace_state: state.clone(),
            attributes: span.attributes.clone(),
            dropped_attributes: dropped,
            flags,
        }];
        span.name = name;
        span.status.message = message;
        span.trace_state = state;
        span.flags = flags;
        span.dropped.events = dropped;
        span.kind = SpanKind::ALL[kind];
        span.parent = parent.map(fixture::id);
        (span.start_unix_nanos, span.end_unix_nanos) = (start, end);

        let sent = trace.to_otlp();
        let json = decode(encode(&sent).as_bytes()).unwrap();
        prop_assert_eq!(&Trace::one_from_otlp(trace.id, json).unwrap(), &trace);
        let bytes = TracesData { resource_spans: sent }.encode_to_vec();
        let protobuf = decode_protobuf(&bytes).unwrap();
        prop_assert_eq!(&Trace::one_from_otlp(trace.id, protobuf).unwrap(), &trace);
    }

    #[test]
    fn no_json_makes_the_reader_panic(text in any::<String>(), cut in 0..12_000usize) {
        let _ = decode(text.as_bytes());
        prop_assert!(decode(&fixture::DEMO[..cut.min(fixture::DEMO.len() - 3)]).is_err());
    }

    #[test]
    fn no_bytes_make_the_protobuf_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(groups) = decode_protobuf(&bytes) {
            let _ = Trace::from_otlp(groups);
        }
    }
}
