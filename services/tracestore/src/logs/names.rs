//! OTLP keys and values as Loki's labels and texts. Called by `otlp`.
//!
//! Sources: Loki 3's documented mapping ("Ingesting logs to Loki using OpenTelemetry") and its
//! observed behaviour; the names follow the OpenTelemetry specification's Prometheus mapping.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Values nested deeper than this are left out: prost itself reads no deeper than 100.
const MAX_DEPTH: usize = 32;

/// An attribute's key as a label's name: what is no ASCII letter or digit becomes `_`, several in
/// a row become one, and a digit in front gets `key_` before it. `None` if no name is left.
pub(super) fn label_name(key: &str) -> Option<Cow<'_, str>> {
    // A name with two underscores at both ends is reserved, and keeps them.
    let reserved = key.len() > 4 && key.starts_with("__") && key.ends_with("__");
    let inner = if reserved {
        &key[2..key.len() - 2]
    } else {
        key
    };
    let underscores = |text: &str| text.bytes().all(|byte| byte == b'_');
    if underscores(inner) {
        return None;
    }
    let plain = inner
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && !inner.contains("__") && !inner.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(Cow::Borrowed(key));
    }
    let mut name = String::with_capacity(key.len() + 4);
    for c in inner.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    if reserved {
        return Some(Cow::Owned(format!("__{name}__")));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "key_");
    }
    (!underscores(&name)).then_some(Cow::Owned(name))
}

/// Calls `label(name, text)` for an attribute; a map gives one for each of its members, with the
/// names joined.
pub(super) fn each_label<'a>(
    attribute: &'a KeyValue,
    label: &mut dyn FnMut(Cow<'a, str>, Cow<'a, str>),
) {
    let value = attribute
        .value
        .as_ref()
        .and_then(|value| value.value.as_ref());
    if let Some(name) = label_name(&attribute.key) {
        each_value(name, value, 0, label);
    }
}

fn each_value<'a>(
    name: Cow<'a, str>,
    value: Option<&'a Value>,
    depth: usize,
    label: &mut dyn FnMut(Cow<'a, str>, Cow<'a, str>),
) {
    let Some(Value::KvlistValue(map)) = value else {
        label(name, value.map_or(Cow::Borrowed(""), value_text));
        return;
    };
    if depth == MAX_DEPTH {
        return;
    }
    for member in &map.values {
        let joined = format!("{name}_{}", member.key);
        if let Some(name) = label_name(&joined) {
            let value = member.value.as_ref().and_then(|value| value.value.as_ref());
            each_value(Cow::Owned(name.into_owned()), value, depth + 1, label);
        }
    }
}

/// A value as text, as the Collector's `AsString` has it: a body's log line, a label's value.
pub(super) fn text(value: Option<&AnyValue>) -> Cow<'_, str> {
    value
        .and_then(|value| value.value.as_ref())
        .map_or(Cow::Borrowed(""), value_text)
}

fn value_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::StringValue(text) => Cow::Borrowed(text),
        Value::BoolValue(true) => Cow::Borrowed("true"),
        Value::BoolValue(false) => Cow::Borrowed("false"),
        Value::IntValue(number) => Cow::Owned(number.to_string()),
        Value::DoubleValue(number) => Cow::Owned(double(*number)),
        Value::BytesValue(bytes) => Cow::Owned(BASE64_STANDARD.encode(bytes)),
        Value::ArrayValue(_) | Value::KvlistValue(_) => {
            Cow::Owned(json(Some(value), 0).to_string())
        }
        // An index into another signal's dictionary: not for logs, and to be treated as absent.
        Value::StringValueStrindex(_) => Cow::Borrowed(""),
    }
}

/// A double as ECMAScript writes it, for which Rust only differs in exponents and infinities.
fn double(number: f64) -> String {
    let size = number.abs();
    if number.is_infinite() {
        (if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
        .to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        }
    } else {
        number.to_string()
    }
}

fn json(value: Option<&Value>, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    let inner =
        |value: Option<&AnyValue>| json(value.and_then(|value| value.value.as_ref()), depth + 1);
    match value {
        None => Json::Null,
        Some(Value::BoolValue(value)) => Json::from(*value),
        Some(Value::IntValue(value)) => Json::from(*value),
        Some(Value::DoubleValue(value)) if value.is_finite() => Json::from(*value),
        Some(Value::ArrayValue(list)) => list.values.iter().map(|v| inner(Some(v))).collect(),
        Some(Value::KvlistValue(map)) => map
            .values
            .iter()
            .map(|member| (member.key.clone(), inner(member.value.as_ref())))
            .collect(),
        Some(other) => Json::from(value_text(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn key_value(key: &str, value: Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(any(value)),
            ..KeyValue::default()
        }
    }

    #[test]
    fn names_are_made_as_loki_makes_them() {
        let cases = [
            ("service.name", Some("service_name")),
            ("plain_name", Some("plain_name")),
            ("http.request.header.x-id", Some("http_request_header_x_id")),
            ("a..b__c", Some("a_b_c")),
            ("ünï", Some("_n_")),
            ("2xx", Some("key_2xx")),
            ("__reserved__", Some("__reserved__")),
            ("_one", Some("_one")),
            ("", None),
            ("...", None),
            ("__", None),
            ("____", None),
        ];
        for (key, name) in cases {
            assert_eq!(label_name(key).as_deref(), name, "{key}");
        }
    }

    #[test]
    fn values_are_written_as_the_collector_writes_them() {
        let write = |value| text(Some(&any(value))).into_owned();
        assert_eq!(text(None), "");
        assert_eq!(write(Value::StringValue("as <it> is".into())), "as <it> is");
        assert_eq!(write(Value::BoolValue(true)), "true");
        assert_eq!(write(Value::IntValue(-7)), "-7");
        assert_eq!(write(Value::DoubleValue(100.0)), "100");
        assert_eq!(write(Value::DoubleValue(0.25)), "0.25");
        assert_eq!(write(Value::DoubleValue(1e21)), "1e+21");
        assert_eq!(write(Value::DoubleValue(1.5e-9)), "1.5e-9");
        assert_eq!(write(Value::DoubleValue(f64::NAN)), "NaN");
        assert_eq!(write(Value::DoubleValue(f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(write(Value::BytesValue(vec![1, 2, 255])), "AQL/");
        let list = Value::ArrayValue(ArrayValue {
            values: vec![
                any(Value::IntValue(1)),
                any(Value::StringValue("x".into())),
                AnyValue { value: None },
            ],
        });
        let map = Value::KvlistValue(KeyValueList {
            values: vec![
                key_value("b", list),
                key_value("a", Value::BoolValue(false)),
            ],
        });
        assert_eq!(write(map), r#"{"a":false,"b":[1,"x",null]}"#);
    }

    #[test]
    fn a_map_gives_a_label_for_each_member() {
        let map = |values| Value::KvlistValue(KeyValueList { values });
        let attribute = key_value(
            "http.req",
            map(vec![
                key_value("x-id", Value::IntValue(1)),
                key_value(
                    "to",
                    map(vec![key_value("q", Value::StringValue("z".into()))]),
                ),
            ]),
        );
        let mut labels = Vec::new();
        each_label(&attribute, &mut |name, value| {
            labels.push(format!("{name}={value}"));
        });
        assert_eq!(labels, ["http_req_x_id=1", "http_req_to_q=z"]);
    }
}
