//! Attribute values with their types, and ordered lists of attributes.
//!
//! Spans, events, links, resources and scopes hold these; `otlp` builds them,
//! the rules compare them.

use std::fmt;

/// A value of an attribute: the closed set of OTLP's `AnyValue`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value was set, which OTLP allows.
    Empty,
    /// Text.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A double, `NaN` and infinities included.
    Double(f64),
    /// A list, of mixed types if the sender wished so.
    Array(Vec<Value>),
    /// A nested list of attributes.
    Map(Attributes),
    /// Opaque bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The name of the type, in one lower-case word, as findings print it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::String(_) => "string",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Bytes(_) => "bytes",
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if this is one: a double or a string of digits is not.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// The value alone: strings bare at the top, quoted inside lists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            other => other.fmt_nested(f),
        }
    }
}

impl Value {
    fn fmt_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("(empty)"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number:?}"),
            Self::Bytes(bytes) => write!(f, "({} bytes)", bytes.len()),
            Self::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    value.fmt_nested(f)?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    write!(f, "{key}: ")?;
                    value.fmt_nested(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

/// Attributes in the order they came in. OTLP forbids a key twice; where a
/// sender does it all the same, both are kept and [`Attributes::get`] sees the
/// first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(pub Vec<(String, Value)>);

impl Attributes {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The text under `key`, if it is there and a string.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// The integer under `key`, if it is there and an integer.
    pub fn get_int(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(Value::as_int)
    }

    /// Puts `value` under `key`, in the place of what was there.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Takes away every value under `key`, and gives the first back.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let mut taken = None;
        self.0.retain_mut(|(name, value)| {
            let keep = name != key;
            if !keep && taken.is_none() {
                taken = Some(std::mem::replace(value, Value::Empty));
            }
            keep
        });
        taken
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_and_remove_takes_every_one() {
        let mut attributes: Attributes = [("a", 1), ("b", 2), ("a", 3)].into_iter().collect();
        assert_eq!(attributes.get_int("a"), Some(1));
        attributes.set("b", "two");
        assert_eq!(attributes.get_str("b"), Some("two"));
        assert_eq!(attributes.get_int("b"), None, "a string is no integer");
        assert_eq!(attributes.remove("a"), Some(Value::Int(1)));
        assert_eq!(attributes.len(), 1);
        assert_eq!(attributes.remove("a"), None);
    }

    #[test]
    fn values_print_in_one_line() {
        let value = Value::Array(vec![
            Value::from("a"),
            Value::Int(1),
            Value::Double(1.0),
            Value::Map([("k", true)].into_iter().collect()),
            Value::Bytes(vec![1, 2]),
            Value::Empty,
        ]);
        assert_eq!(
            value.to_string(),
            "[\"a\", 1, 1.0, {k: true}, (2 bytes), (empty)]"
        );
        assert_eq!(Value::from("bare").to_string(), "bare");
    }
}
