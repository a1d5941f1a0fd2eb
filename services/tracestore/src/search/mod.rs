//! Searches over a store's chunks: by TraceQL, by tags, and for the tags themselves.
//!
//! Called by `api`, on threads that may block. Pure: chunks in, findings out.

mod by_tags;
mod tags;

use std::num::NonZero;
use std::sync::Arc;

use crate::model::{Chunk, Slot};
use crate::traceql::Query;
use crate::traceql::eval::{self, Bounds, EvalError, FoundTrace, Plan};

pub(crate) use by_tags::{TagSearch, by_tags};
pub(crate) use tags::{SCOPES, TagFilter, tag_names, tag_values};

/// The traces that a query finds, newest first.
pub(crate) fn by_query(
    query: &Query,
    chunks: &[Arc<Chunk>],
    bounds: &Bounds,
) -> Result<Vec<FoundTrace>, EvalError> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut found = eval::search(&Plan::new(query), chunks, bounds, threads)?;
    found.sort_by_key(|trace| std::cmp::Reverse(trace.start_ns));
    Ok(found)
}

/// The traces of a chunk that are not evicted and overlap the time range, newest arrival first.
fn slots_within(chunk: &Chunk, start_ns: u64, end_ns: u64) -> impl Iterator<Item = Slot> + '_ {
    chunk.live_slots().rev().filter(move |&slot| {
        let trace = &chunk.traces()[slot as usize];
        trace.start_ns <= end_ns && trace.end_ns >= start_ns
    })
}
