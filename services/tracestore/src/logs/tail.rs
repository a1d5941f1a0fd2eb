//! Following the log: where a reader stands, what is new for it, and what it has missed. No
//! sockets and no clock in here; `api` has one [`Tail`] for each WebSocket.
//!
//! The store is the queue: a tail only remembers how far it has read. So a burst costs no
//! memory and loses nothing, and a reader that is slow for longer than [`TailOptions::max_lag`]
//! skips what it can no longer read in time, with a list of what that was.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::chunk::RecordRef;
use super::logql::{Fields, Pipeline};
use super::query::{self, Direction, Entry, LogQuery};
use super::store::Snapshot;

/// Entries in a page, as in Loki.
const PAGE_ENTRIES: usize = 100;
/// Bytes of lines at which a page ends before that.
const PAGE_BYTES: usize = 1 << 20;
/// How many skipped entries are listed, as in Loki; more are only counted.
const MAX_LISTED: usize = 1000;
/// Arrivals closer to each other than this count as one.
const GRAIN: Duration = Duration::from_millis(5);

/// How a tail reads.
#[derive(Debug, Clone, Copy)]
pub struct TailOptions {
    /// How long a record waits, so that later ones can still be put before it in order of time.
    pub delay: Duration,
    /// How long after that a reader may take to read it before it is skipped.
    pub max_lag: Duration,
}

/// A skipped entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Nanoseconds since the epoch.
    pub timestamp: i64,
    /// Its labels, merged.
    pub labels: BTreeMap<String, String>,
}

/// What is new for a reader.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// New entries: in order of arrival, or with a delay in order of time.
    pub entries: Vec<Entry>,
    /// Entries skipped since the last page, at most 1,000.
    pub skipped: Vec<Skipped>,
    /// How many were skipped since the last page: those listed, those beyond the list, and
    /// records that the store gave up before anyone could tell whether they were wanted.
    pub missed: u64,
}

impl Page {
    /// Whether there is nothing in it to tell the reader.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.missed == 0
    }
}

/// A reader's place in the log.
#[derive(Debug)]
pub struct Tail {
    pipeline: Pipeline,
    options: TailOptions,
    fields: Fields,
    /// The number of the next record to read.
    next: u64,
    /// When which records had arrived: up to the number, exclusive. Increasing in both.
    arrivals: VecDeque<(Instant, u64)>,
    skipped: Vec<Skipped>,
    missed: u64,
}

impl Tail {
    /// Begins at the end of the snapshot, with the last `limit` entries from `start`
    /// (nanoseconds since the epoch) up to there, in order of time.
    pub fn begin(
        pipeline: Pipeline,
        options: TailOptions,
        snapshot: &Snapshot,
        start: i64,
        limit: usize,
    ) -> (Self, Vec<Entry>) {
        let mut past = query::run(
            snapshot,
            &LogQuery {
                pipeline: &pipeline,
                start,
                end: i64::MAX,
                limit,
                direction: Direction::Backward,
            },
        )
        .entries;
        past.reverse();
        let tail = Self {
            pipeline,
            options,
            fields: Fields::default(),
            next: snapshot.end(),
            arrivals: VecDeque::new(),
            skipped: Vec::new(),
            missed: 0,
        };
        (tail, past)
    }

    /// Notes that the store holds the records up to the number `end`, exclusive, at a moment.
    pub fn note(&mut self, now: Instant, end: u64) {
        match self.arrivals.back_mut() {
            _ if end <= self.next => {}
            Some((_, last)) if end <= *last => {}
            Some((at, last)) if now.saturating_duration_since(*at) < GRAIN => *last = end,
            _ => self.arrivals.push_back((now, end)),
        }
    }

    /// When there is something to read: a moment that may have passed, or `None` until records
    /// arrive.
    pub fn due(&self) -> Option<Instant> {
        let arrival = self.arrivals.iter().find(|(_, end)| *end > self.next);
        arrival.map(|(at, _)| *at + self.options.delay)
    }

    /// Reads the next page of what is due. An [empty](Page::is_empty) page only says that the
    /// records that came are not wanted.
    pub fn read(&mut self, snapshot: &Snapshot, now: Instant) -> Page {
        if snapshot.first() > self.next {
            self.missed += snapshot.first() - self.next;
            self.next = snapshot.first();
        }
        if let Some(end) = self.arrived_before(now, self.options.delay + self.options.max_lag) {
            self.skip(snapshot, end);
        }
        let mut page = Page::default();
        if let Some(end) = self.arrived_before(now, self.options.delay) {
            page.entries = self.entries(snapshot, end);
        }
        page.skipped = std::mem::take(&mut self.skipped);
        page.missed = std::mem::take(&mut self.missed);
        let next = self.next;
        self.arrivals.retain(|(_, end)| *end > next);
        page
    }

    /// Up to where the records had arrived at least `age` ago.
    fn arrived_before(&self, now: Instant, age: Duration) -> Option<u64> {
        let old = self.arrivals.iter().take_while(|(at, _)| *at + age <= now);
        old.last().map(|(_, end)| *end)
    }

    fn entries(&mut self, snapshot: &Snapshot, end: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for record in snapshot.from(self.next) {
            if record.number() >= end || entries.len() == PAGE_ENTRIES || bytes >= PAGE_BYTES {
                break;
            }
            self.next = record.number() + 1;
            if wanted(&self.pipeline, &record, &mut self.fields) {
                bytes += record.text().len();
                entries.push(Entry::new(&record, &self.fields));
            }
        }
        if !self.options.delay.is_zero() {
            entries.sort_by_key(|entry| entry.timestamp);
        }
        entries
    }

    fn skip(&mut self, snapshot: &Snapshot, end: u64) {
        for record in snapshot
            .from(self.next)
            .take_while(|record| record.number() < end)
        {
            if wanted(&self.pipeline, &record, &mut self.fields) {
                self.missed += 1;
                if self.skipped.len() < MAX_LISTED {
                    let entry = Entry::new(&record, &self.fields);
                    let labels = entry.labels.merged().into_iter();
                    self.skipped.push(Skipped {
                        timestamp: entry.timestamp,
                        labels: labels.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                    });
                }
            }
        }
        self.next = self.next.max(end);
    }
}

fn wanted(pipeline: &Pipeline, record: &RecordRef<'_>, fields: &mut Fields) -> bool {
    pipeline.selects(|name| record.label(name)) && pipeline.run(record, fields)
}
