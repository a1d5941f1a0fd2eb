//! What the tests share: an OTLP receiver that can be asked for whole traces, the chain of services in this process,
//! and an HTTP client that shows every answer as it came. All on port 0; all waits have a deadline.

mod otlp;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tdemo_services::{RunSummary, Settings, Tier, Work, run};
use tdemo_telemetry::settings::{ExporterSettings, Protocol};
use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use otlp::{Receiver, Seen, hex};

/// A `traceparent` of a caller that exports nothing.
pub(crate) const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// No wait in any test is longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) telemetry: Telemetry,
    stop: CancellationToken,
    task: JoinHandle<RunSummary>,
}

impl Service {
    pub(crate) async fn start(settings: Settings, telemetry: TelemetrySettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tier = settings.tier;
        let resource = ResourceInfo::new(tier.name(), "1.0.0");
        let telemetry = Telemetry::start(telemetry, resource).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(listener, settings, telemetry.clone(), stop.clone()));
        Self {
            address,
            telemetry,
            stop,
            task,
        }
    }

    /// Begins to stop; `stopped` waits for it.
    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the service and sends its last spans.
    pub(crate) async fn stopped(self) -> RunSummary {
        self.stop.cancel();
        let summary = tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("the service stops")
            .unwrap();
        self.telemetry.shutdown(DEADLINE).await;
        summary
    }
}

/// Spans go to `receiver`, a few milliseconds after they end.
pub(crate) fn export_to(receiver: &Receiver) -> TelemetrySettings {
    let mut settings = TelemetrySettings {
        exporter: ExporterSettings::for_base("test", Protocol::HttpProtobuf, &receiver.url())
            .unwrap(),
        ..TelemetrySettings::default()
    };
    settings.batch.schedule_delay = Duration::from_millis(5);
    settings
}

/// Settings of `tier` without simulated work.
pub(crate) fn idle(tier: Tier) -> Settings {
    Settings {
        work: Work::None,
        ..Settings::new(tier)
    }
}

/// `idle`, with `next` as the next tier.
pub(crate) fn calling(tier: Tier, next: SocketAddr) -> Settings {
    Settings {
        next: Some(format!("http://{next}").parse().unwrap()),
        ..idle(tier)
    }
}

/// The three services, each with its own telemetry, and one receiver for all.
pub(crate) struct Chain {
    pub(crate) receiver: Receiver,
    pub(crate) frontend: Service,
    pub(crate) middleware: Service,
    pub(crate) backend: Service,
}

impl Chain {
    pub(crate) async fn start() -> Self {
        let receiver = Receiver::start();
        let backend = Service::start(idle(Tier::Backend), export_to(&receiver)).await;
        let middleware = calling(Tier::Middleware, backend.address);
        let middleware = Service::start(middleware, export_to(&receiver)).await;
        let frontend = calling(Tier::Frontend, middleware.address);
        let frontend = Service::start(frontend, export_to(&receiver)).await;
        Self {
            receiver,
            frontend,
            middleware,
            backend,
        }
    }

    /// Stops the chain from the front to the back.
    pub(crate) async fn stopped(self) -> Receiver {
        for service in [self.frontend, self.middleware, self.backend] {
            service.stopped().await;
        }
        self.receiver
    }
}

/// One service alone, with its receiver.
pub(crate) async fn lone(settings: Settings) -> (Service, Receiver) {
    let receiver = Receiver::start();
    let service = Service::start(settings, export_to(&receiver)).await;
    (service, receiver)
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Trace id, span id and flags of `traceresponse`.
    pub(crate) fn trace(&self) -> (String, String, String) {
        let header = self
            .header("traceresponse")
            .expect("a traced answer has a traceresponse");
        let parts: Vec<_> = header.split('-').collect();
        assert_eq!((parts.len(), parts[0]), (4, "00"), "{header}");
        (
            parts[1].to_owned(),
            parts[2].to_owned(),
            parts[3].to_owned(),
        )
    }

    pub(crate) fn trace_id(&self) -> String {
        self.trace().0
    }
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let exchange = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    };
    tokio::time::timeout(DEADLINE, exchange)
        .await
        .expect("an answer")
}

/// A request with a `Host`, some headers and a body.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "demo.example:5000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, request("GET", path, &[], "")).await
}

pub(crate) async fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(address, request("GET", path, headers, "")).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    send(
        address,
        request("POST", path, &[("content-type", "application/json")], body),
    )
    .await
}

/// Sends bytes as they are and reads until the service closes the connection.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        // The service may answer and close before it has read all; a reset after the answer is as good as an end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(DEADLINE, exchange)
        .await
        .expect("the service closes the connection")
}
