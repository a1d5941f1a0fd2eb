//! The receiver's server: tonic's services for gRPC, plain hyper for HTTP, with
//! or without TLS, answering as the receiver's book says.

use std::convert::Infallible;
use std::io::Read as _;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
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
use tdemo_telemetry::settings::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service as _;

use super::receiver::{Answer, Book, Export};

pub(crate) async fn accept(
    listener: TcpListener,
    protocol: Protocol,
    tls: Option<TlsAcceptor>,
    book: Book,
) {
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

pub(crate) fn trace_answer(rejected: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: REMARK.to_owned(),
        }),
    }
}

pub(crate) fn logs_answer(rejected: i64) -> ExportLogsServiceResponse {
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
