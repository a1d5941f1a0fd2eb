//! `/metrics`: what came in and what is held, as `OpenMetrics` text. Names are Tempo's where Tempo counts the same thing.

use std::fmt;
use std::sync::Arc;

use http::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::server::{Body, answer, plain_text};
use crate::store::{RefusalReason, Store, Transport};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Tempo's name for the tenant when there are none.
const TENANT: (&str, &str) = ("tenant", "single-tenant");
/// Tempo's name for its OTLP receiver.
const RECEIVER: (&str, &str) = ("receiver", "otlp/otlp_receiver");

pub(super) fn metrics(store: &Arc<Store>) -> Response<Body> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(StoreMetrics(Arc::clone(store))));
    let mut out = String::with_capacity(4096);
    match text::encode(&mut out, &registry) {
        Ok(()) => answer(StatusCode::OK, OPEN_METRICS, out),
        Err(error) => plain_text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot write the metrics: {error}\n"),
        ),
    }
}

/// Labels and what is counted under them.
type Value<const N: usize> = ([(&'static str, &'static str); N], u64);

#[derive(Debug)]
struct StoreMetrics(Arc<Store>);

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let counters = self.0.counters();
        let limits = self.0.limits();
        let by_transport = |count: &dyn Fn(Transport) -> u64| {
            Transport::ALL.map(|transport| {
                (
                    [RECEIVER, ("transport", transport.name())],
                    count(transport),
                )
            })
        };

        // Tempo's have no `_total`, which OpenMetrics asks of a counter: so these are gauges by name.
        let accepted = by_transport(&|transport| counters.accepted_spans(transport));
        gauges(
            &mut encoder,
            "tempo_receiver_accepted_spans",
            "Spans taken by the OTLP receivers",
            &accepted,
        )?;
        let refused = by_transport(&|transport| counters.refused_spans(transport));
        gauges(
            &mut encoder,
            "tempo_receiver_refused_spans",
            "Spans refused by the OTLP receivers",
            &refused,
        )?;

        let received = [([TENANT], counters.received_spans())];
        totals(
            &mut encoder,
            "tempo_distributor_spans_received",
            "Spans received, refused ones too",
            &received,
        )?;
        let bytes = [([TENANT], counters.received_bytes())];
        totals(
            &mut encoder,
            "tempo_distributor_bytes_received",
            "Bytes of the requests taken, unpacked",
            &bytes,
        )?;
        let created = [([TENANT], stats.traces_created)];
        totals(
            &mut encoder,
            "tempo_live_store_traces_created",
            "Traces begun",
            &created,
        )?;
        let mut discarded: Vec<_> = RefusalReason::ALL
            .into_iter()
            .map(|reason| {
                (
                    [("reason", reason.name()), TENANT],
                    counters.refused_for(reason),
                )
            })
            .collect();
        discarded.push((
            [("reason", "trace_too_large"), TENANT],
            stats.spans_too_large,
        ));
        totals(
            &mut encoder,
            "tempo_discarded_spans",
            "Spans not kept, by reason",
            &discarded,
        )?;

        for (name, help, value) in [
            ("tracestore_traces", "Traces held", stats.traces),
            (
                "tracestore_traces_limit",
                "Traces that may be held",
                limits.max_traces as u64,
            ),
            ("tracestore_spans", "Spans held", stats.spans),
            ("tracestore_bytes", "Bytes held", stats.bytes),
            (
                "tracestore_bytes_limit",
                "Bytes that may be held",
                limits.max_bytes as u64,
            ),
        ] {
            gauges(&mut encoder, name, help, &[([], value)])?;
        }
        for (name, help, value) in [
            (
                "tracestore_spans_stored",
                "Spans stored",
                stats.spans_stored,
            ),
            (
                "tracestore_spans_duplicate",
                "Spans that were there already",
                stats.spans_duplicate,
            ),
            (
                "tracestore_traces_evicted",
                "Traces evicted to make room, oldest first",
                stats.traces_evicted,
            ),
            (
                "tracestore_spans_evicted",
                "Spans of evicted traces",
                stats.spans_evicted,
            ),
        ] {
            totals(&mut encoder, name, help, &[([], value)])?;
        }
        encode_logs(&mut encoder, &self.0)
    }
}

fn encode_logs(encoder: &mut DescriptorEncoder<'_>, store: &Store) -> fmt::Result {
    let stats = store.logs().stats();
    let limits = store.logs().limits();
    for (name, help, value) in [
        ("tracestore_log_records", "Log records held", stats.held),
        (
            "tracestore_log_records_limit",
            "Log records that may be held",
            limits.max_records as u64,
        ),
        (
            "tracestore_log_bytes",
            "Bytes of log records held",
            stats.bytes,
        ),
        (
            "tracestore_log_bytes_limit",
            "Bytes of log records that may be held",
            limits.max_bytes as u64,
        ),
    ] {
        gauges(encoder, name, help, &[([], value)])?;
    }
    for (name, help, value) in [
        (
            "tracestore_log_records_received",
            "Log records received, those not kept too",
            stats.received,
        ),
        (
            "tracestore_log_records_duplicate",
            "Log records that were there already",
            stats.duplicate,
        ),
        (
            "tracestore_log_records_too_large",
            "Log records refused for their size",
            stats.too_large,
        ),
        (
            "tracestore_log_records_evicted",
            "Log records evicted to make room, oldest first",
            stats.evicted,
        ),
    ] {
        totals(encoder, name, help, &[([], value)])?;
    }
    Ok(())
}

fn gauges<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[Value<N>],
) -> fmt::Result {
    write(
        encoder,
        name,
        help,
        MetricType::Gauge,
        values,
        |value, to| ConstGauge::new(value).encode(to),
    )
}

/// Writes counters; the encoding adds `_total` to the name.
fn totals<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[Value<N>],
) -> fmt::Result {
    write(
        encoder,
        name,
        help,
        MetricType::Counter,
        values,
        |value, to| ConstCounter::new(value).encode(to),
    )
}

fn write<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric_type: MetricType,
    values: &[Value<N>],
    encode: impl Fn(u64, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, metric_type)?;
    for (labels, value) in values {
        if labels.is_empty() {
            return encode(*value, metric);
        }
        encode(*value, metric.encode_family(labels)?)?;
    }
    Ok(())
}
