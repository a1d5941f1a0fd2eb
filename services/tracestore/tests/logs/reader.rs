//! A tail's place in the log, as a library: where it begins, what it reads when, what it is told
//! that it missed.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tdemo_tracestore::logs::query::Entry;
use tdemo_tracestore::logs::tail::{Tail, TailOptions};
use tdemo_tracestore::logs::{LogLimits, LogStore};

use crate::store::pipeline;
use crate::support::{record, request};

const LAG: Duration = Duration::from_secs(3);

fn tail(store: &LogStore, query: &str, delay: Duration) -> (Tail, Vec<Entry>) {
    let options = TailOptions {
        delay,
        max_lag: LAG,
    };
    Tail::begin(pipeline(query), options, &store.snapshot(), 0, 2)
}

fn page_lines(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.line.as_str()).collect()
}

#[test]
fn a_tail_begins_with_the_past_and_goes_on_without_a_gap() {
    let store = LogStore::new(LogLimits::default());
    store
        .export(&request(
            "a",
            (1..5).map(|n| record(n, &format!("old {n}"))).collect(),
        ))
        .unwrap();
    let (mut tail, past) = tail(&store, "{service_name=\"a\"} != \"no\"", Duration::ZERO);
    assert_eq!(page_lines(&past), ["old 3", "old 4"]);
    assert_eq!(tail.due(), None);

    let now = Instant::now();
    store
        .export(&request(
            "a",
            vec![record(3, "late"), record(9, "no"), record(8, "new")],
        ))
        .unwrap();
    store
        .export(&request("b", vec![record(9, "other")]))
        .unwrap();
    tail.note(now, *store.subscribe().borrow());
    assert_eq!(tail.due(), Some(now));
    let page = tail.read(&store.snapshot(), now);
    assert_eq!(page_lines(&page.entries), ["late", "new"]);
    assert_eq!((page.skipped.len(), page.missed), (0, 0));
    assert_eq!(tail.due(), None);
}

#[test]
fn a_delayed_tail_waits_and_sorts() {
    let store = LogStore::new(LogLimits::default());
    let (mut tail, _) = tail(&store, "{service_name=\"a\"}", Duration::from_secs(2));
    let start = Instant::now();
    for (second, time) in [(0, 30), (1, 20), (2, 10)] {
        store
            .export(&request("a", vec![record(time, &time.to_string())]))
            .unwrap();
        tail.note(
            start + Duration::from_secs(second),
            *store.subscribe().borrow(),
        );
    }
    assert_eq!(tail.due(), Some(start + Duration::from_secs(2)));
    assert!(
        tail.read(&store.snapshot(), start + Duration::from_secs(1))
            .entries
            .is_empty()
    );
    let page = tail.read(&store.snapshot(), start + Duration::from_secs(3));
    assert_eq!(page_lines(&page.entries), ["20", "30"]);
    assert_eq!(tail.due(), Some(start + Duration::from_secs(4)));
}

#[test]
fn a_slow_reader_is_told_what_it_missed() {
    let store = LogStore::new(LogLimits::default());
    let (mut tail, _) = tail(&store, "{service_name=\"a\"}", Duration::ZERO);
    let start = Instant::now();
    for n in 0..1_500 {
        store
            .export(&request("a", vec![record(n, "early")]))
            .unwrap();
    }
    tail.note(start, *store.subscribe().borrow());
    let page = tail.read(&store.snapshot(), start);
    assert_eq!(page.entries.len(), 100, "a page is bounded");

    let later = start + LAG;
    let page = tail.read(&store.snapshot(), later);
    assert!(page.entries.is_empty(), "what is left is too old");
    assert_eq!((page.skipped.len(), page.missed), (1_000, 1_400));
    assert_eq!(page.skipped[0].timestamp, 100);
    assert_eq!(page.skipped[0].labels["service_name"], "a");

    store
        .export(&request("a", vec![record(9_999, "fresh")]))
        .unwrap();
    tail.note(later, *store.subscribe().borrow());
    let page = tail.read(&store.snapshot(), later);
    assert_eq!(page_lines(&page.entries), ["fresh"]);
    assert_eq!((page.skipped.len(), page.missed), (0, 0));
}

#[test]
fn a_reader_is_told_of_records_that_the_store_gave_up() {
    let store = LogStore::new(LogLimits {
        max_records: 16,
        ..LogLimits::default()
    });
    let (mut tail, _) = tail(&store, "{service_name=\"a\"}", Duration::ZERO);
    for n in 0..40 {
        store
            .export(&request("a", vec![record(n, &n.to_string())]))
            .unwrap();
    }
    let now = Instant::now();
    tail.note(now, *store.subscribe().borrow());
    let page = tail.read(&store.snapshot(), now);
    assert_eq!(page.entries.len() as u64 + page.missed, 40);
    assert_eq!(page.missed, store.stats().evicted);
}

proptest! {
    /// A tail that keeps up reads every record once, in the order in which they came.
    #[test]
    fn a_tail_reads_every_record_once(parts in prop::collection::vec((1..250_usize, any::<bool>()), 1..8)) {
        let store = LogStore::new(LogLimits::default());
        let (mut tail, _) = tail(&store, "{service_name=\"a\"}", Duration::ZERO);
        let now = Instant::now();
        let mut expected = Vec::new();
        let mut read = Vec::new();
        for (count, reads) in parts {
            let begin = expected.len();
            let records = (begin..begin + count).map(|n| record(n as u64, &n.to_string())).collect();
            store.export(&request("a", records)).unwrap();
            expected.extend(begin..begin + count);
            tail.note(now, *store.subscribe().borrow());
            while reads && tail.due().is_some() {
                read.extend(tail.read(&store.snapshot(), now).entries);
            }
        }
        while tail.due().is_some() {
            read.extend(tail.read(&store.snapshot(), now).entries);
        }
        let read: Vec<usize> = read.iter().map(|entry| entry.line.parse().unwrap()).collect();
        prop_assert_eq!(read, expected);
    }
}
