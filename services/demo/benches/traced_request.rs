//! What tracing costs: requests through the whole chain, traced and exported, beside the same chain with
//! `OTEL_SDK_DISABLED=true`. One request at a time (latency), and 64 connections at once (throughput: the time shown is
//! that of one request, all of the machine's cores at work).
//!
//! The receiver reads and forgets, so its own cost is that of HTTP. No simulated work; no log sink.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tdemo_services::{Settings, Tier, Work, run};
use tdemo_telemetry::settings::{ExporterSettings, Protocol};
use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const CONNECTIONS: u64 = 64;

/// Starts the three services; gives the frontend's address and the telemetry of all.
async fn chain(telemetry: &TelemetrySettings) -> (SocketAddr, Vec<Telemetry>) {
    let mut next = None;
    let mut all = Vec::new();
    for tier in [Tier::Backend, Tier::Middleware, Tier::Frontend] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let mut settings = Settings {
            work: Work::None,
            ..Settings::new(tier)
        };
        settings.next =
            next.map(|next: SocketAddr| format!("http://{next}").parse().expect("a URL"));
        let telemetry =
            Telemetry::start(telemetry.clone(), ResourceInfo::new(tier.name(), "1.0.0"));
        let telemetry = telemetry.expect("telemetry starts");
        tokio::spawn(run(
            listener,
            settings,
            telemetry.clone(),
            CancellationToken::new(),
        ));
        all.push(telemetry);
        next = Some(address);
    }
    (next.expect("three services were started"), all)
}

/// An OTLP/HTTP receiver on a thread of its own that accepts everything and keeps nothing.
fn receiver() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("tokio needs it so");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener that does not block");
            while let Ok((stream, _)) = listener.accept().await {
                let forget = service_fn(|request: Request<Incoming>| async {
                    request.into_body().collect().await?;
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new())))
                });
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), forget));
            }
        });
    });
    address
}

/// Sends `count` requests one after the other over one connection.
async fn ask(to: SocketAddr, count: u64) {
    let stream = TcpStream::connect(to).await.expect("the frontend listens");
    stream.set_nodelay(true).expect("a connected socket");
    let (mut sender, connection) = client::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .expect("HTTP");
    tokio::spawn(connection);
    for _ in 0..count {
        sender.ready().await.expect("the connection is kept");
        let request = Request::get("/api/process")
            .header("host", "bench")
            .body(Full::default())
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a whole answer");
    }
}

/// The time that `count` requests take over 64 connections.
async fn ask_at_once(to: SocketAddr, count: u64) -> Duration {
    let started = Instant::now();
    let share = count.div_ceil(CONNECTIONS);
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask(to, share)))
        .collect();
    for task in asking {
        task.await.expect("no request fails");
    }
    started
        .elapsed()
        .mul_f64(count as f64 / (share * CONNECTIONS) as f64)
}

fn traced_request(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let exporter = ExporterSettings::for_base(
        "bench",
        Protocol::HttpProtobuf,
        &format!("http://{}", receiver()),
    );
    let traced = TelemetrySettings {
        exporter: exporter.expect("a URL"),
        ..TelemetrySettings::default()
    };
    let disabled = TelemetrySettings {
        disabled: true,
        ..TelemetrySettings::default()
    };

    let mut group = criterion.benchmark_group("traced_request");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(8));
    for (name, settings) in [("disabled", disabled), ("traced", traced)] {
        let (to, telemetry) = runtime.block_on(chain(&settings));
        group.bench_function(format!("{name}/one at a time"), |bencher| {
            bencher.iter_custom(|count| {
                let started = Instant::now();
                runtime.block_on(ask(to, count));
                started.elapsed()
            });
        });
        group.bench_function(format!("{name}/64 connections"), |bencher| {
            bencher.iter_custom(|count| runtime.block_on(ask_at_once(to, count)));
        });
        for telemetry in telemetry {
            let report = runtime.block_on(telemetry.shutdown(Duration::from_secs(10)));
            assert_eq!(
                report.ledger.exported, report.ledger.ended,
                "every span arrived: {report:?}"
            );
        }
    }
    group.finish();
}

criterion_group!(benches, traced_request);
criterion_main!(benches);
