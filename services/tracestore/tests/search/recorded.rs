//! The search and tag answers of a real Tempo, recorded, reproduced from the spans that it had been sent.

use std::fs;
use std::path::PathBuf;

use super::running::Running;
use serde_json::Value;
use tdemo_tracestore::Limits;

fn data(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tempo")
        .join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Takes away what is free: orders, byte and job counts, and which spans of a longer spanset are shown.
fn normalised(bytes: &[u8]) -> Value {
    let mut value = serde_json::from_slice(bytes).unwrap();
    normalise(&mut value);
    value
}

fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(normalise);
            items.sort_by_key(Value::to_string);
        }
        Value::Object(fields) => {
            for free in [
                "inspectedBytes",
                "inspectedTraces",
                "completedJobs",
                "totalJobs",
            ] {
                fields.remove(free);
            }
            if let Some(first) = fields.remove("spanSet") {
                assert_eq!(first, fields["spanSets"][0], "the first spanset once more");
            }
            let shown = fields.get("spans").and_then(Value::as_array).map(Vec::len);
            if let (Some(shown), Some(matched)) =
                (shown, fields.get("matched").and_then(Value::as_u64))
                && (shown as u64) < matched
            {
                fields.insert("spans".into(), shown.into());
            }
            fields.values_mut().for_each(normalise);
        }
        Value::Number(number) => *value = number.as_f64().into(),
        _ => {}
    }
}

#[tokio::test]
async fn search_and_tag_answers_are_those_of_tempo() {
    let running = Running::start(Limits::default()).await;
    let sent = running
        .post("application/json", data("input.otlp.json"))
        .await;
    assert_eq!(sent.status(), 200);

    let index: Value = serde_json::from_slice(&data("index.json")).unwrap();
    let mut checked = 0;
    for (name, recorded) in index.as_object().unwrap() {
        if !(name.starts_with("search-") || name.starts_with("tag")) {
            continue;
        }
        checked += 1;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in recorded["params"].as_object().unwrap() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            query.append_pair(key, &text);
        }
        let path = format!("{}?{}", recorded["path"].as_str().unwrap(), query.finish());
        let answer = running.get(&path, recorded["accept"].as_str()).await;
        assert_eq!(
            u64::from(answer.status().as_u16()),
            recorded["status"],
            "{name}"
        );
        let content_type = answer.headers()["content-type"].clone();
        assert_eq!(
            content_type,
            recorded["content_type"].as_str().unwrap(),
            "{name}"
        );
        let body = answer.bytes().await.unwrap();
        let file = recorded["file"].as_str().unwrap();
        if name == "search-limit-2" {
            // Which two is free.
            let count = |bytes: &[u8]| normalised(bytes)["traces"].as_array().unwrap().len();
            assert_eq!(count(&body), count(&data(file)), "{name}");
        } else if content_type == "application/json" {
            assert_eq!(normalised(&body), normalised(&data(file)), "{name}");
        } else {
            assert!(!body.is_empty(), "{name} says why");
        }
    }
    assert_eq!(checked, 38, "search and tag answers in the index");
    running.stop().await;
}
