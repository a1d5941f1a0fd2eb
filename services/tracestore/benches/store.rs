//! What the store costs, with 1,000,000 spans of 125,000 traces of the demo: CPU a span from a request's bytes to
//! searchable, bytes held a span, and how long a trace by id takes.
//!
//! `cargo bench -p tdemo-tracestore --bench store`
//!
//! Times are CPU time of the measuring thread where the system tells it (Linux), so that other work on the machine
//! blurs them less; elsewhere they are time on the clock.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops and prints"
)]

mod demo;

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use tdemo_tracestore::byid::{Found, json_v2, protobuf_v2};
use tdemo_tracestore::{Limits, Store, wire};

const TRACES: u64 = 125_000;
/// As the demo's exporters send them: batches of 512 spans at most.
const TRACES_A_REQUEST: usize = 170;

fn fill(requests: &[Vec<u8>]) -> Store {
    let store = Store::new(Limits::default());
    for request in requests {
        store.insert(&wire::decode(request).unwrap());
    }
    store
}

/// CPU time of this thread so far, if the system tells.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = stat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn measure<T>(bencher: &mut Bencher<'_>, mut work: impl FnMut() -> T) {
    bencher.iter_custom(|iterations| {
        let (clock, cpu) = (Instant::now(), cpu_time());
        for _ in 0..iterations {
            black_box(work());
        }
        match (cpu, cpu_time()) {
            (Some(before), Some(after)) => after.checked_sub(before).unwrap_or_default(),
            _ => clock.elapsed(),
        }
    });
}

fn store(c: &mut Criterion) {
    let requests = demo::requests(0..TRACES, TRACES_A_REQUEST);
    let spans = TRACES * demo::SPANS;
    let store = fill(&requests);
    let stats = store.stats();
    assert_eq!(
        (stats.traces, stats.spans, stats.traces_evicted),
        (TRACES, spans, 0)
    );
    println!(
        "held: {:.1} bytes a span ({} spans, {:.1} MB); on the wire {:.1} bytes a span",
        stats.bytes as f64 / spans as f64,
        spans,
        stats.bytes as f64 / 1e6,
        requests.iter().map(Vec::len).sum::<usize>() as f64 / spans as f64,
    );

    let mut group = c.benchmark_group("1,000,000 spans");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(spans));
    group.bench_function("decode", |b| {
        measure(b, || {
            for request in &requests {
                black_box(wire::decode(request).unwrap());
            }
        });
    });
    group.bench_function("decode, store, drop", |b| measure(b, || fill(&requests)));
    group.finish();

    let mut number = 0;
    let mut next_id = move || {
        number = (number + 7_919) % TRACES;
        demo::trace_id(number)
    };
    let mut group = c.benchmark_group("by id");
    group.bench_function("find", |b| measure(b, || store.find(next_id()).unwrap()));
    group.bench_function("JSON", |b| {
        measure(b, || {
            let (chunk, slot) = store.find(next_id()).unwrap();
            json_v2(Some(&Found::new(&chunk, slot)))
        });
    });
    group.bench_function("protobuf", |b| {
        measure(b, || {
            let (chunk, slot) = store.find(next_id()).unwrap();
            protobuf_v2(Some(&Found::new(&chunk, slot)))
        });
    });
    group.bench_function("snapshot", |b| measure(b, || store.snapshot()));
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
