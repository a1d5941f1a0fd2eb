//! An OTLP receiver of spans and log records for the tests, on a thread and a
//! runtime of its own, with answers that a test prescribes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tdemo_telemetry::settings::{ExporterSettings, LogExportSettings, Protocol};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::server::{accept, logs_answer, trace_answer};

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
pub(crate) struct State {
    answers: VecDeque<Answer>,
    always: Option<Answer>,
    seen: Vec<Seen>,
    accepted: Vec<ExportTraceServiceRequest>,
    accepted_logs: Vec<ExportLogsServiceRequest>,
}

/// A request of either signal.
pub(crate) trait Export: prost::Message + Default + Sized {
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
pub(crate) struct Book(Arc<(Mutex<State>, Condvar)>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Enters a request and says how to answer it.
    pub(crate) fn enter(&self, headers: HeaderMap, request: impl Export) -> Answer {
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
