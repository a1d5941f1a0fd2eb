//! One OTLP export as an HTTP POST with a protobuf body.
//!
//! Called by `exporter`. Status codes and `Retry-After` are read as the OTLP
//! specification says, "OTLP/HTTP Response".

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::grpc::MAX_ANSWER_BYTES;
use super::{Delivery, Failure};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// So much of a refusal's text goes into the log.
const MAX_SHOWN_CHARS: usize = 200;

pub(super) fn add_headers(headers: &mut HeaderMap, gzip: bool) {
    headers.insert(header::CONTENT_TYPE, PROTOBUF);
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Reads an answer to its end.
pub(super) async fn read<B>(response: Response<B>) -> Result<Delivery, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    if parts.status.is_success() {
        // Accepted: an answer that cannot be read does not change that.
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        return Ok(Delivery::from_response(response));
    }
    let text = body
        .map(|body| refusal_text(&parts.headers, &body.to_bytes()))
        .unwrap_or_default();
    let why = match text.as_str() {
        "" => format!("HTTP status {}", parts.status),
        text => format!("HTTP status {}: {text}", parts.status),
    };
    match parts.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Passing {
            why,
            after: retry_after(&parts.headers, Timestamp::now()),
        }),
        _ => Err(Failure::Final { why }),
    }
}

/// The message of a `google.rpc.Status`, or the beginning of a text.
fn refusal_text(headers: &HeaderMap, body: &[u8]) -> String {
    let text = if headers.get(header::CONTENT_TYPE) == Some(&PROTOBUF) {
        match tonic_types::pb::Status::decode(body) {
            Ok(status) => status.message,
            Err(_) => String::new(),
        }
    } else {
        String::from_utf8_lossy(body).into_owned()
    };
    text.trim().chars().take(MAX_SHOWN_CHARS).collect()
}

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    // A date that has passed asks for no delay.
    Some(date.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for (value, expected) in [
            ("3", Some(Duration::from_secs(3))),
            (
                "Sun, 06 Nov 1994 08:49:42 GMT",
                Some(Duration::from_secs(5)),
            ),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now), expected, "{value}");
        }
    }
}
