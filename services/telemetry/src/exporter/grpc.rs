//! One OTLP export as a gRPC call: one message each way over HTTP/2.
//!
//! Called by `exporter`. Framing and status codes are those of gRPC over HTTP/2
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>); which
//! codes are worth another attempt is said by the OTLP specification, "Failures".

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Delivery, Failure};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Flag and length before each message.
const FRAME_HEADER: usize = 5;
/// An answer holds one short message; more is not an OTLP receiver.
pub(super) const MAX_ANSWER_BYTES: usize = 1 << 20;

pub(super) fn add_headers(headers: &mut HeaderMap, gzip: bool, timeout: Duration) {
    const GZIP: HeaderValue = HeaderValue::from_static("gzip");
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if gzip {
        headers.insert(HeaderName::from_static("grpc-encoding"), GZIP);
    }
    // At most eight digits by the protocol; milliseconds fit up to a day.
    let timeout = format!("{}m", timeout.as_millis().min(99_999_999));
    if let Ok(timeout) = HeaderValue::from_str(&timeout) {
        headers.insert(HeaderName::from_static("grpc-timeout"), timeout);
    }
}

/// The method's URL; a path of the endpoint stands before it.
pub(super) fn method_uri(endpoint: &Uri) -> Uri {
    let prefix = endpoint.path().trim_end_matches('/');
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = Some(
        format!("{prefix}{METHOD}")
            .parse()
            .expect("a valid path before a valid path is one"),
    );
    Uri::from_parts(parts).expect("only the path has changed")
}

/// A message with its frame.
pub(super) fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(FRAME_HEADER + message.len());
    framed.put_u8(u8::from(compressed));
    // The batch's bound in bytes is far below; one span alone of 4 GiB is not.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Reads an answer, to a message that was `oversized` or not, to its end.
pub(super) async fn read<B>(response: Response<B>, oversized: bool) -> Result<Delivery, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, body) = response.into_parts();
    if parts.status != StatusCode::OK {
        return Err(not_grpc(parts.status));
    }
    // An answer without a message has its trailers for headers.
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return Err(refused(&status, oversized));
    }
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| Failure::Passing {
            why: format!("the answer broke off: {error}"),
            after: None,
        })?;
    let Some(status) = body.trailers().and_then(Status::from_header_map) else {
        return Err(Failure::Passing {
            why: "the answer broke off before its status".to_owned(),
            after: None,
        });
    };
    if status.code() != Code::Ok {
        return Err(refused(&status, oversized));
    }
    // Accepted: an answer that cannot be read does not change that.
    let message = body.to_bytes();
    let message = message.get(FRAME_HEADER..).unwrap_or_default();
    let response = ExportTraceServiceResponse::decode(message).unwrap_or_default();
    Ok(Delivery::from_response(response))
}

fn refused(status: &Status, oversized: bool) -> Failure {
    let why = format!("{:?}: {}", status.code(), status.message());
    let after = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    match status.code() {
        // Servers built on tonic say so of a message that is too long, and it
        // will be no shorter the next time.
        Code::OutOfRange if oversized => Failure::Final { why },
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::Passing { why, after },
        // "Exhausted" may be for ever, unless the receiver says when to retry.
        Code::ResourceExhausted if after.is_some() => Failure::Passing { why, after },
        _ => Failure::Final { why },
    }
}

/// Something on the way, not a gRPC server, has answered.
fn not_grpc(status: StatusCode) -> Failure {
    let why = format!("HTTP status {status}, which is no gRPC answer");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Passing { why, after: None },
        _ => Failure::Final { why },
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn is_final(code: Code, retry_after: Option<Duration>) -> bool {
        let details = ErrorDetails::with_retry_info(retry_after);
        let status = match retry_after {
            Some(_) => Status::with_error_details(code, "no", details),
            None => Status::new(code, "no"),
        };
        matches!(refused(&status, false), Failure::Final { .. })
    }

    #[test]
    fn codes_are_sorted_as_otlp_says() {
        for code in [
            Code::InvalidArgument,
            Code::Unauthenticated,
            Code::Unimplemented,
        ] {
            assert!(is_final(code, None), "{code:?}");
        }
        for code in [Code::Unavailable, Code::Aborted, Code::DeadlineExceeded] {
            assert!(!is_final(code, None), "{code:?}");
        }
        assert!(is_final(Code::ResourceExhausted, None));
        assert!(!is_final(Code::ResourceExhausted, Some(Duration::ZERO)));
    }

    #[test]
    fn the_method_stands_behind_the_endpoints_path() {
        for (endpoint, path) in [
            ("http://localhost:4317", METHOD.to_owned()),
            ("http://localhost:4317/", METHOD.to_owned()),
            ("http://localhost:4317/otlp/", format!("/otlp{METHOD}")),
        ] {
            assert_eq!(method_uri(&endpoint.parse().unwrap()).path(), path);
        }
    }
}
