//! Each wrong that a service or a pipeline can do to a trace is caught, by the
//! assertion that names it.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use serde_json::Value;

use crate::site::{Broken, Rewrite, Site, checks, retain, spans_of, verdict};

/// Runs smoke against services whose spans are rewritten; exactly `caught`
/// must fail.
async fn catches(rewrite: Rewrite, caught: &[&str]) {
    let site = Site::start(rewrite, &[]).await;
    let output = site.smoke(&["--json", "--deadline", "2s"]).await;
    site.stop().await;
    assert_caught(&verdict(&output), caught);
}

fn assert_caught(verdict: &Value, caught: &[&str]) {
    let failed = checks(verdict, "failed");
    let told: Vec<&Value> = verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "failed")
        .collect();
    let caught: BTreeSet<&str> = caught.iter().copied().collect();
    assert_eq!(failed, caught, "{told:#?}");
}

fn is_client(span: &opentelemetry_proto::tonic::trace::v1::Span) -> bool {
    span.kind == SpanKind::Client as i32
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_do_nothing_wrong_pass() {
    catches(|_| {}, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_propagator_is_caught() {
    fn elsewhere(groups: &mut [ResourceSpans]) {
        for service in ["middleware", "backend"] {
            for span in spans_of(groups, service) {
                span.trace_id[0] ^= 0x55;
                if service == "middleware" && span.kind == SpanKind::Server as i32 {
                    span.parent_span_id.clear();
                }
            }
        }
    }
    catches(
        elsewhere,
        &[
            "fault.injected",
            "spans.set",
            "trace.arrived",
            "trace.baggage",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_client_span_is_caught() {
    catches(
        |groups| retain(groups, "middleware", |span| !is_client(span)),
        &["spans.set", "trace.arrived", "trace.orphans"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_attribute_is_caught() {
    catches(
        |groups| {
            for span in spans_of(groups, "backend") {
                span.attributes
                    .retain(|attribute| attribute.key != "http.route");
            }
        },
        &["http.server.attributes", "http.span-name"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_key_is_caught() {
    catches(
        |groups| {
            for span in spans_of(groups, "middleware").filter(|span| is_client(span)) {
                span.attributes.push(KeyValue {
                    key: "http.status_code".to_owned(),
                    value: Some(AnyValue {
                        value: Some(IntValue(200)),
                    }),
                    key_strindex: 0,
                });
            }
        },
        &["http.old-keys"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_span_is_caught() {
    fn twice(groups: &mut [ResourceSpans]) {
        for group in groups {
            for scope in &mut group.scope_spans {
                let mut copies = Vec::new();
                for span in scope
                    .spans
                    .iter()
                    .filter(|span| span.name == "backend-get-data")
                {
                    let mut copy = span.clone();
                    copy.span_id[0] ^= 0x55;
                    copies.push(copy);
                }
                scope.spans.extend(copies);
            }
        }
    }
    catches(twice, &["spans.set"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_parent_is_caught() {
    catches(
        |groups| {
            retain(groups, "middleware", |span| {
                span.kind != SpanKind::Server as i32
            });
        },
        &["spans.set", "trace.arrived", "trace.orphans"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_kind_is_caught() {
    catches(
        |groups| {
            for span in spans_of(groups, "frontend").filter(|span| is_client(span)) {
                span.kind = SpanKind::Internal as i32;
            }
        },
        &["spans.kind", "status.work", "trace.arrived"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_status_is_caught() {
    catches(
        |groups| {
            for span in spans_of(groups, "backend") {
                span.status = None;
            }
        },
        &["error.type", "status.error"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_middleware_is_caught() {
    let broken = Broken::start(1).await;
    let middleware = broken.urls[1].clone();
    let output = broken
        .smoke(&["--json", "--middleware-url", &middleware])
        .await;
    broken.stop().await;
    assert_caught(
        &verdict(&output),
        &[
            "fault.injected",
            "services.middleware",
            "services.process",
            "services.slow",
            "trace.baggage",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_backend_is_caught() {
    let broken = Broken::start(2).await;
    let output = broken.smoke(&["--json"]).await;
    broken.stop().await;
    assert_caught(
        &verdict(&output),
        &[
            "fault.injected",
            "services.process",
            "services.slow",
            "trace.baggage",
        ],
    );
}
