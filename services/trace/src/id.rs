//! Trace and span ids: fixed bytes inside, lower-case hex outside.
//!
//! Every other module and every caller names traces and spans with these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The id of a trace: 16 bytes, shown as 32 lower-case hex digits
/// (W3C Trace Context, section 3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId(pub [u8; 16]);

/// The id of a span within its trace: 8 bytes, shown as 16 lower-case hex
/// digits (W3C Trace Context, section 3.2.2.4, where it is the `parent-id`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SpanId(pub [u8; 8]);

/// A text is no id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseIdError {
    /// A trace id is neither empty nor longer than 32 digits.
    #[error("a trace id has 1 to 32 hex digits, and {text:?} has {length} characters")]
    TraceLength {
        /// What was given.
        text: String,
        /// Its length in characters.
        length: usize,
    },
    /// A span id has exactly 16 digits.
    #[error("a span id has 16 hex digits, and {text:?} has {length} characters")]
    SpanLength {
        /// What was given.
        text: String,
        /// Its length in characters.
        length: usize,
    },
    /// Something in it is no hex digit.
    #[error("an id is written in hex digits, and {text:?} holds {found:?}")]
    NotHex {
        /// What was given.
        text: String,
        /// The first character that is no hex digit.
        found: char,
    },
}

/// Reads `text` from its right end into `bytes`, so that a short text is
/// padded with zeros on the left.
fn read_hex(text: &str, bytes: &mut [u8]) -> Result<(), ParseIdError> {
    for (place, digit) in text.chars().rev().enumerate() {
        let nibble = digit.to_digit(16).ok_or_else(|| ParseIdError::NotHex {
            text: text.to_owned(),
            found: digit,
        })?;
        let nibble = u8::try_from(nibble).expect("a hex digit is below 16");
        let at = bytes.len() - 1 - place / 2;
        bytes[at] |= nibble << (4 * (place % 2));
    }
    Ok(())
}

/// Two lower-case hex digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

impl TraceId {
    /// All zeros, which W3C Trace Context calls invalid: it names no trace.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }
}

impl SpanId {
    /// All zeros, which W3C Trace Context calls invalid: it names no span.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 8]
    }
}

impl FromStr for TraceId {
    type Err = ParseIdError;

    /// 1 to 32 hex digits of any case; a short id is padded on the left, as
    /// Tempo does with the ids in its paths and search results.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let length = text.chars().count();
        if !(1..=32).contains(&length) {
            return Err(ParseIdError::TraceLength {
                text: text.to_owned(),
                length,
            });
        }
        let mut bytes = [0; 16];
        read_hex(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl FromStr for SpanId {
    type Err = ParseIdError;

    /// Exactly 16 hex digits of any case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let length = text.chars().count();
        if length != 16 {
            return Err(ParseIdError::SpanLength {
                text: text.to_owned(),
                length,
            });
        }
        let mut bytes = [0; 8];
        read_hex(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

macro_rules! hex_forms {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex(&self.0))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $id {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }
    };
}

hex_forms!(TraceId);
hex_forms!(SpanId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_trace_id_is_padded_on_the_left_and_case_does_not_matter() {
        let id: TraceId = "aBc".parse().unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000000abc");
        assert_eq!(id, "0000000000ABC".parse().unwrap());
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
        assert_eq!(id.0[0], 0x4b);
        assert_eq!(id.0[15], 0x36);
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let span: SpanId = "00f067aa0ba902b7".parse().unwrap();
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        assert_eq!(format!("{span:>18}"), "  00f067aa0ba902b7");
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<TraceId>().unwrap_err().to_string();
        assert_eq!(
            refused(""),
            "a trace id has 1 to 32 hex digits, and \"\" has 0 characters"
        );
        assert!(refused(&"a".repeat(33)).contains("33 characters"));
        assert!(refused("12g4").contains("holds 'g'"));
        assert!(refused("é").contains("holds 'é'"));
        let span = |text: &str| text.parse::<SpanId>().unwrap_err().to_string();
        assert!(span("1").contains("16 hex digits"));
        assert!(span("+0f067aa0ba902b7").contains("holds '+'"));
    }

    #[test]
    fn in_json_an_id_is_its_hex_text() {
        let id: SpanId = "00f067aa0ba902b7".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00f067aa0ba902b7\"");
        assert_eq!(
            serde_json::from_str::<SpanId>("\"00f067aa0ba902b7\"").unwrap(),
            id
        );
        assert!(serde_json::from_str::<SpanId>("\"zz\"").is_err());
    }
}
