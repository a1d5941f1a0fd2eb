//! A running store for tests: listeners on free ports, stopped at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tdemo_tracestore::{Limits, Store, run_api, run_otlp_grpc, run_otlp_http};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a slow machine, short enough to fail.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A store with its three listeners.
pub(crate) struct Running {
    pub(crate) store: Arc<Store>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    pub(crate) async fn start(limits: Limits) -> Self {
        // One of the test binaries may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Arc::new(Store::new(limits));
        let stop = CancellationToken::new();
        let (grpc, http, api) = (bind().await, bind().await, bind().await);
        let addr = |listener: &TcpListener| listener.local_addr().unwrap();
        Running {
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

    /// Posts to the OTLP/HTTP receiver.
    pub(crate) async fn post(
        &self,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let request = self.client.post(format!("http://{}/v1/traces", self.http));
        request
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// Asks the API.
    pub(crate) async fn get(&self, path: &str, accept: Option<&str>) -> reqwest::Response {
        let mut request = self.client.get(format!("http://{}{path}", self.api));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        request.send().await.unwrap()
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

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
