//! Tempo's HTTP API, and Loki's beside it: one router, one file a group of routes.
//!
//! Called by whoever runs the store. Errors are plain text and their kind, like the paths and parameters, is Tempo's.

mod loki;
mod metrics;
mod search;
mod search_answer;
mod search_params;
mod status;
mod tags;
mod traces;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Body, Protocol, plain_text};
use crate::store::Snapshot;
use crate::tenants::{Tenant, TenantError, Tenants};
use loki::Loki;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";
/// How long a search waits for its turn before it is refused.
const SEARCH_TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers Tempo's HTTP API, and Loki's under `/loki/`, until `shutdown`, then lets requests in flight finish.
pub async fn run_api(
    listener: TcpListener,
    stores: impl Into<Tenants>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let api = Arc::new(Api {
        loki: Loki::new(shutdown.clone()),
        stores: stores.into(),
        searches: Arc::new(Semaphore::new(
            std::thread::available_parallelism().map_or(1, NonZero::get),
        )),
        stopping: shutdown.clone(),
    });
    let routes = Arc::clone(&api);
    let served = server::serve(listener, Protocol::Http1, shutdown, move |request| {
        let api = Arc::clone(&routes);
        async move {
            let answered = if request.uri().path().starts_with(loki::PREFIX) {
                match api.stores.logs_to_read(request.headers()) {
                    Ok(logs) => Ok(api.loki.handle(logs, request).await),
                    Err(error) => Err(error),
                }
            } else {
                api.route(&request).await
            };
            answered.unwrap_or_else(|error| plain_text(error.http_status(), error.to_string()))
        }
    })
    .await;
    api.loki.finish().await;
    served
}

/// What the routes share.
struct Api {
    loki: Loki,
    stores: Tenants,
    /// Turns for searches.
    searches: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Api {
    async fn route(&self, request: &Request<Incoming>) -> Result<Response<Body>, TenantError> {
        let path = request.uri().path().trim_start_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        let query = request.uri().query().unwrap_or_default();
        let accept = Accept::from_headers(request.headers());
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain_text(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return Ok(response);
        }
        match segments.as_slice() {
            ["ready"] => return Ok(status::ready(self.stopping.is_cancelled())),
            ["metrics"] => return Ok(metrics::metrics(self.stores.all())),
            ["api", "echo"] => return Ok(status::echo()),
            ["api", "status", "buildinfo"] => return Ok(status::build_info()),
            _ => {}
        }
        let from = self.stores.to_read(request.headers())?;
        Ok(match segments.as_slice() {
            ["api", "traces", id] => traces::v1(&from, &decoded(id), query, accept),
            ["api", "v2", "traces", id] => traces::v2(&from, &decoded(id), query, accept),
            ["api", "search"] => {
                self.search(from, query, move |all, q| search::search(all, q, accept))
                    .await
            }
            ["api", "search", "tags"] => {
                self.search(from, query, move |all, q| tags::names_v1(all, q, accept))
                    .await
            }
            ["api", "v2", "search", "tags"] => {
                self.search(from, query, move |all, q| tags::names_v2(all, q, accept))
                    .await
            }
            ["api", "search", "tag", tag @ .., "values"] if tag.concat() != "" => {
                let tag = decoded(&tag.join("/"));
                self.search(from, query, move |all, q| {
                    tags::values_v1(all, &tag, q, accept)
                })
                .await
            }
            ["api", "v2", "search", "tag", tag @ .., "values"] if tag.concat() != "" => {
                let tag = decoded(&tag.join("/"));
                self.search(from, query, move |all, q| {
                    tags::values_v2(all, &tag, q, accept)
                })
                .await
            }
            _ => plain_text(StatusCode::NOT_FOUND, "404 page not found\n"),
        })
    }
}

impl Api {
    /// Runs a search, which may look at every span, on a thread that may block; as many at a time as
    /// there are processors.
    async fn search(
        &self,
        from: Vec<Tenant>,
        query: &str,
        search: impl FnOnce(&Snapshot, &str) -> Response<Body> + Send + 'static,
    ) -> Response<Body> {
        let turn = tokio::time::timeout(
            SEARCH_TURN_TIMEOUT,
            Arc::clone(&self.searches).acquire_owned(),
        )
        .await;
        let Ok(Ok(turn)) = turn else {
            return plain_text(
                StatusCode::TOO_MANY_REQUESTS,
                "too many searches at a time; try again later\n",
            );
        };
        let query = query.to_owned();
        let searched = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, even if the client has gone away.
            let _turn = turn;
            let snapshots = from
                .into_iter()
                .map(|tenant| tenant.store.snapshot().chunks);
            let chunks = snapshots.flatten().collect();
            search(&Snapshot { chunks }, &query)
        });
        searched.await.unwrap_or_else(|_| {
            plain_text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal error: the search was given up\n",
            )
        })
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
