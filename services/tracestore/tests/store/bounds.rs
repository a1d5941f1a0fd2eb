//! The store's bounds: the oldest trace goes first, counters say so, and memory stays where it was told to.

use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;
use tdemo_tracestore::byid::{Found, protobuf_v1};
use tdemo_tracestore::wire::decode;
use tdemo_tracestore::{Limits, Store};

use crate::demo;

fn insert(
    store: &Store,
    service: &str,
    spans: Vec<opentelemetry_proto::tonic::trace::v1::Span>,
) -> tdemo_tracestore::store::InsertReport {
    store.insert(&decode(&demo::request(service, spans).encode_to_vec()).unwrap())
}

fn fill(store: &Store, traces: std::ops::Range<u64>) {
    for request in demo::requests(traces, 50) {
        store.insert(&decode(&request).unwrap());
    }
}

fn held(store: &Store, traces: std::ops::Range<u64>) -> Vec<u64> {
    traces
        .filter(|&n| store.find(demo::trace_id(n)).is_some())
        .collect()
}

#[test]
fn the_default_limits_hold_100_000_traces_of_the_demo() {
    const TRACES: u64 = 5_000;
    let limits = Limits::default();
    let store = Store::new(limits);
    fill(&store, 0..TRACES);
    let stats = store.stats();
    assert_eq!(
        (stats.traces, stats.spans, stats.traces_evicted),
        (TRACES, TRACES * demo::SPANS, 0)
    );
    let bytes_a_span = stats.bytes / stats.spans;
    assert!(bytes_a_span <= 250, "{bytes_a_span} bytes a span");
    assert!(limits.max_traces >= 100_000);
    assert!(
        limits.max_bytes as u64 >= stats.bytes * (100_000 / TRACES) * 5 / 4,
        "with a quarter to spare"
    );
}

#[test]
fn the_oldest_trace_goes_first() {
    for max_traces in [1, 7, 100, 1_200] {
        let store = Store::new(Limits {
            max_traces,
            ..Limits::default()
        });
        let total = max_traces as u64 * 3 + 5;
        for n in 0..total {
            insert(&store, "frontend", demo::spans(n, "frontend"));
            assert!(store.stats().traces <= max_traces as u64);
        }
        assert_eq!(
            held(&store, 0..total),
            (total - max_traces as u64..total).collect::<Vec<_>>()
        );
        let stats = store.stats();
        assert_eq!(stats.traces_evicted, total - max_traces as u64);
        assert_eq!(stats.spans_evicted, stats.traces_evicted * 3);
        assert_eq!(stats.spans, max_traces as u64 * 3);
        let in_chunks: usize = store
            .snapshot()
            .chunks
            .iter()
            .map(|chunk| chunk.live_slots().len())
            .sum();
        assert_eq!(in_chunks, max_traces, "chunks and index agree");
    }
}

#[test]
fn late_spans_find_their_trace_and_do_not_make_it_younger() {
    let store = Store::new(Limits {
        max_traces: 2_000,
        ..Limits::default()
    });
    fill(&store, 0..2_000);
    let (chunk, slot) = store.find(demo::trace_id(3)).unwrap();
    assert_eq!(chunk.traces()[slot as usize].spans, 8);

    let mut late = demo::spans(3, "frontend");
    late.truncate(1);
    late[0].span_id = vec![9; 8];
    assert_eq!(insert(&store, "frontend", late).stored, 1);
    let (after, _) = store.find(demo::trace_id(3)).unwrap();
    assert_eq!(after.traces()[slot as usize].spans, 9);
    assert_eq!(
        chunk.traces()[slot as usize].spans,
        8,
        "what a reader holds does not change"
    );

    fill(&store, 2_000..2_004);
    assert_eq!(held(&store, 0..6), [4, 5]);
    assert!(chunk.is_dead(slot), "but for evictions");
}

#[test]
fn duplicates_are_counted_and_the_first_stays() {
    let store = Store::new(Limits::default());
    let mut spans = demo::spans(1, "frontend");
    assert_eq!(insert(&store, "frontend", spans.clone()).stored, 3);
    spans[0].name = "changed".to_owned();
    // The same id with another kind is another span, as with Zipkin's shared ids.
    spans[1].kind = 4;
    let report = insert(&store, "frontend", spans);
    assert_eq!((report.stored, report.duplicate), (1, 2));
    assert_eq!(store.stats().spans_duplicate, 2);
    let (chunk, slot) = store.find(demo::trace_id(1)).unwrap();
    let names: Vec<_> = chunk
        .trace_rows(slot)
        .map(|row| chunk.name(chunk.name_codes()[row as usize]))
        .collect();
    assert_eq!(names.len(), 4);
    assert!(!names.contains(&"changed"));
}

#[test]
fn bytes_stay_within_their_limit() {
    for (max_bytes, traces) in [(1 << 20, 2_500), (4 << 20, 6_000)] {
        let store = Store::new(Limits {
            max_bytes,
            ..Limits::default()
        });
        let mut most = 0;
        for start in (0..traces).step_by(500) {
            fill(&store, start..start + 500);
            let stats = store.stats();
            most = most.max(stats.bytes);
            assert!(
                stats.bytes <= max_bytes as u64,
                "{} of {max_bytes}",
                stats.bytes
            );
            assert_eq!(stats.spans, stats.traces * 8, "whole traces are evicted");
        }
        assert!(
            most > max_bytes as u64 / 2,
            "{most} of {max_bytes} are used"
        );
        assert!(store.stats().traces_evicted > 0);
        let newest = held(&store, traces - 100..traces);
        assert_eq!(newest.len(), 100, "the newest are there");
    }
}

#[test]
fn a_trace_too_large_is_cut_and_says_so() {
    let store = Store::new(Limits {
        max_trace_bytes: 2_000,
        ..Limits::default()
    });
    let spans: Vec<_> = (0..20_u8)
        .map(|n| {
            let mut span = demo::spans(1, "frontend").remove(0);
            span.span_id = vec![n + 1; 8];
            span
        })
        .collect();
    let size = spans[0].encoded_len();
    let fits = 2_000 / size;
    let report = insert(&store, "frontend", spans);
    assert_eq!(
        (report.stored, report.too_large),
        (fits as u64, (20 - fits) as u64)
    );
    assert_eq!(store.stats().spans_too_large, (20 - fits) as u64);
    let (chunk, slot) = store.find(demo::trace_id(1)).unwrap();
    assert!(Found::new(&chunk, slot).is_partial());
    assert_eq!(
        insert(&store, "frontend", demo::spans(2, "frontend")).too_large,
        0
    );
    let (chunk, slot) = store.find(demo::trace_id(2)).unwrap();
    assert!(!Found::new(&chunk, slot).is_partial());
}

#[test]
fn a_trace_of_10_000_spans_is_read_back_whole() {
    let store = Store::new(Limits::default());
    let spans: Vec<_> = (1..=10_000_u64)
        .map(|n| {
            let mut span = demo::spans(1, "backend").remove(1);
            span.span_id = n.to_be_bytes().to_vec();
            span.parent_span_id = if n == 1 {
                Vec::new()
            } else {
                (n - 1).to_be_bytes().to_vec()
            };
            span
        })
        .collect();
    for part in spans.chunks(700) {
        insert(&store, "backend", part.to_vec());
    }
    let id = tdemo_trace::TraceId(demo::trace_id(1).to_be_bytes());
    let trace = store.trace(id).unwrap();
    assert_eq!(trace.spans.len(), 10_000);
    let (chunk, slot) = store.find(demo::trace_id(1)).unwrap();
    let roots = chunk
        .trace_rows(slot)
        .filter(|&row| chunk.parents()[row as usize] == tdemo_tracestore::model::NO_ROW);
    assert_eq!(roots.count(), 1);
    assert!(store.trace(tdemo_trace::TraceId([1; 16])).is_none());
}

#[test]
fn readers_see_whole_requests_while_writers_write() {
    const WRITERS: u64 = 3;
    const REQUESTS: u64 = 60;
    let store = Store::new(Limits {
        max_traces: 1_000,
        ..Limits::default()
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for request in 0..REQUESTS {
                        let first = (writer * REQUESTS + request) * 20;
                        fill(store, first..first + 20);
                        // Acknowledged means readable.
                        let (chunk, slot) =
                            store.find(demo::trace_id(first + 19)).expect("just stored");
                        assert_eq!(chunk.traces()[slot as usize].spans, 8);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for chunk in store.snapshot().chunks {
                        let spans: u32 = chunk.traces().iter().map(|trace| trace.spans).sum();
                        assert_eq!(spans, chunk.rows(), "a snapshot is of one moment");
                        assert_eq!(chunk.parents().len(), chunk.rows() as usize);
                        if let Some(slot) = chunk.live_slots().next_back() {
                            let found = Found::new(&chunk, slot);
                            let read =
                                tdemo_trace::otlp::decode_protobuf(&protobuf_v1(&found)).unwrap();
                            assert!(!read.is_empty());
                        }
                    }
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let stats = store.stats();
    assert_eq!(stats.spans_stored, WRITERS * REQUESTS * 20 * 8);
    assert_eq!((stats.traces, stats.spans), (1_000, 8_000));
}

#[test]
fn subscribers_are_woken_when_spans_are_stored() {
    let store = Store::new(Limits::default());
    let mut changes = store.subscribe();
    assert!(!changes.has_changed().unwrap());
    insert(&store, "frontend", demo::spans(1, "frontend"));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(
        insert(&store, "frontend", Vec::new()),
        tdemo_tracestore::store::InsertReport::default()
    );
    assert!(!changes.has_changed().unwrap(), "nothing was stored");
}
