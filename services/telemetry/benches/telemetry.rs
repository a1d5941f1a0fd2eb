//! What telemetry costs: a span and a log record on the application's thread,
//! headers in and out, and spans and records a second through export to a
//! receiver in the same process.

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
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tdemo_telemetry::settings::{ExporterSettings, LogExportSettings, Protocol};
use tdemo_telemetry::{LedgerSnapshot, ResourceInfo, Telemetry, TelemetrySettings, propagation};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tracing::dispatcher::with_default;

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

#[tonic::async_trait]
impl LogsService for Forgetful {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        black_box(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// A receiver of one signal.
fn start_receiver<S>(runtime: &Runtime, service: S) -> SocketAddr
where
    S: tower::Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has one");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    address
}

/// Telemetry whose queues hold any burst of a benchmark.
fn start(receiver: SocketAddr, gzip: bool, with_logs: bool) -> Telemetry {
    let base = format!("http://{receiver}");
    let mut settings = TelemetrySettings {
        exporter: ExporterSettings::for_base("the benchmark", Protocol::Grpc, &base)
            .expect("an address makes an endpoint"),
        ..TelemetrySettings::default()
    };
    settings.exporter.gzip = gzip;
    settings.batch.max_queue_items = 1 << 20;
    settings.batch.max_queue_bytes = u64::MAX;
    settings.logs.otlp = with_logs.then(|| LogExportSettings {
        exporter: settings.exporter.clone(),
        batch: settings.batch.clone(),
    });
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
    let lost = |ledger: LedgerSnapshot| ledger.dropped + ledger.failed;
    let lost = lost(report.ledger) + lost(report.log_ledger);
    assert!(report.in_time && lost == 0, "{report:?}");
}

/// A log record as the services make them.
fn record() {
    tracing::info!(
        http.request.method = "GET",
        http.route = "/api/data",
        http.response.status_code = 200,
        duration_ms = 0.125,
        "{} {} {}",
        200,
        "GET",
        "/api/data"
    );
}

/// Measures `work` in bursts: export is not part of what the caller pays.
fn in_bursts(
    iterations: u64,
    runtime: &Runtime,
    telemetry: &Telemetry,
    work: impl Fn(),
) -> Duration {
    const BURST: u64 = 20_000;
    let mut spent = Duration::ZERO;
    let mut left = iterations;
    while left > 0 {
        let burst = left.min(BURST);
        let begun = Instant::now();
        for _ in 0..burst {
            work();
        }
        spent += begun.elapsed();
        left -= burst;
        flush(runtime, telemetry);
    }
    spent
}

fn cost_to_the_caller(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let receiver = start_receiver(&runtime, TraceServiceServer::new(Forgetful));
    let telemetry = start(receiver, false, false);
    let parent = Context::new();
    let mut group = c.benchmark_group("span_with_8_attributes");
    group.bench_function("no_op", |b| {
        b.iter(|| span(&NoopTracer::new(), black_box(&parent)));
    });
    group.bench_function("recorded", |b| {
        b.iter_custom(|iterations| {
            in_bursts(iterations, &runtime, &telemetry, || {
                span(telemetry.tracer(), black_box(&parent));
            })
        });
    });
    group.finish();

    let receiver = start_receiver(&runtime, LogsServiceServer::new(Forgetful));
    let telemetry = start(receiver, false, true);
    c.bench_function("log_record_with_4_fields/recorded", |b| {
        with_default(telemetry.dispatch(), || {
            b.iter_custom(|iterations| in_bursts(iterations, &runtime, &telemetry, record));
        });
    });
}

fn export(c: &mut Criterion) {
    const ITEMS: u64 = 50_000;
    let runtime = Runtime::new().expect("a runtime starts");
    let spans = TraceServiceServer::new(Forgetful).accept_compressed(CompressionEncoding::Gzip);
    let receiver = start_receiver(&runtime, spans);
    let mut group = c.benchmark_group("emit_and_export");
    group
        .throughput(Throughput::Elements(ITEMS))
        .sample_size(20);
    for (name, gzip) in [("grpc", false), ("grpc_gzip", true)] {
        let telemetry = start(receiver, gzip, false);
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..ITEMS {
                    span(telemetry.tracer(), &Context::new());
                }
                flush(&runtime, &telemetry);
            });
        });
    }
    let receiver = start_receiver(&runtime, LogsServiceServer::new(Forgetful));
    let telemetry = start(receiver, false, true);
    group.bench_function("grpc_log_records", |b| {
        with_default(telemetry.dispatch(), || {
            b.iter(|| {
                for _ in 0..ITEMS {
                    record();
                }
                flush(&runtime, &telemetry);
            });
        });
    });
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

criterion_group!(benches, cost_to_the_caller, export, headers);
criterion_main!(benches);
