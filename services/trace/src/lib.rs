//! A trace as a tree, built from OTLP, and what may be asked of it.
//!
//! Nothing here does any I/O: bytes come in, findings go out. So what the
//! command-line tool asserts of the demo, anyone can assert in their own tests.
//!
//! - [`id`], [`value`], [`span`], [`trace`]: the model.
//! - [`otlp`]: from and to OTLP (protobuf, JSON, and Tempo's forms of both).
//! - [`tree`]: parents and children, orphans, self-time, the critical path.
//! - [`owed`]: what one answer of a service owes; completeness, defined once.
//! - [`rules`]: what else must be true of a trace, each rule with its source.
//! - [`expect`]: what someone expects of their own services, as a file.
//! - [`facts`]: the TraceQL queries that must find a trace.

pub mod expect;
pub mod facts;
pub mod id;
pub mod otlp;
pub mod owed;
pub mod rules;
pub mod span;
pub mod trace;
pub mod tree;
pub mod value;

#[cfg(test)]
mod fixture;

pub use id::{ParseIdError, SpanId, TraceId};
pub use owed::{Answer, Caller, Completeness, Flaw, Owed, Tier};
pub use span::{Span, SpanKind, StatusCode};
pub use trace::Trace;
pub use tree::Tree;
pub use value::{Attributes, Value};
