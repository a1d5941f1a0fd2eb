//! Calls to the next tier: one pooled HTTP/1 client, a CLIENT span and a metric for each call, the caller's context
//! injected, and every way to fail told apart. Used by the frontend and the middleware.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;
use tdemo_telemetry::{Telemetry, propagation};

use crate::answer::JSON;
use crate::body::{self, BodyError, Json};
use crate::conventions::{add_exception, known_method, protocol_version};
use crate::metrics::{Durations, Labels};
use crate::settings::Settings;
use crate::{Tier, redact};

/// An idle connection is given up before the next tier's header time-out closes it under a request.
const POOL_IDLE: Duration = Duration::from_secs(15);

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tdemo/", env!("CARGO_PKG_VERSION")));

/// A call to the next tier that brought no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{tier} at {url} {failure}")]
pub(crate) struct CallError {
    tier: Tier,
    url: Arc<str>,
    pub(crate) failure: CallFailure,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error("did not answer within {0:?}")]
    Timeout(Duration),
    #[error("could not be reached: {}", .cause)]
    Connect { class: &'static str, cause: String },
    #[error("closed the connection before the answer was complete: {0}")]
    BrokenOff(String),
    #[error("answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("gave an answer that cannot be used: {0}")]
    BadAnswer(String),
}

impl CallError {
    /// The status that the next tier answered, good or bad, where it answered with the wrong one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.failure {
            CallFailure::Status(status) => Some(status),
            _ => None,
        }
    }

    /// `error.type` of the CLIENT span and of the INTERNAL span around it.
    pub(crate) fn error_type(&self) -> String {
        match &self.failure {
            CallFailure::Timeout(_) => "timeout".to_owned(),
            CallFailure::Connect { class, .. } => (*class).to_owned(),
            CallFailure::BrokenOff(_) => "connection_closed".to_owned(),
            CallFailure::Status(status) => status.as_str().to_owned(),
            CallFailure::BadAnswer(_) => "invalid_response".to_owned(),
        }
    }
}

/// A good answer of the next tier.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Json,
}

/// The next tier, and everything about a call to it that is the same each time.
#[derive(Debug)]
pub(crate) struct NextTier {
    tier: Tier,
    client: Client<HttpConnector<Resolver>, Full<Bytes>>,
    method: Method,
    method_name: &'static str,
    uri: Uri,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    url_full: Arc<str>,
    address: Arc<str>,
    port: u16,
    timeout: Duration,
    answer_limit: usize,
}

impl NextTier {
    pub(crate) fn new(tier: Tier, settings: &Settings) -> Self {
        let base = settings.next_url();
        let route = tier.work_route();
        let method = if tier == Tier::Middleware {
            Method::POST
        } else {
            Method::GET
        };
        let url = base.join(route.path());
        let (uri, host) = base.request_parts(route.path());
        let mut connector = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.upstream_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .set_host(false)
            .build(connector);
        let authorization =
            (!url.username().is_empty() || url.password().is_some()).then(|| basic(&url));
        Self {
            tier,
            client,
            method_name: known_method(&method),
            method,
            uri,
            host,
            authorization,
            url_full: redact::url(&url).into(),
            address: base.host().into(),
            port: base.port(),
            timeout: settings.upstream_timeout,
            // The answer wraps what was sent, so it is a little larger than the largest request.
            answer_limit: settings
                .max_body_bytes
                .saturating_mul(2)
                .saturating_add(64 << 10),
        }
    }

    /// Method, host and port, for the metrics.
    pub(crate) fn identity(&self) -> (&'static str, Arc<str>, u16) {
        (self.method_name, Arc::clone(&self.address), self.port)
    }

    /// Calls the next tier as a child of the span in `parent`, sending `body` where the route takes one.
    ///
    /// Dropping the future closes the connection and ends the span with its status unset: the one who gave up
    /// did not fail.
    pub(crate) async fn call(
        &self,
        telemetry: &Telemetry,
        durations: &Durations,
        parent: &Context,
        body: Bytes,
    ) -> Result<Reply, CallError> {
        let started = Instant::now();
        let mut attributes = Vec::with_capacity(8);
        attributes.extend([
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, self.method_name),
            KeyValue::new(semconv::URL_FULL, Arc::clone(&self.url_full)),
            KeyValue::new(semconv::SERVER_ADDRESS, Arc::clone(&self.address)),
            KeyValue::new(semconv::SERVER_PORT, i64::from(self.port)),
        ]);
        let builder = SpanBuilder::from_name(self.method_name)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let cx = telemetry.start_span(builder, parent);

        let exchange = self.exchange(&cx, body);
        let result = tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(CallFailure::Timeout(self.timeout)))
            .map_err(|failure| CallError {
                tier: self.tier,
                url: Arc::clone(&self.url_full),
                failure,
            });

        let span = cx.span();
        let error_type = result.as_ref().err().map(CallError::error_type);
        if let Err(error) = &result {
            span.set_attribute(KeyValue::new(
                semconv::ERROR_TYPE,
                error_type.clone().unwrap_or_default(),
            ));
            // The conventions want no description where the status code says it all.
            let description = error
                .status()
                .map_or_else(|| error.to_string(), |_| String::new());
            span.set_status(Status::error(description));
            if error.status().is_none() {
                add_exception(&span, &error.error_type(), &error.to_string());
            }
        }
        let labels = Labels {
            method: self.method_name,
            route: None,
            server: Some((Arc::clone(&self.address), self.port)),
            status: result
                .as_ref()
                .map_or_else(CallError::status, |reply| Some(reply.status)),
            error_type: error_type.map(Into::into),
        };
        durations.observe(&labels, started.elapsed(), span.span_context());
        span.end();
        result
    }

    async fn exchange(&self, cx: &Context, body: Bytes) -> Result<Reply, CallFailure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.reserve(8);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        if self.method == Method::POST {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        propagation::inject(cx, headers);

        let mut answer = self
            .client
            .request(request)
            .await
            .map_err(|error| classify(&error, self.timeout))?;
        let status = answer.status();
        let span = cx.span();
        span.set_attribute(KeyValue::new(
            semconv::HTTP_RESPONSE_STATUS_CODE,
            i64::from(status.as_u16()),
        ));
        span.set_attribute(KeyValue::new(
            semconv::NETWORK_PROTOCOL_VERSION,
            protocol_version(answer.version()),
        ));
        // A bad answer is read too, so that its connection can be used again.
        let read = body::read(answer.body_mut(), self.answer_limit).await;
        if !status.is_success() {
            return Err(CallFailure::Status(status));
        }
        let body = read.and_then(Json::parse).map_err(|error| match error {
            BodyError::BrokenOff(error) => CallFailure::BrokenOff(error.to_string()),
            error => CallFailure::BadAnswer(error.to_string()),
        })?;
        Ok(Reply { status, body })
    }
}

/// The `Authorization` that stands for a URL's user name and password (RFC 7617).
fn basic(url: &url::Url) -> HeaderValue {
    let decode = |text| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let pair = format!(
        "{}:{}",
        decode(url.username()),
        decode(url.password().unwrap_or_default())
    );
    let text = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    );
    let mut value = HeaderValue::try_from(text).expect("base64 is legal in a header");
    value.set_sensitive(true);
    value
}

/// Sorts hyper's failures by what happened to the connection.
fn classify(error: &ClientError, timeout: Duration) -> CallFailure {
    let causes = || {
        std::iter::successors(Some(error as &(dyn StdError + 'static)), |cause| {
            (*cause).source()
        })
    };
    let io_kind = causes()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    let words = || {
        causes()
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string)
    };
    if !error.is_connect() {
        let parse = causes()
            .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
            .any(hyper::Error::is_parse);
        return if parse {
            CallFailure::BadAnswer(words())
        } else {
            CallFailure::BrokenOff(words())
        };
    }
    let class = if causes().any(<dyn StdError>::is::<ResolveError>) {
        "name_resolution_error"
    } else {
        match io_kind {
            Some(io::ErrorKind::ConnectionRefused) => "connection_refused",
            Some(io::ErrorKind::TimedOut) => return CallFailure::Timeout(timeout),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                "host_unreachable"
            }
            _ => "connection_error",
        }
    };
    CallFailure::Connect {
        class,
        cause: words(),
    }
}

/// The system's resolver, with its failures marked, so that they can be told from those of the connection itself.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

#[derive(Debug, thiserror::Error)]
#[error("its name cannot be resolved: {0}")]
struct ResolveError(io::Error);

impl tower::Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = ResolveError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<GaiAddrs, ResolveError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), ResolveError>> {
        self.0.poll_ready(cx).map_err(ResolveError)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(ResolveError) })
    }
}
