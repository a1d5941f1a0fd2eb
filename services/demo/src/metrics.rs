//! What `/metrics` shows, in the `OpenMetrics` text format: request durations with exemplars, requests in flight,
//! what hyper refused, and the span ledger. `instrument`, `client` and `server` record; the `Metrics` route prints.
//!
//! Names and labels are those of the stable HTTP metrics conventions, with dots and units as Prometheus spells them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};
use opentelemetry::TraceId;
use opentelemetry::trace::SpanContext;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tdemo_telemetry::{LedgerSnapshot, Telemetry};

use crate::conventions::known_method;
use crate::route::Route;

/// The content type of the `OpenMetrics` text format 1.0.
pub(crate) const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Upper bounds in seconds: the conventions' advice for `http.server.request.duration`.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The trace that an exemplar points to, rendered only when somebody scrapes.
#[derive(Debug)]
pub(crate) struct TraceLabel(TraceId);

impl EncodeLabelSet for TraceLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("trace_id", self.0.to_string()).encode(encoder.encode_label())
    }
}

/// The labels of one server or client duration; what is empty or `None` is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    pub(crate) method: &'static str,
    pub(crate) route: Option<&'static str>,
    pub(crate) server: Option<(Arc<str>, u16)>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error_type: Option<Cow<'static, str>>,
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("http_request_method", self.method).encode(encoder.encode_label())?;
        ("url_scheme", "http").encode(encoder.encode_label())?;
        if let Some(route) = self.route {
            ("http_route", route).encode(encoder.encode_label())?;
        }
        if let Some((address, port)) = &self.server {
            ("server_address", &**address).encode(encoder.encode_label())?;
            ("server_port", *port).encode(encoder.encode_label())?;
        }
        if let Some(status) = self.status {
            ("http_response_status_code", status.as_u16()).encode(encoder.encode_label())?;
        }
        if let Some(error_type) = &self.error_type {
            ("error_type", error_type.as_ref()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// Why hyper answered or closed before there was a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    /// Not HTTP/1: answered 400.
    Malformed,
    /// The head is too large: answered 414 or 431.
    TooLarge,
    /// The head did not arrive in time: closed.
    HeaderTimeout,
}

impl EncodeLabelSet for Refused {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let reason = match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::HeaderTimeout => "header_timeout",
        };
        ("reason", reason).encode(encoder.encode_label())
    }
}

#[derive(Clone, Copy, Debug)]
struct NewHistogram;

impl MetricConstructor<HistogramWithExemplars<TraceLabel>> for NewHistogram {
    fn new_metric(&self) -> HistogramWithExemplars<TraceLabel> {
        HistogramWithExemplars::new(BUCKETS.into_iter())
    }
}

/// Durations by label, with the label sets of every good request resolved beforehand.
#[derive(Debug)]
pub(crate) struct Durations {
    family: Family<Labels, HistogramWithExemplars<TraceLabel>, NewHistogram>,
    common: Vec<(Labels, HistogramWithExemplars<TraceLabel>)>,
}

impl Durations {
    fn new(common: impl IntoIterator<Item = Labels>) -> Self {
        let family = Family::new_with_constructor(NewHistogram);
        let common = common.into_iter().map(|labels| {
            let histogram = family.get_or_create_owned(&labels);
            (labels, histogram)
        });
        Self {
            common: common.collect(),
            family,
        }
    }

    /// Records one duration; the trace becomes its bucket's exemplar if it is sampled, since only then can it be found.
    pub(crate) fn observe(&self, labels: &Labels, duration: Duration, span: &SpanContext) {
        let exemplar = span.is_sampled().then(|| TraceLabel(span.trace_id()));
        let now = exemplar.as_ref().map(|_| SystemTime::now());
        match self.common.iter().find(|(common, _)| common == labels) {
            Some((_, histogram)) => histogram.observe(duration.as_secs_f64(), exemplar, now),
            None => {
                self.family
                    .get_or_create(labels)
                    .observe(duration.as_secs_f64(), exemplar, now);
            }
        }
    }
}

/// Everything one service counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) server: Durations,
    pub(crate) client: Durations,
    refused: Family<Refused, Counter>,
    panics: Counter,
    pub(crate) in_flight: Arc<AtomicUsize>,
}

impl Metrics {
    /// `upstream` is the next tier's method, host and port.
    pub(crate) fn new(
        route: Route,
        upstream: Option<(&'static str, Arc<str>, u16)>,
        telemetry: Telemetry,
    ) -> Self {
        let good = |method, route, server| Labels {
            method,
            route,
            server,
            status: Some(StatusCode::OK),
            error_type: None,
        };
        let methods = route.methods().iter().map(known_method);
        let server = Durations::new(methods.map(|method| good(method, Some(route.path()), None)));
        let client = Durations::new(
            upstream.map(|(method, host, port)| good(method, None, Some((host, port)))),
        );
        let refused = Family::default();
        for reason in [
            Refused::Malformed,
            Refused::TooLarge,
            Refused::HeaderTimeout,
        ] {
            let _: Counter = refused.get_or_create_owned(&reason);
        }
        let panics = Counter::default();
        let in_flight = Arc::new(AtomicUsize::new(0));

        let mut registry = Registry::default();
        registry.register_with_unit(
            "http_server_request_duration",
            "Duration of HTTP server requests",
            Unit::Seconds,
            server.family.clone(),
        );
        registry.register_with_unit(
            "http_client_request_duration",
            "Duration of HTTP client requests",
            Unit::Seconds,
            client.family.clone(),
        );
        registry.register(
            "tdemo_http_refused",
            "Connections that hyper refused before there was a request",
            refused.clone(),
        );
        registry.register(
            "tdemo_panics",
            "Requests whose handler panicked",
            panics.clone(),
        );
        registry.register_collector(Box::new(Live {
            telemetry,
            in_flight: Arc::clone(&in_flight),
        }));
        Self {
            registry,
            server,
            client,
            refused,
            panics,
            in_flight,
        }
    }

    pub(crate) fn count_refused(&self, reason: Refused) {
        self.refused.get_or_create(&reason).inc();
    }

    pub(crate) fn count_panic(&self) {
        self.panics.inc();
    }

    pub(crate) fn refused(&self) -> u64 {
        [
            Refused::Malformed,
            Refused::TooLarge,
            Refused::HeaderTimeout,
        ]
        .iter()
        .map(|reason| self.refused.get_or_create(reason).get())
        .sum()
    }

    /// The whole exposition.
    pub(crate) fn print(&self) -> String {
        let mut page = String::with_capacity(16 << 10);
        let printed = text::encode(&mut page, &self.registry);
        debug_assert!(printed.is_ok(), "writing to a String cannot fail");
        page
    }
}

/// What is read at each scrape instead of being kept: the ledgers of spans and log records and the requests in flight.
#[derive(Debug)]
struct Live {
    telemetry: Telemetry,
    in_flight: Arc<AtomicUsize>,
}

fn counts(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    ledger: &LedgerSnapshot,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (state, count) in [
        ("started", ledger.started),
        ("ended", ledger.ended),
        ("exported", ledger.exported),
        ("dropped", ledger.dropped),
        ("failed", ledger.failed),
    ] {
        ConstCounter::new(count).encode(family.encode_family(&[("state", state)])?)?;
    }
    Ok(())
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let spans = self.telemetry.ledger();
        let help = "Spans by what became of them; ended = exported + dropped + failed + queued";
        counts(&mut encoder, "tdemo_spans", help, &spans)?;
        let records = self.telemetry.log_ledger();
        let help = "Log records for export by what became of them; ended = exported + dropped + failed + queued";
        counts(&mut encoder, "tdemo_log_records", help, &records)?;
        let mut gauge = |name, help, value: u64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)
        };
        gauge(
            "tdemo_spans_queued",
            "Ended spans that wait for export or are being exported",
            spans.queued,
        )?;
        gauge(
            "tdemo_log_records_queued",
            "Log records that wait for export or are being exported",
            records.queued,
        )?;
        let in_flight = self.in_flight.load(Ordering::Relaxed) as u64;
        gauge(
            "http_server_active_requests",
            "Requests in flight",
            in_flight,
        )?;
        let lost = ConstCounter::new(self.telemetry.log_sink().dropped_lines());
        let help = "Log lines dropped because nobody read them in time";
        lost.encode(encoder.encode_descriptor(
            "tdemo_log_lines_dropped",
            help,
            None,
            MetricType::Counter,
        )?)
    }
}
