//! One span and what hangs on it: the owned model that everything else reads.
//!
//! A span does not repeat its trace's id; the [`Trace`](crate::Trace) that
//! holds it has it.

use std::fmt;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::EntityRef;
use serde::{Deserialize, Serialize};

use crate::id::{SpanId, TraceId};
use crate::value::Attributes;

/// What part a span plays in a call (OpenTelemetry specification, "`SpanKind`").
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum SpanKind {
    /// Not said, or a number that OTLP does not know.
    #[default]
    Unspecified,
    /// Work inside one service.
    Internal,
    /// The side that answers a request.
    Server,
    /// The side that sends a request.
    Client,
    /// The side that hands over a message.
    Producer,
    /// The side that takes a message.
    Consumer,
}

impl SpanKind {
    /// Every kind, in OTLP's order: the place is OTLP's number.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];

    /// The upper-case word, without OTLP's prefix: `SERVER`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a span says that its work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum StatusCode {
    /// Nothing was said, which is how success looks.
    #[default]
    Unset,
    /// Someone declared it a success.
    Ok,
    /// It failed.
    Error,
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unset => "Unset",
            Self::Ok => "Ok",
            Self::Error => "Error",
        })
    }
}

/// The status of a span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// How it went.
    pub code: StatusCode,
    /// Words for people; empty where there are none.
    pub message: String,
}

/// The thing that a span was made by: a process of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// `service.name` and the like.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Which of the attributes name which entity; carried through as it came.
    pub entity_refs: Vec<EntityRef>,
    /// The schema of the attributes; empty where unknown.
    pub schema_url: String,
}

/// The library or module that made a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Its name; empty where unknown.
    pub name: String,
    /// Its version; empty where unknown.
    pub version: String,
    /// What else is known of it.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// The schema of the spans' attributes; empty where unknown.
    pub schema_url: String,
}

/// Something that happened at one moment of a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// When, in nanoseconds since the Unix epoch.
    pub unix_nanos: u64,
    /// What: `exception`, for one.
    pub name: String,
    /// Its details.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

/// A pointer to another span, of this trace or of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// The other span's `tracestate`.
    pub trace_state: String,
    /// Details.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// OTLP's raw flags, as in [`Span::flags`].
    pub flags: u32,
}

/// How many things the sender left out of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

/// One operation of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its id, meant to be unique in the trace.
    pub id: SpanId,
    /// The span that caused it; `None` for a root.
    pub parent: Option<SpanId>,
    /// What it does: `GET /api/data`.
    pub name: String,
    /// Its part in a call.
    pub kind: SpanKind,
    /// How it went.
    pub status: Status,
    /// Start, in nanoseconds since the Unix epoch.
    pub start_unix_nanos: u64,
    /// End, in nanoseconds since the Unix epoch.
    pub end_unix_nanos: u64,
    /// What is known of it.
    pub attributes: Attributes,
    /// What happened on the way, in the order it came in.
    pub events: Vec<Event>,
    /// What it points to.
    pub links: Vec<Link>,
    /// OTLP's raw 32 bits: the low eight are the W3C trace flags, bits 8 and 9
    /// say whether the parent is remote. [`Span::trace_flags`] masks them.
    pub flags: u32,
    /// The `tracestate` that it carried; empty where there was none.
    pub trace_state: String,
    /// Who made it.
    pub resource: Arc<Resource>,
    /// What in there made it.
    pub scope: Arc<Scope>,
    /// What the sender left out.
    pub dropped: Dropped,
}

impl Span {
    /// The `service.name` of its resource; empty where there is none.
    pub fn service(&self) -> &str {
        self.resource
            .attributes
            .get_str("service.name")
            .unwrap_or_default()
    }

    /// How long it took. A span that ends before it starts took no time.
    pub fn duration_nanos(&self) -> u64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos)
    }

    /// The W3C trace flags alone (`0x01` sampled, `0x02` random).
    pub fn trace_flags(&self) -> u8 {
        self.flags.to_le_bytes()[0]
    }

    /// Whether its parent came from another process; `None` where the sender
    /// did not say (OTLP's `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`).
    pub fn parent_is_remote(&self) -> Option<bool> {
        (self.flags & 0x100 != 0).then_some(self.flags & 0x200 != 0)
    }

    /// Service, kind and name in one line: `backend SERVER GET /api/data`.
    pub fn label(&self) -> String {
        let service = match self.service() {
            "" => "(no service.name)",
            name => name,
        };
        format!("{service} {} {}", self.kind, self.name)
    }
}
