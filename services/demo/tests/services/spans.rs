//! The trace of a request: eight spans with the names, kinds, parents, attributes and status of the contract.

use std::collections::BTreeMap;

use crate::common::{Chain, PARENT, Seen, get, get_with, post, request, send};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// The tree as indented labels, from the span whose parent is `parent`.
fn tree(spans: &[Seen], parent: &str, depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for seen in spans.iter().filter(|seen| seen.parent() == parent) {
        lines.push(format!("{}{}", "  ".repeat(depth), seen.label()));
        lines.extend(tree(spans, &seen.id(), depth + 1));
    }
    lines
}

const EIGHT: [&str; 8] = [
    "frontend SERVER GET /api/process",
    "  frontend INTERNAL frontend-process",
    "    frontend CLIENT POST",
    "      middleware SERVER POST /api/transform",
    "        middleware INTERNAL middleware-transform",
    "          middleware CLIENT GET",
    "            backend SERVER GET /api/data",
    "              backend INTERNAL backend-get-data",
];

fn by_label(spans: &[Seen]) -> BTreeMap<String, &Seen> {
    spans.iter().map(|seen| (seen.label(), seen)).collect()
}

fn keys(seen: &Seen) -> Vec<&str> {
    seen.attributes.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn one_request_makes_the_eight_spans() {
    let chain = Chain::start().await;
    let answer = get_with(
        chain.frontend.address,
        "/api/process?q=1&sig=secret",
        &[("user-agent", "test/1"), ("traceparent", PARENT)],
    )
    .await;
    let (trace_id, server_span, flags) = answer.trace();
    assert_eq!((trace_id.as_str(), flags.as_str()), (&PARENT[3..35], "01"));
    let spans = chain.receiver.trace(&trace_id, 8).await;
    assert_eq!(tree(&spans, &PARENT[36..52], 0), EIGHT);
    assert!(spans.iter().all(|seen| seen.status() == StatusCode::Unset));

    let spans = by_label(&spans);
    let server = spans["frontend SERVER GET /api/process"];
    assert_eq!(
        server.id(),
        server_span,
        "traceresponse names the SERVER span"
    );
    assert_eq!(server.text("http.request.method"), Some("GET"));
    assert_eq!(server.text("url.path"), Some("/api/process"));
    assert_eq!(server.text("url.scheme"), Some("http"));
    assert_eq!(server.text("url.query"), Some("q=1&sig=REDACTED"));
    assert_eq!(server.text("http.route"), Some("/api/process"));
    assert_eq!(server.int("http.response.status_code"), Some(200));
    assert_eq!(server.text("server.address"), Some("demo.example"));
    assert_eq!(server.int("server.port"), Some(5000));
    assert_eq!(server.text("client.address"), Some("127.0.0.1"));
    assert_eq!(server.text("network.protocol.version"), Some("1.1"));
    assert_eq!(server.text("user_agent.original"), Some("test/1"));
    assert_eq!(server.attributes.len(), 11, "{:?}", keys(server));

    let client = spans["frontend CLIENT POST"];
    let url = format!("http://{}/api/transform", chain.middleware.address);
    assert_eq!(client.text("http.request.method"), Some("POST"));
    assert_eq!(client.text("url.full"), Some(url.as_str()));
    assert_eq!(client.text("server.address"), Some("127.0.0.1"));
    assert_eq!(
        client.int("server.port"),
        Some(chain.middleware.address.port().into())
    );
    assert_eq!(client.int("http.response.status_code"), Some(200));
    assert_eq!(client.text("network.protocol.version"), Some("1.1"));
    assert_eq!(client.attributes.len(), 6, "{:?}", keys(client));

    let frontend = spans["frontend INTERNAL frontend-process"];
    assert_eq!(frontend.text("frontend.handler"), Some("process"));
    assert_eq!(frontend.text("frontend.request.method"), Some("GET"));
    assert_eq!(frontend.int("frontend.middleware.status"), Some(200));
    assert_eq!(frontend.attributes.len(), 3, "{:?}", keys(frontend));
    let middleware = spans["middleware INTERNAL middleware-transform"];
    assert_eq!(middleware.text("middleware.handler"), Some("transform"));
    assert_eq!(middleware.int("middleware.backend.status"), Some(200));
    let Some(Value::ArrayValue(array)) = middleware.attributes.get("middleware.input.keys") else {
        panic!(
            "middleware.input.keys is an array: {:?}",
            middleware.attributes
        )
    };
    let values: Vec<_> = array
        .values
        .iter()
        .filter_map(|value| value.value.clone())
        .collect();
    assert_eq!(values, [Value::StringValue("source".to_owned())]);
    let backend = spans["backend INTERNAL backend-get-data"];
    assert_eq!(backend.text("backend.handler"), Some("get_data"));
    assert_eq!(
        backend.text("backend.query.type"),
        Some("simulated_database_query")
    );
    assert_eq!(
        backend.attributes.get("backend.query.duration_ms"),
        Some(&Value::DoubleValue(0.0))
    );
}

#[tokio::test]
async fn children_lie_inside_their_parents_and_old_keys_are_gone() {
    let chain = Chain::start().await;
    let trace_id = post(chain.frontend.address, "/api/process", r#"{"b":1,"a":2}"#)
        .await
        .trace_id();
    let spans = chain.receiver.trace(&trace_id, 8).await;
    let mut expected = EIGHT.map(str::to_owned);
    expected[0] = "frontend SERVER POST /api/process".to_owned();
    assert_eq!(
        tree(&spans, "", 0),
        expected,
        "the caller sent no traceparent, so this is the root"
    );
    for seen in &spans {
        let span = &seen.span;
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{}",
            seen.label()
        );
        if let Some(parent) = spans.iter().find(|parent| parent.id() == seen.parent()) {
            let inside = parent.span.start_time_unix_nano <= span.start_time_unix_nano
                && span.end_time_unix_nano <= parent.span.end_time_unix_nano;
            assert!(inside, "{} lies outside {}", seen.label(), parent.label());
        }
        for key in seen.attributes.keys() {
            let old = [
                "http.method",
                "http.status_code",
                "http.url",
                "http.target",
                "http.host",
                "http.scheme",
            ];
            assert!(
                !old.contains(&key.as_str()) && !key.starts_with("net."),
                "{key} on {}",
                seen.label()
            );
        }
    }
}

#[tokio::test]
async fn resources_tell_the_services_apart() {
    let chain = Chain::start().await;
    let trace_id = get(chain.frontend.address, "/api/process").await.trace_id();
    let spans = chain.receiver.trace(&trace_id, 8).await;
    let mut instances = BTreeMap::new();
    for seen in &spans {
        assert_eq!(
            seen.resource["service.namespace"],
            Value::StringValue("tracing-demo".to_owned())
        );
        for key in [
            "service.version",
            "deployment.environment.name",
            "telemetry.sdk.name",
            "telemetry.sdk.language",
        ] {
            assert!(seen.resource.contains_key(key), "{key}");
        }
        instances.insert(
            seen.service.clone(),
            format!("{:?}", seen.resource["service.instance.id"]),
        );
    }
    assert_eq!(
        instances.keys().collect::<Vec<_>>(),
        ["backend", "frontend", "middleware"]
    );
    let unique: std::collections::BTreeSet<_> = instances.values().collect();
    assert_eq!(unique.len(), 3);
}

#[tokio::test]
async fn each_route_asked_directly_owes_its_own_spans() {
    let chain = Chain::start().await;
    let trace_id = post(chain.middleware.address, "/api/transform", "{}")
        .await
        .trace_id();
    chain.receiver.trace(&trace_id, 5).await;
    let trace_id = get(chain.backend.address, "/api/data").await.trace_id();
    chain.receiver.trace(&trace_id, 2).await;
    let trace_id = get(chain.frontend.address, "/").await.trace_id();
    let spans = chain.receiver.trace(&trace_id, 1).await;
    assert_eq!(spans[0].label(), "frontend SERVER GET /");
}

#[tokio::test]
async fn unknown_methods_and_paths_have_names_of_few_values() {
    let chain = Chain::start().await;
    let to = chain.backend.address;
    for (method, path, label, original) in [
        ("GET", "/a/b?x", "backend SERVER GET", None),
        ("BREW", "/", "backend SERVER HTTP /", Some("BREW")),
        ("brew", "/tea", "backend SERVER HTTP", Some("brew")),
        (
            "DELETE",
            "/api/data",
            "backend SERVER DELETE /api/data",
            None,
        ),
    ] {
        let trace_id = send(to, request(method, path, &[], "")).await.trace_id();
        let spans = chain.receiver.trace(&trace_id, 1).await;
        let span = &spans[0];
        assert_eq!(span.label(), label);
        assert_eq!(
            span.text("http.request.method"),
            Some(original.map_or(method, |_| "_OTHER"))
        );
        assert_eq!(span.text("http.request.method_original"), original);
        assert_eq!(span.text("url.path"), path.split('?').next());
        assert_eq!(span.text("http.route").is_some(), label.contains('/'));
    }
}

#[tokio::test]
async fn an_unsampled_request_exports_nothing_and_still_travels() {
    let chain = Chain::start().await;
    let unsampled = PARENT.replace("-01", "-00");
    let answer = get_with(
        chain.frontend.address,
        "/api/process",
        &[("traceparent", &unsampled)],
    )
    .await;
    assert_eq!(answer.status, 200);
    let (trace_id, _, flags) = answer.trace();
    assert_eq!((trace_id.as_str(), flags.as_str()), (&PARENT[3..35], "00"));
    let receiver = chain.stopped().await;
    assert!(receiver.all().is_empty(), "{:?}", receiver.all());
}
