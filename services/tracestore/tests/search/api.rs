//! The search API over the network, where the recorded answers do not reach: protobuf, odd requests,
//! tenants.

use std::sync::Arc;

use prost::Message;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tdemo_tracestore::logs::LogLimits;
use tdemo_tracestore::{Limits, Store, Tenants, run_api, run_otlp_http};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::running::Running;

/// A span as OTLP/JSON.
fn request(trace_id: &str, name: &str) -> String {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]},
        "scopeSpans": [{"scope": {}, "spans": [{
            "traceId": trace_id,
            "spanId": "00000000000000a1",
            "name": name,
            "kind": 2,
            "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": "1700000000250000000",
            "attributes": [{"key": "n", "value": {"intValue": "7"}}, {"key": "f", "value": {"doubleValue": "NaN"}}],
        }]}],
    }]})
    .to_string()
}

const RANGE: &str = "start=1699999990&end=1700000010";

fn search(query: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/api/search?q={query}&{RANGE}")
}

async fn names(response: Response) -> Vec<String> {
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    let traces = answer["traces"].as_array().unwrap();
    let mut names: Vec<_> = traces
        .iter()
        .map(|t| t["rootTraceName"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Tempo's `tempopb.SearchResponse`, as far as it is looked at here.
#[derive(Clone, PartialEq, Message)]
struct SearchResponse {
    #[prost(message, repeated, tag = "1")]
    traces: Vec<TraceSearchMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TraceSearchMetadata {
    #[prost(string, tag = "1")]
    trace_id: String,
    #[prost(string, tag = "2")]
    root_service_name: String,
    #[prost(uint64, tag = "4")]
    start_time_unix_nano: u64,
    #[prost(uint32, tag = "5")]
    duration_ms: u32,
}

#[tokio::test]
async fn a_span_is_found_as_soon_as_it_is_taken_in_json_and_protobuf() {
    let running = Running::start(Limits::default()).await;
    let sent = running
        .post("application/json", request(&"0a".repeat(16), "GET /x"))
        .await;
    assert_eq!(sent.status(), 200);
    let json: Value = running
        .get(&search("{ span.n = 7 && .f != nil }"), None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        json,
        json!({
            "traces": [{
                "traceID": "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
                "rootServiceName": "web",
                "rootTraceName": "GET /x",
                "startTimeUnixNano": "1700000000000000000",
                "durationMs": 250,
                "spanSet": json["traces"][0]["spanSets"][0],
                "spanSets": [{
                    "spans": [{
                        "spanID": "00000000000000a1",
                        "startTimeUnixNano": "1700000000000000000",
                        "durationNanos": "250000000",
                        "attributes": [
                            {"key": "n", "value": {"intValue": "7"}},
                            {"key": "f", "value": {"doubleValue": "NaN"}},
                        ],
                    }],
                    "matched": 1,
                }],
                "serviceStats": {"web": {"spanCount": 1}},
            }],
            "metrics": {"completedJobs": 1, "totalJobs": 1},
        })
    );
    let answer = running
        .get(&search("{}"), Some("application/protobuf"))
        .await;
    assert_eq!(answer.headers()["content-type"], "application/protobuf");
    let found = SearchResponse::decode(answer.bytes().await.unwrap()).unwrap();
    assert_eq!(
        found.traces,
        [TraceSearchMetadata {
            trace_id: "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a".into(),
            root_service_name: "web".into(),
            start_time_unix_nano: 1_700_000_000_000_000_000,
            duration_ms: 250,
        }]
    );
    running.stop().await;
}

#[tokio::test]
async fn odd_requests_get_tempos_statuses() {
    let running = Running::start(Limits::default()).await;
    for (path, status) in [
        (search("{"), 400),
        (search("{} | rate()"), 400),
        (search("({} | by(kind)) > ({})"), 200),
        ("/api/search".to_owned(), 200),
        (format!("/api/search?tags=a%3Db&{RANGE}"), 200),
        ("/api/v2/search/tags?scope=nope".to_owned(), 400),
        ("/api/v2/search/tags?limit=x".to_owned(), 200),
        ("/api/v2/search/tag/name/values?limit=x".to_owned(), 400),
        ("/api/v2/search/tag/nope/values".to_owned(), 400),
        ("/api/v2/search/tag/span.a%2Fb/values".to_owned(), 200),
        ("/api/v2/search/tag/span.a/b/values".to_owned(), 200),
        ("/api/v2/search/tag//values".to_owned(), 404),
        ("/api/search/tag/nope/values".to_owned(), 200),
        ("/api/search/nope".to_owned(), 404),
    ] {
        assert_eq!(running.get(&path, None).await.status(), status, "{path}");
    }
    running
        .post("application/json", request(&"0b".repeat(16), "GET /x"))
        .await;
    let failed = running
        .get(&search("({} | by(kind)) > ({} | by(kind))"), None)
        .await;
    assert_eq!(failed.status(), 200, "one group a trace is one spanset");
    running.stop().await;
}

#[tokio::test]
async fn tenants_see_only_their_own() {
    let tenants = Tenants::many(Limits::default(), LogLimits::default());
    let stop = CancellationToken::new();
    let (http, api) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let (to, from) = (http.local_addr().unwrap(), api.local_addr().unwrap());
    let tasks = [
        tokio::spawn(run_otlp_http(http, tenants.clone(), stop.clone())),
        tokio::spawn(run_api(api, tenants.clone(), stop.clone())),
    ];
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let post = async |tenant: Option<&str>, body: String| {
        let request = client
            .post(format!("http://{to}/v1/traces"))
            .header("content-type", "application/json");
        let request = tenant.into_iter().fold(request, |request, tenant| {
            request.header("X-Scope-OrgID", tenant)
        });
        request.body(body).send().await.unwrap().status()
    };
    let get = async |tenant: Option<&str>, path: &str| {
        let request = client.get(format!("http://{from}{path}"));
        let request = tenant.into_iter().fold(request, |request, tenant| {
            request.header("X-Scope-OrgID", tenant)
        });
        request.send().await.unwrap()
    };
    let (id_a, id_b) = ("0a".repeat(16), "0b".repeat(16));
    assert_eq!(post(Some("a"), request(&id_a, "of a")).await, 200);
    assert_eq!(post(Some("b"), request(&id_b, "of b")).await, 200);
    assert_eq!(post(None, request(&id_a, "of nobody")).await, 401);
    assert_eq!(post(Some("a|b"), request(&id_a, "of both")).await, 400);

    for (tenant, found) in [
        ("a", vec!["of a"]),
        ("b", vec!["of b"]),
        ("a|b", vec!["of a", "of b"]),
        ("c", vec![]),
    ] {
        assert_eq!(
            names(get(Some(tenant), &search("{}")).await).await,
            found,
            "{tenant}"
        );
    }
    assert_eq!(
        get(Some("a"), &format!("/api/traces/{id_a}"))
            .await
            .status(),
        200
    );
    assert_eq!(
        get(Some("b"), &format!("/api/traces/{id_a}"))
            .await
            .status(),
        404
    );
    assert_eq!(
        get(Some("c|b|a"), &format!("/api/traces/{id_a}"))
            .await
            .status(),
        200
    );
    for path in [
        search("{}"),
        format!("/api/v2/traces/{id_a}"),
        "/api/v2/search/tags".into(),
        "/loki/api/v1/labels".into(),
    ] {
        assert_eq!(get(None, &path).await.status(), 401, "{path}");
    }
    assert_eq!(get(Some("a"), "/loki/api/v1/labels").await.status(), 200);
    assert_eq!(get(Some("a|b"), "/loki/api/v1/labels").await.status(), 400);
    for path in ["/ready", "/api/echo"] {
        assert_eq!(get(None, path).await.status(), 200, "{path}");
    }
    let metrics = get(None, "/metrics").await.text().await.unwrap();
    for tenant in ["a", "b"] {
        let line = format!("tempo_distributor_spans_received_total{{tenant=\"{tenant}\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    stop.cancel();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn without_multitenancy_the_header_means_nothing() {
    let store = Arc::new(Store::new(Limits::default()));
    let stop = CancellationToken::new();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = api.local_addr().unwrap();
    let task = tokio::spawn(run_api(api, store, stop.clone()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client
        .get(format!("http://{from}{}", search("{}")))
        .header("X-Scope-OrgID", "any|one");
    assert!(names(request.send().await.unwrap()).await.is_empty());
    stop.cancel();
    task.await.unwrap().unwrap();
}
