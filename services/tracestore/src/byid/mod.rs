//! One trace, put together again: grouped by resource and scope, sorted, written as protobuf or JSON.
//!
//! Called by `api` for the by-id routes and by [`Store::trace`](crate::store::Store::trace). Whatever the order, the
//! split or the repetition in which the spans came in, the answer is the same.

mod json;
mod protobuf;

use crate::model::{Chunk, Row, Slot};

pub use json::{write_v1 as json_v1, write_v2 as json_v2};
pub use protobuf::{write_v1 as protobuf_v1, write_v2 as protobuf_v2};

/// The spans of one resource.
#[derive(Debug)]
pub struct ResourceGroup {
    /// Index into [`Chunk::resources`].
    pub resource: u32,
    /// Its spans by scope.
    pub scopes: Vec<ScopeGroup>,
}

/// The spans of one scope of a resource.
#[derive(Debug)]
pub struct ScopeGroup {
    /// Index into [`Chunk::scopes`].
    pub scope: u32,
    /// By start, then span id.
    pub rows: Vec<Row>,
}

/// A stored trace, ready to be written.
#[derive(Debug)]
pub struct Found<'a> {
    chunk: &'a Chunk,
    slot: Slot,
    groups: Vec<ResourceGroup>,
}

impl<'a> Found<'a> {
    /// Gathers the trace in `slot`.
    pub fn new(chunk: &'a Chunk, slot: Slot) -> Self {
        Found {
            chunk,
            slot,
            groups: gather(chunk, slot),
        }
    }

    /// Bytes of the trace's spans as they were sent: what Tempo would call inspected.
    fn wire_bytes(&self) -> u64 {
        u64::from(self.chunk.traces()[self.slot as usize].wire_bytes)
    }

    /// Whether spans are missing because the trace grew too large.
    pub fn is_partial(&self) -> bool {
        self.chunk.traces()[self.slot as usize].cut
    }

    /// What is said of a partial trace.
    pub fn partial_message(&self) -> Option<&'static str> {
        self.is_partial()
            .then_some("Trace exceeds the maximum size, a partial trace is returned")
    }
}

/// Groups come in the order of their earliest span, as do the spans in them.
fn gather(chunk: &Chunk, slot: Slot) -> Vec<ResourceGroup> {
    let mut rows: Vec<Row> = chunk.trace_rows(slot).collect();
    let time = |row: Row| {
        let row = row as usize;
        (
            chunk.starts_ns()[row],
            chunk.span_ids()[row],
            chunk.kind_status()[row],
        )
    };
    rows.sort_unstable_by_key(|&row| time(row));
    let resource_of = |row: Row| chunk.resource_codes()[row as usize];
    let scope_of = |row: Row| chunk.scope_codes()[row as usize];
    let resource_rank = ranks(
        chunk.resources().len(),
        rows.iter().map(|&row| resource_of(row)),
    );
    let scope_rank = ranks(chunk.scopes().len(), rows.iter().map(|&row| scope_of(row)));
    // Stable: within a group the order by time remains.
    rows.sort_by_key(|&row| {
        (
            resource_rank[resource_of(row) as usize],
            scope_rank[scope_of(row) as usize],
        )
    });

    let mut groups: Vec<ResourceGroup> = Vec::new();
    for row in rows {
        if groups
            .last()
            .is_none_or(|group| group.resource != resource_of(row))
        {
            groups.push(ResourceGroup {
                resource: resource_of(row),
                scopes: Vec::new(),
            });
        }
        let Some(group) = groups.last_mut() else {
            continue;
        };
        match group.scopes.last_mut() {
            Some(scope) if scope.scope == scope_of(row) => scope.rows.push(row),
            _ => group.scopes.push(ScopeGroup {
                scope: scope_of(row),
                rows: vec![row],
            }),
        }
    }
    groups
}

/// For each code that occurs, at which place it occurs first.
fn ranks(codes: usize, occurring: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ranks = vec![u32::MAX; codes];
    for (place, code) in (0_u32..).zip(occurring) {
        let rank = &mut ranks[code as usize];
        *rank = place.min(*rank);
    }
    ranks
}
