//! Comparing a JSON body with the one that is promised, exactly. Called by the
//! checks.

use serde_json::Value;

/// Stands for any text but the empty one.
pub(super) const TEXT: &str = "<text>";
/// Stands for any number.
pub(super) const NUMBER: &str = "<number>";
/// Stands for a moment as RFC 3339 writes it.
pub(super) const MOMENT: &str = "<RFC 3339>";

/// Where `found` is not what `promised` says: path, expected, found. An object
/// has exactly the promised keys; the words above stand for values that vary.
pub(super) fn differences(promised: &Value, found: &Value) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    compare("", promised, found, &mut all);
    all
}

fn compare(path: &str, promised: &Value, found: &Value, all: &mut Vec<(String, String, String)>) {
    let mut differs = |expected: String| {
        let path = if path.is_empty() { "the body" } else { path };
        all.push((path.to_owned(), expected, found.to_string()));
    };
    let word = promised.as_str().and_then(|word| match word {
        TEXT => Some((
            "a text",
            found.as_str().is_some_and(|text| !text.is_empty()),
        )),
        NUMBER => Some(("a number", found.is_number())),
        MOMENT => {
            let moment = found.as_str().map(str::parse::<jiff::Timestamp>);
            Some(("a moment (RFC 3339)", matches!(moment, Some(Ok(_)))))
        }
        _ => None,
    });
    if let Some((expected, holds)) = word {
        if !holds {
            differs(expected.to_owned());
        }
        return;
    }
    match (promised, found) {
        (Value::Object(promised), Value::Object(found)) => {
            let below = |key: &str| {
                if path.is_empty() {
                    key.to_owned()
                } else {
                    format!("{path}.{key}")
                }
            };
            for (key, promised) in promised {
                match found.get(key) {
                    Some(found) => compare(&below(key), promised, found, all),
                    None => all.push((below(key), promised.to_string(), "nothing".to_owned())),
                }
            }
            for (key, found) in found {
                if !promised.contains_key(key) {
                    all.push((below(key), "nothing".to_owned(), found.to_string()));
                }
            }
        }
        (promised, found) if promised != found => differs(promised.to_string()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_stand_for_what_varies_and_keys_are_exact() {
        let promised = json!({"a": TEXT, "n": NUMBER, "at": MOMENT, "in": {"b": 1, "gone": true}});
        let same = json!({"a": "x", "n": 1.5, "at": "2026-11-22T10:04:26.051Z", "in": {"b": 1, "gone": true}});
        assert_eq!(differences(&promised, &same), []);
        let other = json!({"a": "", "n": "1", "at": "now", "in": {"b": 2, "more": 0}});
        let mut paths: Vec<String> = differences(&promised, &other)
            .into_iter()
            .map(|(path, ..)| path)
            .collect();
        paths.sort();
        assert_eq!(paths, ["a", "at", "in.b", "in.gone", "in.more", "n"]);
        let found = differences(&json!({"status": "healthy"}), &json!([1]));
        assert_eq!(
            found,
            [(
                "the body".to_owned(),
                "{\"status\":\"healthy\"}".to_owned(),
                "[1]".to_owned()
            )]
        );
    }
}
