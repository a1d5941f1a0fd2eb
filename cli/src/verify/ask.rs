//! Sends one request and keeps all of it and of its answer. Called by `gather`
//! and `cmd::trace_link`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, redirect};
use url::Url;

use super::errand::{Errand, TRACESTATE};
use super::evidence::{Answered, Body, Exchange, Sent};
use crate::tempo::innermost;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: the frontend itself gives up after 12 s.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of a body is kept.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Sends requests.
#[derive(Debug, Clone)]
pub struct Asker(Client);

impl Asker {
    /// A client that follows no redirect: what is asked is what is judged.
    ///
    /// # Errors
    /// This machine's TLS set-up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Client::builder()
            .user_agent(concat!("tdemo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .map(Self)
    }

    /// Sends `errand` to `base`, with `parent` in its `traceparent`.
    pub async fn send(&self, base: &Url, errand: &Errand, parent: Option<Sent>) -> Exchange {
        let mut url = base.clone();
        url.set_path(&format!(
            "{}{}",
            base.path().trim_end_matches('/'),
            errand.path
        ));
        let mut headers = HeaderMap::new();
        if let Some(content_type) = errand.content_type {
            headers.insert("content-type", HeaderValue::from_static(content_type));
        }
        if let Some(baggage) = errand.baggage() {
            let baggage = HeaderValue::from_str(&baggage).expect("it is written in ASCII");
            headers.insert("baggage", baggage);
        }
        if let Some(parent) = parent {
            let (traceparent, tracestate) = context(parent);
            headers.insert("traceparent", traceparent);
            headers.insert("tracestate", tracestate);
        }
        let method = Method::from_bytes(errand.method.as_bytes()).expect("a method of HTTP");
        let sent_unix_nanos = now_unix_nanos();
        let outcome = self
            .exchange(method, &url, &headers, errand.body.clone())
            .await;
        Exchange {
            kind: errand.kind,
            service: errand.service,
            method: errand.method.to_owned(),
            url: url.to_string(),
            headers: listed(&headers),
            body: errand.body.as_deref().map(kept),
            parent,
            sent_unix_nanos,
            done_unix_nanos: now_unix_nanos(),
            outcome,
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Answered {
        let mut request = self.0.request(method, url.clone()).headers(headers.clone());
        if let Some(body) = body {
            request = request.body(body);
        }
        match read(request).await {
            Ok(answered) => answered,
            Err(error) => Answered::Failure {
                connect: error.is_connect(),
                error: innermost(&error),
            },
        }
    }

    /// The text at `url`, for counters and the like.
    ///
    /// # Errors
    /// There is no answer, or it is not 200: in one line.
    pub async fn text(&self, url: Url) -> Result<String, String> {
        let shown = url.to_string();
        match read(self.0.get(url)).await {
            Ok(Answered::Answer {
                status: 200, body, ..
            }) => Ok(body),
            Ok(Answered::Answer { status, .. }) => {
                Err(format!("GET {shown} was answered {status}"))
            }
            Ok(Answered::Failure { error, .. }) => Err(format!("GET {shown}: {error}")),
            Err(error) => Err(format!("GET {shown}: {}", innermost(&error))),
        }
    }
}

/// Where `errand` goes: its path stands below that of `base`, if it has one.
pub fn url_of(base: &Url, errand: &Errand) -> Url {
    let mut url = base.clone();
    if !errand.path.is_empty() {
        url.set_path(&format!(
            "{}{}",
            base.path().trim_end_matches('/'),
            errand.path
        ));
    }
    url
}

async fn read(request: reqwest::RequestBuilder) -> Result<Answered, reqwest::Error> {
    let mut answer = request.send().await?;
    let status = answer.status().as_u16();
    let headers = listed(answer.headers());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(Answered::Failure {
                connect: false,
                error: format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered::Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// `traceparent` and `tracestate` (W3C Trace Context, sections 3.2 and 3.3).
fn context(parent: Sent) -> (HeaderValue, HeaderValue) {
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        parent.trace_id, parent.span_id, parent.flags
    );
    (
        HeaderValue::from_str(&traceparent).expect("hex digits are ASCII"),
        HeaderValue::from_static(TRACESTATE),
    )
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    };
    headers.iter().map(text).collect()
}

fn kept(body: &[u8]) -> Body {
    match std::str::from_utf8(body) {
        Ok(text) if text.len() <= MAX_KEPT_BYTES => Body::Text(text.to_owned()),
        _ => Body::Bytes(body.len()),
    }
}

/// Nanoseconds since the Unix epoch.
pub fn now_unix_nanos() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
