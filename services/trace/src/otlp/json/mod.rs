//! Traces as JSON: read leniently, written strictly.
//!
//! Three forms are about. OTLP/JSON (OTLP specification, "JSON Protobuf
//! Encoding"): ids in hex, enums as numbers, `{"resourceSpans":[…]}`; the
//! OpenTelemetry Collector's file exporter writes one such object a line.
//! Tempo's by-id routes: ids in base64, enums by name, `{"batches":[…]}` or
//! `{"trace":{"resourceSpans":[…]},…}`. [`decode`] takes all of them: hex and
//! base64 ids differ in length, so nothing has to be guessed. [`encode`] writes
//! the first.

mod read;
mod write;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::OtlpError;
use super::tempo::TraceByIdResponse;

/// Reads any of the three forms.
///
/// Unknown fields are skipped and `null` counts as absent, as the protobuf-JSON
/// mapping asks. That ids have the right length is checked, that they are not
/// zero is left to [`Trace::from_otlp`](crate::Trace::from_otlp).
///
/// # Errors
/// [`OtlpError::NotJson`], [`OtlpError::Shape`] with the path of what is wrong.
pub fn decode(bytes: &[u8]) -> Result<Vec<ResourceSpans>, OtlpError> {
    let answer = decode_by_id(bytes)?;
    Ok(answer.trace.unwrap_or_default().resource_spans)
}

/// Reads any of the three forms, keeping what Tempo's `/api/v2/traces/{id}`
/// says beside the trace.
///
/// # Errors
/// As [`decode`].
pub fn decode_by_id(bytes: &[u8]) -> Result<TraceByIdResponse, OtlpError> {
    let json = serde_json::from_slice(bytes)?;
    read::answer(&json).map_err(read::Fault::into_error)
}

/// Writes OTLP/JSON: one object, on one line, fields at their default left out.
pub fn encode(groups: &[ResourceSpans]) -> String {
    write::traces(groups).to_string()
}

#[cfg(test)]
mod tests;
