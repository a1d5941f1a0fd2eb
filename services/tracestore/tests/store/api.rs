//! The by-id API over the network, where the recorded answers do not reach: protobuf, partial traces, odd requests.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};
use tdemo_trace::otlp::tempo::TraceByIdResponse;
use tdemo_tracestore::Limits;
use tdemo_tracestore::wire::decode;

use crate::demo;
use crate::running::Running;

const PROTOBUF: &str = "application/protobuf";

fn path(version: &str, n: u64) -> String {
    format!("/api{version}/traces/{:032x}", demo::trace_id(n))
}

#[tokio::test]
async fn protobuf_says_the_same_as_json_and_leaves_nothing_out_that_grafana_needs() {
    let running = Running::start(Limits::default()).await;
    for service in ["frontend", "middleware", "backend"] {
        running
            .post(
                "application/x-protobuf",
                demo::request(service, demo::spans(1, service)).encode_to_vec(),
            )
            .await;
    }
    let v1 = running
        .get(&path("", 1), Some("text/plain, application/protobuf;q=0.9"))
        .await;
    assert_eq!(v1.headers()["content-type"], PROTOBUF);
    let v1 = v1.bytes().await.unwrap();
    let v2 = running
        .get(&path("/v2", 1), Some(PROTOBUF))
        .await
        .bytes()
        .await
        .unwrap();
    let whole = TraceByIdResponse::from_protobuf(&v2).unwrap();
    let spans = TracesData::decode(&*v1).unwrap().resource_spans;
    assert_eq!(
        whole.trace.as_ref().map(|trace| &trace.resource_spans),
        Some(&spans)
    );
    assert_eq!((whole.status, whole.message.as_str()), (0, ""));
    assert_eq!(spans.len(), 3);
    for group in &spans {
        assert!(!group.resource.as_ref().unwrap().attributes.is_empty());
        for scope in &group.scope_spans {
            assert!(scope.scope.is_some());
            assert!(scope.spans.iter().all(|span| span.status.is_some()));
        }
    }
    let json: Value = running.get(&path("", 1), None).await.json().await.unwrap();
    assert_eq!(
        tdemo_trace::otlp::json::decode(json.to_string().as_bytes()).unwrap(),
        spans
    );
    running.stop().await;
}

#[tokio::test]
async fn a_resource_without_attributes_gets_one_in_protobuf() {
    let running = Running::start(Limits::default()).await;
    let mut request = demo::request("frontend", demo::spans(1, "frontend"));
    request.resource_spans[0].resource = None;
    request.resource_spans[0].scope_spans[0].scope = None;
    running
        .store
        .insert(&decode(&request.encode_to_vec()).unwrap());
    let bytes = running
        .get(&path("", 1), Some(PROTOBUF))
        .await
        .bytes()
        .await
        .unwrap();
    let group = TracesData::decode(&*bytes)
        .unwrap()
        .resource_spans
        .remove(0);
    let attributes = serde_json::to_value(&group.resource.unwrap().attributes).unwrap();
    assert_eq!(attributes[0]["key"], "service.name");
    assert_eq!(attributes[0]["value"]["stringValue"], "unknown_service");
    assert!(group.scope_spans[0].scope.is_some());
    running.stop().await;
}

#[tokio::test]
async fn an_unknown_id_is_empty_but_not_nothing() {
    let running = Running::start(Limits::default()).await;
    let v2 = running.get(&path("/v2", 1), Some(PROTOBUF)).await;
    assert_eq!(
        (v2.status().as_u16(), v2.bytes().await.unwrap().as_ref()),
        (200, &[0x0a, 0, 0x12, 0][..])
    );
    let v1 = running.get(&path("", 1), Some(PROTOBUF)).await;
    assert_eq!(
        (v1.status().as_u16(), v1.bytes().await.unwrap().len()),
        (404, 0)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_partial_trace_is_marked_in_the_second_form_and_refused_in_the_first() {
    let running = Running::start(Limits {
        max_trace_bytes: 500,
        ..Limits::default()
    })
    .await;
    running
        .post(
            "application/x-protobuf",
            demo::request("frontend", demo::spans(1, "frontend")).encode_to_vec(),
        )
        .await;
    assert_eq!(running.get(&path("", 1), None).await.status(), 422);
    let json: Value = running
        .get(&path("/v2", 1), None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(json["status"], "PARTIAL");
    assert!(json["message"].as_str().unwrap().contains("maximum size"));
    let protobuf = running
        .get(&path("/v2", 1), Some(PROTOBUF))
        .await
        .bytes()
        .await
        .unwrap();
    let protobuf = TraceByIdResponse::from_protobuf(&protobuf).unwrap();
    assert_eq!(protobuf.status, 1);
    assert!(protobuf.message.contains("maximum size"));
    running.stop().await;
}

#[tokio::test]
async fn odd_requests_are_answered_in_kind() {
    let running = Running::start(Limits::default()).await;
    for (path, status) in [
        ("/", 404),
        ("/api/traces", 404),
        ("/api/traces/", 400),
        ("/api/traces/1/2", 404),
        ("/api/v2/traces/0", 200),
        ("/api/v2/traces/%78", 400),
        ("/api/v2/traces/%FF", 400),
        ("/api/v2/traces/1?start=10&end=5", 400),
        ("/api/v2/traces/1?start=5&end=10", 200),
        ("/api/traces/1?start=now", 400),
    ] {
        let answer = running.get(path, None).await;
        assert_eq!(answer.status(), status, "{path}");
        if status != 200 {
            assert_eq!(
                answer.headers()["content-type"],
                "text/plain; charset=utf-8",
                "{path}"
            );
        }
    }
    let answer = running
        .client
        .post(format!("http://{}/api/echo", running.api))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
    let answer = running
        .client
        .head(format!("http://{}/api/echo", running.api))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let unknown: Value = running
        .get("/api/v2/traces/0", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(unknown, json!({ "trace": {}, "metrics": {} }));
    running.stop().await;
}
