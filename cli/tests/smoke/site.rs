//! A site that is not quite right: a whole stack whose spans pass through a
//! proxy that rewrites them, on their way to the store of another stack.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, TracesData};
use prost::Message as _;
use serde_json::Value;
use tdemo_harness::{Stack, StackConfig};
use tdemo_services::{Settings, Tier};
use tdemo_telemetry::settings::{ExporterSettings, Protocol};
use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, code, tdemo, valid_json};

/// What the proxy does to the spans of one export.
pub(crate) type Rewrite = fn(&mut [ResourceSpans]);

/// Services whose spans are rewritten before they are stored.
pub(crate) struct Site {
    services: Stack,
    store: Stack,
    proxy: JoinHandle<()>,
}

impl Site {
    /// Starts it; `variables` are for the services.
    pub(crate) async fn start(
        rewrite: Rewrite,
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Stack::start(StackConfig::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let onward = format!("{}/v1/traces", store.urls().otlp_http);
        let proxy = tokio::spawn(serve(listener, onward, rewrite));
        let mut config = StackConfig::from_env(&|name| {
            let fixed = [
                ("MIDDLEWARE_WORK", "0"),
                ("BACKEND_WORK", "0"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ];
            fixed
                .iter()
                .chain(variables)
                .find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
        })
        .unwrap();
        config
            .export_also_to("the proxy", &format!("http://{address}"))
            .unwrap();
        let services = Stack::start(config).await.unwrap();
        Self {
            services,
            store,
            proxy,
        }
    }

    /// Runs `tdemo smoke` against it.
    pub(crate) async fn smoke(&self, more: &[&str]) -> Output {
        let (services, store) = (self.services.urls(), self.store.urls());
        let mut args = vec![
            "smoke",
            "--target",
            &services.frontend,
            "--middleware-url",
            &services.middleware,
            "--backend-url",
            &services.backend,
            "--tempo-url",
            &store.tempo,
            "--otlp-endpoint",
            &store.otlp_grpc,
            "--skip",
            "logs",
        ];
        args.extend(more);
        smoke(&args).await
    }

    /// The URLs of the services.
    pub(crate) fn services(&self) -> &tdemo_harness::Urls {
        self.services.urls()
    }

    /// The URLs of the store.
    pub(crate) fn store(&self) -> &tdemo_harness::Urls {
        self.store.urls()
    }

    pub(crate) async fn stop(self) {
        self.services.shutdown().await;
        self.proxy.abort();
        self.store.shutdown().await;
    }
}

/// A chain of which only the first tiers run; the next one refuses connections.
pub(crate) struct Broken {
    store: Stack,
    stop: CancellationToken,
    services: Vec<JoinHandle<tdemo_services::RunSummary>>,
    telemetries: Vec<Telemetry>,
    /// The base URLs of the tiers in order, the dead ones too.
    pub(crate) urls: Vec<String>,
}

impl Broken {
    /// Runs the first `alive` tiers.
    pub(crate) async fn start(alive: usize) -> Self {
        let store = Stack::start(StackConfig::default()).await.unwrap();
        let mut listeners = Vec::new();
        for _ in Tier::ALL {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let urls: Vec<String> = listeners
            .iter()
            .map(|listener| format!("http://{}", listener.local_addr().unwrap()))
            .collect();
        let stop = CancellationToken::new();
        let (mut services, mut telemetries) = (Vec::new(), Vec::new());
        for (at, (tier, listener)) in Tier::ALL.into_iter().zip(listeners).enumerate() {
            if at >= alive {
                // Closed with the listener: a connection there is refused.
                drop(listener);
                continue;
            }
            let receiver = &store.urls().otlp_grpc;
            let telemetry = Telemetry::start(
                TelemetrySettings {
                    exporter: ExporterSettings::for_base("the store", Protocol::Grpc, receiver)
                        .unwrap(),
                    ..TelemetrySettings::default()
                },
                ResourceInfo::new(tier.name(), "1.0.0"),
            )
            .unwrap();
            let mut settings = Settings::new(tier);
            settings.next = urls.get(at + 1).map(|url| url.parse().unwrap());
            telemetries.push(telemetry.clone());
            services.push(tokio::spawn(tdemo_services::run(
                listener,
                settings,
                telemetry,
                stop.clone(),
            )));
        }
        Self {
            store,
            stop,
            services,
            telemetries,
            urls,
        }
    }

    /// Runs `tdemo smoke` against it.
    pub(crate) async fn smoke(&self, more: &[&str]) -> Output {
        let tempo = &self.store.urls().tempo;
        let mut args = vec!["smoke", "--target", &self.urls[0], "--tempo-url", tempo];
        args.extend(["--skip", "logs", "--deadline", "3s"]);
        args.extend(more);
        smoke(&args).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for service in self.services {
            service.await.unwrap();
        }
        for telemetry in self.telemetries {
            telemetry.shutdown(PATIENCE).await;
        }
        self.store.shutdown().await;
    }
}

/// Runs the program without holding up the servers of this test.
pub(crate) async fn smoke(args: &[&str]) -> Output {
    let mut command = tdemo(args.iter().copied());
    let dir = tempfile::tempdir().unwrap();
    command.current_dir(dir.path());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// The JSON verdict of a run, valid by the published schema.
pub(crate) fn verdict(output: &Output) -> Value {
    let verdict = valid_json(output, include_str!("../../schema/smoke.schema.json"));
    assert_eq!(
        code(output),
        i32::from(verdict["verdict"] == "fail"),
        "the exit code is the verdict"
    );
    verdict
}

/// The ids of the checks with this outcome.
pub(crate) fn checks<'v>(verdict: &'v Value, outcome: &str) -> BTreeSet<&'v str> {
    verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == outcome)
        .map(|check| check["id"].as_str().unwrap())
        .collect()
}

async fn serve(listener: TcpListener, onward: String, rewrite: Rewrite) {
    let client = reqwest::Client::new();
    let onward: Arc<str> = onward.into();
    while let Ok((stream, _)) = listener.accept().await {
        let (client, onward) = (client.clone(), Arc::clone(&onward));
        let service = service_fn(move |request: Request<Incoming>| {
            forward(request, client.clone(), Arc::clone(&onward), rewrite)
        });
        tokio::spawn(async move {
            // The exporter goes away when it wants to.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    request: Request<Incoming>,
    client: reqwest::Client,
    onward: Arc<str>,
    rewrite: Rewrite,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut data = TracesData::decode(body).unwrap();
    rewrite(&mut data.resource_spans);
    let answer = client
        .post(&*onward)
        .header("content-type", "application/x-protobuf")
        .body(data.encode_to_vec())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/x-protobuf")
        .body(Full::new(body))
        .unwrap())
}

/// The `service.name` of a group.
pub(crate) fn service(group: &ResourceSpans) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let attributes = group
        .resource
        .iter()
        .flat_map(|resource| &resource.attributes);
    attributes
        .filter(|attribute| attribute.key == "service.name")
        .find_map(
            |attribute| match attribute.value.as_ref()?.value.as_ref()? {
                StringValue(text) => Some(text.clone()),
                _ => None,
            },
        )
        .unwrap_or_default()
}

/// Every span of one service, to be changed.
pub(crate) fn spans_of<'g>(
    groups: &'g mut [ResourceSpans],
    wanted: &'static str,
) -> impl Iterator<Item = &'g mut Span> {
    groups
        .iter_mut()
        .filter(move |group| service(group) == wanted)
        .flat_map(|group| &mut group.scope_spans)
        .flat_map(|scope| &mut scope.spans)
}

/// Keeps the spans of one service of which `keep` is true.
pub(crate) fn retain(groups: &mut [ResourceSpans], wanted: &str, keep: fn(&Span) -> bool) {
    for group in groups.iter_mut().filter(|group| service(group) == wanted) {
        for scope in &mut group.scope_spans {
            scope.spans.retain(keep);
        }
    }
}
