//! The values and numbers of an expectation, which have several forms each.

use std::fmt;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::value::Value;

/// What must stand under a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Json")]
pub enum ExpectedValue {
    /// This value, of this type: `200` is an integer, `200.0` a double.
    Equal(Value),
    /// A value of this type, by its [`Value::type_name`]: `{"type": "int"}`.
    Type(String),
    /// One of these: `{"any_of": ["GET", "HEAD"]}`.
    AnyOf(Vec<Value>),
    /// Nothing: `{"absent": true}`.
    Absent,
}

/// The types that can be asked for, as [`Value::type_name`] has them.
const TYPES: [&str; 7] = ["string", "bool", "int", "double", "array", "map", "bytes"];

impl ExpectedValue {
    /// Whether what stands under the key is as expected.
    pub fn holds(&self, found: Option<&Value>) -> bool {
        match (self, found) {
            (Self::Equal(expected), Some(found)) => expected == found,
            (Self::Type(name), Some(found)) => found.type_name() == name,
            (Self::AnyOf(expected), Some(found)) => expected.contains(found),
            (Self::Absent, found) => found.is_none(),
            (_, None) => false,
        }
    }
}

impl fmt::Display for ExpectedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "{value} ({})", value.type_name()),
            Self::Type(name) => write!(f, "a value ({name})"),
            Self::AnyOf(values) => {
                let texts: Vec<String> = values
                    .iter()
                    .map(|value| format!("{value} ({})", value.type_name()))
                    .collect();
                write!(f, "one of {}", texts.join(", "))
            }
            Self::Absent => f.write_str("none"),
        }
    }
}

impl TryFrom<Json> for ExpectedValue {
    type Error = String;

    fn try_from(json: Json) -> Result<Self, String> {
        let Json::Object(form) = &json else {
            return value(&json).map(Self::Equal);
        };
        let mut entries = form.iter();
        match (entries.next(), entries.next()) {
            (Some((key, Json::String(name))), None) if key == "type" => {
                if TYPES.contains(&name.as_str()) {
                    Ok(Self::Type(name.clone()))
                } else {
                    Err(format!(
                        "{name:?} is no type; types are {}",
                        TYPES.join(", ")
                    ))
                }
            }
            (Some((key, Json::Array(values))), None) if key == "any_of" && !values.is_empty() => {
                values
                    .iter()
                    .map(value)
                    .collect::<Result<_, _>>()
                    .map(Self::AnyOf)
            }
            (Some((key, Json::Bool(true))), None) if key == "absent" => Ok(Self::Absent),
            _ => Err(format!(
                "{json} is no expected value: write a value, or \
                 {{\"type\": …}}, {{\"any_of\": [ … ]}} or {{\"absent\": true}}"
            )),
        }
    }
}

fn value(json: &Json) -> Result<Value, String> {
    match json {
        Json::Array(values) => values
            .iter()
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        other => scalar(other),
    }
}

fn scalar(json: &Json) -> Result<Value, String> {
    match json {
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Bool(truth) => Some(Value::Bool(*truth)),
        Json::Number(number) if number.is_f64() => number.as_f64().map(Value::Double),
        Json::Number(number) => number.as_i64().map(Value::Int),
        _ => None,
    }
    .ok_or_else(|| format!("{json} is no value of an attribute"))
}

/// How many of something there must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "CountForm")]
pub struct Count {
    /// At least.
    pub min: u64,
    /// At most; `None` for any number.
    pub max: Option<u64>,
}

impl Default for Count {
    fn default() -> Self {
        Self { min: 1, max: None }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a count is a number, or an object of min and max"
)]
enum CountForm {
    Exactly(u64),
    Between(Bounds),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    min: Option<u64>,
    max: Option<u64>,
}

impl TryFrom<CountForm> for Count {
    type Error = String;

    fn try_from(form: CountForm) -> Result<Self, String> {
        let (min, max) = match form {
            CountForm::Exactly(number) => (number, Some(number)),
            CountForm::Between(Bounds {
                min: None,
                max: None,
            }) => {
                return Err("a count names min, max or both".to_owned());
            }
            CountForm::Between(Bounds { min, max }) => (min.unwrap_or(0), max),
        };
        if max.is_some_and(|max| max < min) {
            return Err(format!(
                "a count of at least {min} and at most less cannot be met"
            ));
        }
        Ok(Self { min, max })
    }
}

impl Count {
    /// Whether `number` is as expected.
    pub fn holds(self, number: usize) -> bool {
        let number = number as u64;
        number >= self.min && self.max.is_none_or(|max| number <= max)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, None) => write!(f, "at least {min}"),
            (0, Some(0)) => f.write_str("none"),
            (min, Some(max)) if min == max => write!(f, "{min}"),
            (0, Some(max)) => write!(f, "at most {max}"),
            (min, Some(max)) => write!(f, "{min} to {max}"),
        }
    }
}
