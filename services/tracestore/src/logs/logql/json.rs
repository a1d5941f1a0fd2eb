//! `| json`: the fields of a line that is a JSON object. Called by `eval`.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects nested deeper than this end the parse, as broken JSON does.
const MAX_DEPTH: usize = 32;

/// Calls `field(key path joined with "_", value)` for every string, number and boolean, in
/// order; arrays and nulls are left out, as Loki leaves them out.
///
/// # Errors
/// Why the line is not a JSON object. What came before the fault was handed over already.
pub(in crate::logs) fn fields(line: &str, field: &mut dyn FnMut(&str, &str)) -> Result<(), String> {
    object(line, &mut String::new(), 0, field).map_err(|error| error.to_string())
}

fn object(
    text: &str,
    path: &mut String,
    depth: usize,
    field: &mut dyn FnMut(&str, &str),
) -> Result<(), serde_json::Error> {
    if depth > MAX_DEPTH {
        return Err(serde::de::Error::custom(format!(
            "objects are nested more than {MAX_DEPTH} deep"
        )));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Object { path, depth, field })?;
    deserializer.end()
}

struct Object<'a> {
    path: &'a mut String,
    depth: usize,
    field: &'a mut dyn FnMut(&str, &str),
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value: &RawValue = map.next_value()?;
            let before = self.path.len();
            let key = key.trim();
            if before > 0 && !key.is_empty() {
                self.path.push('_');
            }
            self.path.push_str(key);
            let outcome = self.value(value.get());
            self.path.truncate(before);
            outcome.map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

impl Object<'_> {
    /// One member's value; `path` names it.
    fn value(&mut self, raw: &str) -> Result<(), serde_json::Error> {
        match raw.as_bytes().first() {
            Some(b'"') => {
                let text: String = serde_json::from_str(raw)?;
                (self.field)(self.path, &text);
            }
            Some(b'{') => object(raw, self.path, self.depth + 1, self.field)?,
            Some(b'[' | b'n') | None => {}
            Some(_) => (self.field)(self.path, raw),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Vec<(String, String)>, bool) {
        let mut out = Vec::new();
        let result = fields(line, &mut |k, v| out.push((k.to_owned(), v.to_owned())));
        (out, result.is_ok())
    }

    #[test]
    fn values_keep_their_spelling_and_nested_keys_are_joined() {
        let (fields, ok) = read(
            r#" {"level":"warn","n":1.0,"big":1e3,"yes":true,"none":null,"list":[1],"http":{"status":503,"to":{"x":"\u00e4"}},"":"e"} "#,
        );
        let expected = [
            ("level", "warn"),
            ("n", "1.0"),
            ("big", "1e3"),
            ("yes", "true"),
            ("http_status", "503"),
            ("http_to_x", "ä"),
            ("", "e"),
        ];
        assert!(ok);
        assert_eq!(fields, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_not_an_object_is_an_error_after_the_fields_before_it() {
        let (fields, ok) = read(r#"{"a":"1","b":"#);
        assert!(!ok);
        assert_eq!(fields, [("a".to_owned(), "1".to_owned())]);
        for line in ["", "text", "[1]", "\"a\"", "{} x"] {
            assert!(!read(line).1, "{line}");
        }
        let deep = "{\"a\":".repeat(5_000) + "1" + &"}".repeat(5_000);
        assert!(!read(&deep).1);
    }
}
