//! A query over a snapshot: the first or last records of a time that a pipeline keeps, in order
//! of time. Called by the API's `query_range` and by a tail that begins in the past.

use std::collections::{BTreeMap, BinaryHeap};

use super::chunk::{Chunk, RecordRef};
use super::logql::{Fields, Pipeline};
use super::store::Snapshot;

/// In which order records are answered, and which of them if there are more than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The earliest, earliest first.
    Forward,
    /// The latest, latest first.
    Backward,
}

/// What to look for.
#[derive(Debug)]
pub struct LogQuery<'a> {
    /// Which records.
    pub pipeline: &'a Pipeline,
    /// From this time on (nanoseconds since the epoch).
    pub start: i64,
    /// Until before this time.
    pub end: i64,
    /// At most so many.
    pub limit: usize,
    /// From which end of the time.
    pub direction: Direction,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since the epoch.
    pub timestamp: i64,
    /// The line.
    pub line: String,
    /// Its labels, as the pipeline left them.
    pub labels: Labels,
}

/// The labels of an entry, by where they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// Of the stream.
    pub stream: BTreeMap<String, String>,
    /// Structured metadata.
    pub metadata: BTreeMap<String, String>,
    /// Made by the pipeline.
    pub parsed: BTreeMap<String, String>,
}

/// Entries in order, and what it took to find them.
#[derive(Debug, Default)]
pub struct Answer {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Records that the pipeline looked at.
    pub lines: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// Where a record stands in the answer: less is earlier in it.
type Rank = (i64, u64);

/// Runs a query. It reads in the order of the chunks' times and stops when no further chunk can
/// hold a record that belongs to the answer.
pub fn run(snapshot: &Snapshot, query: &LogQuery<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut chunks: Vec<(i64, usize)> = snapshot
        .chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| chunk.times().0 < query.end && chunk.times().1 >= query.start)
        .map(|(at, chunk)| (best_time(chunk, query.direction), at))
        .collect();
    chunks.sort_unstable();

    let mut search = Search {
        query,
        best: BinaryHeap::new(),
        fields: Fields::default(),
    };
    for (best, at) in chunks {
        if search.is_beyond((best, 0)) {
            break;
        }
        search.chunk(&snapshot.chunks[at], at, &mut answer);
    }
    let Search {
        best, mut fields, ..
    } = search;
    answer.entries = best
        .into_sorted_vec()
        .into_iter()
        .map(|(_, chunk, row)| {
            let record = snapshot.chunks[chunk].record(row);
            query.pipeline.run(&record, &mut fields);
            Entry::new(&record, &fields)
        })
        .collect();
    answer
}

fn best_time(chunk: &Chunk, direction: Direction) -> i64 {
    let (min, max) = chunk.times();
    match direction {
        Direction::Forward => min,
        Direction::Backward => !max,
    }
}

struct Search<'a> {
    query: &'a LogQuery<'a>,
    /// The best so far with chunk and row, the worst of them on top.
    best: BinaryHeap<(Rank, usize, u32)>,
    fields: Fields,
}

impl Search<'_> {
    /// Whether the answer is full of better records.
    fn is_beyond(&self, rank: Rank) -> bool {
        self.best.len() >= self.query.limit
            && self.best.peek().is_none_or(|(worst, ..)| rank > *worst)
    }

    fn chunk(&mut self, chunk: &Chunk, at: usize, answer: &mut Answer) {
        let pipeline = self.query.pipeline;
        let hint = pipeline.trace().filter(|_| chunk.knows_traces());
        let by_index = hint.filter(|hint| !hint.or_in_line);
        if by_index.is_some_and(|hint| chunk.trace(hint.id).next().is_none()) {
            return;
        }
        let selected: Vec<bool> = chunk
            .origins()
            .iter()
            .map(|origin| pipeline.selects(|name| origin.label(name)))
            .collect();
        if !selected.contains(&true) {
            return;
        }
        match by_index {
            Some(hint) => {
                for row in chunk.trace(hint.id) {
                    self.row(chunk, at, row, &selected, answer);
                }
            }
            None => {
                for row in 0..u32::try_from(chunk.len()).unwrap_or(u32::MAX) {
                    let other_trace = hint.is_some_and(|hint| {
                        let id = chunk.trace_id(row);
                        id != hint.id && id != [0; 16]
                    });
                    if !other_trace {
                        self.row(chunk, at, row, &selected, answer);
                    }
                }
            }
        }
    }

    fn row(&mut self, chunk: &Chunk, at: usize, row: u32, selected: &[bool], answer: &mut Answer) {
        let time = chunk.time(row);
        let query = self.query;
        if time < query.start || time >= query.end || !selected[chunk.origin_index(row)] {
            return;
        }
        let record = chunk.record(row);
        let rank = match query.direction {
            Direction::Forward => (time, record.number()),
            Direction::Backward => (!time, !record.number()),
        };
        if self.is_beyond(rank) {
            return;
        }
        answer.lines += 1;
        answer.bytes += record.text().len() as u64;
        if query.pipeline.run(&record, &mut self.fields) {
            self.best.push((rank, at, row));
            if self.best.len() > query.limit {
                self.best.pop();
            }
        }
    }
}

impl Entry {
    /// A record as the pipeline left it.
    pub fn new(record: &RecordRef<'_>, fields: &Fields) -> Self {
        Self {
            timestamp: record.timestamp(),
            line: record.text().to_owned(),
            labels: Labels::new(record, fields),
        }
    }
}

impl Labels {
    fn new(record: &RecordRef<'_>, fields: &Fields) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            stream: record
                .stream_labels()
                .filter(|(name, _)| !fields.hides(name))
                .map(owned)
                .collect(),
            metadata: record
                .all_metadata()
                .filter(|(name, _)| !fields.hides(name))
                .map(|(name, value)| (name.to_owned(), value.into_owned()))
                .collect(),
            parsed: fields.parsed().map(owned).collect(),
        }
    }

    /// All of them as Loki shows them unless asked to keep them apart.
    pub fn merged(&self) -> BTreeMap<&str, &str> {
        [&self.stream, &self.metadata, &self.parsed]
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}
