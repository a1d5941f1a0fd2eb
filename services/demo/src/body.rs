//! Request and answer bodies: read whole, within a limit and a time, and held as checked JSON text that is passed on
//! byte for byte. Used by the tiers for what callers send and by `client` for what the next tier answers.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};

/// How much of an unwanted body is read and thrown away before an answer, so that a caller that is still sending
/// sees the answer and not a reset connection.
const DRAIN_LIMIT_BYTES: usize = 8 << 20;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Of an object with more keys than this, or longer ones, a span shows only the first so many.
const MOST_KEYS: usize = 64;
const LONGEST_KEY_BYTES: usize = 256;

/// A JSON text, known to be well-formed (RFC 8259) and UTF-8; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Json(Bytes);

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the content type is not JSON; send application/json")]
    MediaType,
    #[error("the body is over the limit of {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {0:?}")]
    Slow(Duration),
    #[error("the body is broken: {0}")]
    Malformed(hyper::Error),
    #[error("the other side went away before the body was complete: {0}")]
    BrokenOff(hyper::Error),
}

/// What a caller may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

impl Json {
    /// A text that the program itself wrote.
    pub(crate) const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Checks `text`: UTF-8, one JSON value, nothing after it. Any depth of nesting is fine: nothing here recurses.
    pub(crate) fn parse(text: Bytes) -> Result<Self, BodyError> {
        let checked =
            std::str::from_utf8(&text).map_err(|error| BodyError::NotJson(error.to_string()))?;
        serde_json::from_str::<IgnoredAny>(checked)
            .map_err(|error| BodyError::NotJson(error.to_string()))?;
        Ok(Self(text))
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The keys of an object, in order; none for any other value.
    pub(crate) fn keys(&self) -> Vec<String> {
        // A value that is no object makes the visitor refuse, and has no keys.
        serde_json::from_slice::<Keys>(&self.0).map_or_else(|_| Vec::new(), |keys| keys.0)
    }
}

struct Keys(Vec<String>);

impl<'de> de::Deserialize<'de> for Keys {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((mut key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if keys.len() < MOST_KEYS {
                        if let Some((end, _)) = key
                            .char_indices()
                            .find(|(at, c)| at + c.len_utf8() > LONGEST_KEY_BYTES)
                        {
                            key.truncate(end);
                        }
                        keys.push(key);
                    }
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}

/// Reads a caller's JSON body, refusing what is not JSON, too large, or too slow.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: &mut Incoming,
    limits: BodyLimits,
) -> Result<Json, BodyError> {
    if !headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| is_json(value.as_bytes()))
    {
        return Err(BodyError::MediaType);
    }
    let read = read(body, limits.bytes);
    let bytes = tokio::time::timeout(limits.time, read)
        .await
        .unwrap_or(Err(BodyError::Slow(limits.time)))?;
    Json::parse(bytes)
}

/// Reads a body whole, up to `limit` bytes; one that says beforehand that it is larger is not read at all.
pub(crate) async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, BodyError> {
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::from_hyper)?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if whole.is_empty() && body.is_end_stream() {
            // Most bodies come in one piece, which need not be copied.
            return Ok(data);
        }
        if whole.capacity() == 0 {
            whole.reserve(usize::try_from(hint.lower()).unwrap_or(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads and forgets what is left of a body that nobody wanted, within bounds. A caller that waits for
/// `100 Continue` has not sent it and is left waiting for the answer instead.
pub(crate) async fn drain(headers: &HeaderMap, body: &mut Incoming) {
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    let read_on = async {
        let mut left = DRAIN_LIMIT_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            if size > left {
                return;
            }
            left -= size;
        }
    };
    // A caller that is slower than this finds the connection closed after the answer.
    let _ = tokio::time::timeout(DRAIN_TIME, read_on).await;
}

/// `application/json` or any `+json` type (RFC 6839), parameters and case aside.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

impl BodyError {
    /// Tells a caller that went away from one that sent nonsense.
    fn from_hyper(error: hyper::Error) -> Self {
        let mut source = Some(&error as &dyn StdError);
        while let Some(cause) = source {
            let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(
                kind,
                Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            ) {
                return Self::Malformed(error);
            }
            source = cause.source();
        }
        Self::BrokenOff(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json, BodyError> {
        Json::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn any_json_value_is_data_and_is_kept_as_it_came() {
        for text in [
            "{}",
            "null",
            " [1, 2 ] ",
            "\"a\"",
            "-1.5e400",
            r#"{"a":{"b":[]},"a":1}"#,
        ] {
            assert_eq!(parse(text).unwrap().bytes(), text.as_bytes());
        }
        for text in [
            "",
            "{",
            "nul",
            "{} {}",
            "{'a':1}",
            "NaN",
            "[1,]",
            "\u{feff}{}",
        ] {
            assert!(matches!(parse(text), Err(BodyError::NotJson(_))), "{text}");
        }
        assert!(matches!(
            Json::parse(Bytes::from_static(b"\"\xff\"")),
            Err(BodyError::NotJson(_))
        ));
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        let deep = "[".repeat(500_000) + &"]".repeat(500_000);
        assert_eq!(parse(&deep).unwrap().keys(), Vec::<String>::new());
        let deep_value = format!("{{\"a\":{deep}}}");
        assert_eq!(parse(&deep_value).unwrap().keys(), ["a"]);
    }

    #[test]
    fn keys_are_those_of_an_object_within_bounds() {
        assert_eq!(
            parse(r#" {"source":"GET request","\u00e9":{"x":1}}"#)
                .unwrap()
                .keys(),
            ["source", "é"]
        );
        assert!(parse(r#"["a"]"#).unwrap().keys().is_empty());
        let many: Vec<_> = (0..1000).map(|n| format!("\"{n}\":0")).collect();
        assert_eq!(
            parse(&format!("{{{}}}", many.join(",")))
                .unwrap()
                .keys()
                .len(),
            MOST_KEYS
        );
        let long = parse(&format!("{{\"{}\":0}}", "é".repeat(1000)))
            .unwrap()
            .keys();
        assert_eq!(long[0].len(), LONGEST_KEY_BYTES);
    }

    #[test]
    fn json_content_types() {
        for yes in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            " application/json ",
        ] {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "text/json",
            "application/jsonx",
            "application/x-www-form-urlencoded",
            "\u{ff}",
        ] {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }
}
