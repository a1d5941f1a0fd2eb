//! An OTLP receiver of spans and log records for the tests: tonic's server for gRPC, plain hyper for HTTP,
//! on a thread and a runtime of its own, with answers that a test prescribes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tdemo_telemetry::settings::{ExporterSettings, LogExportSettings, Protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service as _;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How to answer one request. Requests without a prescribed answer are accepted.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Accept,
    /// Accepted but for so many spans or records.
    Reject(i64),
    /// `INVALID_ARGUMENT`, or 400.
    Refuse,
    /// `RESOURCE_EXHAUSTED`, or 429; with a delay in whole seconds or without.
    Exhausted(Option<u64>),
    /// `UNAVAILABLE`, or 503.
    Unavailable,
    /// No answer, ever.
    Silence,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    /// Spans or records.
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    always: Option<Answer>,
    seen: Vec<Seen>,
    accepted: Vec<ExportTraceServiceRequest>,
    accepted_logs: Vec<ExportLogsServiceRequest>,
}

/// A request of either signal.
trait Export: prost::Message + Default + Sized {
    fn items(&self) -> usize;
    fn keep(self, state: &mut State);
    /// The answer that rejects so many.
    fn answer(rejected: i64) -> Vec<u8>;
}

impl Export for ExportTraceServiceRequest {
    fn items(&self) -> usize {
        count(self)
    }

    fn keep(self, state: &mut State) {
        state.accepted.push(self);
    }

    fn answer(rejected: i64) -> Vec<u8> {
        trace_answer(rejected).encode_to_vec()
    }
}

impl Export for ExportLogsServiceRequest {
    fn items(&self) -> usize {
        count_records(self)
    }

    fn keep(self, state: &mut State) {
        state.accepted_logs.push(self);
    }

    fn answer(rejected: i64) -> Vec<u8> {
        logs_answer(rejected).encode_to_vec()
    }
}

#[derive(Clone, Default)]
struct Book(Arc<(Mutex<State>, Condvar)>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Enters a request and says how to answer it.
    fn enter(&self, headers: HeaderMap, request: impl Export) -> Answer {
        let mut state = self.lock();
        state.seen.push(Seen {
            at: Instant::now(),
            headers,
            items: request.items(),
            bytes: request.encoded_len(),
        });
        let always = state.always.clone();
        let answer = state
            .answers
            .pop_front()
            .or(always)
            .unwrap_or(Answer::Accept);
        if matches!(answer, Answer::Accept | Answer::Reject(_)) {
            request.keep(&mut state);
        }
        self.0.1.notify_all();
        answer
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let state = self.lock();
        let (state, waited) = (self.0.1)
            .wait_timeout_while(state, DEADLINE, |state| !condition(state))
            .unwrap();
        assert!(!waited.timed_out(), "{what}: only {:?}", state.seen);
    }
}

fn count(request: &ExportTraceServiceRequest) -> usize {
    (request.resource_spans.iter())
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

fn count_records(request: &ExportLogsServiceRequest) -> usize {
    (request.resource_logs.iter())
        .flat_map(|resource| &resource.scope_logs)
        .map(|scope| scope.log_records.len())
        .sum()
}

/// A receiver; it stops when it is dropped.
pub(crate) struct Receiver {
    protocol: Protocol,
    tls: Option<TlsAcceptor>,
    pub(crate) address: SocketAddr,
    book: Book,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

impl Receiver {
    pub(crate) fn start(protocol: Protocol) -> Self {
        Self::start_with(protocol, None)
    }

    pub(crate) fn start_with(protocol: Protocol, tls: Option<TlsAcceptor>) -> Self {
        let mut receiver = Self {
            protocol,
            tls,
            address: "127.0.0.1:0".parse().unwrap(),
            book: Book::default(),
            running: None,
        };
        receiver.restart();
        receiver
    }

    /// Stops listening and breaks every connection off.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }

    /// Listens on the address it had before, if it had one.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let (stop, stopped) = oneshot::channel();
        let (ready, bound) = std::sync::mpsc::channel();
        let (address, book, tls, protocol) = (
            self.address,
            self.book.clone(),
            self.tls.clone(),
            self.protocol,
        );
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, protocol, tls, book) => {}
                    _ = stopped => {}
                }
            });
        });
        self.address = bound.recv_timeout(DEADLINE).unwrap();
        self.running = Some((stop, thread));
    }

    /// Prescribes the answers to the next requests.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.book.lock().answers.extend(answers);
    }

    /// Prescribes the answer to all requests from now on.
    pub(crate) fn always(&self, answer: Option<Answer>) {
        self.book.lock().always = answer;
    }

    pub(crate) fn settings(&self) -> ExporterSettings {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://localhost:{}", self.address.port());
        ExporterSettings::for_base("the test", self.protocol, &base).unwrap()
    }

    /// The same receiver for log records.
    pub(crate) fn log_settings(&self) -> LogExportSettings {
        let base = format!("http://localhost:{}", self.address.port());
        LogExportSettings {
            exporter: ExporterSettings::for_logs("the test", self.protocol, &base).unwrap(),
            ..LogExportSettings::default()
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book.lock().seen.clone()
    }

    pub(crate) fn accepted(&self) -> Vec<ExportTraceServiceRequest> {
        self.book.lock().accepted.clone()
    }

    pub(crate) fn accepted_spans(&self) -> usize {
        self.book.lock().accepted.iter().map(count).sum()
    }

    pub(crate) fn accepted_logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.book.lock().accepted_logs.clone()
    }

    pub(crate) fn accepted_records(&self) -> usize {
        (self.book.lock().accepted_logs.iter())
            .map(count_records)
            .sum()
    }

    #[track_caller]
    pub(crate) fn await_records(&self, records: usize) {
        (self.book).wait(&format!("{records} log records"), |state| {
            state.accepted_logs.iter().map(count_records).sum::<usize>() >= records
        });
    }

    #[track_caller]
    pub(crate) fn await_spans(&self, spans: usize) {
        (self.book).wait(&format!("{spans} spans"), |state| {
            state.accepted.iter().map(count).sum::<usize>() >= spans
        });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, protocol: Protocol, tls: Option<TlsAcceptor>, book: Book) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (book, tls) = (book.clone(), tls.clone());
        tokio::spawn(async move {
            if let Some(stream) = secure(stream, tls).await {
                serve(stream, protocol, book).await;
            }
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn secure(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Pin<Box<dyn Stream>>> {
    match tls {
        None => Some(Box::pin(stream)),
        Some(tls) => Some(Box::pin(tls.accept(stream).await.ok()?)),
    }
}

async fn serve(stream: Pin<Box<dyn Stream>>, protocol: Protocol, book: Book) {
    let server = auto::Builder::new(TokioExecutor::new());
    let stream = TokioIo::new(stream);
    // A connection that a client breaks off is no error of the receiver.
    let _ = match protocol {
        Protocol::Grpc => {
            let gzip = CompressionEncoding::Gzip;
            let spans = TraceServiceServer::new(Grpc(book.clone())).accept_compressed(gzip);
            let records = LogsServiceServer::new(Grpc(book)).accept_compressed(gzip);
            let service = service_fn(move |request: Request<Incoming>| {
                let (mut spans, mut records) = (spans.clone(), records.clone());
                async move {
                    if request.uri().path().contains(".logs.") {
                        records.call(request).await
                    } else {
                        spans.call(request).await
                    }
                }
            });
            server.serve_connection(stream, service).await
        }
        Protocol::HttpProtobuf => {
            let service = service_fn(move |request| answer_http(request, book.clone()));
            server.serve_connection(stream, service).await
        }
    };
}

/// With tonic's default limit of 4 MiB on a message.
#[derive(Clone)]
struct Grpc(Book);

impl Grpc {
    /// How many to reject, or the status to answer with.
    async fn enter<T: Export>(&self, request: tonic::Request<T>) -> Result<i64, Status> {
        let (headers, _, request) = request.into_parts();
        match self.0.enter(headers.into_headers(), request) {
            Answer::Accept => Ok(0),
            Answer::Reject(items) => Ok(items),
            Answer::Refuse => Err(Status::invalid_argument("not such things")),
            Answer::Exhausted(None) => Err(Status::resource_exhausted("enough")),
            Answer::Exhausted(Some(seconds)) => Err(Status::with_error_details(
                Code::ResourceExhausted,
                "later",
                ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds))),
            )),
            Answer::Unavailable => Err(Status::unavailable("not now")),
            Answer::Silence => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        Ok(tonic::Response::new(trace_answer(
            self.enter(request).await?,
        )))
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        Ok(tonic::Response::new(logs_answer(
            self.enter(request).await?,
        )))
    }
}

const REMARK: &str = "some are bad";

fn trace_answer(rejected: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: REMARK.to_owned(),
        }),
    }
}

fn logs_answer(rejected: i64) -> ExportLogsServiceResponse {
    ExportLogsServiceResponse {
        partial_success: (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: REMARK.to_owned(),
        }),
    }
}

async fn answer_http(
    request: Request<Incoming>,
    book: Book,
) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/v1/traces" => answer_export::<ExportTraceServiceRequest>(request, book).await,
        "/v1/logs" => answer_export::<ExportLogsServiceRequest>(request, book).await,
        _ => Ok(status(404)),
    }
}

async fn answer_export<T: Export>(
    request: Request<Incoming>,
    book: Book,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(
        request.headers()[header::CONTENT_TYPE],
        "application/x-protobuf"
    );
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(status(400));
    };
    let mut body = body.to_bytes().to_vec();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let packed = std::mem::take(&mut body);
        let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
        unpacked.read_to_end(&mut body).unwrap();
    }
    let message = T::decode(body.as_slice()).unwrap();
    let mut answer = status(200);
    match book.enter(parts.headers, message) {
        Answer::Accept => {}
        Answer::Reject(items) => *answer.body_mut() = T::answer(items).into(),
        Answer::Refuse => answer = status(400),
        Answer::Exhausted(after) => {
            answer = status(429);
            if let Some(seconds) = after {
                let headers = answer.headers_mut();
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
        }
        Answer::Unavailable => answer = status(503),
        Answer::Silence => std::future::pending().await,
    }
    Ok(answer)
}

fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Full::default())
        .unwrap()
}
