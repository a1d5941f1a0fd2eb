//! Expectation files: what is read, what is refused, what each finding says.

use super::*;
use crate::fixture;
use crate::{Trace, Value};

fn read(json: &str) -> Expectation {
    Expectation::from_json(json.as_bytes()).unwrap()
}

fn refused(json: &str) -> String {
    Expectation::from_json(json.as_bytes())
        .unwrap_err()
        .to_string()
}

/// An expectation of one part, the rest left out.
fn with(part: &str) -> String {
    format!(r#"{{"schema_version": 1, {part}}}"#)
}

fn findings(part: &str) -> Vec<String> {
    findings_in(&fixture::read(fixture::DEMO), part)
}

fn findings_in(trace: &Trace, part: &str) -> Vec<String> {
    read(&with(part))
        .judge(trace)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn services_that_take_part_or_do_not() {
    assert!(findings(r#""services": ["frontend", "backend"]"#).is_empty());
    assert_eq!(
        findings(r#""services": ["frontend", "billing"]"#),
        ["expect.service: the trace: expected a span of billing, found none"]
    );
    assert_eq!(
        findings(r#""services": ["frontend", "backend"], "only_these_services": true"#),
        [
            "expect.service: the trace: expected no other service than frontend, backend, \
             found a span of middleware"
        ]
    );
}

#[test]
fn edges_are_parents_and_children() {
    let edge = |from: &str, to: &str, count: &str| {
        findings(&format!(
            r#""edges": [{{"from": {{"service": "{from}"}}, "to": {{"service": "{to}"}}{count}}}]"#
        ))
    };
    assert!(edge("frontend", "middleware", "").is_empty());
    assert!(edge("frontend", "middleware", r#", "count": 1"#).is_empty());
    assert!(edge("frontend", "backend", r#", "count": 0"#).is_empty());
    assert!(edge("frontend", "frontend", r#", "count": {"min": 2, "max": 2}"#).is_empty());
    assert_eq!(
        edge("frontend", "backend", ""),
        [
            "expect.edge: the trace: expected at least 1 of backend (any kind) (any name) below \
             frontend (any kind) (any name), found 0"
        ]
    );
}

#[test]
fn spans_are_counted_once_each() {
    let mut trace = fixture::read(fixture::DEMO);
    trace.spans.push(trace.spans[0].clone());
    let spans = |count: &str| {
        findings_in(
            &trace,
            &format!(r#""spans": [{{"select": {{"kind": "SERVER"}}, "count": {count}}}]"#),
        )
    };
    assert!(spans("3").is_empty());
    assert!(spans(r#"{"min": 1}"#).is_empty());
    assert_eq!(
        spans("2"),
        ["expect.span: the trace: expected 2 of (any service) SERVER (any name), found 3"]
    );
    assert_eq!(
        spans(r#"{"max": 2}"#),
        ["expect.span: the trace: expected at most 2 of (any service) SERVER (any name), found 3"]
    );
}

#[test]
fn status_attributes_and_resource_are_held_against_every_selected_span() {
    let span = |fields: &str| {
        findings(&format!(
            r#""spans": [{{"select": {{"service": "backend", "name": "backend-get-data"}}, {fields}}}]"#
        ))
    };
    assert!(
        span(
            r#""status": "unset",
            "attributes": {
                "backend.query.duration_ms": 100.0,
                "backend.handler": {"any_of": ["other", "get_data"]},
                "backend.query.type": {"type": "string"},
                "db.system": {"absent": true}
            },
            "resource": {"service.namespace": "tracing-demo"}"#
        )
        .is_empty()
    );
    let on = "backend INTERNAL backend-get-data (span 00000000000000a7)";
    assert_eq!(
        span(
            r#""status": "error",
            "attributes": {
                "backend.query.duration_ms": 100,
                "backend.handler": {"absent": true},
                "backend.query.type": {"any_of": ["a", 1]},
                "x": {"type": "int"}
            },
            "resource": {"service.namespace": "prod"}"#
        ),
        [
            format!("expect.status: {on}: expected status Error, found status Unset"),
            format!(
                "expect.attribute: {on}: expected backend.handler: none, found get_data (string)"
            ),
            format!(
                "expect.attribute: {on}: expected backend.query.duration_ms: 100 (int), found 100.0 (double)"
            ),
            format!(
                "expect.attribute: {on}: expected backend.query.type: one of a (string), 1 (int), \
                 found simulated_database_query (string)"
            ),
            format!("expect.attribute: {on}: expected x: a value (int), found none"),
            format!(
                "expect.resource: {on}: expected service.namespace: prod (string), \
                 found tracing-demo (string)"
            ),
        ]
    );
    let keys = |value: &str| {
        findings(&format!(
            r#""spans": [{{"select": {{"name": "middleware-transform"}},
                "attributes": {{"middleware.input.keys": {value}}}}}]"#
        ))
    };
    assert!(keys(r#"["source"]"#).is_empty());
    assert!(keys(r#"{"type": "array"}"#).is_empty());
    assert_eq!(keys("[1]").len(), 1);
}

#[test]
fn values_keep_their_types() {
    let equal = |text: &str| serde_json::from_str::<ExpectedValue>(text).unwrap();
    assert_eq!(equal("1"), ExpectedValue::Equal(Value::Int(1)));
    assert_eq!(equal("1.0"), ExpectedValue::Equal(Value::Double(1.0)));
    assert_eq!(equal("false"), ExpectedValue::Equal(Value::Bool(false)));
    assert!(serde_json::from_str::<ExpectedValue>("18446744073709551615").is_err());
}

/// What is refused, with the words that say why.
const REFUSED: [(&str, &str); 15] = [
    ("{", "line 1"),
    (r#"{"services": ["a"]}"#, "missing field `schema_version`"),
    (
        r#"{"schema_version": 2, "services": ["a"]}"#,
        "schema_version is 2",
    ),
    (r#"{"schema_version": 1}"#, "it expects nothing"),
    (
        r#"{"schema_version": 1, "services": []}"#,
        "it expects nothing",
    ),
    (
        r#"{"schema_version": 1, "service": ["a"]}"#,
        "unknown field `service`",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {}}]}"#,
        "a selector names",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"kind": "server"}}]}"#,
        "unknown variant `server`",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "status": "Error"}]}"#,
        "unknown variant `Error`",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "count": -1}]}"#,
        "a count is a number",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "count": {}}]}"#,
        "a count names",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "attributes": {"k": {"type": "integer"}}}]}"#,
        "\"integer\" is no type",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "attributes": {"k": {"any_of": []}}}]}"#,
        "is no expected value",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "attributes": {"k": null}}]}"#,
        "null is no value of an attribute",
    ),
    (
        r#"{"schema_version": 1, "spans": [{"select": {"name": "a"}, "attributes": {"k": {"absent": false}}}]}"#,
        "is no expected value",
    ),
];

#[test]
fn what_is_no_expectation_is_refused_with_the_reason() {
    for (json, words) in REFUSED {
        let error = refused(json);
        assert!(error.contains(words), "{json}: {error}");
    }
    let crossed = with(r#""spans": [{"select": {"name": "a"}, "count": {"min": 3, "max": 1}}]"#);
    assert!(refused(&crossed).contains("cannot be met"));
}

#[test]
fn the_published_schema_takes_and_refuses_the_same() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let full = with(
        r#""$schema": "urn:tdemo:expect:1", "services": ["a"], "only_these_services": true,
        "edges": [{"from": {"service": "a"}, "to": {"kind": "CLIENT"}, "count": {"max": 2}}],
        "spans": [{"select": {"name": "x"}, "count": 0, "status": "ok", "resource": {},
            "attributes": {"a": 1, "b": [true, "x"], "c": {"type": "bytes"}, "d": {"any_of": [1.5]},
                "e": {"absent": true}}}]"#,
    );
    read(&full);
    let full: serde_json::Value = serde_json::from_str(&full).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&full)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (json, _) in &REFUSED[1..] {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(!schema.is_valid(&json), "{json}");
    }
}
