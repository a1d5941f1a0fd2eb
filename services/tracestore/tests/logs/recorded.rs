//! What a real Loki answered to the same requests after it was sent the same records.
//!
//! `data/input.otlp.json` was posted to `/otlp/v1/logs` of a Loki built from its main branch of
//! November 2026 (3.x, single binary, default limits), and `data/answers.json` is what it then
//! said; only the date was moved to one that does not change. Compared are status, content type
//! and body; of a body not `stats`, and of an error its kind and place, the words being our own.

use serde::Deserialize;
use serde_json::Value;
use tdemo_tracestore::logs::LogLimits;

use crate::running::{DEADLINE, Running, answered};

const INPUT: &str = include_str!("data/input.otlp.json");
const ANSWERS: &str = include_str!("data/answers.json");

/// Refused by both, but at a place, or with a content, that need not agree, and why.
const OTHER_PLACE: [(&str, &str); 6] = [
    ("error-0", "we name the first column where Loki names none"),
    (
        "error-7",
        "we refuse `line_format` itself, Loki that nothing follows it",
    ),
    (
        "error-8",
        "Loki's regular expressions word their errors differently",
    ),
    ("error-20", "as above"),
    ("error-21", "as above"),
    ("error-22", "as above"),
];

#[derive(Deserialize)]
struct Recorded {
    name: String,
    path: String,
    params: Vec<(String, String)>,
    categorized: bool,
    status: u16,
    content_type: String,
    body: Value,
}

/// Takes out what cannot agree: figures of the run, and the words of a parser's error.
fn normal(mut body: Value) -> Value {
    fn without_details(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("__error_details__");
                map.values_mut().for_each(without_details);
            }
            Value::Array(list) => list.iter_mut().for_each(without_details),
            _ => {}
        }
    }
    if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
        data.remove("stats");
    }
    without_details(&mut body);
    // Streams that differ in nothing but the details are one stream now; and the order of
    // `series` is nobody's promise.
    for list in ["/data/result", "/data"] {
        if let Some(list) = body.pointer_mut(list).and_then(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
    }
    body
}

/// The first lines that differ when both are printed.
fn first_difference(one: &Value, other: &Value) -> (String, String) {
    let (one, other) = (format!("{one:#}"), format!("{other:#}"));
    let mut lines = one.lines().zip(other.lines());
    let (one, other) = lines.find(|(one, other)| one != other).unwrap_or_default();
    (one.to_owned(), other.to_owned())
}

/// `parse error at line 1, col 2: ...` without the words.
fn place(text: &str) -> &str {
    text.split_once(':')
        .map_or(text, |(place, _)| place.trim_end())
}

#[tokio::test]
async fn every_answer_of_a_real_loki_is_given() {
    let running = Running::start(LogLimits::default()).await;
    let post = running
        .client
        .post(format!("http://{}/v1/logs", running.http))
        .header("content-type", "application/json")
        .body(INPUT);
    assert_eq!(answered(post).await.0, 200);
    let recorded: Vec<Recorded> = serde_json::from_str(ANSWERS).unwrap();
    assert!(recorded.len() > 100);
    let mut different = Vec::new();
    for wanted in &recorded {
        let params: Vec<(&str, &str)> = wanted
            .params
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let mut request = running
            .client
            .get(running.url(&wanted.path, &params))
            .timeout(DEADLINE);
        if wanted.categorized {
            request = request.header("X-Loki-Response-Encoding-Flags", "categorize-labels");
        }
        let (status, content_type, body) = answered(request).await;
        let same = match &wanted.body {
            Value::String(text) if text.starts_with("parse error") => {
                let other_place = OTHER_PLACE.iter().any(|(name, _)| *name == wanted.name);
                body.starts_with("parse error") && (other_place || place(&body) == place(text))
            }
            Value::String(_) => !body.is_empty(),
            json => serde_json::from_str(&body)
                .is_ok_and(|ours: Value| normal(ours) == normal(json.clone())),
        };
        if !same || (status, content_type.as_str()) != (wanted.status, wanted.content_type.as_str())
        {
            let ours = serde_json::from_str(&body).map_or(Value::String(body), normal);
            let (theirs, ours) = first_difference(&normal(wanted.body.clone()), &ours);
            different.push(format!(
                "{}: {:?}\n  Loki: {} {} {theirs}\n  ours: {status} {content_type} {ours}",
                wanted.name,
                params.first(),
                wanted.status,
                wanted.content_type,
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} differ:\n{}",
        different.len(),
        different.join("\n")
    );
    running.stop().await;
}
