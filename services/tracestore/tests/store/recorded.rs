//! The by-id and status answers of a real Tempo, recorded, reproduced from the spans that it had been sent.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tdemo_tracestore::Limits;

use crate::running::Running;

fn data(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tempo")
        .join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Takes away what is free: the order of attributes, resource groups, scopes and spans; the number of bytes inspected.
fn normalised(mut value: Value) -> Value {
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
            fields.remove("inspectedBytes");
            fields.values_mut().for_each(normalise);
        }
        Value::Number(number) => *value = number.as_f64().into(),
        _ => {}
    }
}

#[tokio::test]
async fn by_id_and_status_answers_are_those_of_tempo() {
    let running = Running::start(Limits::default()).await;
    let sent = running
        .post("application/json", data("input.otlp.json"))
        .await;
    assert_eq!(sent.status(), 200);

    let index: Value = serde_json::from_slice(&data("index.json")).unwrap();
    let mut checked = 0;
    for (name, recorded) in index.as_object().unwrap() {
        if !(name.starts_with("trace-") || ["ready", "echo", "buildinfo"].contains(&name.as_str()))
        {
            continue;
        }
        checked += 1;
        let answer = running
            .get(
                recorded["path"].as_str().unwrap(),
                recorded["accept"].as_str(),
            )
            .await;
        assert_eq!(
            u64::from(answer.status().as_u16()),
            recorded["status"],
            "{name}"
        );
        let content_type = answer
            .headers()
            .get("content-type")
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(content_type, recorded["content_type"], "{name}");
        let body = answer.bytes().await.unwrap();
        let Some(file) = recorded["file"].as_str() else {
            assert!(body.is_empty(), "{name}: {body:?}");
            continue;
        };
        if name == "buildinfo" {
            let keys = |json: &[u8]| -> Vec<String> {
                let value: Value = serde_json::from_slice(json).unwrap();
                let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(&body), keys(&data(file)), "{name}");
        } else if recorded["content_type"] == "application/json" {
            let json = |bytes: &[u8]| normalised(serde_json::from_slice(bytes).unwrap());
            assert_eq!(json(&body), json(&data(file)), "{name}");
        } else {
            assert_eq!(
                String::from_utf8_lossy(&body),
                String::from_utf8_lossy(&data(file)),
                "{name}"
            );
        }
    }
    assert_eq!(checked, 12, "by-id and status answers in the index");
    running.stop().await;
}
