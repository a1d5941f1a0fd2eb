//! Tempo's HTTP API, and Loki's beside it: one router, one file a group of routes.
//!
//! Called by whoever runs the store. Errors are plain text and their kind, like the paths and parameters, is Tempo's.

mod loki;
mod metrics;
mod status;
mod traces;

use std::io;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Body, Protocol, plain_text};
use crate::store::Store;
use loki::Loki;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

/// Answers Tempo's HTTP API, and Loki's under `/loki/`, until `shutdown`, then lets requests in flight finish.
pub async fn run_api(
    listener: TcpListener,
    store: Arc<Store>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let api = Arc::new(Api {
        loki: Loki::new(Arc::clone(store.logs()), shutdown.clone()),
        store,
        stopping: shutdown.clone(),
    });
    let routes = Arc::clone(&api);
    let served = server::serve(listener, Protocol::Http1, shutdown, move |request| {
        let api = Arc::clone(&routes);
        async move {
            if request.uri().path().starts_with(loki::PREFIX) {
                api.loki.handle(request).await
            } else {
                api.route(&request)
            }
        }
    })
    .await;
    api.loki.finish().await;
    served
}

/// What the routes share.
struct Api {
    loki: Loki,
    store: Arc<Store>,
    stopping: CancellationToken,
}

impl Api {
    fn route(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().trim_start_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        let query = request.uri().query().unwrap_or_default();
        let accept = Accept::from_headers(request.headers());
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain_text(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        match segments.as_slice() {
            ["ready"] => status::ready(self.stopping.is_cancelled()),
            ["metrics"] => metrics::metrics(&self.store),
            ["api", "echo"] => status::echo(),
            ["api", "status", "buildinfo"] => status::build_info(),
            ["api", "traces", id] => traces::v1(&self.store, &decoded(id), query, accept),
            ["api", "v2", "traces", id] => traces::v2(&self.store, &decoded(id), query, accept),
            _ => plain_text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

/// A path segment without its percent signs.
fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The form in which an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accept {
    Json,
    Protobuf,
}

impl Accept {
    /// Like Tempo, this only looks whether the header mentions protobuf.
    fn from_headers(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok());
        if accept.is_some_and(|accept| accept.contains(PROTOBUF)) {
            Accept::Protobuf
        } else {
            Accept::Json
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Accept::Json => JSON,
            Accept::Protobuf => PROTOBUF,
        }
    }
}
