//! `tail`: the log as it grows, over a WebSocket.
//!
//! One task for each client. It reads from the store at the client's own pace (see
//! [`crate::logs::tail`]), so a slow client is waited for by nobody but its own task, and what
//! it misses it is told in `dropped_entries`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::encode::{self, LabelForm};
use super::params::{self, Params};
use super::{Refusal, label_form};
use crate::logs::logql::{self, Pipeline};
use crate::logs::tail::{Page, Tail, TailOptions};
use crate::logs::{LogStore, Snapshot};
use crate::server::{Body, full};

/// Tails that may be open at a time.
const MAX_TAILS: usize = 64;
/// How far a client may fall behind before it loses what it has not read.
const MAX_LAG: Duration = Duration::from_secs(5);
/// How long a client may leave what it is sent unread before it is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a client is asked for a sign of life.
const PING_PERIOD: Duration = Duration::from_secs(30);
/// How long a client may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long all tails together may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients have nothing to say but pongs and goodbyes.
const MAX_CLIENT_MESSAGE: usize = 4096;
/// Entries of the past in a frame.
const PAST_ENTRIES: usize = 100;

/// The tails of one listener.
#[derive(Debug)]
pub(super) struct Tails {
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What a client asked for.
#[derive(Debug)]
struct Wanted {
    pipeline: Pipeline,
    options: TailOptions,
    /// From when to show the past, in nanoseconds since the epoch.
    start: i64,
    /// How many entries of the past.
    limit: usize,
    form: LabelForm,
}

impl Tails {
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MAX_TAILS)),
            tasks: TaskTracker::new(),
            stopping,
        }
    }

    /// Waits until every tail has ended, which `stopping` makes them do.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        if timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("tails were not done {STOP_TIMEOUT:?} after the signal to stop");
        }
    }

    /// Answers the request for a tail and, once the connection is a WebSocket, serves it.
    pub(super) fn open(
        &self,
        logs: &Arc<LogStore>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let wanted = wanted(&request)?;
        let accept = handshake(request.headers())?;
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| Refusal::TooManyTails(MAX_TAILS))?;
        let upgrade = hyper::upgrade::on(&mut request);
        // Now, so that a client that has its answer misses nothing that is stored from then on.
        // The order of the two matters as well: what comes between them is in the snapshot.
        let grown = logs.subscribe();
        let from = logs.snapshot();
        let logs = Arc::clone(logs);
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            match upgrade.await {
                Ok(connection) => {
                    let io = TokioIo::new(connection);
                    let config = WebSocketConfig::default()
                        .max_message_size(Some(MAX_CLIENT_MESSAGE))
                        .max_frame_size(Some(MAX_CLIENT_MESSAGE));
                    let socket =
                        WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                    follow(socket, logs, grown, from, wanted, stopping).await;
                }
                Err(error) => tracing::debug!(%error, "a tail's connection was not upgraded"),
            }
            drop(slot);
        });
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok(response)
    }
}

fn wanted(request: &Request<Incoming>) -> Result<Wanted, Refusal> {
    let params = Params::new(request.uri().query().unwrap_or_default(), b"");
    let pipeline = logql::compile(params.query())?;
    let limit = params.limit()?;
    let (start, _) = params.bounds(params::now())?;
    let options = TailOptions {
        delay: params.delay()?,
        max_lag: MAX_LAG,
    };
    let form = label_form(request.headers());
    Ok(Wanted {
        pipeline,
        options,
        start,
        limit,
        form,
    })
}

/// Checks what RFC 6455, section 4.2.1, asks of a client and gives the answer to its key.
fn handshake(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let has = |name: HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|item| item.trim().eq_ignore_ascii_case(wanted))
            })
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        return Err(Refusal::Upgrade(
            "a tail needs a WebSocket: the request asks for no upgrade to one",
        ));
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        return Err(Refusal::Upgrade("a tail needs a WebSocket of version 13"));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err(Refusal::Upgrade(
            "a tail needs a WebSocket: there is no Sec-WebSocket-Key",
        ));
    };
    // Browsers let any page open a WebSocket to any host, and tell whose page it was.
    if let (Some(origin), Some(host)) = (headers.get(ORIGIN), headers.get(HOST)) {
        let origin = origin.to_str().unwrap_or_default();
        let origin_host = origin.split_once("://").map_or(origin, |(_, host)| host);
        if origin_host.as_bytes() != host.as_bytes() {
            return Err(Refusal::Upgrade(
                "a tail is not open to the pages of other hosts",
            ));
        }
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| Refusal::Upgrade("the Sec-WebSocket-Key is not valid"))
}

/// Serves one client until it goes, until it is given up, or until `stopping`: what is wanted
/// of the past up to `from`, then what comes after it.
async fn follow<S>(
    socket: WebSocketStream<S>,
    logs: Arc<LogStore>,
    grown: watch::Receiver<u64>,
    from: Snapshot,
    wanted: Wanted,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (sink, mut client) = socket.split();
    let form = wanted.form;
    let begun = tokio::task::spawn_blocking(move || {
        let Wanted {
            pipeline,
            options,
            start,
            limit,
            ..
        } = wanted;
        Tail::begin(pipeline, options, &from, start, limit)
    });
    let Ok((tail, past)) = begun.await else {
        return; // a panic, which the runtime has reported
    };
    let mut follower = Follower {
        sink,
        tail,
        grown,
        form,
        stopping: stopping.clone(),
    };
    for entries in past.chunks(PAST_ENTRIES) {
        let page = Page {
            entries: entries.to_vec(),
            ..Page::default()
        };
        if !follower.send_page(&page).await {
            return;
        }
    }
    let mut pulse = interval_at(Instant::now() + PING_PERIOD, PING_PERIOD);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = true;
    loop {
        let due = follower.tail.due().map(Instant::from_std);
        tokio::select! {
            biased;
            () = stopping.cancelled() => {
                follower.say_goodbye(CloseCode::Away, "the store is stopping").await;
                return;
            }
            message = client.next() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => {
                    // What is left to do is to answer the goodbye, if there was one.
                    let _ = timeout(CLOSE_TIMEOUT, follower.sink.close()).await;
                    return;
                }
                Some(Ok(_)) => alive = true,
            },
            _ = pulse.tick() => {
                if !std::mem::take(&mut alive) {
                    tracing::debug!("a tail's client gave no sign of life");
                    return;
                }
                if !follower.send(Message::Ping(bytes::Bytes::new())).await {
                    return;
                }
            }
            end = next_end(&mut follower.grown) => follower.note(end),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        let Some(next) = follower.read(&logs).await else {
            return;
        };
        follower = next;
    }
}

/// The number up to which the store holds records, once that has changed.
async fn next_end(grown: &mut watch::Receiver<u64>) -> u64 {
    if grown.changed().await.is_err() {
        // The store is gone; whoever holds this holds the store, so it is not.
        std::future::pending::<()>().await;
    }
    *grown.borrow_and_update()
}

struct Follower<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    tail: Tail,
    grown: watch::Receiver<u64>,
    form: LabelForm,
    stopping: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Follower<S> {
    fn note(&mut self, end: u64) {
        self.tail.note(Instant::now().into_std(), end);
    }

    /// Reads and sends one page if it is due; `None` if the client is given up.
    async fn read(mut self, logs: &Arc<LogStore>) -> Option<Self> {
        let now = Instant::now().into_std();
        if self.tail.due().is_none_or(|due| due > now) {
            return Some(self);
        }
        let snapshot = logs.snapshot();
        let mut tail = self.tail;
        let read = tokio::task::spawn_blocking(move || {
            let page = tail.read(&snapshot, now);
            (tail, page)
        });
        let (tail, page) = read.await.ok()?;
        self.tail = tail;
        if page.is_empty() || self.send_page(&page).await {
            Some(self)
        } else {
            None
        }
    }

    async fn send_page(&mut self, page: &Page) -> bool {
        let frame = encode::frame(page, self.form);
        // JSON is UTF-8, so this is a check and no copy.
        match String::from_utf8(frame) {
            Ok(text) => self.send(Message::text(text)).await,
            Err(_) => false,
        }
    }

    /// Sends a message; while the client lets it wait, notes what arrives in the store, so that
    /// the client's lag is known. `false` if the client is gone, or not reading.
    async fn send(&mut self, message: Message) -> bool {
        let Self {
            sink,
            tail,
            grown,
            stopping,
            ..
        } = self;
        let mut sending = std::pin::pin!(timeout(SEND_TIMEOUT, sink.send(message)));
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return matches!(sent, Ok(Ok(()))),
                () = stopping.cancelled() => return false,
                end = next_end(grown) => tail.note(Instant::now().into_std(), end),
            }
        }
    }

    async fn say_goodbye(&mut self, code: CloseCode, reason: &'static str) {
        let goodbye = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        let _ = timeout(CLOSE_TIMEOUT, self.sink.send(goodbye)).await;
    }
}

#[cfg(test)]
mod tests;
