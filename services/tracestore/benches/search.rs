//! How long searches take over 1,000,000 spans of 125,000 traces of the demo: those that find
//! something soon, and those that must look at everything.
//!
//! `cargo bench -p tdemo-tracestore --bench search`
//!
//! Prints the median and the 99th percentile of 200 runs on the clock, on as many threads as there
//! are processors, and the CPU time of a run on one thread, which other work on the machine blurs
//! less. Then lets criterion measure the former.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops and prints"
)]

mod demo;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tdemo_tracestore::traceql::compile;
use tdemo_tracestore::traceql::eval::{Bounds, FoundTrace, Plan, search};
use tdemo_tracestore::{Limits, Store, wire};

const TRACES: u64 = 125_000;
const TRACES_A_REQUEST: usize = 170;
const RUNS: usize = 200;
/// As the API asks when it is not told otherwise.
const BOUNDS: Bounds = Bounds {
    start_ns: 0,
    end_ns: u64::MAX,
    limit: Some(20),
    spans_per_spanset: 3,
};

/// Queries that 20 traces among the newest satisfy, or of which a dictionary says that none can.
const SOON: [&str; 9] = [
    "{}",
    "{ resource.service.namespace = \"tracing-demo\" }",
    "{ duration > 200ms }",
    "{ resource.service.name = \"frontend\" }",
    "{ status = error }",
    "{ span.http.route = \"/nope\" }",
    "{ resource.service.name = \"frontend\" } >> { resource.service.name = \"backend\" && status = error }",
    "{ kind = server } | count() > 2",
    "{} | by(resource.service.name) | avg(duration) > 1ms",
];

/// Queries that find nothing, and cannot know it before they have looked at every span.
const ALL: [&str; 8] = [
    "{ resource.service.name = \"frontend\" && span.http.route = \"/api/data\" }",
    "{ duration > 1h }",
    "{ duration > 1h || (kind = server && status = ok) }",
    "{ resource.service.name = \"backend\" } > { resource.service.name = \"frontend\" }",
    "{ resource.service.name = \"backend\" } >> { kind = server && resource.service.name = \"frontend\" }",
    "{ kind = client } ~ { kind = server }",
    "{ kind = server } | count() > 100",
    "{} | max(duration) > 1h",
];

fn searches(c: &mut Criterion) {
    let store = Store::new(Limits::default());
    for request in demo::requests(0..TRACES, TRACES_A_REQUEST) {
        store.insert(&wire::decode(&request).unwrap());
    }
    assert_eq!(store.stats().spans, TRACES * demo::SPANS);
    let snapshot = store.snapshot();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let run = |text: &str, threads: usize| -> Vec<FoundTrace> {
        let query = compile(text).unwrap();
        search(&Plan::new(&query), &snapshot.chunks, &BOUNDS, threads).unwrap()
    };
    for (group, queries) in [("soon", &SOON[..]), ("all", &ALL[..])] {
        let mut criterion = c.benchmark_group(group);
        criterion
            .sample_size(20)
            .measurement_time(Duration::from_secs(3));
        for query in queries {
            let found = run(query, threads).len();
            assert!(group == "soon" || found == 0, "{query} found {found}");
            let (median, p99) = percentiles(|| black_box(run(query, threads)).len());
            let before = cpu_time();
            for _ in 0..RUNS {
                black_box(run(query, 1));
            }
            let cpu = cpu_time().saturating_sub(before) / u32::try_from(RUNS).unwrap();
            println!("{query}: {found} found; median {median:.2?}, p99 {p99:.2?}; CPU {cpu:.2?}");
            criterion.bench_function(*query, |b| b.iter(|| run(query, threads)));
        }
        criterion.finish();
    }
}

/// The median and the 99th percentile of [`RUNS`] runs on the clock.
fn percentiles(run: impl Fn() -> usize) -> (Duration, Duration) {
    let one = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let mut times: Vec<Duration> = std::iter::repeat_with(one).take(RUNS).collect();
    times.sort_unstable();
    (times[RUNS / 2], times[RUNS * 99 / 100])
}

/// CPU time of this thread so far; zero where the system does not tell.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

criterion_group!(benches, searches);
criterion_main!(benches);
