//! The store: chunks of traces behind one lock, bounded, the oldest trace going first.
//!
//! `receiver` calls [`Store::insert`]; `api` and `search` take a [`Snapshot`] or one trace's chunk and read without
//! the lock. A reader holds the lock for as long as it takes to clone a few pointers, a writer for at most
//! a few hundred spans; a writer copies a chunk before it changes it if a reader still holds it. So reads do not
//! block writes, and an answer is always of one moment.

mod counters;
mod index;
mod limits;
mod state;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tdemo_trace::{Trace, TraceId};
use tokio::sync::watch;

use crate::byid::{self, Found};
use crate::logs::{LogLimits, LogStore};
use crate::model::record::Batch;
use crate::model::{Chunk, Memo, Slot};
use state::State;

pub use counters::{Counters, RefusalReason, Transport};
pub use limits::Limits;
pub use state::Stats;

/// How many spans are stored before the lock is offered to whoever waits for it.
const SPANS_AT_A_TIME: usize = 256;

/// What became of the spans of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InsertReport {
    /// New spans.
    pub stored: u64,
    /// Spans that were there already; the first one stays.
    pub duplicate: u64,
    /// Spans refused because their trace is too large.
    pub too_large: u64,
}

/// An unchanging view of everything stored at one moment, oldest chunk first.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The chunks; see [`Chunk::live_slots`] for which of their traces count.
    pub chunks: Vec<Arc<Chunk>>,
}

/// A bounded in-memory trace store, with the logs beside it.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    /// Counts the batches stored.
    version: watch::Sender<u64>,
    counters: Counters,
    logs: Arc<LogStore>,
}

impl Store {
    /// An empty store; the bounds of its logs are the default ones.
    pub fn new(limits: Limits) -> Self {
        Store::with_logs(limits, LogLimits::default())
    }

    /// An empty store.
    pub fn with_logs(limits: Limits, log_limits: LogLimits) -> Self {
        Store {
            state: Mutex::new(State::new(limits)),
            version: watch::Sender::new(0),
            counters: Counters::default(),
            logs: Arc::new(LogStore::new(log_limits)),
        }
    }

    /// Stores a decoded request. All of it is visible to every read that begins after this returns.
    pub fn insert(&self, batch: &Batch<'_>) -> InsertReport {
        let mut report = InsertReport::default();
        if batch.spans.is_empty() {
            return report;
        }
        let mut memo = Memo::new(batch);
        let mut state = self.state.lock();
        for spans in batch.spans.chunks(SPANS_AT_A_TIME) {
            state.insert(spans, batch, &mut memo, &mut report);
            MutexGuard::bump(&mut state);
        }
        drop(state);
        self.version.send_modify(|version| *version += 1);
        report
    }

    /// Everything stored at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            chunks: self.state.lock().chunks(),
        }
    }

    /// The chunk and slot that hold a trace, given its id as a big-endian number.
    pub fn find(&self, trace_id: u128) -> Option<(Arc<Chunk>, Slot)> {
        self.state.lock().find(trace_id)
    }

    /// Changes whenever spans have been stored: for waiting until a trace is complete.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What the store holds, and what became of all spans that came in.
    pub fn stats(&self) -> Stats {
        self.state.lock().stats()
    }

    /// A stored trace, in the form that its judges work on. `None` if it is not stored, or (which is logged) is one that
    /// they do not read: they are stricter than OTLP about the ids of links.
    pub fn trace(&self, trace_id: TraceId) -> Option<Trace> {
        let (chunk, slot) = self.find(u128::from_be_bytes(trace_id.0))?;
        let otlp = byid::protobuf_v1(&Found::new(&chunk, slot));
        tdemo_trace::otlp::decode_protobuf(&otlp)
            .and_then(|spans| Trace::one_from_otlp(trace_id, spans))
            .inspect_err(|error| tracing::warn!(%trace_id, %error, "cannot read a stored trace"))
            .ok()
    }

    /// The log records.
    pub fn logs(&self) -> &Arc<LogStore> {
        &self.logs
    }

    /// What the receivers counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The bounds that the store was made with.
    pub fn limits(&self) -> Limits {
        self.state.lock().limits()
    }
}
