//! The server: accepts connections on a given listener, hands each request to its route, and stops in order.
//! `run` is what the binaries and the harness call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry::TraceId;
use tdemo_telemetry::Telemetry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::instrument::WithSubscriber;

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::{App, Call};
use crate::instrument::ServerSpan;
use crate::metrics::{OPEN_METRICS, Refused};
use crate::peer::Peer;
use crate::route::Route;
use crate::settings::Settings;
use crate::{body, tier};

/// A request head larger than this is answered 431; a `baggage` of the 8,192 bytes that W3C asks for fits well.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// When the service stops, an idle connection is kept this long: a request that is already on its way over it is still
/// answered (and told that the connection closes), where closing at once would cut it off.
const IDLE_GRACE: Duration = Duration::from_millis(250);

/// Pause after an accept that failed for want of resources (file handles, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a service did between its start and its stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Traced requests, whatever became of them.
    pub requests: u64,
    /// Connections that hyper refused before there was a request.
    pub refused: u64,
    /// Connections whose request was cut off because the deadline to stop had passed.
    pub cut_off: usize,
}

/// How far stopping has come, as the connections see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Serve on.
    Open,
    /// Close as soon as no request is in flight.
    Closing,
}

/// Serves one tier on `listener` until `shutdown` is cancelled and the requests in flight are answered, or
/// [`Settings::drain_deadline`] has passed. Spans and logs go to `telemetry`, which stays the caller's to shut down,
/// afterwards, so that nothing that was recorded here is lost.
///
/// Dropping the future closes the listener and cuts all connections.
///
/// ```
/// use tdemo_services::{Settings, Tier, run};
/// use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let off = TelemetrySettings { disabled: true, ..TelemetrySettings::default() };
/// let telemetry = Telemetry::start(off, ResourceInfo::new("backend", "1.0.0"))?;
/// let stop = CancellationToken::new();
/// let service = tokio::spawn(run(listener, Settings::new(Tier::Backend), telemetry, stop.clone()));
/// stop.cancel();
/// assert_eq!(service.await?.cut_off, 0);
/// # Ok(()) }
/// ```
pub async fn run(
    listener: TcpListener,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> RunSummary {
    let dispatch = telemetry.dispatch().clone();
    serve(listener, settings, telemetry, shutdown)
        .with_subscriber(dispatch)
        .await
}

async fn serve(
    listener: TcpListener,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> RunSummary {
    let info = tier::info(&settings, telemetry.is_enabled());
    let app = Arc::new(App::new(&settings, info, telemetry));
    let (phase, _) = watch::channel(Phase::Open);
    let server = Server {
        app: Arc::clone(&app),
        connections: TaskTracker::new(),
        header_timeout: settings.header_timeout,
        phase,
    };
    let slots = Arc::new(Semaphore::new(settings.max_connections));

    let accepting = server.accept(&listener, &slots);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accepting => {}
    }

    let deadline = Instant::now() + settings.drain_deadline;
    app.draining.store(true, Ordering::Relaxed);
    server.accept_backlog(listener, &slots);
    server.connections.close();
    let idle_until = deadline.min(Instant::now() + IDLE_GRACE);
    if tokio::time::timeout_at(idle_until, server.connections.wait())
        .await
        .is_err()
    {
        server.phase.send_replace(Phase::Closing);
    }
    let drained = tokio::time::timeout_at(deadline, server.connections.wait()).await;
    let cut_off = if drained.is_ok() {
        0
    } else {
        server.connections.len()
    };
    let Server {
        connections, phase, ..
    } = server;
    // Connections that are still there see that the sender is gone, and end.
    drop(phase);
    connections.wait().await;
    RunSummary {
        requests: app.requests.load(Ordering::Relaxed),
        refused: app.metrics.refused(),
        cut_off,
    }
}

struct Server {
    app: Arc<App>,
    connections: TaskTracker,
    header_timeout: Duration,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Accepts until dropped.
    async fn accept(&self, listener: &TcpListener, slots: &Arc<Semaphore>) {
        loop {
            let slot = Arc::clone(slots)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, remote)) => self.connect(stream, remote, slot),
                // The caller was gone before it was accepted: nothing is amiss here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Takes what had connected before the listener closes: those callers have perhaps sent their request already.
    fn accept_backlog(&self, listener: TcpListener, slots: &Arc<Semaphore>) {
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            // tokio's listeners do not block, so this ends where the backlog does.
            let Ok((stream, remote)) = listener.accept() else {
                return;
            };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.connect(stream, remote, slot);
            }
        }
    }

    fn connect(&self, stream: TcpStream, remote: SocketAddr, slot: OwnedSemaphorePermit) {
        // Both fail only on a connection that is gone, and serving it finds out.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().unwrap_or(remote);
        let peer = Arc::new(Peer::new(remote, local));
        let connection = connection(
            Arc::clone(&self.app),
            stream,
            peer,
            self.header_timeout,
            self.phase.subscribe(),
        );
        let task = async move {
            connection.await;
            drop(slot);
        };
        self.connections.spawn(task.with_current_subscriber());
    }
}

/// Serves one connection to its end, or to the service's.
async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    peer: Arc<Peer>,
    header_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
) {
    let answered = AtomicBool::new(false);
    let service = service_fn(|request| {
        let (app, peer) = (Arc::clone(&app), Arc::clone(&peer));
        answered.store(true, Ordering::Relaxed);
        answer(app, peer, request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => break result,
            change = phase.changed() => match change {
                Ok(()) => connection.as_mut().graceful_shutdown(),
                // The service's time is over: dropping the connection ends its spans.
                Err(_) => return,
            },
        }
    };
    if let Err(error) = result {
        let reason = if error.is_parse_too_large() {
            Refused::TooLarge
        } else if error.is_parse() {
            Refused::Malformed
        } else if error.is_timeout() && !answered.load(Ordering::Relaxed) {
            // After an answer the same timer only closes an idle connection.
            Refused::HeaderTimeout
        } else {
            return;
        };
        app.metrics.count_refused(reason);
        tracing::debug!(%error, client.address = %peer.client, "refused a connection");
    }
}

/// Says to hyper that the connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

/// Answers one request.
async fn answer(
    app: Arc<App>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Result<HttpAnswer, Closed> {
    let route = app.tier.route(request.uri().path());
    let draining = Arc::clone(&app);
    let mut answer = match route {
        Some(route) if !route.is_traced() => probe(&app, route, &request),
        _ => traced(app, &peer, request, route).await.ok_or(Closed)?,
    };
    if draining.draining.load(Ordering::Relaxed) {
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

/// `/health` and `/metrics`: untraced, unlogged, and answered however busy the service is.
fn probe(app: &App, route: Route, request: &Request<Incoming>) -> HttpAnswer {
    if !route.allows(request.method()) {
        let refusal = Refusal::Method {
            allow: route.allow(),
        };
        return answer::refuse(
            app.tier,
            &refusal,
            http::StatusCode::METHOD_NOT_ALLOWED,
            TraceId::INVALID,
        );
    }
    if route == Route::Metrics {
        let mut answer = answer::json(app.metrics.print().into());
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, OPEN_METRICS);
        answer
    } else {
        answer::json(Bytes::from_static(br#"{"status":"healthy"}"#))
    }
}

/// Every other request: inside its SERVER span, within the limit on requests in flight.
async fn traced(
    app: Arc<App>,
    peer: &Peer,
    request: Request<Incoming>,
    route: Option<Route>,
) -> Option<HttpAnswer> {
    app.requests.fetch_add(1, Ordering::Relaxed);
    let (parts, mut body) = request.into_parts();
    let span = ServerSpan::start(Arc::clone(&app), peer, &parts, route);
    let handler = async {
        let _in_flight = app.enter().ok_or(Refusal::Busy)?;
        let route = route.ok_or(Refusal::NotFound)?;
        if !route.allows(&parts.method) {
            return Err(Refusal::Method {
                allow: route.allow(),
            });
        }
        let (server, method, headers) = (span.context(), &parts.method, &parts.headers);
        tier::handle(
            route,
            &mut Call {
                app: &app,
                server,
                method,
                headers,
                body: &mut body,
            },
        )
        .await
    };
    let result = span.run(handler).await;
    if !matches!(&result, Err(refusal) if refusal.is_final()) {
        body::drain(&parts.headers, &mut body).await;
    }
    span.finish(result)
}
