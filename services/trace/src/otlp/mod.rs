//! From and to OTLP, and to the forms in which Tempo gives traces out.
//!
//! - [`json`]: OTLP/JSON and Tempo's JSON, read by one lenient reader, written
//!   strictly.
//! - [`tempo`]: the answers of Tempo's by-id routes.
//! - this file: between the generated messages and the [model](crate::span).

pub mod json;
mod message;
pub mod tempo;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use prost::Message as _;
use thiserror::Error;

use crate::id::TraceId;

pub(crate) use message::{read_spans, write_spans};

/// Something is not the OTLP that it should be.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// An id has the wrong length or is all zeros, which OTLP forbids.
    #[error(
        "span {span:?} has an invalid {field}: OTLP asks for {expected} bytes that are not all zero, and it has {found}"
    )]
    BadId {
        /// The name of the span.
        span: String,
        /// Which id: `trace_id`, `span_id`, `parent_span_id`, `link`.
        field: &'static str,
        /// Bytes that it should have.
        expected: usize,
        /// What it has: a length, or zeros.
        found: String,
    },
    /// A look-up by id was answered with a span of another trace.
    #[error("trace {asked} was asked for, and a span of trace {found} came back")]
    OtherTrace {
        /// The id in the question.
        asked: TraceId,
        /// The id in the answer.
        found: TraceId,
    },
    /// The bytes are no protobuf message of this kind.
    #[error("the {what} is not valid protobuf: {source}")]
    Protobuf {
        /// The message that was expected.
        what: &'static str,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// The text is no JSON at all.
    #[error("the trace is not valid JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The JSON is not that of a trace.
    #[error("at {path}: expected {expected}, found {found}")]
    Shape {
        /// Where in the text: `resourceSpans[0].scopeSpans[0].spans[3].kind`.
        path: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// Reads OTLP `TracesData` (and so `ExportTraceServiceRequest` and the body of
/// Tempo's `/api/traces/{id}`, whose bytes are the same) from protobuf.
///
/// # Errors
/// [`OtlpError::Protobuf`].
pub fn decode_protobuf(bytes: &[u8]) -> Result<Vec<ResourceSpans>, OtlpError> {
    let data = TracesData::decode(bytes).map_err(|source| OtlpError::Protobuf {
        what: "TracesData",
        source,
    })?;
    Ok(data.resource_spans)
}
