//! Delivers one batch of spans to one OTLP receiver: encodes it once, sends it,
//! and tries again as the OTLP specification says until it is accepted, refused
//! for good, or out of time.
//!
//! Called by `worker`. Not `opentelemetry-otlp`: that one reads headers and
//! more from the process environment whatever the program says, tells of a
//! partial success and of the reason of a failure only in log events, and
//! encodes a batch anew for each attempt over gRPC.

mod connect;
mod gate;
mod grpc;
mod http;

use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, Request, Uri, header};
use bytes::Bytes;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::task::JoinError;
use tokio::time::timeout;

use crate::settings::{self, ExporterSettings, Protocol};
use connect::Client;
pub use connect::ConnectError;
use gate::Gate;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tdemo-telemetry/", env!("CARGO_PKG_VERSION")));

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The receiver took every span.
    Accepted,
    /// The receiver took all spans but `rejected`, or took all and has a remark.
    Partial { rejected: u64, message: String },
    /// No span was taken.
    Refused { why: String },
}

impl Delivery {
    /// The task that delivered a batch panicked.
    pub(crate) fn broken(error: &JoinError) -> Self {
        Self::Refused {
            why: format!("the delivery broke off: {error}"),
        }
    }

    fn from_response(response: ExportTraceServiceResponse) -> Self {
        match response.partial_success {
            Some(partial) if partial.rejected_spans > 0 || !partial.error_message.is_empty() => {
                Self::Partial {
                    rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
                    message: partial.error_message,
                }
            }
            _ => Self::Accepted,
        }
    }
}

/// Why an attempt failed, and whether another makes sense.
#[derive(Debug)]
enum Failure {
    /// Try again; not before `after` has passed if the receiver said so.
    Passing {
        why: String,
        after: Option<Duration>,
    },
    /// The receiver will not take this batch.
    Final { why: String },
}

/// A gRPC message may have so many bytes unless the receiver is told otherwise.
/// The worker's batches are smaller; one span alone need not be.
const USUAL_LIMIT_BYTES: usize = 4 << 20;

/// A request's body, ready for any number of attempts.
#[derive(Debug)]
struct Encoded {
    body: Bytes,
    /// The message, uncompressed, is longer than [`USUAL_LIMIT_BYTES`].
    oversized: bool,
}

/// One receiver. Must be used inside one runtime, which then holds its connections.
#[derive(Debug)]
pub(crate) struct Exporter {
    protocol: Protocol,
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
    gate: Gate,
}

impl Exporter {
    /// Prepares a client; connects when the first batch is sent.
    pub(crate) fn new(settings: &ExporterSettings) -> Result<Self, ConnectError> {
        let mut headers = settings.headers.clone();
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        let uri = match settings.protocol {
            Protocol::Grpc => {
                grpc::add_headers(&mut headers, settings.gzip, settings.timeout);
                grpc::method_uri(&settings.endpoint)
            }
            Protocol::HttpProtobuf => {
                http::add_headers(&mut headers, settings.gzip);
                settings.endpoint.clone()
            }
        };
        Ok(Self {
            protocol: settings.protocol,
            client: connect::client(settings)?,
            uri,
            headers,
            gzip: settings.gzip,
            timeout: settings.timeout,
            gate: Gate::new(settings::origin(&settings.endpoint)),
        })
    }

    /// Scheme, host and port, for messages.
    pub(crate) fn name(&self) -> &str {
        self.gate.endpoint()
    }

    /// While `on`, the exporter's own back-off is short: somebody is waiting.
    /// A delay that the receiver has asked for is kept all the same.
    pub(crate) fn hurry(&self, on: bool) {
        self.gate.hurry(on);
    }

    /// Sends `spans` until they are accepted or refused, or `deadline`.
    pub(crate) async fn deliver(
        &self,
        spans: Vec<SpanData>,
        resource: &ResourceAttributesWithSchema,
        deadline: Instant,
    ) -> Delivery {
        let request = self.encode(spans, resource);
        let delivery = self.deliver_encoded(&request, deadline).await;
        match delivery {
            Delivery::Refused { .. } => self.gate.refused(),
            Delivery::Accepted | Delivery::Partial { .. } => self.gate.succeeded(),
        }
        delivery
    }

    async fn deliver_encoded(&self, request: &Encoded, deadline: Instant) -> Delivery {
        loop {
            if let Err(why) = self.gate.pass(deadline).await {
                return Delivery::Refused { why };
            }
            let begun = Instant::now();
            let attempt = timeout(self.timeout, self.attempt(request)).await;
            match attempt {
                Ok(Ok(delivery)) => return delivery,
                Ok(Err(Failure::Final { why })) => return Delivery::Refused { why },
                Ok(Err(Failure::Passing { why, after })) => self.gate.failed(begun, why, after),
                Err(_) => {
                    let why = format!("no answer within {} ms", self.timeout.as_millis());
                    self.gate.failed(begun, why, None);
                }
            }
        }
    }

    async fn attempt(&self, encoded: &Encoded) -> Result<Delivery, Failure> {
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(encoded.body.clone()))
            .map_err(|error| Failure::Final {
                why: format!("the request could not be built: {error}"),
            })?;
        *request.headers_mut() = self.headers.clone();
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| Failure::Passing {
                why: connect::explain(&error),
                after: None,
            })?;
        match self.protocol {
            Protocol::Grpc => grpc::read(response, encoded.oversized).await,
            Protocol::HttpProtobuf => http::read(response).await,
        }
    }

    fn encode(&self, spans: Vec<SpanData>, resource: &ResourceAttributesWithSchema) -> Encoded {
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, resource),
        }
        .encode_to_vec();
        let oversized = message.len() > USUAL_LIMIT_BYTES;
        let message = if self.gzip {
            compress(&message)
        } else {
            message
        };
        let body = match self.protocol {
            Protocol::Grpc => grpc::frame(&message, self.gzip),
            Protocol::HttpProtobuf => message.into(),
        };
        Encoded { body, oversized }
    }
}

fn compress(message: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(
        Vec::with_capacity(message.len() / 4),
        flate2::Compression::fast(),
    );
    encoder
        .write_all(message)
        .and_then(|()| encoder.finish())
        .expect("writing to a Vec cannot fail")
}
