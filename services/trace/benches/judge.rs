//! What it costs to read a trace, to put it in order and to judge it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tdemo_trace::{Answer, Caller, Owed, SpanId, Trace, Tree, otlp};

const DEMO: &[u8] = include_bytes!("../tests/data/demo-trace.json");

fn demo() -> Trace {
    let groups = otlp::json::decode(DEMO).expect("the file is OTLP/JSON");
    Trace::from_otlp(groups)
        .expect("its ids are valid")
        .remove(0)
}

/// Spans of which each has up to four children, in no order.
fn wide(spans: u64) -> Trace {
    let template = demo();
    let mut trace = Trace::empty(template.id);
    for number in 0..spans {
        let number = (number * 7_919) % spans;
        let mut span = template.spans[0].clone();
        span.id = SpanId((number + 1).to_be_bytes());
        span.parent = (number > 0).then(|| SpanId(((number - 1) / 4 + 1).to_be_bytes()));
        span.start_unix_nanos = number;
        span.end_unix_nanos = 3 * spans - number;
        trace.spans.push(span);
    }
    trace
}

fn judge(criterion: &mut Criterion) {
    let demo = demo();
    let owed = Owed::demo(&Answer {
        tier: None,
        method: "GET",
        path: "/api/process",
        status: 200,
        sampled: true,
        caller: Caller::Silent,
    });
    let mut group = criterion.benchmark_group("demo trace");
    group.throughput(Throughput::Elements(1));
    group.bench_function("from OTLP messages", |bench| {
        let groups = otlp::json::decode(DEMO).expect("the file is OTLP/JSON");
        bench.iter(|| Trace::one_from_otlp(demo.id, groups.clone()));
    });
    group.bench_function("from OTLP/JSON text", |bench| {
        bench.iter(|| otlp::json::decode(black_box(DEMO)));
    });
    group.bench_function("judge completeness", |bench| {
        bench.iter(|| owed.judge(black_box(&demo)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("tree");
    for spans in [8, 1_000, 10_000, 100_000] {
        let trace = if spans == 8 {
            demo.clone()
        } else {
            wide(spans)
        };
        group.throughput(Throughput::Elements(spans));
        group.bench_function(format!("{spans} spans"), |bench| {
            bench.iter(|| Tree::new(black_box(&trace)).nodes().len());
        });
        let tree = Tree::new(&trace);
        group.bench_function(format!("critical path of {spans} spans"), |bench| {
            bench.iter(|| tree.critical_path().len());
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
