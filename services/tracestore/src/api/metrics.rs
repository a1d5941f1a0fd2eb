//! `/metrics`: what came in and what is held, as `OpenMetrics` text. Names are Tempo's where Tempo counts the same thing.

use std::fmt;

use http::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::server::{Body, answer, plain_text};
use crate::store::{RefusalReason, Stats, Store, Transport};
use crate::tenants::Tenant;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Tempo's name for its OTLP receiver.
const RECEIVER: (&str, &str) = ("receiver", "otlp/otlp_receiver");

pub(super) fn metrics(tenants: Vec<Tenant>) -> Response<Body> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(StoreMetrics(tenants)));
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
type Value<'a, const N: usize> = ([(&'static str, &'a str); N], u64);

#[derive(Debug)]
struct StoreMetrics(Vec<Tenant>);

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all: Vec<(&str, &Store, Stats)> = self
            .0
            .iter()
            .map(|tenant| (&*tenant.name, &*tenant.store, tenant.store.stats()))
            .collect();
        let sum = |count: &dyn Fn(&Store, &Stats) -> u64| {
            all.iter()
                .map(|(_, store, stats)| count(store, stats))
                .sum::<u64>()
        };
        let by_transport = |count: &dyn Fn(&Store, Transport) -> u64| {
            Transport::ALL.map(|transport| {
                (
                    [RECEIVER, ("transport", transport.name())],
                    sum(&|store, _| count(store, transport)),
                )
            })
        };
        let by_tenant = |count: &dyn Fn(&Store, &Stats) -> u64| {
            let mut values = Vec::with_capacity(all.len());
            for (name, store, stats) in &all {
                values.push(([("tenant", *name)], count(store, stats)));
            }
            values
        };

        // Tempo's have no `_total`, which OpenMetrics asks of a counter: so these are gauges by name.
        let accepted = by_transport(&|store, transport| store.counters().accepted_spans(transport));
        gauges(
            &mut encoder,
            "tempo_receiver_accepted_spans",
            "Spans taken by the OTLP receivers",
            &accepted,
        )?;
        let refused = by_transport(&|store, transport| store.counters().refused_spans(transport));
        gauges(
            &mut encoder,
            "tempo_receiver_refused_spans",
            "Spans refused by the OTLP receivers",
            &refused,
        )?;

        let received = by_tenant(&|store, _| store.counters().received_spans());
        totals(
            &mut encoder,
            "tempo_distributor_spans_received",
            "Spans received, refused ones too",
            &received,
        )?;
        let bytes = by_tenant(&|store, _| store.counters().received_bytes());
        totals(
            &mut encoder,
            "tempo_distributor_bytes_received",
            "Bytes of the requests taken, unpacked",
            &bytes,
        )?;
        let created = by_tenant(&|_, stats| stats.traces_created);
        totals(
            &mut encoder,
            "tempo_live_store_traces_created",
            "Traces begun",
            &created,
        )?;
        let mut discarded = Vec::new();
        for (name, store, stats) in &all {
            let tenant = ("tenant", *name);
            for reason in RefusalReason::ALL {
                let count = store.counters().refused_for(reason);
                discarded.push(([("reason", reason.name()), tenant], count));
            }
            let too_large = [("reason", "trace_too_large"), tenant];
            discarded.push((too_large, stats.spans_too_large));
        }
        totals(
            &mut encoder,
            "tempo_discarded_spans",
            "Spans not kept, by reason",
            &discarded,
        )?;

        for (name, help, value) in [
            (
                "tracestore_traces",
                "Traces held",
                sum(&|_, stats| stats.traces),
            ),
            (
                "tracestore_traces_limit",
                "Traces that may be held",
                sum(&|store, _| store.limits().max_traces as u64),
            ),
            (
                "tracestore_spans",
                "Spans held",
                sum(&|_, stats| stats.spans),
            ),
            (
                "tracestore_bytes",
                "Bytes held",
                sum(&|_, stats| stats.bytes),
            ),
            (
                "tracestore_bytes_limit",
                "Bytes that may be held",
                sum(&|store, _| store.limits().max_bytes as u64),
            ),
        ] {
            gauges(&mut encoder, name, help, &[([], value)])?;
        }
        for (name, help, value) in [
            (
                "tracestore_spans_stored",
                "Spans stored",
                sum(&|_, stats| stats.spans_stored),
            ),
            (
                "tracestore_spans_duplicate",
                "Spans that were there already",
                sum(&|_, stats| stats.spans_duplicate),
            ),
            (
                "tracestore_traces_evicted",
                "Traces evicted to make room, oldest first",
                sum(&|_, stats| stats.traces_evicted),
            ),
            (
                "tracestore_spans_evicted",
                "Spans of evicted traces",
                sum(&|_, stats| stats.spans_evicted),
            ),
        ] {
            totals(&mut encoder, name, help, &[([], value)])?;
        }
        encode_logs(&mut encoder, &sum)
    }
}

/// What is summed up over all stores.
type Sum<'a> = dyn Fn(&dyn Fn(&Store, &Stats) -> u64) -> u64 + 'a;

fn encode_logs(encoder: &mut DescriptorEncoder<'_>, sum: &Sum<'_>) -> fmt::Result {
    for (name, help, value) in [
        (
            "tracestore_log_records",
            "Log records held",
            sum(&|store, _| store.logs().stats().held),
        ),
        (
            "tracestore_log_records_limit",
            "Log records that may be held",
            sum(&|store, _| store.logs().limits().max_records as u64),
        ),
        (
            "tracestore_log_bytes",
            "Bytes of log records held",
            sum(&|store, _| store.logs().stats().bytes),
        ),
        (
            "tracestore_log_bytes_limit",
            "Bytes of log records that may be held",
            sum(&|store, _| store.logs().limits().max_bytes as u64),
        ),
    ] {
        gauges(encoder, name, help, &[([], value)])?;
    }
    for (name, help, value) in [
        (
            "tracestore_log_records_received",
            "Log records received, those not kept too",
            sum(&|store, _| store.logs().stats().received),
        ),
        (
            "tracestore_log_records_duplicate",
            "Log records that were there already",
            sum(&|store, _| store.logs().stats().duplicate),
        ),
        (
            "tracestore_log_records_too_large",
            "Log records refused for their size",
            sum(&|store, _| store.logs().stats().too_large),
        ),
        (
            "tracestore_log_records_evicted",
            "Log records evicted to make room, oldest first",
            sum(&|store, _| store.logs().stats().evicted),
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
    values: &[Value<'_, N>],
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
    values: &[Value<'_, N>],
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
    values: &[Value<'_, N>],
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
