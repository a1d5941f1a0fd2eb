//! Spans around the work: the SERVER span of a request, which every way to finish or to be abandoned ends, and the
//! INTERNAL span of a tier's own work. `server` makes the first, the tiers the second.
//!
//! Names, attributes and status follow the stable HTTP semantic conventions.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::{HeaderName, HeaderValue, StatusCode, request};
use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;
use tdemo_telemetry::propagation;

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::{App, Call};
use crate::conventions::{OTHER, add_exception, known_method, protocol_version, server_span_name};
use crate::metrics::Labels;
use crate::peer::Peer;
use crate::redact;
use crate::route::Route;

/// The answer header that names the trace (W3C Trace Context Level 3, editor's draft).
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The SERVER span of one request. Dropped unfinished, it ends as abandoned by its caller.
pub(crate) struct ServerSpan {
    app: Arc<App>,
    cx: Context,
    method: &'static str,
    route: Option<Route>,
    started: Instant,
    finished: bool,
}

impl ServerSpan {
    pub(crate) fn start(
        app: Arc<App>,
        peer: &Peer,
        request: &request::Parts,
        route: Option<Route>,
    ) -> Self {
        let started = Instant::now();
        let parent = propagation::extract(&request.headers);
        let method = known_method(&request.method);
        let (address, port) = peer.server(request);
        let mut attributes = Vec::with_capacity(16);
        attributes.extend([
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, method),
            KeyValue::new(semconv::URL_SCHEME, "http"),
            KeyValue::new(semconv::SERVER_ADDRESS, address),
            KeyValue::new(semconv::SERVER_PORT, i64::from(port)),
            KeyValue::new(semconv::CLIENT_ADDRESS, Arc::clone(&peer.client)),
            KeyValue::new(
                semconv::NETWORK_PROTOCOL_VERSION,
                protocol_version(request.version),
            ),
        ]);
        if let Some(route) = route {
            attributes.push(KeyValue::new(semconv::HTTP_ROUTE, route.path()));
            attributes.push(KeyValue::new(semconv::URL_PATH, route.path()));
        } else {
            attributes.push(KeyValue::new(
                semconv::URL_PATH,
                request.uri.path().to_owned(),
            ));
        }
        if let Some(query) = request.uri.query() {
            attributes.push(KeyValue::new(
                semconv::URL_QUERY,
                redact::query(query).into_owned(),
            ));
        }
        if let Some(agent) = request.headers.get(http::header::USER_AGENT) {
            let agent = String::from_utf8_lossy(agent.as_bytes()).into_owned();
            attributes.push(KeyValue::new(semconv::USER_AGENT_ORIGINAL, agent));
        }
        if method == OTHER {
            let original = request.method.as_str().to_owned();
            attributes.push(KeyValue::new(
                semconv::HTTP_REQUEST_METHOD_ORIGINAL,
                original,
            ));
        }
        let builder = SpanBuilder::from_name(server_span_name(method, route));
        let builder = builder
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        Self {
            cx: app.telemetry.start_span(builder, &parent),
            app,
            method,
            route,
            started,
            finished: false,
        }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.cx
    }

    /// Runs the handler inside the span. A panic in it is a 500 of this request and of no other.
    pub(crate) async fn run(
        &self,
        handler: impl Future<Output = Result<HttpAnswer, Refusal>>,
    ) -> Result<HttpAnswer, Refusal> {
        let mut handler = pin!(handler);
        let caught = std::future::poll_fn(move |task| {
            // The handler is never polled again after a panic, so no broken state of it is seen.
            std::panic::catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(task)))
                .unwrap_or(Poll::Ready(Err(Refusal::Panic)))
        });
        caught.with_context(self.cx.clone()).await
    }

    /// Ends the span with what the handler came to and makes the answer; `None` closes the connection without one.
    pub(crate) fn finish(mut self, result: Result<HttpAnswer, Refusal>) -> Option<HttpAnswer> {
        let cx = self.cx.clone();
        let span = cx.span();
        let mut answer = match result {
            Ok(answer) => {
                self.end(&Outcome::good(answer.status()));
                answer
            }
            Err(refusal) => {
                let outcome = Outcome::of(&refusal);
                // What failed further in has its exception there.
                if outcome.error_type.is_some() && refusal.arises_here() {
                    add_exception(&span, &refusal.error_type(), &refusal.to_string());
                }
                if matches!(refusal, Refusal::Panic) {
                    self.app.metrics.count_panic();
                }
                self.end(&outcome);
                let trace_id = span.span_context().trace_id();
                answer::refuse(self.app.tier, &refusal, outcome.status?, trace_id)
            }
        };
        if let Some(value) = trace_response(span.span_context()) {
            answer.headers_mut().insert(TRACE_RESPONSE, value);
        }
        Some(answer)
    }

    fn end(&mut self, outcome: &Outcome) {
        self.finished = true;
        let span = self.cx.span();
        if let Some(status) = outcome.status {
            let code = i64::from(status.as_u16());
            span.set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, code));
        }
        if let Some(error_type) = &outcome.error_type {
            span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type.clone()));
            // The conventions want no description where the status code says it all.
            let description = outcome
                .status
                .map_or(outcome.message.clone(), |_| String::new());
            span.set_status(Status::error(description));
        }
        let elapsed = self.started.elapsed();
        self.log(outcome, elapsed.as_secs_f64() * 1e3);
        let labels = Labels {
            method: self.method,
            route: self.route.map(Route::path),
            server: None,
            status: outcome.status,
            error_type: outcome.error_type.clone(),
        };
        self.app
            .metrics
            .server
            .observe(&labels, elapsed, span.span_context());
        span.end();
    }

    /// The one line that every traced request leaves in every tier.
    fn log(&self, outcome: &Outcome, duration_ms: f64) {
        let _in_span = self.cx.clone().attach();
        let route = self.route.map_or("(no route)", Route::path);
        let method = self.method;
        let code = outcome.status.map_or(0, |status| status.as_u16());
        let message = outcome.message.as_str();
        match &outcome.error_type {
            None if message.is_empty() => tracing::info!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = code,
                duration_ms,
                "{code} {method} {route}",
            ),
            None => tracing::warn!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = code,
                duration_ms,
                "{code} {method} {route}: {message}",
            ),
            Some(error_type) => tracing::error!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = outcome.status.map(|_| code),
                error.r#type = &**error_type,
                exception.r#type = &**error_type,
                exception.message = message,
                duration_ms,
                "{method} {route} failed",
            ),
        }
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        if !self.finished {
            // The connection's task may be dropped from anywhere, without its dispatcher.
            let dispatch = self.app.telemetry.dispatch().clone();
            tracing::dispatcher::with_default(&dispatch, || {
                add_exception(&self.cx.span(), answer::CALLER_GONE, ABANDONED);
                self.end(&Outcome {
                    status: None,
                    error_type: Some(Cow::Borrowed(answer::CALLER_GONE)),
                    message: ABANDONED.to_owned(),
                });
            });
        }
    }
}

/// What a span says whose request was dropped before its answer was ready.
const ABANDONED: &str =
    "the caller went away before the answer was ready, or the service's time to stop was over";

/// How a request ended, as its span, its metric and its log line tell it.
struct Outcome {
    /// `None` where no answer was sent.
    status: Option<StatusCode>,
    /// `error.type`, where the conventions call the outcome an error of the server.
    error_type: Option<Cow<'static, str>>,
    /// Why it was not a success, else empty.
    message: String,
}

impl Outcome {
    fn good(status: StatusCode) -> Self {
        Self {
            status: Some(status),
            error_type: None,
            message: String::new(),
        }
    }

    fn of(refusal: &Refusal) -> Self {
        let status = refusal.status();
        let error_type = match status {
            Some(status) if !status.is_server_error() => None,
            Some(status) => Some(status.as_str().to_owned()),
            None => Some(refusal.error_type()),
        };
        Self {
            status,
            error_type: error_type.map(Cow::Owned),
            message: refusal.to_string(),
        }
    }
}

/// `00-<trace id>-<span id>-<flags>`; `None` where the SDK is switched off, and the span is at best the caller's.
fn trace_response(span: &SpanContext) -> Option<HeaderValue> {
    if !span.is_valid() || span.is_remote() {
        return None;
    }
    let text = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags()
    );
    HeaderValue::try_from(text).ok()
}

/// Does a tier's own work inside an INTERNAL span. Where it fails the span says why, in the conventions' terms and as
/// `<tier>.error`, and so does the log. Dropped before its end, the span ends with its status unset.
pub(crate) async fn internal<T>(
    call: &Call<'_>,
    name: &'static str,
    attributes: Vec<KeyValue>,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let app = call.app;
    let builder = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Internal)
        .with_attributes(attributes);
    let cx = app.telemetry.start_span(builder, call.server);
    let result = work.with_context(cx.clone()).await;
    let span = cx.span();
    if let Err(refusal) = &result {
        let (error_type, words) = (refusal.error_type(), refusal.to_string());
        let _in_span = cx.clone().attach();
        tracing::error!(
            error.r#type = error_type,
            exception.r#type = error_type,
            exception.message = words,
            "{name} failed"
        );
        add_exception(&span, &error_type, &words);
        span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type));
        span.set_attribute(KeyValue::new(app.tier.error_key(), words.clone()));
        span.set_status(Status::error(words));
    }
    span.end();
    result
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use tdemo_telemetry::{ResourceInfo, Telemetry, TelemetrySettings};

    use super::*;
    use crate::route::Tier;
    use crate::settings::Settings;

    #[tokio::test]
    async fn a_panic_is_a_500_of_its_own_request() {
        let settings = TelemetrySettings {
            disabled: true,
            ..TelemetrySettings::default()
        };
        let telemetry = Telemetry::start(settings, ResourceInfo::new("backend", "1.0.0")).unwrap();
        let app = Arc::new(App::new(
            &Settings::new(Tier::Backend),
            Bytes::new(),
            telemetry,
        ));
        let address = "127.0.0.1:1".parse().unwrap();
        let peer = Peer::new(address, address);
        let (parts, ()) = Request::new(()).into_parts();

        let span = ServerSpan::start(Arc::clone(&app), &peer, &parts, Some(Route::Info));
        let result = span.run(async { panic!("a handler's bug") }).await;
        assert!(matches!(result, Err(Refusal::Panic)));
        let answer = span.finish(result).unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(app.metrics.print().contains("tdemo_panics_total 1\n"));
    }
}
