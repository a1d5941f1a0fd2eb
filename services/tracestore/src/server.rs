//! Serving HTTP on a listener until told to stop: what the receivers and the API have in common.
//!
//! Connections are bounded in number and in idleness, a panic in one request answers 500 and ends nothing else, and
//! stopping lets requests in flight finish, up to a deadline.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections served at a time by one listener; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a connection may be idle, or take to send its request's head (HTTP/1) or to answer a ping (HTTP/2).
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long after the signal to stop requests in flight may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after `accept` failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Flow-control windows that fit a usual export without waiting for the client to be told it may go on.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Requests that one HTTP/2 connection may have open.
const HTTP2_MAX_STREAMS: u32 = 128;
/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long to wait before looking again at a preface that comes in pieces, which is rare.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// The body of an answer, whoever made it.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A body that is all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer of one piece.
pub(crate) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let value = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// An answer in plain text, as Go's servers give errors.
pub(crate) fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text)
}

/// Which HTTP a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1; an HTTP/2 connection is answered 400, as Go's server does.
    Http1,
    /// HTTP/2 without TLS; an HTTP/1 connection is closed, as grpc-go's server does.
    Http2,
}

/// Serves until `shutdown`, then waits for requests in flight.
pub(crate) async fn serve<H, F>(
    listener: TcpListener,
    protocol: Protocol,
    shutdown: CancellationToken,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (handler, stop) = (handler.clone(), shutdown.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = AssertUnwindSafe(handler(request)).catch_unwind();
                async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|_| panicked())) }
            });
            let io = TokioIo::new(stream);
            let http2 = tokio::select! {
                http2 = begins_as_http2(io.inner()) => http2,
                // Nothing was asked yet, so nothing is owed.
                () = stop.cancelled() => None,
            };
            let Some(http2) = http2 else {
                return;
            };
            let served = match protocol {
                Protocol::Http1 if http2 => refuse_http2(io.into_inner()).await,
                Protocol::Http1 => {
                    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
                    builder
                        .http1()
                        .timer(TokioTimer::new())
                        .header_read_timeout(IDLE_TIMEOUT);
                    let connection = builder.serve_connection_with_upgrades(io, service);
                    watcher.watch(connection).await.map_err(io::Error::other)
                }
                // What is not HTTP/2 is for hyper to turn away: it says its part of the greeting, then closes.
                Protocol::Http2 => {
                    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .timer(TokioTimer::new())
                        .keep_alive_interval(IDLE_TIMEOUT)
                        .keep_alive_timeout(IDLE_TIMEOUT)
                        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
                        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
                        .max_concurrent_streams(HTTP2_MAX_STREAMS)
                        .serve_connection(io, service);
                    watcher.watch(connection).await.map_err(io::Error::other)
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            "requests in flight were not done {DRAIN_TIMEOUT:?} after the signal to stop"
        );
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
    }
    Ok((stream, slot))
}

fn panicked() -> Response<Body> {
    plain_text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal error: the request was given up\n",
    )
}

/// Whether a connection begins as HTTP/2 does, once that can be told; no bytes are taken. `None` if it is closed, or says
/// too little for too long.
async fn begins_as_http2(stream: &TcpStream) -> Option<bool> {
    let told = async {
        let mut first = [0; HTTP2_PREFACE.len()];
        loop {
            let read = stream
                .peek(&mut first)
                .await
                .ok()
                .filter(|read| *read > 0)?;
            if !HTTP2_PREFACE.starts_with(&first[..read]) {
                return Some(false);
            }
            if read == HTTP2_PREFACE.len() {
                return Some(true);
            }
            tokio::time::sleep(PREFACE_PAUSE).await;
        }
    };
    tokio::time::timeout(IDLE_TIMEOUT, told)
        .await
        .ok()
        .flatten()
}

async fn refuse_http2(mut stream: TcpStream) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await?;
    stream.shutdown().await?;
    // Closing with unread input would reset the connection before the client has read the answer.
    let drained = async {
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(1), drained)
        .await
        .unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn get(stream: &mut TcpStream, path: &str, expected: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with('\n') {
            let mut piece = [0; 1024];
            let read = timeout(DEADLINE, stream.read(&mut piece))
                .await
                .unwrap()
                .unwrap();
            assert!(read > 0, "the connection stays open: {answer}");
            answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        assert!(answer.starts_with(expected), "{answer}");
    }

    #[tokio::test]
    async fn a_panic_ends_its_request_only() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(
            listener,
            Protocol::Http1,
            stop.clone(),
            async |request| {
                assert_ne!(request.uri().path(), "/panic", "as asked");
                plain_text(StatusCode::OK, "fine\n")
            },
        ));
        let mut stream = TcpStream::connect(addr).await.unwrap();
        get(&mut stream, "/panic", "HTTP/1.1 500 ").await;
        get(&mut stream, "/", "HTTP/1.1 200 ").await;
        stop.cancel();
        timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    }
}
