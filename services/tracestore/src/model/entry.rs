//! The entries of a chunk's tables: what spans point at, and what is known of a trace as a whole.

/// Index of a span in its chunk's columns.
pub type Row = u32;

/// Index of a trace in its chunk's trace table; traces are in order of arrival.
pub type Slot = u32;

/// "No such row": the parent of a root or of an orphan.
pub const NO_ROW: Row = u32::MAX;

/// OTLP span kinds. What a sender made up beyond these is read as `Unspecified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 0
    Unspecified,
    /// 1
    Internal,
    /// 2
    Server,
    /// 3
    Client,
    /// 4
    Producer,
    /// 5
    Consumer,
}

impl Kind {
    /// The kind with OTLP's number.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Kind::Internal,
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Unspecified,
        }
    }
}

/// OTLP status codes. What a sender made up beyond these is read as `Unset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 0
    Unset,
    /// 1
    Ok,
    /// 2
    Error,
}

impl Status {
    /// The status with OTLP's number.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Status::Ok,
            2 => Status::Error,
            _ => Status::Unset,
        }
    }
}

/// A distinct resource: a set of attributes and a little more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Set code in [`Chunk::attributes`](super::Chunk::attributes).
    pub attrs: u32,
    /// How many attributes the sender dropped.
    pub dropped: u32,
    /// [`Chunk::text`](super::Chunk::text) code of the schema URL.
    pub schema_url: u32,
}

/// A distinct instrumentation scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// [`Chunk::text`](super::Chunk::text) code of the name.
    pub name: u32,
    /// [`Chunk::text`](super::Chunk::text) code of the version.
    pub version: u32,
    /// Set code in [`Chunk::attributes`](super::Chunk::attributes).
    pub attrs: u32,
    /// How many attributes the sender dropped.
    pub dropped: u32,
    /// [`Chunk::text`](super::Chunk::text) code of the spans' schema URL.
    pub schema_url: u32,
}

/// What is known of a trace as a whole; kept up to date with every span that comes in.
#[derive(Debug, Clone, Copy)]
pub struct TraceEntry {
    /// Big-endian trace id.
    pub id: u128,
    /// Earliest start of a span, Unix nanoseconds.
    pub start_ns: u64,
    /// Latest end of a span, Unix nanoseconds.
    pub end_ns: u64,
    /// How many spans it has.
    pub spans: u32,
    /// The span without parent id (of several: the earliest, then the smallest span id), or [`NO_ROW`].
    pub root: Row,
    /// Bytes of its spans on the wire.
    pub wire_bytes: u32,
    /// Whether spans of it were refused because it had grown too large.
    pub cut: bool,
    /// Its latest row; [`Chunk::trace_rows`](super::Chunk::trace_rows) follows the chain from here.
    pub(super) last: Row,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ExtraEntry {
    pub(super) status_message: u32,
    pub(super) trace_state: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}
