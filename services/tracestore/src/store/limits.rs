//! How much a store may hold, and the sizes that follow from it.

/// Bounds of a store. What comes over them pushes the oldest traces out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that traces, their dictionaries and the index may take; the request at hand comes on top.
    pub max_bytes: usize,
    /// Traces held at a time.
    pub max_traces: usize,
    /// Bytes of one trace's spans on the wire; spans beyond are refused and counted, as in Tempo.
    pub max_trace_bytes: u32,
}

impl Limits {
    /// Default of [`Limits::max_bytes`]: about twice what [`Limits::DEFAULT_MAX_TRACES`] of the demo need.
    pub const DEFAULT_MAX_BYTES: usize = 512 * 1024 * 1024;
    /// Default of [`Limits::max_traces`].
    pub const DEFAULT_MAX_TRACES: usize = 200_000;
    /// Default of [`Limits::max_trace_bytes`]: Tempo's.
    pub const DEFAULT_MAX_TRACE_BYTES: u32 = 5_000_000;

    /// Traces in a chunk: enough to share a dictionary, few enough for the processor's cache; less in a small store,
    /// so that it does not lose much of what it holds with each chunk.
    pub(super) fn chunk_traces(&self) -> usize {
        (self.max_traces / 8).clamp(1, 1024)
    }

    /// Bytes at which a chunk takes no more new traces.
    pub(super) fn chunk_bytes(&self) -> usize {
        (self.max_bytes / 16).clamp(16 * 1024, 8 * 1024 * 1024)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bytes: Self::DEFAULT_MAX_BYTES,
            max_traces: Self::DEFAULT_MAX_TRACES,
            max_trace_bytes: Self::DEFAULT_MAX_TRACE_BYTES,
        }
    }
}
