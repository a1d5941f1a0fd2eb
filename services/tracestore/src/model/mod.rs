//! How traces lie in memory: [`Chunk`], a small columnar database of about a thousand whole traces.
//!
//! `wire` fills a [`Batch`](record::Batch) from a request's bytes, `store` puts it into chunks, `traceql` and
//! `api` read chunks. A chunk is self-contained: every code below is an index into that chunk's own dictionaries.
//!
//! Reading in brief. Rows are spans; columns are slices indexed by row. A predicate is evaluated once for each
//! dictionary entry and is then a table lookup per row:
//!
//! ```text
//! key "http.route" --Chunk::key_code--> key --Attributes::key_of(attr) == key--> attrs (distinct key + value)
//!   --Attributes::set(set) lists attrs--> sets --Chunk::attr_set column--> rows
//! ```
//!
//! Resources and scopes are dictionaries too ([`Chunk::resources`], [`Chunk::scopes`]), each with a set of its own.
//! The spans of a trace are all in one chunk: [`Chunk::trace_rows`] gathers them, [`Chunk::parents`] says which row
//! is whose parent. Rare fields (status message, trace state, events, links) are behind [`Chunk::extras`].

mod attrs;
mod chunk;
mod dict;
mod entry;
mod extras;
mod insert;
pub mod pb;
pub mod record;
mod value;

pub use attrs::Attributes;
pub use chunk::Chunk;
pub use dict::hash_bytes;
pub use entry::{Kind, NO_ROW, Resource, Row, Scope, Slot, Status, TraceEntry};
pub use extras::{Event, Extras, Link};
pub use insert::{Inserted, Memo};
pub use value::{AttrIter, AttrValue};
