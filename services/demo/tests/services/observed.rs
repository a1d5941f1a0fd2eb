//! What an operator sees: `/metrics` with exemplars and the span ledger, and the log lines of every tier.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use tdemo_services::Tier;
use tdemo_telemetry::LogSink;

use crate::common::{
    Chain, DEADLINE, Receiver, Service, calling, export_to, get, get_with, idle, lone,
};

/// The counts of an exposition, by name with labels; sums, which are no counts, are left out.
fn parse(page: &str) -> BTreeMap<&str, u64> {
    assert!(page.ends_with("# EOF\n"), "{page}");
    let samples = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let sample = line
                .split_once(" # ")
                .map_or(line, |(sample, _exemplar)| sample);
            let (name, value) = sample.rsplit_once(' ').unwrap();
            (!name.contains("_sum{")).then(|| (name, value.parse().unwrap()))
        });
    samples.collect()
}

async fn metrics(service: &Service) -> String {
    let answer = get(service.address, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn durations_have_the_conventions_labels_and_an_exemplar_on_every_bucket_hit() {
    let chain = Chain::start().await;
    let mut traces = Vec::new();
    for fault in [
        "none",
        "backend:delay:30ms",
        "backend:delay:60ms",
        "backend:error",
    ] {
        let baggage = format!("demo.fault={fault}");
        traces.push(
            get_with(
                chain.frontend.address,
                "/api/process",
                &[("baggage", &baggage)],
            )
            .await
            .trace_id(),
        );
    }
    get(chain.frontend.address, "/nope").await;

    let page = metrics(&chain.frontend).await;
    let samples = parse(&page);
    let server = "http_server_request_duration_seconds";
    let labels = "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/api/process\",http_response_status_code";
    assert_eq!(
        samples[format!("{server}_count{{{labels}=\"200\"}}").as_str()],
        3
    );
    assert_eq!(
        samples[format!("{server}_count{{{labels}=\"502\",error_type=\"502\"}}").as_str()],
        1
    );
    let no_route =
        "http_request_method=\"GET\",url_scheme=\"http\",http_response_status_code=\"404\"";
    assert_eq!(samples[format!("{server}_count{{{no_route}}}").as_str()], 1);
    let client = format!(
        "http_client_request_duration_seconds_count{{http_request_method=\"POST\",url_scheme=\"http\",server_address=\"127.0.0.1\",server_port=\"{}\",http_response_status_code=\"200\"}}",
        chain.middleware.address.port()
    );
    assert_eq!(samples[client.as_str()], 3);

    // Buckets are cumulative and in order: one that counts more than the one before was hit, and must have its trace.
    let (mut hit, mut before) = (0, (String::new(), 0));
    for line in page.lines().filter(|line| line.contains("_bucket{le=")) {
        let (name, rest) = line.split_once("le=\"").unwrap();
        let (_, labels) = rest.split_once("\",").unwrap();
        let (labels, rest) = labels.split_once("} ").unwrap();
        let (count, exemplar) = rest
            .split_once(" # ")
            .map_or((rest, None), |(count, exemplar)| (count, Some(exemplar)));
        let (series, count) = (format!("{name}{labels}"), count.parse::<u64>().unwrap());
        let lower = if before.0 == series { before.1 } else { 0 };
        assert_eq!(count > lower, exemplar.is_some(), "{line}");
        if let Some(exemplar) = exemplar {
            hit += 1;
            let id = exemplar
                .strip_prefix("{trace_id=\"")
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            let known = traces.iter().any(|trace| trace == id);
            assert!(known || line.contains("404"), "{line}");
        }
        before = (series, count);
    }
    assert!(hit >= 5, "{hit} buckets were hit:\n{page}");
}

#[tokio::test]
async fn the_ledger_adds_up_in_every_scrape() {
    let (backend, _receiver) = lone(idle(Tier::Backend)).await;
    let to = backend.address;
    let asking = tokio::spawn(async move {
        for _ in 0..200 {
            get(to, "/api/data").await;
        }
    });
    let mut last = BTreeMap::new();
    while !asking.is_finished() {
        let page = metrics(&backend).await;
        let samples = parse(&page);
        let state =
            |state: &str| samples[format!("tdemo_spans_total{{state=\"{state}\"}}").as_str()];
        let queued = samples["tdemo_spans_queued"];
        assert_eq!(
            state("ended"),
            state("exported") + state("dropped") + state("failed") + queued,
            "{page}"
        );
        assert!(state("started") >= state("ended"));
        last = ["started", "exported"]
            .map(|name| (name, state(name)))
            .into();
    }
    asking.await.unwrap();
    backend.telemetry.flush(DEADLINE).await;
    let page = metrics(&backend).await;
    let samples = parse(&page);
    assert_eq!(samples["tdemo_spans_total{state=\"exported\"}"], 400);
    assert!(last["exported"] <= 400);
    assert_eq!(samples["http_server_active_requests"], 0);
    assert_eq!(samples["tdemo_panics_total"], 0);
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_tier_logs_every_traced_request_with_its_own_span() {
    let receiver = Receiver::start();
    let log = Buffer::default();
    let logged = || {
        let mut settings = export_to(&receiver);
        settings.logs.sink = LogSink::to_writer(log.clone()).unwrap();
        settings
    };
    let backend = Service::start(idle(Tier::Backend), logged()).await;
    let middleware = Service::start(calling(Tier::Middleware, backend.address), logged()).await;
    let frontend = Service::start(calling(Tier::Frontend, middleware.address), logged()).await;
    get(frontend.address, "/health").await;
    get(frontend.address, "/metrics").await;
    let good = get(frontend.address, "/api/process").await.trace_id();
    let failed = get_with(
        frontend.address,
        "/api/process",
        &[("baggage", "demo.fault=backend:error/what")],
    )
    .await
    .trace_id();
    for service in [frontend, middleware, backend] {
        service.stopped().await;
    }

    let bytes = log.0.lock().unwrap().clone();
    let lines: Vec<serde_json::Value> = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["trace_id"] == good || line["trace_id"] == failed),
        "{lines:?}"
    );
    for tier in Tier::ALL {
        let own: Vec<_> = lines
            .iter()
            .filter(|line| line["service"] == tier.name())
            .collect();
        for line in &own {
            let spans = receiver.trace(line["trace_id"].as_str().unwrap(), 8).await;
            let span = spans
                .iter()
                .find(|seen| seen.id() == line["span_id"].as_str().unwrap());
            assert_eq!(
                span.expect("the line's span was exported").service,
                tier.name(),
                "{line}"
            );
        }
        let good: Vec<_> = own.iter().filter(|line| line["trace_id"] == good).collect();
        assert_eq!(good.len(), 1, "{good:?}");
        assert_eq!(
            (&good[0]["level"], &good[0]["http.response.status_code"]),
            (&"INFO".into(), &200.into())
        );
        let warned = own
            .iter()
            .any(|line| line["level"] == "WARN" && line["entries"] == "what");
        assert!(warned, "{tier} says that it ignored an entry");
        let error = own
            .iter()
            .find(|line| line["level"] == "ERROR")
            .expect("a failure is logged");
        for key in ["error.type", "exception.type", "exception.message"] {
            assert!(error[key].is_string(), "{key} in {error}");
        }
    }
}
