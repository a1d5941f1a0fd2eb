//! Answers as the callers see them: the constant and composed JSON bodies, and every refusal with its status,
//! its `error.type` and its words. Made by the tiers and by `instrument`, sent by `server`.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use opentelemetry::TraceId;

use crate::Tier;
use crate::body::BodyError;
use crate::client::{CallError, CallFailure};
use crate::fault::End;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What every service sends back.
pub(crate) type HttpAnswer = Response<Full<Bytes>>;

/// A request that gets no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("nothing is served at this path")]
    NotFound,
    #[error("this path does not serve that method")]
    Method { allow: HeaderValue },
    #[error("{0}")]
    Body(#[from] BodyError),
    #[error("too many requests in flight; try again")]
    Busy,
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("fault injected on request: {}", .0.as_u16())]
    Fault(StatusCode),
    #[error("the connection is closed by a fault injected on request")]
    Abort,
    #[error("the service failed while it handled the request")]
    Panic,
}

impl From<End> for Refusal {
    fn from(end: End) -> Self {
        match end {
            End::Error(status) => Self::Fault(status),
            End::Abort => Self::Abort,
        }
    }
}

impl Refusal {
    /// The status to answer; `None` closes the connection without an answer, because the fault says so
    /// or because nobody is there to read one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(BodyError::NotJson(_) | BodyError::Malformed(_)) => StatusCode::BAD_REQUEST,
            Self::Body(BodyError::MediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Call(CallError {
                failure: CallFailure::Timeout(_),
                ..
            }) => StatusCode::GATEWAY_TIMEOUT,
            Self::Call(_) => StatusCode::BAD_GATEWAY,
            Self::Fault(status) => *status,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Body(BodyError::BrokenOff(_)) | Self::Abort => return None,
        })
    }

    /// `error.type` of an INTERNAL or SERVER span that failed so: a class of few values, as the conventions want.
    pub(crate) fn error_type(&self) -> String {
        match self {
            Self::Call(error) => error.error_type(),
            Self::Abort => "connection_aborted".to_owned(),
            Self::Body(BodyError::BrokenOff(_)) => CALLER_GONE.to_owned(),
            Self::Panic => "panic".to_owned(),
            other => other
                .status()
                .map_or_else(|| "_OTHER".to_owned(), |status| status.as_str().to_owned()),
        }
    }

    /// Whether there is no use in reading the rest of the request: it comes too slowly, or not at all.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Abort | Self::Body(BodyError::Slow(_) | BodyError::BrokenOff(_))
        )
    }

    /// Whether the SERVER span is where this went wrong, and no span inside it tells of it.
    pub(crate) fn arises_here(&self) -> bool {
        !matches!(self, Self::Call(_) | Self::Fault(_) | Self::Abort)
    }

    /// The header that belongs to this refusal, if any.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Method { allow } => Some((header::ALLOW, allow.clone())),
            Self::Busy => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }
}

/// `error.type` of a SERVER span whose caller did not wait for the answer.
pub(crate) const CALLER_GONE: &str = "caller_gone";

/// A 200 with a JSON body.
pub(crate) fn json(body: Bytes) -> HttpAnswer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, JSON);
    answer
}

/// The JSON error that tells a caller what went wrong, with the id of the trace that shows it
/// (all zeros where nothing was traced).
pub(crate) fn refuse(
    tier: Tier,
    refusal: &Refusal,
    status: StatusCode,
    trace_id: TraceId,
) -> HttpAnswer {
    let words = serde_json::Value::String(refusal.to_string());
    let mut body = String::with_capacity(256);
    let written = write!(
        body,
        r#"{{"service":"{tier}","status":"error","error":{words},"trace_id":"{trace_id}"}}"#
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    let mut answer = json(body.into());
    *answer.status_mut() = status;
    if let Some((name, value)) = refusal.header() {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Puts pieces together into one body, copying each once.
pub(crate) fn concat(pieces: &[&[u8]]) -> Bytes {
    pieces.concat().into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_json_whatever_its_words() {
        let refusal = Refusal::Body(BodyError::NotJson("a \"quote\"\n".into()));
        let answer = refuse(
            Tier::Backend,
            &refusal,
            StatusCode::BAD_REQUEST,
            TraceId::from(1_u128),
        );
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"service": "backend", "status": "error", "error": "the body is not JSON: a \"quote\"\n",
                "trace_id": "00000000000000000000000000000001"})
        );
    }
}
