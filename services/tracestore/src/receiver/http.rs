//! OTLP/HTTP: `POST /v1/traces` and `POST /v1/logs`, in protobuf or JSON, packed or not.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::body::{Metered, Packing, read_whole, unpack};
use super::taken::Taken;
use super::{Encoding, Receiver, Refusal, Signal};
use crate::server::{Body, answer, plain_text};

const TRACES_PATH: &str = "/v1/traces";
const LOGS_PATH: &str = "/v1/logs";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// Seconds after which a client that was refused for overload may come back.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

pub(super) async fn handle(receiver: Arc<Receiver>, request: Request<Incoming>) -> Response<Body> {
    let signal = match request.uri().path() {
        TRACES_PATH => Signal::Traces,
        LOGS_PATH => Signal::Logs,
        _ => return plain_text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    if request.method() != Method::POST {
        let mut response = answer(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "405 method not allowed, supported: [POST]",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Some(encoding) = encoding(request.headers()) else {
        return answer(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "text/plain",
            "415 unsupported media type, supported: [application/json, application/x-protobuf]",
        );
    };
    match export(&receiver, signal, encoding, request).await {
        Ok(taken) => answer(StatusCode::OK, content_type(encoding), taken.body(encoding)),
        Err(refusal) => refused(&refusal, encoding),
    }
}

async fn export(
    receiver: &Receiver,
    signal: Signal,
    encoding: Encoding,
    request: Request<Incoming>,
) -> Result<Taken, Refusal> {
    let store = receiver.stores.to_write(request.headers())?;
    let packing = packing(request.headers())?;
    let (packed, _held) = read_whole(Metered::new(request.into_body(), &receiver.budget)).await?;
    let body = if packing == Packing::None {
        packed
    } else {
        // Unpacking takes about as long as decoding what comes out of it, which is several times as much.
        receiver
            .work(packed.len() * 8, move || unpack(packing, packed))
            .await?
    };
    receiver.store(store, signal, encoding, body).await
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(PROTOBUF) {
        Some(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case(JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn packing(headers: &HeaderMap) -> Result<Packing, Refusal> {
    match headers
        .get(header::CONTENT_ENCODING)
        .map(HeaderValue::to_str)
    {
        None => Ok(Packing::None),
        Some(Ok(name)) => Packing::from_header(name),
        Some(Err(_)) => Err(Refusal::UnknownPacking("(not text)".to_owned())),
    }
}

fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    }
}

fn refused(refusal: &Refusal, encoding: Encoding) -> Response<Body> {
    let mut response = answer(
        refusal.http_status(),
        content_type(encoding),
        refusal.status_body(encoding),
    );
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}
