//! Sends traces of a file to an OTLP receiver, so that a stack of our own can
//! search and serve them. Called by `cmd::trace` and `tdemo up --import`.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tdemo_trace::Trace;

/// Spans a request: well below what receivers take in one (4 MiB).
const SPANS_A_REQUEST: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The receiver did not take the traces.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It could not be reached.
    #[error("POST {url}: {source}")]
    Transport {
        /// What was asked.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// It said no.
    #[error("POST {url} was answered {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// Its status.
        status: reqwest::StatusCode,
        /// Its words.
        body: String,
    },
}

/// Sends `traces` to the OTLP/HTTP receiver at `base`.
pub async fn send(base: &str, traces: &[Trace]) -> Result<(), ImportError> {
    let url = format!("{}/v1/traces", base.trim_end_matches('/'));
    let transport = |source: reqwest::Error| ImportError::Transport {
        url: url.clone(),
        source: source.without_url(),
    };
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(transport)?;
    for batch in batches(traces) {
        // An ExportTraceServiceRequest has the bytes of a TracesData.
        let answer = client
            .post(&url)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            )
            .body(batch.encode_to_vec())
            .send()
            .await
            .map_err(transport)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(ImportError::Refused {
                body: answer.text().await.unwrap_or_default(),
                url,
                status,
            });
        }
    }
    Ok(())
}

/// Whole traces together, up to [`SPANS_A_REQUEST`] spans.
fn batches(traces: &[Trace]) -> Vec<TracesData> {
    let mut batches: Vec<TracesData> = Vec::new();
    let mut spans = SPANS_A_REQUEST;
    for trace in traces {
        if spans + trace.spans.len() > SPANS_A_REQUEST {
            batches.push(TracesData::default());
            spans = 0;
        }
        spans += trace.spans.len();
        if let Some(batch) = batches.last_mut() {
            batch.resource_spans.extend(trace.to_otlp());
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::demo;

    #[test]
    fn batches_hold_whole_traces_and_lose_none() {
        let traces: Vec<Trace> = (0..300).map(|_| demo()).collect();
        let batches = batches(&traces);
        assert_eq!(batches.len(), 3, "125 traces of 8 spans each fit");
        let spans: usize = batches
            .iter()
            .flat_map(|batch| &batch.resource_spans)
            .flat_map(|group| &group.scope_spans)
            .map(|scope| scope.spans.len())
            .sum();
        assert_eq!(spans, 2_400);
        assert!(super::batches(&[]).is_empty());
    }
}
