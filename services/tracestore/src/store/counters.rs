//! What the receivers counted. Kept beside the store, so that `/metrics` has one place to ask.

use std::sync::atomic::{AtomicU64, Ordering};

/// By which protocol a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 2] = [Transport::Grpc, Transport::Http];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Grpc => "grpc",
            Transport::Http => "http",
        }
    }
}

/// Why a whole request was refused though it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// A trace id of the wrong length, or zero.
    InvalidTraceId,
    /// A span id of the wrong length, or zero.
    InvalidSpanId,
}

impl RefusalReason {
    /// All of them.
    pub const ALL: [RefusalReason; 2] =
        [RefusalReason::InvalidTraceId, RefusalReason::InvalidSpanId];

    /// The name in metrics, which is Tempo's.
    pub fn name(self) -> &'static str {
        match self {
            RefusalReason::InvalidTraceId => "invalid_trace_id",
            RefusalReason::InvalidSpanId => "invalid_span_id",
        }
    }
}

/// Counts of received requests. Numbers only grow.
#[derive(Debug, Default)]
pub struct Counters {
    accepted_spans: [AtomicU64; Transport::ALL.len()],
    refused_spans: [AtomicU64; Transport::ALL.len()],
    refused_for: [AtomicU64; RefusalReason::ALL.len()],
    received_bytes: AtomicU64,
}

impl Counters {
    /// A request of so many spans and (unpacked) bytes was taken.
    pub fn count_accepted(&self, transport: Transport, spans: u64, bytes: u64) {
        add(&self.accepted_spans[transport as usize], spans);
        add(&self.received_bytes, bytes);
    }

    /// A request of so many spans was refused.
    pub fn count_refused(&self, transport: Transport, reason: RefusalReason, spans: u64) {
        add(&self.refused_spans[transport as usize], spans);
        add(&self.refused_for[reason as usize], spans);
    }

    /// Spans taken by a transport.
    pub fn accepted_spans(&self, transport: Transport) -> u64 {
        get(&self.accepted_spans[transport as usize])
    }

    /// Spans refused by a transport.
    pub fn refused_spans(&self, transport: Transport) -> u64 {
        get(&self.refused_spans[transport as usize])
    }

    /// Spans refused for a reason.
    pub fn refused_for(&self, reason: RefusalReason) -> u64 {
        get(&self.refused_for[reason as usize])
    }

    /// Spans of all requests that could be read.
    pub fn received_spans(&self) -> u64 {
        let by_transport =
            |transport| self.accepted_spans(transport) + self.refused_spans(transport);
        Transport::ALL.into_iter().map(by_transport).sum()
    }

    /// Bytes of all requests taken.
    pub fn received_bytes(&self) -> u64 {
        get(&self.received_bytes)
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
