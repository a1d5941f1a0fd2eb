//! A run of records in the order in which they came, with an index of their traces. Grown by
//! `store`, read by `query`, `streams` and `tail` through [`RecordRef`].
//!
//! All columns are plain vectors, so that a copy, which a writer makes while a reader still
//! holds the chunk, is a few block copies.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::ids;
use super::logql::Record;
use super::otlp::{Incoming, Origin};

/// No row: the end of a trace's chain.
const NO_ROW: u32 = u32::MAX;

/// Texts, each kept once.
#[derive(Debug, Clone, Default)]
struct Texts {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    by_text: HashTable<u32>,
}

impl Texts {
    fn get(&self, code: u32) -> &str {
        &self.text[range(&self.ends, code)]
    }

    fn code(&mut self, text: &str) -> u32 {
        let hasher = FixedState::default();
        let hash = hasher.hash_one(text);
        if let Some(code) = self.by_text.find(hash, |code| self.get(*code) == text) {
            return *code;
        }
        let code = row_number(self.ends.len());
        self.text.push_str(text);
        self.ends.push(row_number(self.text.len()));
        let (whole, ends) = (&self.text, &self.ends);
        self.by_text.insert_unique(hash, code, |code| {
            hasher.hash_one(&whole[range(ends, *code)])
        });
        code
    }
}

/// What `ends` says of the item `code`.
fn range(ends: &[u32], code: u32) -> Range<usize> {
    let at = code as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    start as usize..ends[at] as usize
}

/// Rows and offsets are counted in 32 bits; `store` begins a new chunk long before.
fn row_number(n: usize) -> u32 {
    u32::try_from(n).expect("a chunk is bounded far below 4 GiB by the store")
}

/// A bounded run of records.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    /// The number of the first record, counted over the store's life.
    first: u64,
    times: Vec<i64>,
    trace_ids: Vec<[u8; 16]>,
    span_ids: Vec<[u8; 8]>,
    observed: Vec<i64>,
    origins: Vec<u32>,
    lines: String,
    line_ends: Vec<u32>,
    /// Codes of name and value.
    pairs: Vec<(u32, u32)>,
    pair_ends: Vec<u32>,
    texts: Texts,
    origin_table: Vec<Arc<Origin>>,
    by_origin: HashTable<u32>,
    origin_bytes: usize,
    /// The row before it of the same trace.
    previous: Vec<u32>,
    /// The newest row of each trace.
    by_trace: HashTable<u32>,
    /// Every row by what it says, to find one that comes twice; gone once the chunk is full.
    by_content: HashTable<u32>,
    min_time: i64,
    max_time: i64,
    /// A record has a `trace_id` that is not in `trace_ids`.
    odd_trace_ids: bool,
}

impl Chunk {
    /// An empty chunk whose first record will have the number `first`.
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            min_time: i64::MAX,
            max_time: i64::MIN,
            ..Self::default()
        }
    }

    /// How many records it has.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// The number of its first record.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next record gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.len() as u64
    }

    /// The first and the last timestamp; the first is the later one while there is no record.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.min_time, self.max_time)
    }

    /// The timestamp of a row.
    pub(super) fn time(&self, row: u32) -> i64 {
        self.times[row as usize]
    }

    /// What the rows' origins are.
    pub(super) fn origins(&self) -> &[Arc<Origin>] {
        &self.origin_table
    }

    /// Index into [`Chunk::origins`].
    pub(super) fn origin_index(&self, row: u32) -> usize {
        self.origins[row as usize] as usize
    }

    /// The record of a row.
    pub(super) fn record(&self, row: u32) -> RecordRef<'_> {
        RecordRef { chunk: self, row }
    }

    /// Whether the `trace_id` of every record is known to [`Chunk::trace`] and [`Chunk::trace_id`].
    pub(super) fn knows_traces(&self) -> bool {
        !self.odd_trace_ids
    }

    /// The trace of a row, all zero if it has none.
    pub(super) fn trace_id(&self, row: u32) -> [u8; 16] {
        self.trace_ids[row as usize]
    }

    /// The rows of a trace, newest first.
    pub(super) fn trace(&self, id: [u8; 16]) -> impl Iterator<Item = u32> + '_ {
        let hash = FixedState::default().hash_one(id);
        let newest = self
            .by_trace
            .find(hash, |row| self.trace_ids[*row as usize] == id);
        std::iter::successors(newest.copied(), |row| {
            Some(self.previous[*row as usize]).filter(|row| *row != NO_ROW)
        })
    }

    /// Bytes that it takes, by the capacity of its parts.
    pub(super) fn bytes(&self) -> usize {
        let row = 8 + 16 + 8 + 8 + 4 + 4 + 4 + 4; // the columns, one value each
        let tables =
            self.by_trace.capacity() + self.by_content.capacity() + self.texts.by_text.capacity();
        self.times.capacity() * row
            + self.lines.capacity()
            + self.pairs.capacity() * 8
            + self.texts.text.capacity()
            + self.texts.ends.capacity() * 4
            + tables * 6 // a code and a control byte, at most 7/8 full
            + self.origin_bytes
    }

    /// Gives back what growing took in advance, once nothing is added any more.
    pub(super) fn seal(&mut self) {
        self.by_content = HashTable::new();
        self.by_origin = HashTable::new();
        self.texts.by_text = HashTable::new();
        self.times.shrink_to_fit();
        self.trace_ids.shrink_to_fit();
        self.span_ids.shrink_to_fit();
        self.observed.shrink_to_fit();
        self.origins.shrink_to_fit();
        self.lines.shrink_to_fit();
        self.line_ends.shrink_to_fit();
        self.pairs.shrink_to_fit();
        self.pair_ends.shrink_to_fit();
        self.texts.text.shrink_to_fit();
        self.texts.ends.shrink_to_fit();
        self.previous.shrink_to_fit();
    }

    /// The place of an origin in this chunk.
    pub(super) fn add_origin(&mut self, origin: &Arc<Origin>) -> u32 {
        let hasher = FixedState::default();
        let hash = hasher.hash_one(origin);
        let table = &self.origin_table;
        if let Some(at) = self
            .by_origin
            .find(hash, |at| table[*at as usize] == *origin)
        {
            return *at;
        }
        let at = row_number(table.len());
        self.origin_bytes += origin.bytes();
        self.by_origin
            .insert_unique(hash, at, |at| hasher.hash_one(&table[*at as usize]));
        self.origin_table.push(Arc::clone(origin));
        at
    }

    /// Adds a record of an origin; `false` if the chunk has exactly this record already, as
    /// happens when a sender repeats a request whose answer it lost.
    pub(super) fn push(&mut self, incoming: &Incoming<'_>, origin: u32) -> bool {
        let hasher = FixedState::default();
        let hash = content_hash(incoming.timestamp, origin, &incoming.line);
        let twin = self
            .by_content
            .find(hash, |row| self.is_same(*row, incoming, origin));
        if twin.is_some() {
            return false;
        }
        let row = row_number(self.len());
        self.min_time = self.min_time.min(incoming.timestamp);
        self.max_time = self.max_time.max(incoming.timestamp);
        self.times.push(incoming.timestamp);
        self.trace_ids.push(incoming.trace_id);
        self.span_ids.push(incoming.span_id);
        self.observed.push(incoming.observed);
        self.origins.push(origin);
        self.lines.push_str(&incoming.line);
        self.line_ends.push(row_number(self.lines.len()));
        for (name, value) in &incoming.metadata {
            self.odd_trace_ids |= name == "trace_id";
            let pair = (self.texts.code(name), self.texts.code(value));
            self.pairs.push(pair);
        }
        self.odd_trace_ids |= self.origin_table[origin as usize]
            .metadata("trace_id")
            .is_some();
        self.pair_ends.push(row_number(self.pairs.len()));

        let (times, origins, lines, line_ends) =
            (&self.times, &self.origins, &self.lines, &self.line_ends);
        self.by_content.insert_unique(hash, row, |row| {
            let at = *row as usize;
            content_hash(times[at], origins[at], &lines[range(line_ends, *row)])
        });
        self.previous.push(NO_ROW);
        if incoming.trace_id != [0; 16] {
            let hash = hasher.hash_one(incoming.trace_id);
            let ids = &self.trace_ids;
            match self
                .by_trace
                .find_mut(hash, |row| ids[*row as usize] == incoming.trace_id)
            {
                Some(newest) => self.previous[row as usize] = std::mem::replace(newest, row),
                None => {
                    self.by_trace
                        .insert_unique(hash, row, |row| hasher.hash_one(ids[*row as usize]));
                }
            }
        }
        true
    }

    fn is_same(&self, row: u32, incoming: &Incoming<'_>, origin: u32) -> bool {
        let at = row as usize;
        let pairs = &self.pairs[range(&self.pair_ends, row)];
        self.times[at] == incoming.timestamp
            && self.origins[at] == origin
            && self.trace_ids[at] == incoming.trace_id
            && self.span_ids[at] == incoming.span_id
            && self.record(row).line() == incoming.line
            && pairs.len() == incoming.metadata.len()
            && pairs
                .iter()
                .zip(&incoming.metadata)
                .all(|((name, value), incoming)| {
                    self.texts.get(*name) == incoming.0 && self.texts.get(*value) == incoming.1
                })
    }
}

fn content_hash(time: i64, origin: u32, line: &str) -> u64 {
    FixedState::default().hash_one((time, origin, line))
}

/// A stored record.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    chunk: &'a Chunk,
    row: u32,
}

impl<'a> RecordRef<'a> {
    /// Nanoseconds since the epoch.
    pub fn timestamp(&self) -> i64 {
        self.chunk.time(self.row)
    }

    /// Its place in the order in which records came.
    pub fn number(&self) -> u64 {
        self.chunk.first + u64::from(self.row)
    }

    /// The labels of its stream, by name.
    pub fn stream_labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.origin()
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Its structured metadata, in no order.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let chunk = self.chunk;
        let fields = ["trace_id", "span_id", "observed_timestamp"];
        let this = *self;
        let own = fields
            .into_iter()
            .filter_map(move |name| Some((name, this.field(name)?)));
        let pairs = chunk.pairs[range(&chunk.pair_ends, self.row)]
            .iter()
            .map(|(name, value)| {
                (
                    chunk.texts.get(*name),
                    Cow::Borrowed(chunk.texts.get(*value)),
                )
            });
        let shared = self.origin().metadata.iter();
        let shared = shared.map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
        own.chain(pairs).chain(shared)
    }

    /// A label of its stream.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.origin().label(name)
    }

    fn origin(&self) -> &'a Origin {
        &self.chunk.origin_table[self.chunk.origin_index(self.row)]
    }

    /// A value that has a column of its own.
    fn field(&self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.row as usize;
        let text = match name {
            "trace_id" => Some(&self.chunk.trace_ids[at][..])
                .filter(|id| **id != [0; 16])
                .map(ids::hex),
            "span_id" => Some(&self.chunk.span_ids[at][..])
                .filter(|id| **id != [0; 8])
                .map(ids::hex),
            "observed_timestamp" => Some(self.chunk.observed[at])
                .filter(|t| *t != 0)
                .map(|t| t.to_string()),
            _ => None,
        };
        text.map(Cow::Owned)
    }

    /// The line, for as long as the chunk lives.
    pub fn text(&self) -> &'a str {
        &self.chunk.lines[range(&self.chunk.line_ends, self.row)]
    }
}

impl Record for RecordRef<'_> {
    fn line(&self) -> &str {
        self.text()
    }

    fn stream_label(&self, name: &str) -> Option<&str> {
        self.label(name)
    }

    fn metadata(&self, name: &str) -> Option<Cow<'_, str>> {
        let chunk = self.chunk;
        let pair = || {
            let pairs = &chunk.pairs[range(&chunk.pair_ends, self.row)];
            pairs
                .iter()
                .find(|(n, _)| chunk.texts.get(*n) == name)
                .map(|(_, value)| Cow::Borrowed(chunk.texts.get(*value)))
        };
        let shared = || self.origin().metadata(name).map(Cow::Borrowed);
        self.field(name).or_else(pair).or_else(shared)
    }
}
