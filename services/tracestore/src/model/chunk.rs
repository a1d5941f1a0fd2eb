//! [`Chunk`]: the spans of about a thousand whole traces as columns, with the dictionaries they point into.
//!
//! Written by `insert` under the store's lock, read by `traceql` and `api` through an `Arc`: what a reader holds never
//! changes (the store copies a chunk before it writes to one that somebody reads), but for the evicted traces, which
//! [`Chunk::live_slots`] leaves out from the moment they are evicted.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;

use super::attrs::Attributes;
use super::dict::{Dict, Tag, hash_pair, to_u32};
use super::entry::{ExtraEntry, Kind, NO_ROW, Resource, Row, Scope, Slot, Status, TraceEntry};
use super::extras::Extras;

/// Copies a vector with its spare room, so that the copy grows no sooner than the original would have.
fn copy<T: Copy>(from: &Vec<T>) -> Vec<T> {
    let mut to = Vec::with_capacity(from.capacity());
    to.extend_from_slice(from);
    to
}

/// Declares the columns once, with what must be done to every one of them.
macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Columns { $($(#[$doc])* pub(super) $name: Vec<$type>,)* }

        impl Clone for Columns {
            fn clone(&self) -> Self {
                Columns { $($name: copy(&self.$name),)* }
            }
        }

        impl Columns {
            pub(super) fn shrink(&mut self) {
                $(self.$name.shrink_to_fit();)*
            }

            pub(super) fn allocated_bytes(&self) -> usize {
                0 $(+ self.$name.capacity() * size_of::<$type>())*
            }
        }
    };
}

columns! {
    slot: Slot,
    /// The row before this one in the same trace, or `NO_ROW`.
    prev: Row,
    span_id: u64,
    parent_id: u64,
    start_ns: u64,
    end_ns: u64,
    name: u32,
    /// Kind in the low four bits, status in the high four.
    kind_status: u8,
    flags: u32,
    resource: u32,
    scope: u32,
    attrs: u32,
    /// Index into `Chunk::extras`, or `NO_ROW`.
    extras: u32,
}

/// The spans of a run of traces. See the module's documentation for how to read it.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    pub(super) columns: Columns,
    pub(super) traces: Vec<TraceEntry>,
    pub(super) attributes: Attributes,
    pub(super) names: Dict,
    /// Everything else that is text: scopes, schema URLs, status messages, trace states.
    pub(super) texts: Dict,
    pub(super) resources: Vec<Resource>,
    pub(super) resource_table: HashTable<Tag>,
    pub(super) scopes: Vec<Scope>,
    pub(super) scope_table: HashTable<Tag>,
    pub(super) extras: Vec<ExtraEntry>,
    pub(super) extra_bytes: Vec<u8>,
    /// Rows by (slot, span id).
    pub(super) span_table: HashTable<Row>,
    /// Found when first asked for after a change.
    pub(super) parents: OnceLock<Box<[Row]>>,
    /// Shared by all copies of the chunk, so that an eviction copies nothing.
    pub(super) first_live: Arc<AtomicU32>,
}

impl Chunk {
    /// How many spans there are, those of evicted traces included.
    pub fn rows(&self) -> u32 {
        to_u32(self.columns.slot.len())
    }

    /// The slots of the traces that are not evicted. Eviction goes by arrival, so they are a run at the end.
    pub fn live_slots(&self) -> Range<Slot> {
        let end = to_u32(self.traces.len());
        self.first_live.load(Ordering::Relaxed).min(end)..end
    }

    /// Whether the trace has been evicted: such rows must not be answered.
    pub fn is_dead(&self, slot: Slot) -> bool {
        slot < self.first_live.load(Ordering::Relaxed)
    }

    /// All traces, evicted ones included (see [`Chunk::live_slots`]), indexed by slot.
    pub fn traces(&self) -> &[TraceEntry] {
        &self.traces
    }

    /// The rows of a trace, latest arrival first.
    pub fn trace_rows(&self, slot: Slot) -> impl Iterator<Item = Row> + '_ {
        let mut row = self.traces[slot as usize].last;
        std::iter::from_fn(move || {
            let here = (row != NO_ROW).then_some(row)?;
            row = self.columns.prev[here as usize];
            Some(here)
        })
    }

    /// Column: each row's trace.
    pub fn slots(&self) -> &[Slot] {
        &self.columns.slot
    }

    /// Column: span ids, big-endian.
    pub fn span_ids(&self) -> &[u64] {
        &self.columns.span_id
    }

    /// Column: parent span ids, big-endian; 0 means none.
    pub fn parent_ids(&self) -> &[u64] {
        &self.columns.parent_id
    }

    /// Column: start, Unix nanoseconds.
    pub fn starts_ns(&self) -> &[u64] {
        &self.columns.start_ns
    }

    /// Column: end, Unix nanoseconds; may lie before the start when the sender's clock jumped.
    pub fn ends_ns(&self) -> &[u64] {
        &self.columns.end_ns
    }

    /// Column: span name codes (see [`Chunk::name`]).
    pub fn name_codes(&self) -> &[u32] {
        &self.columns.name
    }

    /// Column: OTLP kind number in the low four bits, status number in the high four.
    pub fn kind_status(&self) -> &[u8] {
        &self.columns.kind_status
    }

    /// Column: OTLP flags as sent.
    pub fn flags(&self) -> &[u32] {
        &self.columns.flags
    }

    /// Column: indexes into [`Chunk::resources`].
    pub fn resource_codes(&self) -> &[u32] {
        &self.columns.resource
    }

    /// Column: indexes into [`Chunk::scopes`].
    pub fn scope_codes(&self) -> &[u32] {
        &self.columns.scope
    }

    /// Column: each span's attributes, as a set code of [`Chunk::attributes`].
    pub fn attr_sets(&self) -> &[u32] {
        &self.columns.attrs
    }

    /// A row's kind.
    pub fn kind(&self, row: Row) -> Kind {
        Kind::from_number(self.columns.kind_status[row as usize] & 0x0f)
    }

    /// A row's status.
    pub fn status(&self, row: Row) -> Status {
        Status::from_number(self.columns.kind_status[row as usize] >> 4)
    }

    /// A row's rare fields, or `None` when it has none of them.
    pub fn extras(&self, row: Row) -> Option<Extras<'_>> {
        let entry = self
            .extras
            .get(self.columns.extras[row as usize] as usize)?;
        Some(Extras {
            status_message: self.texts.text(entry.status_message),
            trace_state: self.texts.text(entry.trace_state),
            raw: &self.extra_bytes[entry.start as usize..entry.end as usize],
        })
    }

    /// Whether any row has rare fields at all (no events, links or status messages otherwise).
    pub fn has_extras(&self) -> bool {
        !self.extras.is_empty()
    }

    /// The attribute dictionaries that spans, resources and scopes point into.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Distinct resources.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Distinct scopes.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// How many distinct span names there are.
    pub fn name_count(&self) -> u32 {
        self.names.len()
    }

    /// A span name.
    pub fn name(&self, code: u32) -> &str {
        self.names.text(code)
    }

    /// A text that a [`Resource`] or [`Scope`] points to.
    pub fn text(&self, code: u32) -> &str {
        self.texts.text(code)
    }

    /// The rows of a trace that have this span id: none, one, or several of different kinds (Zipkin's shared ids).
    pub fn find_spans(&self, slot: Slot, span_id: u64) -> impl Iterator<Item = Row> + '_ {
        self.span_table
            .iter_hash(hash_pair(u64::from(slot), span_id))
            .copied()
            .filter(move |&row| {
                self.columns.slot[row as usize] == slot
                    && self.columns.span_id[row as usize] == span_id
            })
    }

    /// Each row's parent row, or [`NO_ROW`] for roots and for spans whose parent is not (yet) here. Worked out once after
    /// a change, then an array. Ids are the senders': following parents may run in a circle.
    pub fn parents(&self) -> &[Row] {
        self.parents
            .get_or_init(|| (0..self.rows()).map(|row| self.find_parent(row)).collect())
    }

    /// Where a client and a server span share an id, children belong to the server, and a server to the client.
    fn find_parent(&self, row: Row) -> Row {
        let parent_id = self.columns.parent_id[row as usize];
        if parent_id == 0 {
            return NO_ROW;
        }
        let wanted = if self.kind(row) == Kind::Server {
            Kind::Client
        } else {
            Kind::Server
        };
        self.find_spans(self.columns.slot[row as usize], parent_id)
            .filter(|&found| found != row)
            .min_by_key(|&found| (self.kind(found) != wanted, found))
            .unwrap_or(NO_ROW)
    }

    /// Bytes that the chunk holds, spare room included.
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Self>()
            + self.columns.allocated_bytes()
            + self.traces.capacity() * size_of::<TraceEntry>()
            + self.attributes.allocated_bytes()
            + self.names.allocated_bytes()
            + self.texts.allocated_bytes()
            + self.resources.capacity() * size_of::<Resource>()
            + self.resource_table.allocation_size()
            + self.scopes.capacity() * size_of::<Scope>()
            + self.scope_table.allocation_size()
            + self.extras.capacity() * size_of::<ExtraEntry>()
            + self.extra_bytes.capacity()
            + self.span_table.allocation_size()
            // The parents, which any reader may make it work out.
            + self.columns.slot.len() * size_of::<Row>()
    }
}
