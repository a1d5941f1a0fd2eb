//! Log lines by trace id, from Loki's `query_range` (Loki HTTP API). Called by
//! `gather`.

use std::collections::BTreeMap;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use tdemo_trace::TraceId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use super::evidence::{Line, Logged};
use super::wait::Pauses;
use crate::tempo::innermost;

/// How many lines of one trace are read.
const LIMIT: usize = 500;

/// A client of Loki.
#[derive(Debug, Clone)]
pub struct Loki {
    client: reqwest::Client,
    base: Url,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(default)]
    result: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    /// Each `[ns, line]`, or with structured metadata `[ns, line, {…}]`.
    #[serde(default)]
    values: Vec<Vec<serde_json::Value>>,
}

impl Loki {
    /// A client of the Loki at `base`, with `headers` on every request.
    ///
    /// # Errors
    /// This machine's TLS set-up.
    pub fn new(base: Url, headers: HeaderMap) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(std::time::Duration::from_secs(10))
            .build()?;
        Ok(Self { client, base })
    }

    /// Whether something answers here as Loki does.
    ///
    /// # Errors
    /// Why not, in one line.
    pub async fn probe(&self) -> Result<(), String> {
        self.query("{service_name=~\".+\"} |= \"-\"", (0, 1))
            .await
            .map(drop)
    }

    /// The lines of trace `id` between two moments in nanoseconds since the
    /// Unix epoch: those that contain the id, and those that have it as label
    /// or structured metadata, as lines that came by OTLP do.
    ///
    /// # Errors
    /// Loki cannot be read, in one line.
    pub async fn lines(&self, id: TraceId, window: (u64, u64)) -> Result<Vec<Line>, String> {
        let contains = format!("{{service_name=~\".+\"}} |= \"{id}\"");
        let labelled = format!("{{service_name=~\".+\"}} | trace_id=\"{id}\"");
        let mut lines = self.query(&contains, window).await?;
        for line in self.query(&labelled, window).await? {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    async fn query(&self, query: &str, (start, end): (u64, u64)) -> Result<Vec<Line>, String> {
        let parameters = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("start", &start.to_string())
            .append_pair("end", &end.to_string())
            .append_pair("limit", &LIMIT.to_string())
            .append_pair("direction", "forward")
            .finish();
        let base = self.base.as_str().trim_end_matches('/');
        let url = format!("{base}/loki/api/v1/query_range?{parameters}");
        let failed = |error: reqwest::Error| {
            format!("GET {base}/loki/api/v1/query_range: {}", innermost(&error))
        };
        let answer = self.client.get(&url).send().await.map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.text().await.unwrap_or_default();
            let said = body.lines().next().unwrap_or_default();
            return Err(format!(
                "GET {base}/loki/api/v1/query_range was answered {status}: {said}"
            ));
        }
        let answer: Answer = answer.json().await.map_err(failed)?;
        Ok(answer.data.result.into_iter().flat_map(read).collect())
    }
}

fn read(stream: Stream) -> Vec<Line> {
    let labels = stream.stream;
    stream
        .values
        .into_iter()
        .map(|value| {
            let mut fields = labels.clone();
            let mut parts = value.into_iter().skip(1);
            if let Some(serde_json::Value::String(line)) = parts.next() {
                fields.extend(json_fields(&line));
                fields.insert("line".to_owned(), line);
            }
            if let Some(serde_json::Value::Object(metadata)) = parts.next() {
                fields.extend(metadata.into_iter().map(text));
            }
            Line { fields }
        })
        .collect()
}

/// The top fields of a JSON line, as the services write them.
fn json_fields(line: &str) -> BTreeMap<String, String> {
    match serde_json::from_str(line) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(text).collect(),
        _ => BTreeMap::new(),
    }
}

fn text((key, value): (String, serde_json::Value)) -> (String, String) {
    match value {
        serde_json::Value::String(text) => (key, text),
        other => (key, other.to_string()),
    }
}

/// Reads the lines of trace `id` until each of `services` has one, `until` has
/// come, or `cut` is cancelled.
pub async fn wait_for(
    loki: &Loki,
    id: TraceId,
    services: &[&str],
    since_unix_nanos: u64,
    until: Instant,
    cut: &CancellationToken,
) -> Logged {
    let mut pauses = Pauses::until(until);
    loop {
        let window = (since_unix_nanos, super::ask::now_unix_nanos());
        let (lines, error) = match loki.lines(id, window).await {
            Ok(lines) => (lines, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let all = services
            .iter()
            .all(|service| lines.iter().any(|line| line.service() == Some(service)));
        if all || !pauses.next(cut).await {
            return Logged {
                trace_id: id,
                lines,
                error,
            };
        }
    }
}

impl Line {
    /// The service that wrote it: the field of the services' own JSON lines, or
    /// the label of lines that came by OTLP.
    pub fn service(&self) -> Option<&str> {
        ["service", "service_name"]
            .into_iter()
            .find_map(|name| self.fields.get(name))
            .map(String::as_str)
    }

    /// The id of its span.
    pub fn span_id(&self) -> Option<&str> {
        self.fields.get("span_id").map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_from_labels_the_json_line_and_structured_metadata() {
        let answer: Answer = serde_json::from_str(
            r#"{"status":"success","data":{"resultType":"streams","result":[
                {"stream":{"service_name":"tracing-demo-frontend"},"values":[
                    ["1","{\"service\":\"frontend\",\"span_id\":\"00f067aa0ba902b7\",\"n\":1}"]]},
                {"stream":{"service_name":"backend"},"values":[["2","plain",{"span_id":"a"}]]}],
              "stats":{}}}"#,
        )
        .unwrap();
        let lines: Vec<Line> = answer.data.result.into_iter().flat_map(read).collect();
        assert_eq!(
            lines[0].service(),
            Some("frontend"),
            "the line knows better than its pod"
        );
        assert_eq!(lines[0].span_id(), Some("00f067aa0ba902b7"));
        assert_eq!(lines[0].fields["n"], "1");
        assert_eq!(lines[1].service(), Some("backend"));
        assert_eq!(lines[1].span_id(), Some("a"));
        assert_eq!(lines[1].fields["line"], "plain");
    }
}
