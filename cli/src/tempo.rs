//! A client of Tempo's HTTP API, for the embedded store and a real Tempo alike.
//! Used by `audit`; `cmd::load` opens it before anything is sent.

mod search;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use tdemo_trace::otlp::tempo::TraceByIdResponse;
use tdemo_trace::otlp::{self, OtlpError};
use tdemo_trace::{Trace, TraceId};
use url::Url;

use crate::load::target::{self, TargetError};

pub use search::{Match, Window};

/// How long one look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read; Tempo's own limit for a trace is 5 MB.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// An id that no tracer makes, to see how a backend answers.
const NOBODYS_TRACE: TraceId = TraceId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/protobuf");

/// Base URL of a Tempo query API, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TempoUrl(String);

impl FromStr for TempoUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url: Url = target::parse_base(text)?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for TempoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a look-up gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TempoError {
    /// The client could not be built: this machine's TLS set-up.
    #[error("no HTTP client could be set up: {}", innermost(.0))]
    Client(#[source] reqwest::Error),
    /// The backend could not be reached, or broke off.
    #[error("GET {url}: {}", innermost(.source))]
    Transport {
        /// What was asked for.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The backend refused.
    #[error("GET {url} was answered {status}{}", said(.body))]
    Status {
        /// What was asked for.
        url: String,
        /// Its status.
        status: StatusCode,
        /// The first line of its words.
        body: String,
    },
    /// The answer is larger than any trace.
    #[error("the answer to GET {url} is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
    },
    /// The answer is no trace.
    #[error("the answer to GET {url} is not a trace: {source}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What it is instead.
        source: OtlpError,
    },
    /// The answer is not what a search gives.
    #[error("the answer to GET {url} is no search result: {reason}")]
    Search {
        /// What was asked for.
        url: String,
        /// What it is instead.
        reason: String,
    },
    /// Something else listens there.
    #[error("{url} does not answer like Tempo: GET /api/echo gave {status}")]
    NotTempo {
        /// The base URL.
        url: TempoUrl,
        /// What it said.
        status: StatusCode,
    },
}

impl TempoError {
    /// Whether the backend says that the question itself is wrong.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::BAD_REQUEST)
    }
}

fn said(body: &str) -> String {
    match body.lines().next().unwrap_or_default() {
        "" => String::new(),
        line => format!(": {}", line.chars().take(200).collect::<String>()),
    }
}

/// reqwest's own text leaves the cause out, which is what a reader wants.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let error: &dyn std::error::Error = error;
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
        .to_string()
}

/// Which of Tempo's two by-id routes a backend has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ById {
    V2,
    V1,
}

/// An open client; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tempo {
    client: Client,
    base: TempoUrl,
    by_id: ById,
}

impl Tempo {
    /// Connects, and finds out which by-id route the backend has, so that a
    /// wrong URL is known before anything is sent.
    pub async fn open(base: TempoUrl) -> Result<Self, TempoError> {
        Self::open_with(base, HeaderMap::new()).await
    }

    /// As [`Tempo::open`], with `headers` on every request: a tenant, a token.
    pub async fn open_with(base: TempoUrl, headers: HeaderMap) -> Result<Self, TempoError> {
        let client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("tdemo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(LOOKUP_TIMEOUT)
            .build()
            .map_err(TempoError::Client)?;
        let mut tempo = Self {
            client,
            base,
            by_id: ById::V2,
        };
        let url = tempo.by_id_url(NOBODYS_TRACE);
        let answer = tempo.get(&url).await?;
        match answer.status() {
            StatusCode::OK => Ok(tempo),
            // A Tempo from before v2, or one that says 404 to unknown ids.
            StatusCode::NOT_FOUND => {
                let echo = tempo
                    .get(&format!("{}/api/echo", tempo.base))
                    .await?
                    .status();
                if echo != StatusCode::OK {
                    return Err(TempoError::NotTempo {
                        url: tempo.base,
                        status: echo,
                    });
                }
                tempo.by_id = ById::V1;
                Ok(tempo)
            }
            _ => Err(refusal(url, answer).await),
        }
    }

    /// The base URL.
    pub fn base(&self) -> &TempoUrl {
        &self.base
    }

    /// What is stored under `id`; `None` where nothing is.
    pub async fn trace(&self, id: TraceId) -> Result<Option<Trace>, TempoError> {
        let url = self.by_id_url(id);
        let answer = self.get(&url).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(refusal(url, answer).await),
        }
        let bytes = body(&url, answer).await?;
        let groups = match self.by_id {
            ById::V2 => TraceByIdResponse::from_protobuf(&bytes)
                .map(|answer| answer.trace.unwrap_or_default().resource_spans),
            ById::V1 => otlp::decode_protobuf(&bytes),
        };
        let trace = groups
            .and_then(|groups| Trace::one_from_otlp(id, groups))
            .map_err(|source| TempoError::Answer { url, source })?;
        Ok((!trace.spans.is_empty()).then_some(trace))
    }

    fn by_id_url(&self, id: TraceId) -> String {
        match self.by_id {
            ById::V2 => format!("{}/api/v2/traces/{id}", self.base),
            ById::V1 => format!("{}/api/traces/{id}", self.base),
        }
    }

    async fn get(&self, url: &str) -> Result<Response, TempoError> {
        self.client
            .get(url)
            .header(ACCEPT, PROTOBUF)
            .send()
            .await
            .map_err(|source| transport(url, source))
    }
}

fn transport(url: &str, source: reqwest::Error) -> TempoError {
    TempoError::Transport {
        url: url.to_owned(),
        source: source.without_url(),
    }
}

async fn body(url: &str, mut answer: Response) -> Result<Vec<u8>, TempoError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|source| transport(url, source))?
    {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(TempoError::TooLarge {
                url: url.to_owned(),
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn refusal(url: String, answer: Response) -> TempoError {
    let status = answer.status();
    match body(&url, answer).await {
        Ok(body) => TempoError::Status {
            url,
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        },
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_no_trailing_slash() {
        let base = |text: &str| text.parse::<TempoUrl>().map(|url| url.to_string());
        assert_eq!(base("http://tempo:3200").unwrap(), "http://tempo:3200");
        assert_eq!(base("http://gw/tempo/?x=1").unwrap(), "http://gw/tempo");
        assert!(base("tempo:3200").is_err());
    }
}
