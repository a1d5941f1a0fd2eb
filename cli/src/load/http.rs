//! One HTTP/1.1 connection and one exchange on it: the seam between the engine
//! and the wire. Here stands hyper; a purpose-built path can stand beside it.
//! Called by `engine` alone.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::plan::{CONNECT_TIMEOUT, Plan};
use super::sample::{Answer, ErrorClass, Failure};
use super::tls::{self, TlsError};
use super::traceresponse::{TRACERESPONSE, TraceResponse};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tdemo/", env!("CARGO_PKG_VERSION")));

/// Why a run cannot even begin to connect.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The host's name has no address.
    #[error("{host} cannot be resolved: {reason}; check the name, and that this machine has DNS")]
    Resolve {
        /// The name.
        host: String,
        /// Why not.
        reason: io::Error,
    },
    /// The host cannot stand in a certificate.
    #[error("{0} cannot be checked against a certificate: use a DNS name or an IP address")]
    ServerName(String),
    /// TLS is wanted and cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Opens connections to a plan's target and knows the request to send on them.
/// Names are resolved once, so that DNS is no part of any latency.
pub struct Connector {
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    request: Request<Empty<Bytes>>,
    connect_timeout: Duration,
}

impl Connector {
    /// Resolves the target and reads the trusted roots where it is `https`.
    pub async fn new(plan: &Plan) -> Result<Self, PrepareError> {
        let target = &plan.target;
        let resolve = |reason| PrepareError::Resolve {
            host: target.host().to_owned(),
            reason,
        };
        let lookup = tokio::net::lookup_host((target.host(), target.port()));
        let addresses: Vec<SocketAddr> = tokio::time::timeout(plan.timeout, lookup)
            .await
            .map_err(|_| resolve(io::ErrorKind::TimedOut.into()))?
            .map_err(resolve)?
            .collect();
        if addresses.is_empty() {
            return Err(resolve(io::Error::other("the name has no address")));
        }
        let tls = if target.is_https() {
            let name = ServerName::try_from(target.host().to_owned())
                .map_err(|_| PrepareError::ServerName(target.host().to_owned()))?;
            Some((TlsConnector::from(tls::client_config()?), name))
        } else {
            None
        };
        let mut request = Request::new(Empty::new());
        *request.method_mut() = plan.method.clone();
        *request.uri_mut() = target.origin_form().clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host_header().clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        Ok(Self {
            addresses,
            tls,
            request,
            connect_timeout: CONNECT_TIMEOUT.min(plan.timeout),
        })
    }

    /// Whether a request may be sent again where a kept connection turns out
    /// to have been closed by the other side (RFC 9112 §9.3.1).
    pub fn is_idempotent(&self) -> bool {
        self.request.method().is_idempotent()
    }

    /// A new connection, ready for a request. Must run inside a `LocalSet`.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        match tokio::time::timeout(self.connect_timeout, self.open()).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                class: ErrorClass::Timeout,
                detail: format!(
                    "no connection to {} within {:?}",
                    self.addresses[0], self.connect_timeout
                ),
            }),
        }
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let stream = self.tcp().await?;
        match &self.tls {
            None => Connection::over(TokioIo::new(stream)).await,
            Some((connector, name)) => {
                let stream = connector
                    .connect(name.clone(), stream)
                    .await
                    .map_err(|error| Failure {
                        class: ErrorClass::Tls,
                        detail: format!("TLS handshake: {}", chain(&error)),
                    })?;
                Connection::over(TokioIo::new(stream)).await
            }
        }
    }

    /// The first address that takes a connection.
    async fn tcp(&self) -> Result<TcpStream, Failure> {
        let mut failure = None;
        for address in &self.addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A request is one small write; waiting to fill a segment
                    // would be measured as latency. A socket that refuses the
                    // option still works.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => {
                    let class = match error.kind() {
                        io::ErrorKind::ConnectionRefused => ErrorClass::Refused,
                        io::ErrorKind::TimedOut => ErrorClass::Timeout,
                        _ => ErrorClass::Connect,
                    };
                    failure = Some(Failure {
                        class,
                        detail: format!("connect to {address}: {error}"),
                    });
                }
            }
        }
        Err(failure.expect("a target has at least one address"))
    }
}

/// An open connection. Dropping it closes the socket, whatever is in flight.
pub struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    async fn over<T>(io: T) -> Result<Self, Failure>
    where
        T: Read + Write + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(io)
            .await
            .map_err(|error| failure(&error))?;
        let driver = tokio::task::spawn_local(async move {
            // Its error also ends the exchange, which tells it.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends the request and reads the whole answer.
    pub async fn exchange(&mut self, connector: &Connector) -> Result<Answer, Failure> {
        self.sender.ready().await.map_err(|error| failure(&error))?;
        let response = self
            .sender
            .send_request(connector.request.clone())
            .await
            .map_err(|error| failure(&error))?;
        let (head, mut body) = response.into_parts();
        let mut body_bytes = 0;
        while !body.is_end_stream() {
            match body.frame().await {
                None => break,
                Some(Ok(frame)) => body_bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
                Some(Err(error)) => {
                    return Err(Failure {
                        class: ErrorClass::Body,
                        detail: format!(
                            "{} with {body_bytes} bytes of body, then: {}",
                            head.status,
                            chain(&error)
                        ),
                    });
                }
            }
        }
        Ok(Answer {
            status: head.status,
            body_bytes,
            trace: head
                .headers
                .get(TRACERESPONSE)
                .and_then(|value| TraceResponse::parse(value.as_bytes())),
        })
    }

    /// Whether another request may be tried on it.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// What an error before the answer's head came to.
fn failure(error: &hyper::Error) -> Failure {
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    let tls = causes(error).any(<dyn StdError>::is::<rustls::Error>)
        || io
            .and_then(io::Error::get_ref)
            .is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>);
    let class = if tls {
        ErrorClass::Tls
    } else if io.is_some()
        || error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
    {
        ErrorClass::Reset
    } else {
        ErrorClass::Protocol
    };
    Failure {
        class,
        detail: chain(error),
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}

/// An error and its causes in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}
