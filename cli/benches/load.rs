//! What the load generator costs by itself: one sample recorded, and whole
//! requests against the simplest server there is, which shares the cores.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::StatusCode;
use tdemo::load::engine::{self, Progress};
use tdemo::load::plan::Plan;
use tdemo::load::reservoir::Keep;
use tdemo::load::sample::{Answer, Sample, Tally};
use tdemo::load::traceresponse::TraceResponse;
use tdemo_trace::{SpanId, TraceId};
use tokio_util::sync::CancellationToken;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntraceresponse: \
    00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\nok";
const REQUESTS: u64 = 20_000;

fn record(criterion: &mut Criterion) {
    let mut tally = Tally::new(Keep::Uniform, 1, 1);
    let intended = Instant::now();
    let mut us = 0;
    criterion.bench_function("record one sample", |bencher| {
        bencher.iter(|| {
            us = (us * 7 + 13) % 10_000;
            let sample = Sample {
                intended,
                done: intended + Duration::from_micros(us),
                outcome: Ok(Answer {
                    status: StatusCode::OK,
                    body_bytes: 300,
                    trace: Some(TraceResponse {
                        trace_id: TraceId([7; 16]),
                        span_id: SpanId([7; 8]),
                        sampled: true,
                    }),
                }),
            };
            black_box(tally.record(sample))
        });
    });
}

/// A thread a connection, one write for each read, no parsing.
fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || echo(stream));
        }
    });
    Ok(address)
}

fn echo(mut stream: TcpStream) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|bytes| bytes > 0) && stream.write_all(ANSWER).is_ok()
    {
    }
}

fn requests(criterion: &mut Criterion) {
    let address = serve().expect("a loopback port is free");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let plan = Plan {
        count: Some(REQUESTS),
        connections: 64,
        threads: 1,
        ..Plan::new(
            format!("http://{address}/")
                .parse()
                .expect("an address makes a URL"),
        )
    };
    let mut group = criterion.benchmark_group("engine");
    group
        .throughput(Throughput::Elements(REQUESTS))
        .sample_size(10);
    group.bench_function("64 connections, one thread", |bencher| {
        bencher.iter(|| {
            let progress = Arc::new(Progress::new(&plan));
            let never = CancellationToken::new();
            let run = engine::run(&plan, &progress, &never);
            let run = runtime.block_on(run).expect("the server is there");
            assert_eq!(run.tally.ok.count(), REQUESTS);
        });
    });
    group.finish();
}

criterion_group!(benches, record, requests);
criterion_main!(benches);
