//! What the store's lock protects: the chunks, the index, the counters; and the rules of filling and evicting them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::index::{Index, Place};
use super::{InsertReport, Limits};
use crate::model::record::{Batch, SpanRecord};
use crate::model::{Chunk, Inserted, Memo, Slot};

/// A chunk that late spans have grown to this size takes no more of them: its offsets are 32 bits wide.
const MAX_CHUNK_BYTES: usize = 1024 * 1024 * 1024;

/// A count of what is held, and of what ever happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Traces held now.
    pub traces: u64,
    /// Spans held now.
    pub spans: u64,
    /// Bytes held now: chunks with their spare room, and the index.
    pub bytes: u64,
    /// Traces ever begun.
    pub traces_created: u64,
    /// Spans ever stored.
    pub spans_stored: u64,
    /// Spans that were there already when they came in.
    pub spans_duplicate: u64,
    /// Spans refused because their trace was too large.
    pub spans_too_large: u64,
    /// Traces evicted to make room.
    pub traces_evicted: u64,
    /// Spans of evicted traces.
    pub spans_evicted: u64,
}

#[derive(Debug)]
struct Held {
    chunk: Arc<Chunk>,
    /// What was last counted for it in `State::chunk_bytes`.
    bytes: usize,
    first_live: Slot,
}

#[derive(Debug)]
pub(super) struct State {
    limits: Limits,
    /// Oldest first; new traces go to the last one.
    held: VecDeque<Held>,
    /// The number of `held[0]`; the others follow on.
    first_number: u32,
    index: Index,
    /// The sum of `Held::bytes`.
    chunk_bytes: usize,
    /// Counters; the "now" fields are filled in by `stats`, but for `spans`.
    stats: Stats,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        State {
            limits,
            held: VecDeque::new(),
            first_number: 0,
            index: Index::new(),
            chunk_bytes: 0,
            stats: Stats::default(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn chunks(&self) -> Vec<Arc<Chunk>> {
        self.held
            .iter()
            .map(|held| Arc::clone(&held.chunk))
            .collect()
    }

    pub(super) fn find(&self, trace_id: u128) -> Option<(Arc<Chunk>, Slot)> {
        let place = self.index.get(trace_id)?;
        Some((
            Arc::clone(&self.held[self.position(place.chunk)].chunk),
            place.slot,
        ))
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            traces: self.index.len() as u64,
            bytes: self.bytes() as u64,
            ..self.stats
        }
    }

    /// Stores some spans of a batch, then makes room.
    pub(super) fn insert(
        &mut self,
        spans: &[SpanRecord],
        batch: &Batch<'_>,
        memo: &mut Memo,
        report: &mut InsertReport,
    ) {
        let mut touched: Option<u32> = None;
        for span in spans {
            let place = match self.index.get(span.trace_id) {
                Some(place) => place,
                None => self.begin_trace(span.trace_id),
            };
            if let Some(before) = touched.replace(place.chunk)
                && before != place.chunk
            {
                self.recount(before);
            }
            self.insert_span(place, span, batch, memo, report);
        }
        if let Some(number) = touched {
            self.recount(number);
        }
        self.keep_within_bytes();
    }

    fn insert_span(
        &mut self,
        place: Place,
        span: &SpanRecord,
        batch: &Batch<'_>,
        memo: &mut Memo,
        report: &mut InsertReport,
    ) {
        let position = self.position(place.chunk);
        let held = &mut self.held[position];
        let chunk = Arc::make_mut(&mut held.chunk);
        let trace_bytes = chunk.traces()[place.slot as usize].wire_bytes;
        if trace_bytes.saturating_add(span.wire_bytes) > self.limits.max_trace_bytes
            || held.bytes > MAX_CHUNK_BYTES
        {
            chunk.mark_cut(place.slot);
            report.too_large += 1;
            self.stats.spans_too_large += 1;
            return;
        }
        match chunk.insert(place.chunk, place.slot, span, batch, memo) {
            Inserted::Stored => {
                report.stored += 1;
                self.stats.spans_stored += 1;
                self.stats.spans += 1;
            }
            Inserted::Duplicate => {
                report.duplicate += 1;
                self.stats.spans_duplicate += 1;
            }
        }
    }

    fn begin_trace(&mut self, id: u128) -> Place {
        while self.index.len() >= self.limits.max_traces.max(1) {
            self.evict_oldest();
        }
        let full = self.held.back().is_none_or(|last| {
            last.chunk.traces().len() >= self.limits.chunk_traces()
                || last.bytes >= self.limits.chunk_bytes()
        });
        if full {
            self.begin_chunk();
        }
        let position = self.held.len() - 1;
        let slot = Arc::make_mut(&mut self.held[position].chunk).add_trace(id);
        let place = Place {
            chunk: self.number(position),
            slot,
        };
        self.index.insert(id, place);
        self.stats.traces_created += 1;
        place
    }

    fn begin_chunk(&mut self) {
        if let Some(last) = self.held.back_mut() {
            Arc::make_mut(&mut last.chunk).seal();
            let number = self.number(self.held.len() - 1);
            self.recount(number);
        }
        self.held.push_back(Held {
            chunk: Arc::default(),
            bytes: 0,
            first_live: 0,
        });
    }

    /// Evicts the trace that began to arrive first; the chunk goes with its last trace, unless it is the one that new
    /// traces go to.
    fn evict_oldest(&mut self) {
        let is_last = self.held.len() == 1;
        let Some(held) = self.held.front_mut() else {
            return;
        };
        if let Some(trace) = held.chunk.traces().get(held.first_live as usize) {
            self.index.remove(trace.id);
            self.stats.traces_evicted += 1;
            self.stats.spans_evicted += u64::from(trace.spans);
            self.stats.spans -= u64::from(trace.spans);
            held.first_live += 1;
            held.chunk.kill_before(held.first_live);
        }
        if held.first_live as usize == held.chunk.traces().len() && !is_last {
            self.drop_oldest_chunk();
        }
    }

    /// Evicts whole chunks until the rest is within the limit: nothing less gives memory back.
    fn keep_within_bytes(&mut self) {
        while self.bytes() > self.limits.max_bytes && !self.held.is_empty() {
            let chunks = self.held.len();
            while self.held.len() == chunks {
                let oldest = &self.held[0];
                if oldest.first_live as usize == oldest.chunk.traces().len() {
                    self.drop_oldest_chunk();
                } else {
                    self.evict_oldest();
                }
            }
        }
    }

    fn drop_oldest_chunk(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.chunk_bytes -= held.bytes;
            self.first_number = self.first_number.wrapping_add(1);
        }
    }

    fn recount(&mut self, number: u32) {
        // The chunk may have been evicted to make room for a trace of the same batch.
        let position = self.position(number);
        if let Some(held) = self.held.get_mut(position) {
            let bytes = held.chunk.allocated_bytes();
            self.chunk_bytes = self.chunk_bytes - held.bytes + bytes;
            held.bytes = bytes;
        }
    }

    /// Chunks and the index's entries; the index keeps the room it once needed, which is bounded by `max_traces`.
    fn bytes(&self) -> usize {
        self.chunk_bytes + self.index.allocated_bytes()
    }

    fn position(&self, number: u32) -> usize {
        number.wrapping_sub(self.first_number) as usize
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "numbers wrap around, far apart from each other"
    )]
    fn number(&self, position: usize) -> u32 {
        self.first_number.wrapping_add(position as u32)
    }
}
