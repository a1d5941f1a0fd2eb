//! OTLP/JSON in all the spellings that senders use: the same spans as by protobuf, or an error that says where.

use base64::Engine as _;
use serde_json::{Value, json};
use tdemo_tracestore::byid::{Found, json_v1};
use tdemo_tracestore::wire::{decode, to_protobuf};
use tdemo_tracestore::{Limits, Store};

fn request(span: &Value) -> Vec<u8> {
    json!({ "resourceSpans": [{ "resource": null, "scopeSpans": [{ "spans": [span] }] }] })
        .to_string()
        .into_bytes()
}

/// What the store makes of a span, as Tempo's JSON.
fn stored(span: &Value) -> Value {
    let store = Store::new(Limits::default());
    store.insert(&decode(&to_protobuf(&request(span)).unwrap()).unwrap());
    let (chunk, slot) = store.find(0x0102_0304).unwrap();
    let trace: Value = serde_json::from_slice(&json_v1(&Found::new(&chunk, slot))).unwrap();
    trace["batches"][0]["scopeSpans"][0]["spans"][0].clone()
}

fn base64(bytes: &[u8]) -> String {
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[test]
fn every_field_arrives() {
    let span = json!({
        "traceId": "00000000000000000000000001020304",
        "spanId": "00000000000000Aa",
        "traceState": "a=b",
        "parentSpanId": "00000000000000bb",
        "flags": 257,
        "name": "naïve \"name\"\n",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": 1_700_000_000_000_000_002_u64,
        "attributes": [
            { "key": "s", "value": { "stringValue": "" } },
            { "key": "b", "value": { "boolValue": false } },
            { "key": "i", "value": { "intValue": "-9223372036854775808" } },
            { "key": "j", "value": { "intValue": 7 } },
            { "key": "d", "value": { "doubleValue": 1.5 } },
            { "key": "inf", "value": { "doubleValue": "-Infinity" } },
            { "key": "tiny", "value": { "doubleValue": 1e-300 } },
            { "key": "y", "value": { "bytesValue": "AQID" } },
            { "key": "a", "value": { "arrayValue": { "values": [{ "stringValue": "x" }, { "intValue": 1 }] } } },
            { "key": "m", "value": { "kvlistValue": { "values": [{ "key": "k", "value": { "boolValue": true } }] } } },
            { "key": "none", "value": null },
        ],
        "droppedAttributesCount": 1,
        "events": [{ "timeUnixNano": "5", "name": "e", "attributes": [{ "key": "k", "value": { "intValue": 3 } }], "droppedAttributesCount": 2 }],
        "droppedEventsCount": 3,
        "links": [{ "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "traceState": "c=d", "flags": 1 }],
        "droppedLinksCount": 4,
        "status": { "message": "m", "code": "STATUS_CODE_ERROR" },
        "unknown": { "is": ["ignored"] },
    });
    let expected = json!({
        "traceId": base64(&0x0102_0304_u128.to_be_bytes()),
        "spanId": base64(&0xaa_u64.to_be_bytes()),
        "traceState": "a=b",
        "parentSpanId": base64(&0xbb_u64.to_be_bytes()),
        "flags": 257,
        "name": "naïve \"name\"\n",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": "1700000000000000002",
        "attributes": [
            { "key": "s", "value": { "stringValue": "" } },
            { "key": "b", "value": { "boolValue": false } },
            { "key": "i", "value": { "intValue": "-9223372036854775808" } },
            { "key": "j", "value": { "intValue": "7" } },
            { "key": "d", "value": { "doubleValue": 1.5 } },
            { "key": "inf", "value": { "doubleValue": "-Infinity" } },
            { "key": "tiny", "value": { "doubleValue": 1e-300 } },
            { "key": "y", "value": { "bytesValue": "AQID" } },
            { "key": "a", "value": { "arrayValue": { "values": [{ "stringValue": "x" }, { "intValue": "1" }] } } },
            { "key": "m", "value": { "kvlistValue": { "values": [{ "key": "k", "value": { "boolValue": true } }] } } },
            { "key": "none", "value": {} },
        ],
        "droppedAttributesCount": 1,
        "events": [{ "timeUnixNano": "5", "name": "e", "attributes": [{ "key": "k", "value": { "intValue": "3" } }], "droppedAttributesCount": 2 }],
        "droppedEventsCount": 3,
        "links": [{
            "traceId": base64(&(0..16).collect::<Vec<u8>>()),
            "spanId": base64(&(0..8).collect::<Vec<u8>>()),
            "traceState": "c=d",
            "flags": 1,
        }],
        "droppedLinksCount": 4,
        "status": { "message": "m", "code": "STATUS_CODE_ERROR" },
    });
    assert_eq!(stored(&span), expected);
}

#[test]
fn original_names_numbers_for_enums_and_nulls_are_understood() {
    let span = json!({
        "trace_id": "00000000000000000000000001020304",
        "span_id": "00000000000000aa",
        "parent_span_id": null,
        "name": null,
        "kind": 3,
        "start_time_unix_nano": 1,
        "attributes": null,
        "events": [],
        "status": { "code": 2, "message": null },
    });
    let expected = json!({
        "traceId": base64(&0x0102_0304_u128.to_be_bytes()),
        "spanId": base64(&0xaa_u64.to_be_bytes()),
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": "1",
        "status": { "code": "STATUS_CODE_ERROR" },
    });
    assert_eq!(stored(&span), expected);
}

#[test]
fn an_error_says_where_it_is() {
    for (field, value, expected) in [
        (
            "kind",
            json!("SERVER"),
            "resourceSpans[0].scopeSpans[0].spans[0].kind is not a number or name of the enum",
        ),
        (
            "spanId",
            json!("xyz"),
            "spans[0].spanId is not a hex string",
        ),
        (
            "startTimeUnixNano",
            json!("-1"),
            "spans[0].startTimeUnixNano is not an unsigned 64-bit integer",
        ),
        (
            "attributes",
            json!({}),
            "spans[0].attributes is not an array",
        ),
        (
            "attributes",
            json!([{ "key": 1 }]),
            "spans[0].attributes[0].key is not a string",
        ),
        (
            "attributes",
            json!([{ "value": { "intValue": "x" } }]),
            "attributes[0].value.intValue is not a 64-bit integer",
        ),
        (
            "attributes",
            json!([[]]),
            "spans[0].attributes[0] is not an object",
        ),
        (
            "droppedLinksCount",
            json!(4_294_967_296_u64),
            "spans[0].droppedLinksCount is not an unsigned 32-bit integer",
        ),
    ] {
        let error = to_protobuf(&request(&json!({ field: value })))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(
        to_protobuf(b"{")
            .unwrap_err()
            .to_string()
            .contains("as JSON")
    );
    assert!(
        to_protobuf(b"[]")
            .unwrap_err()
            .to_string()
            .contains("the request is not an object")
    );
}

#[test]
fn ids_of_the_wrong_length_reach_the_judge() {
    let span = json!({ "traceId": "0102", "spanId": "00000000000000aa" });
    let error = decode(&to_protobuf(&request(&span)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("received 16 bits"), "{error}");
}
