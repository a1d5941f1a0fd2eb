//! The HTTP client under the OTLP exporter: one attempt, with a time limit of
//! its own, and with exactly the headers that the settings name.
//!
//! Called by `opentelemetry-otlp`, which encodes, retries and reads the answer.

use std::error::Error;
use std::io;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use opentelemetry_http::{HttpClient, HttpError};
use prost::Message as _;

use super::notes::Pad;
use super::{USER_AGENT, trust};
use crate::settings::ExporterSettings;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// An answer holds one short message; what is longer is no OTLP receiver's, and
/// its beginning is enough.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// So much of a refusal's text goes into the log.
const MAX_SHOWN_CHARS: usize = 200;

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    headers: HeaderMap,
    pad: Pad,
}

impl Client {
    /// Why an attempt failed is written on `pad`.
    pub(super) fn new(settings: &ExporterSettings, pad: Pad) -> Result<Self, trust::ConnectError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust::client_config(trust::roots(settings)?)?)
            .http1_only()
            .tcp_nodelay(true)
            .timeout(settings.timeout)
            // OTLP knows no redirects. A proxy of the environment would get the
            // telemetry of loopback receivers too.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let mut headers = settings.headers.clone();
        (headers.entry(header::USER_AGENT)).or_insert(HeaderValue::from_static(USER_AGENT));
        Ok(Self { http, headers, pad })
    }

    fn failed(&self, why: String) {
        self.pad.write(|notes| notes.reason = Some(why));
    }
}

#[tonic::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut parts, body) = request.into_parts();
        // The exporter has mixed in headers of the process environment.
        let mut headers = self.headers.clone();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            if let Some(value) = parts.headers.remove(&name) {
                headers.insert(name, value);
            }
        }
        parts.headers = headers;
        let request = Request::from_parts(parts, body).try_into()?;
        let mut answer = self.http.execute(request).await.inspect_err(|error| {
            self.failed(explain(error));
        })?;
        let mut body = BytesMut::new();
        // The status alone says what became of the request: of an answer that
        // breaks off, what has come is taken.
        while body.len() < MAX_ANSWER_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        if !answer.status().is_success() {
            self.failed(refusal(answer.status(), answer.headers(), &body));
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// A refusal in one line: the status, and the message of a `google.rpc.Status`
/// or the beginning of a text.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let text = if headers.get(header::CONTENT_TYPE) == Some(&PROTOBUF) {
        match tonic_types::pb::Status::decode(body) {
            Ok(status) => status.message,
            Err(_) => String::new(),
        }
    } else {
        String::from_utf8_lossy(body).into_owned()
    };
    let text: String = text.trim().chars().take(MAX_SHOWN_CHARS).collect();
    if text.is_empty() {
        format!("HTTP status {status}")
    } else {
        format!("HTTP status {status}: {text}")
    }
}

/// The error and its causes in one line: the client's own texts say "error
/// sending request" and keep the reason a few levels down.
fn explain(error: &reqwest::Error) -> String {
    let mut line = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "cannot connect".to_owned()
    } else {
        "the connection broke off".to_owned()
    };
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // A wrapper often repeats what it wraps.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_receivers_words_and_not_too_many() {
        let status = StatusCode::BAD_REQUEST;
        let mut headers = HeaderMap::new();
        let expected = "HTTP status 400 Bad Request: no such thing";
        assert_eq!(refusal(status, &headers, b" no such thing\n"), expected);
        assert_eq!(
            refusal(status, &headers, b""),
            "HTTP status 400 Bad Request"
        );
        let long = "x".repeat(10_000);
        assert!(refusal(status, &headers, long.as_bytes()).len() < 300);

        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        let body = tonic_types::pb::Status {
            message: "no such thing".to_owned(),
            ..Default::default()
        };
        assert_eq!(refusal(status, &headers, &body.encode_to_vec()), expected);
    }
}
