//! OTLP logs over the network: what is taken and what is refused, by HTTP and by gRPC.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Value, json};
use tdemo_tracestore::logs::LogLimits;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::running::{Answered, DEADLINE, Running, answered};
use crate::support::{record, request};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn good(line: &str) -> Vec<u8> {
    request("frontend", vec![record(1_000, line)]).encode_to_vec()
}

fn bad_id() -> Vec<u8> {
    let bad = LogRecord {
        trace_id: vec![1; 15],
        ..record(1_000, "bad")
    };
    request("frontend", vec![bad]).encode_to_vec()
}

async fn post(running: &Running, content_type: &str, body: impl Into<reqwest::Body>) -> Answered {
    let url = format!("http://{}/v1/logs", running.http);
    answered(
        running
            .client
            .post(url)
            .header("content-type", content_type)
            .body(body),
    )
    .await
}

fn lines(running: &Running) -> Vec<String> {
    running
        .logs()
        .snapshot()
        .from(0)
        .map(|record| record.text().to_owned())
        .collect()
}

/// Makes a gRPC call: the status, and the message that came back.
async fn call(running: &Running, message: &[u8]) -> (String, Bytes) {
    let io = TokioIo::new(TcpStream::connect(running.grpc).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    let request = Request::post(format!("http://{}{EXPORT}", running.grpc))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(frame)))
        .unwrap();
    let response = timeout(DEADLINE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    let in_headers = response.headers().get("grpc-status").cloned();
    let collected = timeout(DEADLINE, response.into_body().collect())
        .await
        .unwrap()
        .unwrap();
    let status = in_headers
        .or_else(|| collected.trailers()?.get("grpc-status").cloned())
        .map_or(String::new(), |status| status.to_str().unwrap().to_owned());
    drop(sender);
    connection.await.unwrap().unwrap();
    let body = collected.to_bytes();
    (status, body.slice(body.len().min(5)..))
}

#[tokio::test]
async fn http_takes_protobuf_and_json_packed_or_not() {
    let running = Running::start(LogLimits::default()).await;
    assert_eq!(
        post(&running, PROTOBUF, good("protobuf")).await,
        (200, PROTOBUF.to_owned(), String::new())
    );

    let json = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "frontend" } }] },
        "scopeLogs": [{ "scope": { "name": "s" }, "logRecords": [{
            "timeUnixNano": "2000", "observedTimeUnixNano": 2500, "severityNumber": "SEVERITY_NUMBER_WARN",
            "severityText": "WARN", "body": { "stringValue": "json" }, "flags": 1, "droppedAttributesCount": null,
            "traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331",
            "attributes": [{ "key": "n", "value": { "intValue": "5" } }], "eventName": "ev",
        }] }],
    }] });
    let (status, content_type, body) = post(
        &running,
        "application/json; charset=utf-8",
        json.to_string(),
    )
    .await;
    assert_eq!((status, content_type.as_str()), (200, JSON));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "partialSuccess": {} })
    );
    let snapshot = running.logs().snapshot();
    let stored = snapshot.from(1).next().unwrap();
    let mut metadata: Vec<String> = stored
        .all_metadata()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    metadata.sort();
    assert_eq!(
        metadata,
        [
            "detected_level=warn",
            "event_name=ev",
            "flags=1",
            "n=5",
            "observed_timestamp=2500",
            "scope_name=s",
            "severity_number=13",
            "severity_text=WARN",
            "span_id=b7ad6b7169203331",
            "trace_id=0af7651916cd43dd8448eb211c80319c",
        ]
    );

    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&good("gzip")).unwrap();
    let url = format!("http://{}/v1/logs", running.http);
    let packed = running
        .client
        .post(url)
        .header("content-type", PROTOBUF)
        .header("content-encoding", "gzip")
        .body(gzip.finish().unwrap());
    assert_eq!(answered(packed).await.0, 200);
    assert_eq!(lines(&running), ["protobuf", "json", "gzip"]);
    running.stop().await;
}

#[tokio::test]
async fn http_refuses_as_it_refuses_traces() {
    let running = Running::start(LogLimits {
        max_record_bytes: 100,
        ..LogLimits::default()
    })
    .await;
    let (status, content_type, body) = post(&running, PROTOBUF, bad_id()).await;
    assert_eq!((status, content_type.as_str()), (400, PROTOBUF));
    assert!(
        body.contains("invalid trace_id of 15 bytes in log record 0"),
        "{body}"
    );
    let json_id = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"abcd"}]}]}]}"#;
    let (status, content_type, body) = post(&running, JSON, json_id).await;
    assert_eq!((status, content_type.as_str()), (400, JSON));
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], 3);
    assert_eq!(post(&running, PROTOBUF, vec![0xff, 1]).await.0, 400);
    assert_eq!(post(&running, JSON, "{").await.0, 400);
    assert_eq!(post(&running, "text/plain", "x").await.0, 415);
    let url = format!("http://{}/v1/logs", running.http);
    assert_eq!(answered(running.client.get(url)).await.0, 405);
    assert_eq!(lines(&running), [""; 0]);

    // What is too large is left out, and said.
    let mixed = request(
        "frontend",
        vec![record(1, &"x".repeat(101)), record(2, "small")],
    );
    let url = format!("http://{}/v1/logs", running.http);
    let sent = running
        .client
        .post(url)
        .header("content-type", PROTOBUF)
        .body(mixed.encode_to_vec());
    let response = sent.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answer = ExportLogsServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);
    assert_eq!(
        partial.error_message,
        "1 log records take more than 100 bytes each"
    );
    assert_eq!(lines(&running), ["small"]);
    running.stop().await;
}

#[tokio::test]
async fn grpc_takes_and_refuses_logs() {
    let running = Running::start(LogLimits {
        max_record_bytes: 100,
        ..LogLimits::default()
    })
    .await;
    assert_eq!(
        call(&running, &good("grpc")).await,
        ("0".to_owned(), Bytes::new())
    );
    assert_eq!(lines(&running), ["grpc"]);
    assert_eq!(call(&running, &bad_id()).await.0, "3", "INVALID_ARGUMENT");
    assert_eq!(call(&running, &[0xff, 1]).await.0, "13", "INTERNAL");
    let (status, answer) = call(&running, &good(&"x".repeat(101))).await;
    assert_eq!(status, "0");
    let answer = ExportLogsServiceResponse::decode(answer).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_log_records, 1);
    running.stop().await;
}
