//! A running store for tests: listeners on free ports, stopped at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use tdemo_tracestore::logs::{LogLimits, LogStore};
use tdemo_tracestore::{Limits, Store, run_api, run_otlp_grpc, run_otlp_http};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a slow machine, short enough to fail.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A store with its three listeners.
pub(crate) struct Running {
    store: Arc<Store>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) stop: CancellationToken,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

/// An answer: status, content type, body.
pub(crate) type Answered = (u16, String, String);

impl Running {
    pub(crate) async fn start(log_limits: LogLimits) -> Self {
        // One of the tests of this process may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Arc::new(Store::with_logs(Limits::default(), log_limits));
        let stop = CancellationToken::new();
        let (grpc, http, api) = (bind().await, bind().await, bind().await);
        let addr = |listener: &TcpListener| listener.local_addr().unwrap();
        Self {
            grpc: addr(&grpc),
            http: addr(&http),
            api: addr(&api),
            tasks: vec![
                tokio::spawn(run_otlp_grpc(grpc, Arc::clone(&store), stop.clone())),
                tokio::spawn(run_otlp_http(http, Arc::clone(&store), stop.clone())),
                tokio::spawn(run_api(api, Arc::clone(&store), stop.clone())),
            ],
            store,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(DEADLINE)
                .build()
                .unwrap(),
            stop,
        }
    }

    pub(crate) fn logs(&self) -> &LogStore {
        self.store.logs()
    }

    /// Stores a request without the network.
    pub(crate) fn export(&self, request: &ExportLogsServiceRequest) {
        self.logs().export(request).unwrap();
    }

    /// Asks Loki's API: a path after `/loki/api/v1/` and parameters.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, &str)]) -> Answered {
        answered(self.client.get(self.url(path, params))).await
    }

    pub(crate) fn url(&self, path: &str, params: &[(&str, &str)]) -> url::Url {
        let base = format!("http://{}/loki/api/v1/{path}", self.api);
        if params.is_empty() {
            base.parse()
        } else {
            url::Url::parse_with_params(&base, params)
        }
        .unwrap()
    }

    /// Stops everything; fails if something does not stop, or did not run well.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        drop(self.client);
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task)
                .await
                .expect("stops in time")
                .unwrap()
                .unwrap();
        }
    }
}

pub(crate) async fn answered(request: reqwest::RequestBuilder) -> Answered {
    let response = request.send().await.unwrap();
    let content_type = response.headers().get("content-type");
    let content_type = content_type.map_or(String::new(), |v| v.to_str().unwrap().to_owned());
    (
        response.status().as_u16(),
        content_type,
        response.text().await.unwrap(),
    )
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
