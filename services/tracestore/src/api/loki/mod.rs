//! Loki's HTTP API, as far as logs by trace, Grafana's data source and `tdemo logs` need it:
//! `query_range`, `query`, `tail`, `labels`, `label/{name}/values`, `series`, `status/buildinfo`
//! under `/loki/api/v1/`. Called by the router of the API.
//!
//! Errors are plain text and of Loki's status and kind. Source:
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/>.

mod encode;
mod params;
mod tail;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ALLOW, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::logs::LogStore;
use crate::logs::logql::{self, LogqlError, Pipeline};
use crate::logs::query::{self, LogQuery};
use crate::logs::streams::streams;
use crate::server::{Body, answer, plain_text};
use encode::LabelForm;
use params::Params;

/// Where the routes are.
pub(super) const PREFIX: &str = "/loki/api/v1/";

const JSON: &str = "application/json; charset=UTF-8";
const ENCODING_FLAGS: HeaderName = HeaderName::from_static("x-loki-response-encoding-flags");
/// Bytes of a form.
const MAX_FORM_BYTES: usize = 256 * 1024;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// Queries that run at a time; each takes a thread for as long as it runs.
const MAX_QUERIES: usize = 4;
/// How long a query waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the routes share.
#[derive(Debug)]
pub(super) struct Loki {
    queries: Semaphore,
    tails: tail::Tails,
}

/// An answer that is an error.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Query(#[from] LogqlError),
    #[error("{0}")]
    Parameter(String),
    #[error("cannot read the form: {0}")]
    Form(String),
    #[error("the form takes more than {MAX_FORM_BYTES} bytes")]
    FormTooLarge,
    #[error("too many queries are running; try again later")]
    Busy,
    #[error("too many tails are open ({0}); close one first")]
    TooManyTails(usize),
    #[error("{0}")]
    Upgrade(&'static str),
    #[error("internal error: the query was given up")]
    Panicked,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Query(_) | Self::Parameter(_) | Self::Form(_) | Self::Upgrade(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::FormTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy | Self::TooManyTails(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Parameter(message)
    }
}

impl Loki {
    /// The routes over a log store, until `stopping`.
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self {
            queries: Semaphore::new(MAX_QUERIES),
            tails: tail::Tails::new(stopping),
        }
    }

    /// Waits until every tail has said goodbye, after `stopping`.
    pub(super) async fn finish(&self) {
        self.tails.finish().await;
    }

    /// Answers a request whose path begins with [`PREFIX`] from these log records.
    pub(super) async fn handle(
        &self,
        logs: Arc<LogStore>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let path = request
            .uri()
            .path()
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        let Some(methods) = methods(&segments) else {
            return plain_text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        let method = request.method().as_str();
        if !methods.split(", ").any(|allowed| allowed == method) {
            return not_allowed(methods);
        }
        let result = self.route(&segments, logs, request).await;
        result.unwrap_or_else(|refusal| {
            let mut response = plain_text(refusal.status(), refusal.to_string());
            let nosniff = HeaderValue::from_static("nosniff");
            response
                .headers_mut()
                .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
            response
        })
    }

    async fn route(
        &self,
        segments: &[&str],
        logs: Arc<LogStore>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        if segments == ["tail"] {
            return self.tails.open(&logs, request);
        }
        let form = label_form(request.headers());
        let params = read_params(request).await?;
        let body = match segments {
            ["query_range"] => self.query_range(logs, &params, form).await?,
            ["query"] => instant(&params)?,
            ["labels" | "label"] => self.labels(logs, params, None).await?,
            ["label", name, _] => {
                let name = super::decoded(name);
                self.labels(logs, params, Some(name)).await?
            }
            ["series"] => self.series(logs, params).await?,
            _ => return Ok(super::status::build_info()),
        };
        Ok(answer(StatusCode::OK, JSON, body))
    }

    async fn query_range(
        &self,
        logs: Arc<LogStore>,
        params: &Params,
        form: LabelForm,
    ) -> Result<Vec<u8>, Refusal> {
        let (start, end) = params.bounds(params::now())?;
        let limit = params.limit()?;
        let direction = params.direction()?;
        params.no_interval()?;
        let pipeline = logql::compile(params.query())?;
        self.in_turn(move || {
            let began = Instant::now();
            let query = LogQuery {
                pipeline: &pipeline,
                start,
                end,
                limit,
                direction,
            };
            let found = query::run(&logs.snapshot(), &query);
            encode::answer(&found, form, began.elapsed())
        })
        .await
    }

    /// The names of labels, or the values of one.
    async fn labels(
        &self,
        logs: Arc<LogStore>,
        params: Params,
        name: Option<String>,
    ) -> Result<Vec<u8>, Refusal> {
        let (start, end) = params.bounds(params::now())?;
        let selectors = params.get("query").map(selector).transpose()?;
        self.in_turn(move || {
            let selectors: Vec<Pipeline> = selectors.into_iter().collect();
            let streams = streams(&logs.snapshot(), start, end, &selectors);
            let found: BTreeSet<&str> = match &name {
                None => streams
                    .iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect(),
                Some(name) => streams
                    .iter()
                    .filter_map(|s| s.get(name))
                    .map(String::as_str)
                    .collect(),
            };
            encode::names(found)
        })
        .await
    }

    async fn series(&self, logs: Arc<LogStore>, params: Params) -> Result<Vec<u8>, Refusal> {
        let (start, end) = params.bounds(params::now())?;
        let mut matches: Vec<&str> = params.all("match").chain(params.all("match[]")).collect();
        // `{}` alone stands for every stream.
        if let [only] = matches.as_slice()
            && only.split_whitespace().collect::<String>() == "{}"
        {
            matches.clear();
        }
        let selectors: Vec<Pipeline> = matches
            .into_iter()
            .map(selector)
            .collect::<Result<_, _>>()?;
        self.in_turn(move || encode::series(&streams(&logs.snapshot(), start, end, &selectors)))
            .await
    }

    /// Runs a query on a thread of its own, not too many at a time.
    async fn in_turn(
        &self,
        query: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Result<Vec<u8>, Refusal> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.queries.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Refusal::Busy);
        };
        tokio::task::spawn_blocking(query)
            .await
            .map_err(|_| Refusal::Panicked)
    }
}

/// The methods of a route, as `Allow` lists them; `None` if there is no such route.
fn methods(segments: &[&str]) -> Option<&'static str> {
    match segments {
        ["query_range" | "query" | "labels" | "label" | "series"] | ["label", _, "values"] => {
            Some("GET, HEAD, POST")
        }
        ["status", "buildinfo"] => Some("GET, HEAD"),
        ["tail"] => Some("GET"),
        _ => None,
    }
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = plain_text(StatusCode::METHOD_NOT_ALLOWED, "");
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(ALLOW, methods);
    response
}

fn label_form(headers: &HeaderMap) -> LabelForm {
    let flags = headers
        .get(ENCODING_FLAGS)
        .and_then(|value| value.to_str().ok());
    LabelForm::from_flags(flags.unwrap_or_default())
}

fn selector(text: &str) -> Result<Pipeline, LogqlError> {
    Pipeline::selector(&logql::parse_selector(text)?)
}

/// The instant query: only what Grafana's health check needs.
fn instant(params: &Params) -> Result<Vec<u8>, Refusal> {
    let time = params.time("time")?.unwrap_or_else(params::now);
    let query = params.query();
    if query.trim_start().starts_with('{') {
        logql::compile(query)?;
        return Err(Refusal::Parameter(
            "log queries are not supported as instant queries: use query_range".to_owned(),
        ));
    }
    Ok(encode::vector(logql::constant::evaluate(query)?, time))
}

async fn read_params(request: Request<Incoming>) -> Result<Params, Refusal> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method() != Method::POST {
        return Ok(Params::new(&query, b""));
    }
    let body = Limited::new(request.into_body(), MAX_FORM_BYTES).collect();
    let form = match tokio::time::timeout(FORM_TIMEOUT, body).await {
        Ok(Ok(form)) => form.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Refusal::FormTooLarge);
        }
        Ok(Err(error)) => return Err(Refusal::Form(error.to_string())),
        Err(_) => {
            return Err(Refusal::Form(format!(
                "it took longer than {FORM_TIMEOUT:?}"
            )));
        }
    };
    Ok(Params::new(&query, &form))
}
