//! The running stack: started on bound listeners, stopped tier by tier, then
//! telemetry, then the store, each with a deadline. Called by `tdemo up`,
//! `tdemo load` and tests.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tdemo_services::{RunSummary, Settings};
use tdemo_telemetry::settings::{ExporterSettings, LogExportSettings, Protocol};
use tdemo_telemetry::{LedgerSnapshot, LogSink, ResourceInfo, Telemetry, TelemetrySettings};
use tdemo_trace::{Completeness, Owed, Trace, TraceId};
use tdemo_tracestore::{Store, run_api, run_otlp_grpc, run_otlp_http};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::StackConfig;

/// How long the last spans may take to reach the receiver.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
/// What a part gets beyond its own deadline to stop before it is cut off.
const STOP_MARGIN: Duration = Duration::from_secs(2);
/// How long the store's listeners may take for requests in flight.
const STORE_DEADLINE: Duration = Duration::from_secs(12);

/// Why a stack did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("the {part} cannot listen on {address}: {source}")]
    Bind {
        /// Which part, in words; see [`Part`].
        part: Part,
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A service's telemetry cannot start.
    #[error("the {part}'s telemetry cannot start: {source}")]
    Telemetry {
        /// Which service.
        part: Part,
        /// Why not.
        source: tdemo_telemetry::StartError,
    },
}

/// The parts of a stack that listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first tier.
    Frontend,
    /// The second tier.
    Middleware,
    /// The third tier.
    Backend,
    /// The receiver of OTLP over gRPC.
    OtlpGrpc,
    /// The receiver of OTLP over HTTP.
    OtlpHttp,
    /// The trace store's Tempo API.
    Tempo,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Frontend => "frontend",
            Self::Middleware => "middleware",
            Self::Backend => "backend",
            Self::OtlpGrpc => "OTLP/gRPC receiver",
            Self::OtlpHttp => "OTLP/HTTP receiver",
            Self::Tempo => "trace store",
        })
    }
}

/// Base URLs of the running parts, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// The frontend.
    pub frontend: String,
    /// The middleware.
    pub middleware: String,
    /// The backend.
    pub backend: String,
    /// The OTLP/gRPC receiver.
    pub otlp_grpc: String,
    /// The OTLP/HTTP receiver.
    pub otlp_http: String,
    /// The trace store's Tempo API.
    pub tempo: String,
}

/// The span ledgers of the three services for the stack's own receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledgers {
    /// The frontend's.
    pub frontend: LedgerSnapshot,
    /// The middleware's.
    pub middleware: LedgerSnapshot,
    /// The backend's.
    pub backend: LedgerSnapshot,
}

/// What became of all spans, or log records, on their way to one receiver, over
/// all services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// What the receiver acknowledged.
    pub exported: u64,
    /// What was given up because there was no room to keep it.
    pub dropped: u64,
    /// What the receiver refused, or never took before the deadline.
    pub failed: u64,
}

impl Settled {
    /// How many never arrived.
    pub fn lost(&self) -> u64 {
        self.dropped + self.failed
    }

    fn add(&mut self, ledger: LedgerSnapshot) {
        self.exported += ledger.exported;
        self.dropped += ledger.dropped;
        self.failed += ledger.failed;
    }
}

/// What a stack did between its start and its stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Traced requests to the frontend; the other tiers served these in turn.
    pub requests: u64,
    /// Traces that the store took in, from whomever.
    pub traces: u64,
    /// Spans that the store took in, from whomever.
    pub spans: u64,
    /// Log records that the store took in, from whomever.
    pub records: u64,
    /// The services' spans on their way to the stack's own receiver.
    pub own: Settled,
    /// The services' spans on their way to all mirrors.
    pub mirrors: Settled,
    /// The services' log records on their way to the stack's own receiver.
    pub logs: Settled,
    /// Requests cut off because the deadline to stop had passed.
    pub cut_off: u64,
}

/// A trace that did not become complete in time.
#[derive(Debug, thiserror::Error)]
#[error("trace {id} is not complete after {waited:?}: {}", first_flaw(.judged))]
pub struct Incomplete {
    /// The trace.
    pub id: TraceId,
    /// How long it was waited for.
    pub waited: Duration,
    /// What is wrong with what is there.
    pub judged: Completeness,
}

fn first_flaw(judged: &Completeness) -> String {
    let flaws = judged.flaws();
    match flaws.len() {
        0 => "nothing is wrong with it".to_owned(),
        1 => flaws[0].to_string(),
        more => format!("{}, and {} more", flaws[0], more - 1),
    }
}

/// A running stack. Call [`Stack::shutdown`]: a stack that is dropped stops
/// too, but loses what it has not exported yet, and the drop may block.
#[derive(Debug)]
pub struct Stack {
    urls: Urls,
    store: Arc<Store>,
    frontend: Service,
    middleware: Service,
    backend: Service,
    servers: Vec<JoinHandle<io::Result<()>>>,
    stop_servers: CancellationToken,
}

/// One of the three services.
#[derive(Debug)]
struct Service {
    telemetry: Telemetry,
    deadline: Duration,
    stop: CancellationToken,
    task: JoinHandle<RunSummary>,
}

impl Stack {
    /// Binds everything, then starts it; needs a tokio runtime. When this
    /// returns, every part takes connections.
    pub async fn start(config: StackConfig) -> Result<Self, StartError> {
        let wanted = config.addresses;
        let (frontend, frontend_url) = bind(Part::Frontend, wanted.frontend).await?;
        let (middleware, middleware_url) = bind(Part::Middleware, wanted.middleware).await?;
        let (backend, backend_url) = bind(Part::Backend, wanted.backend).await?;
        let (grpc, otlp_grpc) = bind(Part::OtlpGrpc, wanted.otlp_grpc).await?;
        let (http, otlp_http) = bind(Part::OtlpHttp, wanted.otlp_http).await?;
        let (tempo, tempo_url) = bind(Part::Tempo, wanted.tempo).await?;
        let urls = Urls {
            frontend: frontend_url,
            middleware: middleware_url,
            backend: backend_url,
            otlp_grpc,
            otlp_http,
            tempo: tempo_url,
        };
        let telemetry = |part| service_telemetry(part, &config.telemetry, &urls.otlp_grpc);
        let frontend_telemetry = telemetry(Part::Frontend)?;
        let middleware_telemetry = telemetry(Part::Middleware)?;
        let backend_telemetry = telemetry(Part::Backend)?;

        let store = Arc::new(Store::new(config.store));
        let stop_servers = CancellationToken::new();
        let (stored, stop) = (|| Arc::clone(&store), || stop_servers.clone());
        let servers = vec![
            tokio::spawn(run_otlp_grpc(grpc, stored(), stop())),
            tokio::spawn(run_otlp_http(http, stored(), stop())),
            tokio::spawn(run_api(tempo, stored(), stop())),
        ];
        let next = |url: &str| url.parse().ok();
        let settings = Settings {
            next: next(&urls.middleware),
            ..config.frontend
        };
        let frontend = Service::start(frontend, settings, frontend_telemetry);
        let settings = Settings {
            next: next(&urls.backend),
            ..config.middleware
        };
        let middleware = Service::start(middleware, settings, middleware_telemetry);
        let backend = Service::start(backend, config.backend, backend_telemetry);
        Ok(Self {
            urls,
            store,
            frontend,
            middleware,
            backend,
            servers,
            stop_servers,
        })
    }

    /// Where everything is.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Waits until trace `id` holds what is `owed`, and gives it. It is looked
    /// at whenever the store has taken in spans, so that nothing is waited for
    /// longer than it takes.
    pub async fn await_trace(
        &self,
        id: TraceId,
        owed: &Owed,
        deadline: Duration,
    ) -> Result<Trace, Incomplete> {
        let until = tokio::time::Instant::now() + deadline;
        let mut changes = self.store.subscribe();
        loop {
            changes.mark_unchanged();
            let trace = self.store.trace(id).unwrap_or_else(|| Trace::empty(id));
            let judged = owed.judge(&trace);
            if judged.is_complete() {
                return Ok(trace);
            }
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                // The store is ours, so it cannot have gone; were it so, no
                // trace would become complete any more.
                Ok(Err(_)) | Err(_) => {
                    return Err(Incomplete {
                        id,
                        waited: deadline,
                        judged,
                    });
                }
            }
        }
    }

    /// What became of the services' spans so far.
    pub fn ledgers(&self) -> Ledgers {
        Ledgers {
            frontend: self.frontend.telemetry.ledger(),
            middleware: self.middleware.telemetry.ledger(),
            backend: self.backend.telemetry.ledger(),
        }
    }

    /// Stops in the order in which nothing is lost: each tier stops accepting
    /// and finishes its requests, the first one first; then every span is
    /// exported; then the store stops. Each step has a deadline, so this ends.
    pub async fn shutdown(self) -> Summary {
        let mut summary = Summary::default();
        let services = [self.frontend, self.middleware, self.backend];
        let mut telemetries = Vec::new();
        for (at, service) in services.into_iter().enumerate() {
            let telemetry = service.telemetry.clone();
            let (served, cut_off) = service.stop().await;
            if at == 0 {
                summary.requests = served;
            }
            summary.cut_off += cut_off;
            telemetries.push(telemetry);
        }
        let flushing = telemetries.iter().map(|telemetry| {
            let telemetry = telemetry.clone();
            tokio::spawn(async move { telemetry.shutdown(FLUSH_DEADLINE).await })
        });
        for flushed in flushing.collect::<Vec<_>>() {
            // What was abandoned at the deadline stands in the ledger.
            let _ = flushed.await;
        }
        for telemetry in &telemetries {
            summary.own.add(telemetry.ledger());
            summary.logs.add(telemetry.log_ledger());
            for mirror in telemetry.mirror_ledgers() {
                summary.mirrors.add(mirror);
            }
        }
        self.stop_servers.cancel();
        let until = tokio::time::Instant::now() + STORE_DEADLINE;
        for mut server in self.servers {
            if tokio::time::timeout_at(until, &mut server).await.is_err() {
                server.abort();
            }
        }
        let stored = self.store.stats();
        summary.traces = stored.traces_created;
        summary.spans = stored.spans_stored;
        summary.records = self.store.logs().stats().received;
        summary
    }
}

impl Service {
    fn start(listener: TcpListener, settings: Settings, telemetry: Telemetry) -> Self {
        let stop = CancellationToken::new();
        Self {
            deadline: settings.drain_deadline,
            task: tokio::spawn(tdemo_services::run(
                listener,
                settings,
                telemetry.clone(),
                stop.clone(),
            )),
            telemetry,
            stop,
        }
    }

    /// Requests served, and how many were cut off.
    async fn stop(mut self) -> (u64, u64) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(self.deadline + STOP_MARGIN, &mut self.task).await;
        if let Ok(Ok(summary)) = stopped {
            (summary.requests, summary.cut_off as u64)
        } else {
            // A defect of the service, which its own deadline should exclude.
            self.task.abort();
            (0, 0)
        }
    }
}

async fn bind(part: Part, address: SocketAddr) -> Result<(TcpListener, String), StartError> {
    let failed = |source| StartError::Bind {
        part,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let mut bound = listener.local_addr().map_err(failed)?;
    // "All interfaces" is no address that one can connect to everywhere.
    if bound.ip().is_unspecified() {
        bound.set_ip(match bound.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok((listener, format!("http://{bound}")))
}

/// The telemetry of one service: the stack's own receiver and names; its log
/// goes to that receiver, and nowhere as lines.
fn service_telemetry(
    part: Part,
    settings: &TelemetrySettings,
    otlp_grpc: &str,
) -> Result<Telemetry, StartError> {
    let mut settings = settings.clone();
    settings.service_name = None;
    settings.logs.sink = LogSink::none();
    let receiver = ExporterSettings::for_base("otlp_grpc", Protocol::Grpc, otlp_grpc)
        .expect("the address of a listener makes a URL");
    settings.logs.otlp = Some(LogExportSettings {
        exporter: receiver.clone(),
        batch: settings.logs.otlp.take().unwrap_or_default().batch,
    });
    settings.exporter = receiver;
    let resource = ResourceInfo::new(part.to_string(), env!("CARGO_PKG_VERSION"));
    Telemetry::start(settings, resource).map_err(|source| StartError::Telemetry { part, source })
}
