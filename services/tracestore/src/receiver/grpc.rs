//! OTLP/gRPC: `TraceService/Export` and `LogsService/Export`. tonic does the protocol; the message is handed over as the bytes it came in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::body::{BodyError, Metered};
use super::{Encoding, MAX_REQUEST_BYTES, Receiver, Refusal, Signal};
use crate::server::Body;
use crate::store::Store;
use crate::tenants::TenantError;

const TRACES_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

pub(super) async fn handle(receiver: Arc<Receiver>, request: Request<Incoming>) -> Response<Body> {
    let signal = match request.uri().path() {
        TRACES_PATH => Some(Signal::Traces),
        LOGS_PATH => Some(Signal::Logs),
        _ => None,
    };
    let response = if let Some(signal) = signal {
        let request = request.map(|body| Metered::new(body, &receiver.budget).map_err(body_status));
        let store = receiver.stores.to_write(request.headers());
        let mut response = Grpc::new(RawCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_REQUEST_BYTES)
            .unary(
                Export {
                    receiver,
                    store,
                    signal,
                },
                request,
            )
            .await;
        not_retryable_when_too_large(&mut response);
        response
    } else {
        let message = format!(
            "unknown method {}: this receiver takes traces and logs only",
            request.uri().path()
        );
        Status::unimplemented(message).into_http()
    };
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

fn body_status(error: BodyError) -> Status {
    match error {
        BodyError::Overload => Status::unavailable(Refusal::Overload.to_string()),
        BodyError::Pause => Status::deadline_exceeded(error.to_string()),
        BodyError::Transport(error) => Status::from_error(error.into()),
    }
}

/// tonic calls a message over the limit `OUT_OF_RANGE`, which OTLP clients send again and again; grpc-go says
/// `RESOURCE_EXHAUSTED`, which, without a delay to wait for, they do not.
fn not_retryable_when_too_large(response: &mut Response<tonic::body::Body>) {
    const GRPC_STATUS: &str = "grpc-status";
    let code = |code: Code| HeaderValue::from(code as i32);
    if response.headers().get(GRPC_STATUS) == Some(&code(Code::OutOfRange)) {
        response
            .headers_mut()
            .insert(GRPC_STATUS, code(Code::ResourceExhausted));
    }
}

struct Export {
    receiver: Arc<Receiver>,
    store: Result<Arc<Store>, TenantError>,
    signal: Signal,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let receiver = Arc::clone(&self.receiver);
        let signal = self.signal;
        let store = self.store.clone();
        Box::pin(async move {
            let stored = match store {
                Ok(store) => {
                    let request = request.into_inner();
                    receiver
                        .store(store, signal, Encoding::Protobuf, request)
                        .await
                }
                Err(error) => Err(error.into()),
            };
            match stored {
                Ok(taken) => Ok(tonic::Response::new(taken.body(Encoding::Protobuf))),
                Err(refusal) => Err(Status::new(refusal.grpc_code(), refusal.to_string())),
            }
        })
    }
}

/// Messages as the bytes they are.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
