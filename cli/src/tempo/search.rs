//! Searching with TraceQL: `GET /api/search`.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use tdemo_trace::TraceId;
use url::form_urlencoded;

use super::{Tempo, TempoError, body, refusal, transport};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The range of time to search, in seconds since the Unix epoch. Tempo 3
/// refuses one bound without the other, and searches the last 15 minutes where
/// there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub start_s: u64,
    /// Its end.
    pub end_s: u64,
}

impl Window {
    /// The widest range that Tempo searches, by its default `max_duration`.
    pub const MAX_S: u64 = 168 * 3600;
}

/// A trace that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub trace_id: TraceId,
    /// The service of its root; Tempo has words of its own where it knows none.
    pub root_service: String,
    /// The name of its root.
    pub root_name: String,
    /// Its start, in nanoseconds since the Unix epoch.
    pub start_unix_nanos: u64,
    /// How long it took, to the millisecond.
    pub duration: Duration,
    /// How many of its spans the query selected.
    pub matched: u64,
}

/// Tempo's `SearchResponse`, as far as it is read here. Zero values are left
/// out by the protobuf-JSON mapping, and 64-bit numbers are strings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    traces: Vec<Found>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    #[serde(default)]
    root_service_name: String,
    #[serde(default)]
    root_trace_name: String,
    #[serde(default)]
    start_time_unix_nano: Number,
    #[serde(default)]
    duration_ms: u64,
    #[serde(default)]
    span_sets: Vec<SpanSet>,
}

#[derive(Debug, Deserialize)]
struct SpanSet {
    #[serde(default)]
    matched: u64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Plain(u64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Plain(0)
    }
}

impl Number {
    fn read(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Plain(number) => Some(*number),
        }
    }
}

impl Tempo {
    /// The traces that `query` (TraceQL) finds in `window`, at most `limit`,
    /// the newest first.
    pub async fn search(
        &self,
        query: &str,
        window: Window,
        limit: usize,
    ) -> Result<Vec<Match>, TempoError> {
        let parameters = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", query)
            .append_pair("start", &window.start_s.to_string())
            .append_pair("end", &window.end_s.to_string())
            .append_pair("limit", &limit.to_string())
            .finish();
        let url = format!("{}/api/search?{parameters}", self.base);
        let answer = self
            .client
            .get(&url)
            .header(ACCEPT, JSON)
            .send()
            .await
            .map_err(|source| transport(&url, source))?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(url, answer).await);
        }
        let bytes = body(&url, answer).await?;
        read(&bytes).map_err(|reason| TempoError::Search { url, reason })
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Match>, String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    answer
        .traces
        .into_iter()
        .map(|found| {
            Ok(Match {
                start_unix_nanos: found
                    .start_time_unix_nano
                    .read()
                    .ok_or("startTimeUnixNano is no number")?,
                trace_id: found.trace_id,
                root_service: found.root_service_name,
                root_name: found.root_trace_name,
                duration: Duration::from_millis(found.duration_ms),
                matched: found.span_sets.iter().map(|set| set.matched).sum(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_answer_of_tempo_is_read() {
        let body = br#"{"traces":[
            {"traceID":"abc","rootServiceName":"frontend","rootTraceName":"GET /api/process",
             "startTimeUnixNano":"1795340287000000001","durationMs":182,
             "spanSet":{"spans":[],"matched":2},"spanSets":[{"spans":[],"matched":2}],
             "serviceStats":{"frontend":{"spanCount":3}}},
            {"traceID":"1"}],
            "metrics":{"inspectedBytes":"12"}}"#;
        let found = read(body).unwrap();
        assert_eq!(
            found[0],
            Match {
                trace_id: "abc".parse().unwrap(),
                root_service: "frontend".to_owned(),
                root_name: "GET /api/process".to_owned(),
                start_unix_nanos: 1_795_340_287_000_000_001,
                duration: Duration::from_millis(182),
                matched: 2,
            }
        );
        assert_eq!((found[1].start_unix_nanos, found[1].matched), (0, 0));
        assert_eq!(read(br#"{"metrics":{}}"#).unwrap(), []);
    }

    #[test]
    fn what_is_no_search_answer_is_refused() {
        assert!(read(b"<html>").is_err());
        assert!(
            read(br#"{"traces":[{"traceID":"zz"}]}"#)
                .unwrap_err()
                .contains("hex")
        );
        let odd = br#"{"traces":[{"traceID":"1","startTimeUnixNano":"soon"}]}"#;
        assert_eq!(read(odd).unwrap_err(), "startTimeUnixNano is no number");
    }
}
