//! The OTLP receivers over the network: what is taken, what is refused and how, and that the two protocols do not mix.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use serde_json::{Value, json};
use tdemo_tracestore::{Limits, MAX_REQUEST_BYTES};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::demo;
use crate::running::{DEADLINE, Running};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn good_request() -> Vec<u8> {
    demo::request("frontend", demo::spans(1, "frontend")).encode_to_vec()
}

fn bad_id_request() -> Vec<u8> {
    let mut spans = demo::spans(1, "frontend");
    spans[2].span_id = vec![0; 8];
    demo::request("frontend", spans).encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gRPC message: a flag, a length, the bytes.
fn frame(packed: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(packed)];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Makes a gRPC call; the status and message that came back, in headers or trailers.
async fn call(to: SocketAddr, path: &str, packed: bool, message: &[u8]) -> (String, String) {
    let io = TokioIo::new(TcpStream::connect(to).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::post(format!("http://{to}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if packed {
        request = request.header("grpc-encoding", "gzip");
    }
    let body = if packed {
        gzip(message)
    } else {
        message.to_vec()
    };
    let request = request
        .body(Full::new(Bytes::from(frame(packed, &body))))
        .unwrap();
    let response = timeout(DEADLINE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    let headers = response.headers().clone();
    let collected = timeout(DEADLINE, response.into_body().collect())
        .await
        .unwrap()
        .unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    drop(sender);
    connection.await.unwrap().unwrap();
    let field = |name: &str| {
        let find = |map: &HeaderMap| {
            map.get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        find(&headers)
            .or_else(|| find(&trailers))
            .unwrap_or_default()
    };
    (field("grpc-status"), field("grpc-message"))
}

async fn metrics(running: &Running) -> String {
    running.get("/metrics", None).await.text().await.unwrap()
}

#[tokio::test]
async fn http_takes_protobuf_and_json_packed_or_not() {
    let running = Running::start(Limits::default()).await;
    let answer = running.post(PROTOBUF, good_request()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], PROTOBUF);
    assert_eq!(answer.bytes().await.unwrap().len(), 0);

    let json = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "traceId": "0a".repeat(16), "spanId": "0b".repeat(8) }] }] }] });
    let answer = running
        .post("application/json; charset=utf-8", json.to_string())
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], JSON);
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({ "partialSuccess": {} })
    );

    for (n, encoding, body) in [
        (
            2_u64,
            "gzip",
            gzip(&demo::request("backend", demo::spans(2, "backend")).encode_to_vec()),
        ),
        (3, "deflate", {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder
                .write_all(&demo::request("backend", demo::spans(3, "backend")).encode_to_vec())
                .unwrap();
            encoder.finish().unwrap()
        }),
    ] {
        let request = running
            .client
            .post(format!("http://{}/v1/traces", running.http));
        let request = request
            .header("content-type", PROTOBUF)
            .header("content-encoding", encoding);
        assert_eq!(
            request.body(body).send().await.unwrap().status(),
            200,
            "{encoding}"
        );
        assert!(
            running.store.find(demo::trace_id(n)).is_some(),
            "{encoding}"
        );
    }
    let stats = running.store.stats();
    assert_eq!((stats.traces, stats.spans), (4, 3 + 1 + 2 + 2));
    let metrics = metrics(&running).await;
    for line in [
        r#"tempo_receiver_accepted_spans{receiver="otlp/otlp_receiver",transport="http"} 8"#,
        r#"tempo_receiver_accepted_spans{receiver="otlp/otlp_receiver",transport="grpc"} 0"#,
        r#"tempo_distributor_spans_received_total{tenant="single-tenant"} 8"#,
        r#"tempo_live_store_traces_created_total{tenant="single-tenant"} 4"#,
        "tracestore_spans 8",
        "# EOF",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn http_refuses_as_a_collector_does() {
    let running = Running::start(Limits::default()).await;
    let url = format!("http://{}/v1/traces", running.http);

    let answer = running.client.get(&url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    for content_type in ["text/plain", "application/json-seq", ""] {
        assert_eq!(
            running.post(content_type, "{}").await.status(),
            415,
            "{content_type}"
        );
    }
    let answer = running
        .client
        .post(format!("http://{}/v1/trace", running.http))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);

    // Bodies of errors are google.rpc.Status in the encoding of the request: code 3 is INVALID_ARGUMENT.
    for body in [b"\xff\xff".to_vec(), bad_id_request()] {
        let answer = running.post(PROTOBUF, body).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (400, &PROTOBUF.parse().unwrap())
        );
        assert!(answer.bytes().await.unwrap().starts_with(&[0x08, 3, 0x12]));
    }
    for body in [
        "{",
        r#"{"resourceSpans":{}}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01"}]}]}]}"#,
    ] {
        let answer = running.post(JSON, body).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (400, &JSON.parse().unwrap())
        );
        let status: Value = answer.json().await.unwrap();
        assert_eq!(status["code"], 3);
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("cannot read") || message.starts_with("trace ids"),
            "{status}"
        );
    }

    let too_large = vec![0; MAX_REQUEST_BYTES + 1];
    assert_eq!(
        running.post(PROTOBUF, too_large.clone()).await.status(),
        413
    );
    for (encoding, body, expected) in [
        ("gzip", gzip(&too_large), 413),
        ("gzip", b"not gzip".to_vec(), 400),
        ("zstd", good_request(), 400),
    ] {
        let request = running.client.post(&url).header("content-type", PROTOBUF);
        let answer = request
            .header("content-encoding", encoding)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), expected, "{encoding}");
    }

    assert_eq!(
        running.store.stats().spans_stored,
        0,
        "nothing of a refused request is stored"
    );
    let metrics = metrics(&running).await;
    for line in [
        r#"tempo_receiver_refused_spans{receiver="otlp/otlp_receiver",transport="http"} 4"#,
        r#"tempo_discarded_spans_total{reason="invalid_span_id",tenant="single-tenant"} 3"#,
        r#"tempo_discarded_spans_total{reason="invalid_trace_id",tenant="single-tenant"} 1"#,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn grpc_takes_messages_packed_or_not_and_refuses_by_code() {
    let running = Running::start(Limits::default()).await;
    let ok = ("0".to_owned(), String::new());
    assert_eq!(call(running.grpc, EXPORT, false, &good_request()).await, ok);
    let other = demo::request("backend", demo::spans(2, "backend")).encode_to_vec();
    assert_eq!(call(running.grpc, EXPORT, true, &other).await, ok);
    // Larger than the 4 MiB that gRPC libraries take by default.
    let spans = (10..3_000)
        .flat_map(|n| ["frontend", "middleware", "backend"].map(|service| demo::spans(n, service)))
        .flatten();
    let large = demo::request("frontend", spans.collect()).encode_to_vec();
    assert!(large.len() > 4 * 1024 * 1024);
    assert_eq!(call(running.grpc, EXPORT, false, &large).await, ok);
    assert_eq!(running.store.stats().spans, 3 + 2 + 2_990 * 8);

    let (code, message) = call(running.grpc, EXPORT, false, &bad_id_request()).await;
    assert_eq!(code, "3", "INVALID_ARGUMENT");
    assert!(message.contains("span"), "{message}");
    assert_eq!(
        call(running.grpc, EXPORT, false, b"\xff\xff").await.0,
        "13",
        "INTERNAL"
    );
    assert_eq!(
        call(running.grpc, EXPORT, false, &vec![0; MAX_REQUEST_BYTES + 1])
            .await
            .0,
        "8",
        "RESOURCE_EXHAUSTED"
    );
    assert_eq!(
        call(running.grpc, EXPORT, true, &vec![0; MAX_REQUEST_BYTES + 1])
            .await
            .0,
        "8",
        "RESOURCE_EXHAUSTED"
    );
    assert_eq!(
        call(running.grpc, "/a.Service/Method", false, b"").await.0,
        "12",
        "UNIMPLEMENTED"
    );
    assert_eq!(
        running.store.stats().spans,
        3 + 2 + 2_990 * 8,
        "nothing of a refused request is stored"
    );

    let metrics = metrics(&running).await;
    for line in [
        r#"tempo_receiver_accepted_spans{receiver="otlp/otlp_receiver",transport="grpc"} 23925"#,
        r#"tempo_receiver_refused_spans{receiver="otlp/otlp_receiver",transport="grpc"} 3"#,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    running.stop().await;
}

/// Sends raw bytes and returns what comes back until the server closes.
async fn raw(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset counts as closed.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("the server closes");
    answer
}

#[tokio::test]
async fn each_port_refuses_the_other_protocol() {
    let running = Running::start(Limits::default()).await;
    // Like grpc-go: whatever is said before, the connection is closed and there is no HTTP/1 answer.
    let answer = raw(
        running.grpc,
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    // Like Go's net/http.
    for port in [running.http, running.api] {
        let answer = raw(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_in_flight_finish() {
    let running = Running::start(Limits::default()).await;
    let body = good_request();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // "100 Continue" says that the request is being handled.
    let mut first = [0; 25];
    timeout(DEADLINE, stream.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");

    let store = std::sync::Arc::clone(&running.store);
    let stopping = tokio::spawn(running.stop());
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    stopping.await.unwrap();
    assert_eq!(store.stats().spans, 3);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_stopping() {
    let running = Running::start(Limits::default()).await;
    let mut silent = Vec::new();
    for port in [running.http, running.api, running.grpc] {
        silent.push(TcpStream::connect(port).await.unwrap());
    }
    // Accepted, since these came after.
    assert_eq!(running.post(PROTOBUF, good_request()).await.status(), 200);
    assert_eq!(running.get("/ready", None).await.status(), 200);
    assert_eq!(
        call(running.grpc, EXPORT, false, &good_request()).await.0,
        "0"
    );
    let started = std::time::Instant::now();
    running.stop().await;
    assert!(
        started.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
