//! What Tempo answers when it is asked for a trace by id.
//!
//! `GET /api/traces/{id}` gives OTLP's `TracesData`, for which
//! [`decode_protobuf`](super::decode_protobuf) and [`json`](super::json) serve.
//! `GET /api/v2/traces/{id}` wraps it in the message of this file.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

use super::OtlpError;

/// Tempo's `TraceByIDResponse` (`tempopb`), with the fields that a reader
/// needs; others are skipped. An unknown id is answered with an empty trace.
#[derive(Clone, PartialEq, Message)]
pub struct TraceByIdResponse {
    /// The spans; the bytes of Tempo's `Trace` are those of `TracesData`.
    #[prost(message, optional, tag = "1")]
    pub trace: Option<TracesData>,
    /// What the search cost.
    #[prost(message, optional, tag = "2")]
    pub metrics: Option<TraceByIdMetrics>,
    /// Whether all of the trace is here.
    #[prost(enumeration = "PartialStatus", tag = "3")]
    pub status: i32,
    /// Why it is not.
    #[prost(string, tag = "4")]
    pub message: String,
}

/// Tempo's `TraceByIDMetrics`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct TraceByIdMetrics {
    /// Bytes that Tempo read to find the trace.
    #[prost(uint64, tag = "1")]
    pub inspected_bytes: u64,
}

/// Tempo's `PartialStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PartialStatus {
    /// All that is stored.
    Complete = 0,
    /// Too large, or a part could not be read: `message` says which.
    Partial = 1,
}

impl TraceByIdResponse {
    /// Reads the protobuf form (`Accept: application/protobuf`).
    ///
    /// # Errors
    /// [`OtlpError::Protobuf`].
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, OtlpError> {
        Self::decode(bytes).map_err(|source| OtlpError::Protobuf {
            what: "TraceByIDResponse",
            source,
        })
    }
}
