//! Writing to a chunk: new traces, new spans, and what becomes of spans that are there already.
//!
//! Called by `store` alone, under its lock; everything that can be done without the chunk was done before, by `wire`.

use std::hash::Hash;
use std::sync::atomic::Ordering;

use hashbrown::HashTable;

use super::chunk::Chunk;
use super::dict::{Dict, Tag, hash_pair, hash_value, to_u32};
use super::entry::{ExtraEntry, NO_ROW, Resource, Row, Scope, Slot, TraceEntry};
use super::record::{Batch, GroupRecord, NONE, SpanRecord, Text};

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is a new row.
    Stored,
    /// The trace has a span of this id and kind: the first one stays.
    Duplicate,
}

/// Remembers, for one request, which codes its names, attributes and resources have in the chunk last written to.
#[derive(Debug)]
pub struct Memo {
    names: Vec<Known<u32>>,
    regions: Vec<Known<u32>>,
    groups: Vec<Known<(u32, u32)>>,
}

/// A code, and the number of the chunk it belongs to.
#[derive(Debug, Clone, Copy, Default)]
struct Known<T> {
    chunk: Option<u32>,
    code: T,
}

impl<T: Copy> Known<T> {
    fn get(&mut self, chunk: u32, find: impl FnOnce() -> T) -> T {
        if self.chunk != Some(chunk) {
            *self = Known {
                chunk: Some(chunk),
                code: find(),
            };
        }
        self.code
    }
}

impl Memo {
    /// An empty memory for a batch.
    pub fn new(batch: &Batch<'_>) -> Self {
        Memo {
            names: vec![Known::default(); batch.names.len()],
            regions: vec![Known::default(); batch.regions.len()],
            groups: vec![Known::default(); batch.groups.len()],
        }
    }
}

impl Chunk {
    /// Adds a trace without spans and returns its slot. The caller gives it a span right away.
    pub fn add_trace(&mut self, id: u128) -> Slot {
        let slot = to_u32(self.traces.len());
        self.traces.push(TraceEntry {
            id,
            start_ns: u64::MAX,
            end_ns: 0,
            spans: 0,
            root: NO_ROW,
            wire_bytes: 0,
            cut: false,
            last: NO_ROW,
        });
        slot
    }

    /// Adds a span of `batch` to the trace in `slot`. `number` names this chunk to the memo.
    pub fn insert(
        &mut self,
        number: u32,
        slot: Slot,
        span: &SpanRecord,
        batch: &Batch<'_>,
        memo: &mut Memo,
    ) -> Inserted {
        let kind_status = span.kind | span.status << 4;
        let mut same_id = self.find_spans(slot, span.span_id);
        if same_id.any(|row| self.columns.kind_status[row as usize] & 0x0f == span.kind) {
            return Inserted::Duplicate;
        }
        drop(same_id);
        self.parents.take();

        let name = memo.names[span.name as usize].get(number, || {
            intern_text(&mut self.names, batch.names[span.name as usize])
        });
        let attrs = memo.regions[span.attrs as usize].get(number, || {
            self.attributes
                .intern_set(&batch.regions[span.attrs as usize])
        });
        let (resource, scope) = memo.groups[span.group as usize].get(number, || {
            self.intern_group(&batch.groups[span.group as usize])
        });
        let extras = self.add_extras(span, batch);

        let row = self.rows();
        let trace = &mut self.traces[slot as usize];
        let columns = &mut self.columns;
        columns.slot.push(slot);
        columns.prev.push(trace.last);
        columns.span_id.push(span.span_id);
        columns.parent_id.push(span.parent_id);
        columns.start_ns.push(span.start_ns);
        columns.end_ns.push(span.end_ns);
        columns.name.push(name);
        columns.kind_status.push(kind_status);
        columns.flags.push(span.flags);
        columns.resource.push(resource);
        columns.scope.push(scope);
        columns.attrs.push(attrs);
        columns.extras.push(extras);

        trace.last = row;
        trace.spans += 1;
        trace.wire_bytes = trace.wire_bytes.saturating_add(span.wire_bytes);
        trace.start_ns = trace.start_ns.min(span.start_ns);
        trace.end_ns = trace.end_ns.max(span.end_ns);
        if span.parent_id == 0
            && earlier(
                columns.start_ns.as_slice(),
                &columns.span_id,
                row,
                trace.root,
            )
        {
            trace.root = row;
        }

        self.span_table
            .insert_unique(hash_pair(u64::from(slot), span.span_id), row, |&row| {
                hash_pair(
                    u64::from(columns.slot[row as usize]),
                    columns.span_id[row as usize],
                )
            });
        Inserted::Stored
    }

    /// Notes that the trace was refused spans, because it or the chunk is too large.
    pub fn mark_cut(&mut self, slot: Slot) {
        self.traces[slot as usize].cut = true;
    }

    /// Marks the traces before `slot` as evicted.
    pub fn kill_before(&self, slot: Slot) {
        self.first_live.store(slot, Ordering::Relaxed);
    }

    /// Gives spare room back: no new trace will come in, though late spans may.
    pub fn seal(&mut self) {
        self.columns.shrink();
        self.traces.shrink_to_fit();
        self.attributes.shrink();
        self.names.shrink();
        self.texts.shrink();
        self.resources.shrink_to_fit();
        self.scopes.shrink_to_fit();
        self.extras.shrink_to_fit();
        self.extra_bytes.shrink_to_fit();
    }

    fn add_extras(&mut self, span: &SpanRecord, batch: &Batch<'_>) -> u32 {
        if span.extras == NONE {
            return NO_ROW;
        }
        let record = &batch.extras[span.extras as usize];
        let start = to_u32(self.extra_bytes.len());
        self.extra_bytes
            .extend_from_slice(&batch.arena[record.raw.start as usize..record.raw.end as usize]);
        let index = to_u32(self.extras.len());
        self.extras.push(ExtraEntry {
            status_message: intern_text(&mut self.texts, Text::new(record.status_message)),
            trace_state: intern_text(&mut self.texts, Text::new(record.trace_state)),
            start,
            end: to_u32(self.extra_bytes.len()),
        });
        index
    }

    fn intern_group(&mut self, group: &GroupRecord<'_>) -> (u32, u32) {
        let resource = Resource {
            attrs: self.attributes.intern_set(&group.resource_attrs),
            dropped: group.resource_dropped,
            schema_url: intern_text(&mut self.texts, group.resource_schema_url),
        };
        let scope = Scope {
            name: intern_text(&mut self.texts, group.scope_name),
            version: intern_text(&mut self.texts, group.scope_version),
            attrs: self.attributes.intern_set(&group.scope_attrs),
            dropped: group.scope_dropped,
            schema_url: intern_text(&mut self.texts, group.scope_schema_url),
        };
        (
            intern_value(&mut self.resources, &mut self.resource_table, resource),
            intern_value(&mut self.scopes, &mut self.scope_table, scope),
        )
    }
}

/// Whether `row` comes before `than` (by start, then span id), or there is nothing to compare with.
fn earlier(starts_ns: &[u64], span_ids: &[u64], row: Row, than: Row) -> bool {
    let key = |row: Row| (starts_ns[row as usize], span_ids[row as usize]);
    than == NO_ROW || key(row) < key(than)
}

fn intern_text(dict: &mut Dict, text: Text<'_>) -> u32 {
    dict.intern(text.hash, text.text.as_bytes())
}

fn intern_value<T: Copy + Eq + Hash>(
    values: &mut Vec<T>,
    table: &mut HashTable<Tag>,
    value: T,
) -> u32 {
    let tag = Tag::new(hash_value(&value), to_u32(values.len()));
    let known = table.find(tag.hash(), |found| {
        found.same_hash(tag) && values[found.code as usize] == value
    });
    if let Some(found) = known {
        return found.code;
    }
    values.push(value);
    table.insert_unique(tag.hash(), tag, |tag| tag.hash());
    tag.code
}
