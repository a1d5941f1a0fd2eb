//! What telemetry costs: a span on the application's thread, headers in and
//! out, and spans a second through export to a receiver in the same process.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{Span as _, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tdemo_telemetry::settings::{ExporterSettings, Protocol};
use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings, propagation};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

/// Decodes what comes, and forgets it.
struct Forgetful;

#[tonic::async_trait]
impl TraceService for Forgetful {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        black_box(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn start_receiver(runtime: &Runtime) -> SocketAddr {
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has one");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(TraceServiceServer::new(Forgetful));
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    address
}

/// Telemetry whose queue holds any burst of a benchmark.
fn start(receiver: SocketAddr, gzip: bool) -> Telemetry {
    let base = format!("http://{receiver}");
    let mut settings = TelemetrySettings {
        exporter: ExporterSettings::for_base("the benchmark", Protocol::Grpc, &base)
            .expect("an address makes an endpoint"),
        ..TelemetrySettings::default()
    };
    settings.exporter.gzip = gzip;
    settings.batch.max_queue_items = 1 << 20;
    settings.batch.max_queue_bytes = u64::MAX;
    Telemetry::start(settings, ResourceInfo::new("bench", "1")).expect("telemetry starts")
}

/// A span as the services make them.
fn span<T: Tracer>(tracer: &T, parent: &Context) {
    let builder = tracer.span_builder("GET /api/data").with_attributes([
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.path", "/api/data"),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("http.route", "/api/data"),
        KeyValue::new("server.address", "127.0.0.1"),
        KeyValue::new("server.port", 5002),
        KeyValue::new("network.protocol.version", "1.1"),
    ]);
    let mut span = tracer.build_with_context(builder, parent);
    span.set_attribute(KeyValue::new("http.response.status_code", 200));
    span.end();
}

fn flush(runtime: &Runtime, telemetry: &Telemetry) {
    let report = runtime.block_on(telemetry.flush(Duration::from_secs(60)));
    assert!(report.in_time && report.ledger.dropped == 0, "{report:?}");
}

fn cost_of_a_span(c: &mut Criterion) {
    const BURST: u64 = 20_000;
    let runtime = Runtime::new().expect("a runtime starts");
    let telemetry = start(start_receiver(&runtime), false);
    let parent = Context::new();
    let mut group = c.benchmark_group("span_with_8_attributes");
    group.bench_function("no_op", |b| {
        b.iter(|| span(&NoopTracer::new(), black_box(&parent)));
    });
    group.bench_function("recorded", |b| {
        // In bursts: export is not part of what the caller pays.
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let burst = left.min(BURST);
                let begun = Instant::now();
                for _ in 0..burst {
                    span(telemetry.tracer(), black_box(&parent));
                }
                spent += begun.elapsed();
                left -= burst;
                flush(&runtime, &telemetry);
            }
            spent
        });
    });
    group.finish();
}

fn export(c: &mut Criterion) {
    const SPANS: u64 = 50_000;
    let runtime = Runtime::new().expect("a runtime starts");
    let receiver = start_receiver(&runtime);
    let mut group = c.benchmark_group("emit_and_export");
    group
        .throughput(Throughput::Elements(SPANS))
        .sample_size(20);
    for (name, gzip) in [("grpc", false), ("grpc_gzip", true)] {
        let telemetry = start(receiver, gzip);
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..SPANS {
                    span(telemetry.tracer(), &Context::new());
                }
                flush(&runtime, &telemetry);
            });
        });
    }
    group.finish();
}

fn headers(c: &mut Criterion) {
    let mut incoming = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    incoming.insert("traceparent", parent.parse().expect("a legal value"));
    c.bench_function("extract_and_inject_traceparent", |b| {
        b.iter(|| {
            let cx = propagation::extract(black_box(&incoming));
            let mut outgoing = HeaderMap::new();
            propagation::inject(&cx, &mut outgoing);
            outgoing
        });
    });
}

criterion_group!(benches, cost_of_a_span, export, headers);
criterion_main!(benches);
