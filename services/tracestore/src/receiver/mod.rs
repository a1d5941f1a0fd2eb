//! OTLP in: gRPC on one listener, HTTP on another, one way from there into the store.
//!
//! Called by whoever runs the store (the `tracestore` binary, a harness). What is answered when is that of a Tempo behind
//! an OpenTelemetry Collector receiver.

mod body;
mod grpc;
mod http;
mod status;
mod taken;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::logs::{LogStore, OtlpLogsError};
use crate::server::{Protocol, serve};
use crate::store::{RefusalReason, Store, Transport};
use crate::tenants::{TenantError, Tenants};
use crate::wire::{self, WireError};
use body::Budget;
use taken::Taken;

/// Bytes of one request, and again of what it unpacks to: the Collector's limit for HTTP.
pub const MAX_REQUEST_BYTES: usize = 20 * 1024 * 1024;
/// Bytes that the bodies of all requests being received may take together; more are refused as overload.
const MAX_BYTES_IN_FLIGHT: usize = 256 * 1024 * 1024;
/// How long a body may pause.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests larger than this are decoded off the threads that serve connections (some 2 ms of work).
const INLINE_BYTES: usize = 512 * 1024;
/// Large requests decoded at a time.
const MAX_LARGE: usize = 4;
/// How long a large request waits for its turn before it is refused as overload.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives OTLP/gRPC until `shutdown`, then lets requests in flight finish.
pub async fn run_otlp_grpc(
    listener: TcpListener,
    stores: impl Into<Tenants>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let receiver = Arc::new(Receiver::new(stores.into(), Transport::Grpc));
    serve(listener, Protocol::Http2, shutdown, move |request| {
        grpc::handle(Arc::clone(&receiver), request)
    })
    .await
}

/// Receives OTLP/HTTP, protobuf and JSON, until `shutdown`, then lets requests in flight finish.
pub async fn run_otlp_http(
    listener: TcpListener,
    stores: impl Into<Tenants>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let receiver = Arc::new(Receiver::new(stores.into(), Transport::Http));
    serve(listener, Protocol::Http1, shutdown, move |request| {
        http::handle(Arc::clone(&receiver), request)
    })
    .await
}

/// What the requests of one listener share.
#[derive(Debug)]
struct Receiver {
    stores: Tenants,
    transport: Transport,
    budget: Budget,
    large: Arc<Semaphore>,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Logs,
}

/// The two encodings of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

/// Why a request was not stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Json(#[from] wire::JsonError),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("cannot read the log request: {0}")]
    LogsWire(#[from] prost::DecodeError),
    #[error("{0}")]
    Logs(#[from] OtlpLogsError),
    #[error("{0}")]
    Tenant(#[from] TenantError),
    #[error("the store is overloaded: too much is being received at once; try again later")]
    Overload,
    #[error("the request takes more than {MAX_REQUEST_BYTES} bytes")]
    TooLarge,
    #[error("the request's body did not arrive: {0}")]
    Body(String),
    #[error("cannot unpack the request: {0}")]
    Unpack(io::Error),
    #[error("unsupported Content-Encoding: {0}")]
    UnknownPacking(String),
    #[error("internal error: the request was given up")]
    Panicked,
}

impl Receiver {
    fn new(stores: Tenants, transport: Transport) -> Self {
        Receiver {
            stores,
            transport,
            budget: Budget::new(MAX_BYTES_IN_FLIGHT),
            large: Arc::new(Semaphore::new(MAX_LARGE)),
        }
    }

    /// Runs `work`, which takes time in proportion to `bytes`, where it holds up nobody.
    async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= INLINE_BYTES {
            return work();
        }
        let turn = Arc::clone(&self.large).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(TURN_TIMEOUT, turn).await else {
            return Err(Refusal::Overload);
        };
        let work = move || {
            let done = work();
            // Not before: the client may be gone, and this future with it, while the work goes on.
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or(Err(Refusal::Panicked))
    }

    /// Stores a tenant's request, already unpacked.
    async fn store(
        &self,
        store: Arc<Store>,
        signal: Signal,
        encoding: Encoding,
        request: Bytes,
    ) -> Result<Taken, Refusal> {
        let transport = self.transport;
        self.work(request.len(), move || match signal {
            Signal::Traces => store_traces(&store, transport, encoding, &request),
            Signal::Logs => store_logs(store.logs(), encoding, request),
        })
        .await
    }
}

fn store_traces(
    store: &Store,
    transport: Transport,
    encoding: Encoding,
    request: &[u8],
) -> Result<Taken, Refusal> {
    let rewritten;
    let request = match encoding {
        Encoding::Protobuf => request,
        Encoding::Json => {
            rewritten = wire::to_protobuf(request)?;
            &rewritten
        }
    };
    let counters = store.counters();
    match wire::decode(request) {
        Ok(batch) => {
            store.insert(&batch);
            counters.count_accepted(transport, batch.spans.len() as u64, request.len() as u64);
            // Like Tempo, which says nothing of spans beyond a trace's limit here.
            Ok(Taken::all())
        }
        Err(error) => {
            match error {
                WireError::TraceId { spans, .. } => {
                    counters.count_refused(transport, RefusalReason::InvalidTraceId, spans);
                }
                WireError::SpanId { spans, .. } => {
                    counters.count_refused(transport, RefusalReason::InvalidSpanId, spans);
                }
                // How many spans it was meant to have, nobody knows.
                WireError::Malformed(_) => {}
            }
            Err(error.into())
        }
    }
}

fn store_logs(logs: &LogStore, encoding: Encoding, request: Bytes) -> Result<Taken, Refusal> {
    let request = match encoding {
        Encoding::Protobuf => request,
        Encoding::Json => wire::logs_to_protobuf(&request)?.into(),
    };
    let report = logs.export(&ExportLogsServiceRequest::decode(request)?)?;
    Ok(Taken::but_too_large(
        report.too_large,
        logs.limits().max_record_bytes,
    ))
}
