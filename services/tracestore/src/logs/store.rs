//! The log store: chunks of records behind one lock, bounded, what came first going first.
//!
//! As in the trace store a reader holds the lock for as long as it takes to clone a few pointers
//! and a writer for at most [`RECORDS_AT_A_TIME`] records, and a writer copies the newest chunk
//! before it changes it if a reader still holds it. So reads do not block writes, and an answer
//! is always of one moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::chunk::{Chunk, RecordRef};
use super::otlp::{self, Batch, Incoming, OtlpLogsError};

/// How many records are stored before the lock is offered to whoever waits for it.
const RECORDS_AT_A_TIME: usize = 256;

/// Bounds of a log store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes that the records and their index may take; the request at hand comes on top.
    pub max_bytes: usize,
    /// Records held at a time.
    pub max_records: usize,
    /// Bytes of one record's line and metadata; a larger one is refused and counted, as in Loki.
    pub max_record_bytes: usize,
}

impl LogLimits {
    /// Default of [`LogLimits::max_bytes`].
    pub const DEFAULT_MAX_BYTES: usize = 256 * 1024 * 1024;
    /// Default of [`LogLimits::max_records`].
    pub const DEFAULT_MAX_RECORDS: usize = 1_000_000;
    /// Default of [`LogLimits::max_record_bytes`]: Loki's.
    pub const DEFAULT_MAX_RECORD_BYTES: usize = 256 * 1024;

    /// Records in a chunk: few enough to copy in no time, and a small part of what may be held,
    /// because a chunk is given up as a whole.
    fn chunk_records(&self) -> usize {
        (self.max_records / 16).clamp(1, 4096)
    }

    /// Bytes at which a chunk takes no more records.
    fn chunk_bytes(&self) -> usize {
        (self.max_bytes / 16).min(2 * 1024 * 1024)
    }
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_bytes: Self::DEFAULT_MAX_BYTES,
            max_records: Self::DEFAULT_MAX_RECORDS,
            max_record_bytes: Self::DEFAULT_MAX_RECORD_BYTES,
        }
    }
}

/// What became of the records of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// New records.
    pub stored: u64,
    /// Records that were there already, in every byte.
    pub duplicate: u64,
    /// Records refused because they are too large.
    pub too_large: u64,
}

/// What a log store holds, and what became of all records that came in:
/// `received = held + evicted + duplicate + too_large`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Records held.
    pub held: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Records received.
    pub received: u64,
    /// Records that came twice.
    pub duplicate: u64,
    /// Records refused because they are too large.
    pub too_large: u64,
    /// Records given up to make room.
    pub evicted: u64,
}

/// A bounded in-memory store of log records.
#[derive(Debug)]
pub struct LogStore {
    limits: LogLimits,
    state: Mutex<State>,
    /// The number that the next record gets.
    end: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; never empty, and only the last one grows.
    chunks: VecDeque<Arc<Chunk>>,
    /// Bytes of all chunks but the last.
    sealed_bytes: usize,
    stats: LogStats,
}

impl LogStore {
    /// An empty store.
    pub fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                chunks: VecDeque::from([Arc::new(Chunk::new(0))]),
                sealed_bytes: 0,
                stats: LogStats::default(),
            }),
            end: watch::Sender::new(0),
        }
    }

    /// Stores a request. All of it is visible to every read that begins after this returns.
    ///
    /// # Errors
    /// When an id in it has the wrong length; then nothing of it is stored.
    pub fn export(
        &self,
        request: &ExportLogsServiceRequest,
    ) -> Result<ExportReport, OtlpLogsError> {
        let batch = otlp::batch(request, now())?;
        let mut report = ExportReport::default();
        if batch.records.is_empty() {
            return Ok(report);
        }
        let mut state = self.state.lock();
        for records in batch.records.chunks(RECORDS_AT_A_TIME) {
            state.insert(records, &batch, &self.limits, &mut report);
            MutexGuard::bump(&mut state);
        }
        let end = state.chunks.back().map_or(0, |chunk| chunk.end());
        drop(state);
        // Of two requests at a time, the one that ends first may be the later one here.
        self.end.send_modify(|known| *known = end.max(*known));
        Ok(report)
    }

    /// Everything stored at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.lock();
        Snapshot {
            chunks: state.chunks.iter().cloned().collect(),
        }
    }

    /// Changes whenever a request has been stored; its value is the number that the next record
    /// gets, as [`Snapshot::end`].
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// What the store holds, and what became of all records.
    pub fn stats(&self) -> LogStats {
        let state = self.state.lock();
        let open = state.chunks.back().map_or(0, |chunk| chunk.bytes());
        LogStats {
            bytes: (state.sealed_bytes + open) as u64,
            ..state.stats
        }
    }

    /// The bounds that the store was made with.
    pub fn limits(&self) -> LogLimits {
        self.limits
    }
}

impl State {
    fn insert(
        &mut self,
        records: &[Incoming<'_>],
        batch: &Batch<'_>,
        limits: &LogLimits,
        report: &mut ExportReport,
    ) {
        let mut pushed = ExportReport::default();
        for record in records {
            if record.bytes() > limits.max_record_bytes {
                pushed.too_large += 1;
                continue;
            }
            let chunk = self.open_chunk(limits);
            let origin = chunk.add_origin(&batch.origins[record.origin]);
            if chunk.push(record, origin) {
                pushed.stored += 1;
                self.stats.held += 1;
                self.evict(limits);
            } else {
                pushed.duplicate += 1;
            }
        }
        self.stats.received += records.len() as u64;
        self.stats.duplicate += pushed.duplicate;
        self.stats.too_large += pushed.too_large;
        report.stored += pushed.stored;
        report.duplicate += pushed.duplicate;
        report.too_large += pushed.too_large;
    }

    /// The chunk that takes the next record: the last one, or a new one if that is full.
    fn open_chunk(&mut self, limits: &LogLimits) -> &mut Chunk {
        let last = self.chunks.back_mut().expect("there is always a chunk");
        let full = last.len() >= limits.chunk_records()
            || (last.len() > 0 && last.bytes() >= limits.chunk_bytes());
        if full {
            Arc::make_mut(last).seal();
            let (bytes, end) = (last.bytes(), last.end());
            self.sealed_bytes += bytes;
            self.chunks.push_back(Arc::new(Chunk::new(end)));
        }
        let last = self.chunks.back_mut().expect("there is always a chunk");
        Arc::make_mut(last)
    }

    /// Gives up the oldest chunks until the rest is within the bounds; the last one always stays.
    fn evict(&mut self, limits: &LogLimits) {
        let open = self.chunks.back().map_or(0, |chunk| chunk.bytes());
        while self.chunks.len() > 1
            && (self.stats.held > limits.max_records as u64
                || self.sealed_bytes + open > limits.max_bytes)
        {
            if let Some(oldest) = self.chunks.pop_front() {
                self.sealed_bytes -= oldest.bytes();
                self.stats.held -= oldest.len() as u64;
                self.stats.evicted += oldest.len() as u64;
            }
        }
    }
}

/// An unchanging view of everything stored at one moment, in the order in which it came.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) chunks: Vec<Arc<Chunk>>,
}

impl Snapshot {
    /// The number of the oldest record held; see [`RecordRef::number`].
    pub fn first(&self) -> u64 {
        self.chunks.first().map_or(0, |chunk| chunk.first())
    }

    /// The number that the next record gets.
    pub fn end(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.end())
    }

    /// The records from a number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = RecordRef<'_>> {
        let later = self.chunks.partition_point(|chunk| chunk.end() <= number);
        self.chunks[later..].iter().flat_map(move |chunk| {
            let skip = number.saturating_sub(chunk.first());
            (0..chunk.len() as u64)
                .skip(usize::try_from(skip).unwrap_or(usize::MAX))
                .filter_map(|row| u32::try_from(row).ok())
                .map(|row| chunk.record(row))
        })
    }
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
