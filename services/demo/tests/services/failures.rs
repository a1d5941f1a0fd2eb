//! Failures: of the next tier, of the caller, by fault, by overload. Each has its answer, and its trace tells why.

use std::time::Duration;

use crate::common::{
    Chain, DEADLINE, Seen, calling, get, get_with, idle, lone, post, raw, request, send,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tdemo_services::{Settings, Tier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const INTERNAL: &str = "middleware INTERNAL middleware-transform";
const CLIENT: &str = "middleware CLIENT GET";
const SERVER: &str = "middleware SERVER POST /api/transform";

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// A next tier that reads a request's head, answers these bytes, and closes (or keeps the connection if told so).
async fn fake(answer: &'static [u8], keep: bool) -> (std::net::SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
            if keep {
                // Until the caller gives up.
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
            }
        }
    });
    (address, task)
}

/// Posts to a middleware whose backend is at `next`; gives the status, the error's words and the three spans.
async fn transform(settings: Settings) -> (u16, String, [Seen; 3]) {
    let (middleware, receiver) = lone(settings).await;
    let answer = post(middleware.address, "/api/transform", "{}").await;
    let trace_id = answer.trace_id();
    receiver.trace(&trace_id, 3).await;
    let spans = [
        receiver.span(&trace_id, SERVER).await,
        receiver.span(&trace_id, INTERNAL).await,
        receiver.span(&trace_id, CLIENT).await,
    ];
    (
        answer.status.as_u16(),
        answer.json()["error"].as_str().unwrap().to_owned(),
        spans,
    )
}

/// What all three spans say of a failure of class `class` that the middleware answered with `status`.
fn assert_failed([server, internal, client]: &[Seen; 3], status: i64, class: &str, words: &str) {
    assert_eq!(server.status(), StatusCode::Error);
    assert_eq!(server.int("http.response.status_code"), Some(status));
    assert_eq!(server.text("error.type"), Some(status.to_string().as_str()));
    assert_eq!(internal.status(), StatusCode::Error);
    assert_eq!(internal.text("error.type"), Some(class));
    assert_eq!(internal.text("middleware.error"), Some(words));
    let exceptions = internal.exceptions();
    assert_eq!(exceptions.len(), 1);
    assert_eq!(exceptions[0]["exception.type"], text(class));
    assert_eq!(exceptions[0]["exception.message"], text(words));
    assert_eq!(client.status(), StatusCode::Error);
    assert_eq!(client.text("error.type"), Some(class));
    assert_eq!(
        internal.int("middleware.backend.status"),
        client.int("http.response.status_code")
    );
}

#[tokio::test]
async fn a_backend_that_is_down_is_502_connection_refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (status, words, spans) = transform(calling(Tier::Middleware, address)).await;
    assert_eq!(status, 502);
    assert!(
        words.contains(&address.to_string()) && words.contains("refused"),
        "{words}"
    );
    assert_failed(&spans, 502, "connection_refused", &words);
    assert_eq!(spans[2].int("http.response.status_code"), None);
    assert_eq!(spans[2].exceptions().len(), 1);
}

#[tokio::test]
async fn a_backend_without_an_address_is_502_name_resolution_error() {
    let settings = Settings {
        next: Some("http://no-such-host.invalid".parse().unwrap()),
        ..idle(Tier::Middleware)
    };
    let (status, words, spans) = transform(settings).await;
    assert_eq!(status, 502);
    assert_failed(&spans, 502, "name_resolution_error", &words);
}

#[tokio::test]
async fn a_backend_that_says_nothing_is_504_timeout() {
    let (address, backend) = fake(b"", true).await;
    let settings = Settings {
        upstream_timeout: Duration::from_millis(100),
        ..calling(Tier::Middleware, address)
    };
    let (status, words, spans) = transform(settings).await;
    assert_eq!(status, 504);
    assert!(words.contains("100ms"), "{words}");
    assert_failed(&spans, 504, "timeout", &words);
    backend.abort();
}

#[tokio::test]
async fn a_backend_that_stops_in_the_middle_is_504_too() {
    let (address, backend) = fake(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", true).await;
    let settings = Settings {
        upstream_timeout: Duration::from_millis(100),
        ..calling(Tier::Middleware, address)
    };
    let (status, words, spans) = transform(settings).await;
    assert_eq!(status, 504);
    assert_eq!(spans[2].text("error.type"), Some("timeout"));
    assert_eq!(spans[2].int("http.response.status_code"), Some(200));
    assert!(words.contains("did not answer"), "{words}");
    backend.abort();
}

#[tokio::test]
async fn a_backend_that_breaks_off_or_talks_nonsense_is_502() {
    for (answer, class) in [
        (&b""[..], "connection_closed"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{",
            "connection_closed",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{x",
            "invalid_response",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "invalid_response"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            "invalid_response",
        ),
    ] {
        let (address, backend) = fake(answer, false).await;
        let (status, words, spans) = transform(calling(Tier::Middleware, address)).await;
        assert_eq!(status, 502, "{words}");
        assert_eq!(spans[2].text("error.type"), Some(class), "{words}");
        assert_eq!(spans[1].status(), StatusCode::Error);
        backend.abort();
    }
}

#[tokio::test]
async fn any_other_status_of_the_backend_is_502_and_is_told() {
    for (answer, code) in [
        (
            &b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"[..],
            "500",
        ),
        (b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n{}", "404"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            "302",
        ),
    ] {
        let (address, backend) = fake(answer, false).await;
        let (status, words, spans) = transform(calling(Tier::Middleware, address)).await;
        assert_eq!(status, 502);
        assert_failed(&spans, 502, code, &words);
        assert_eq!(
            spans[2].int("http.response.status_code"),
            Some(code.parse().unwrap())
        );
        assert!(spans[2].exceptions().is_empty(), "the status code says it");
        backend.abort();
    }
}

#[tokio::test]
async fn a_slow_body_is_408_and_a_broken_one_ends_its_span() {
    let settings = Settings {
        body_timeout: Duration::from_millis(100),
        ..idle(Tier::Middleware)
    };
    let (middleware, receiver) = lone(settings).await;
    let half = "POST /api/transform HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    let mut stream = TcpStream::connect(middleware.address).await.unwrap();
    stream.write_all(half.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 100ms"),
        "{answer}"
    );
    drop(stream);

    let trace = "00-11111111111111111111111111111111-2222222222222222-01";
    let head = half.replace("host: a", &format!("host: a\r\ntraceparent: {trace}"));
    let mut stream = TcpStream::connect(middleware.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let span = receiver.span(&trace[3..35], SERVER).await;
    assert_eq!(
        (span.status(), span.text("error.type")),
        (StatusCode::Error, Some("caller_gone"))
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_every_span_of_its_trace() {
    let chain = Chain::start().await;
    let trace = "00-33333333333333333333333333333333-2222222222222222-01";
    let ask = format!(
        "GET /api/process HTTP/1.1\r\nhost: a\r\ntraceparent: {trace}\r\nbaggage: demo.fault=backend:delay:10s\r\n\r\n"
    );
    let mut stream = TcpStream::connect(chain.frontend.address).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    // The backend is at it once its connection has one request in flight.
    let metrics = async {
        while !String::from_utf8_lossy(&get(chain.backend.address, "/metrics").await.body)
            .contains("http_server_active_requests 1\n")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, metrics)
        .await
        .expect("the request reaches the backend");
    drop(stream);

    let spans = chain.receiver.trace(&trace[3..35], 8).await;
    for seen in &spans {
        if seen.label().contains("SERVER") {
            assert_eq!(
                (seen.status(), seen.text("error.type")),
                (StatusCode::Error, Some("caller_gone")),
                "{}",
                seen.label()
            );
            assert_eq!(seen.exceptions().len(), 1);
        } else {
            assert_eq!(
                (seen.status(), seen.text("error.type")),
                (StatusCode::Unset, None),
                "{}",
                seen.label()
            );
        }
        assert!(
            seen.span.end_time_unix_nano - seen.span.start_time_unix_nano < 9_000_000_000,
            "{}",
            seen.label()
        );
    }
}

#[tokio::test]
async fn faults_by_baggage_travel_to_the_tier_they_name() {
    let chain = Chain::start().await;
    let ask = async |fault: &str| {
        let fault = format!("demo.fault={fault}");
        let answer = get_with(
            chain.frontend.address,
            "/api/process",
            &[("baggage", &fault)],
        )
        .await;
        let trace_id = answer.trace_id();
        (
            answer.status.as_u16(),
            chain.receiver.trace(&trace_id, 8).await,
        )
    };
    let find = |spans: &[Seen], label: &str| {
        spans
            .iter()
            .find(|seen| seen.label() == label)
            .unwrap()
            .clone()
    };

    let (status, spans) = ask("backend:error:503").await;
    assert_eq!(status, 502);
    let backend = find(&spans, "backend SERVER GET /api/data");
    assert_eq!(
        backend.text("demo.fault.injected"),
        Some("backend:error:503")
    );
    assert_eq!(backend.int("http.response.status_code"), Some(503));
    assert_eq!(
        (backend.status(), backend.text("error.type")),
        (StatusCode::Error, Some("503"))
    );
    let inner = find(&spans, "backend INTERNAL backend-get-data");
    assert_eq!(
        (inner.status(), inner.exceptions().len()),
        (StatusCode::Error, 1)
    );
    assert!(inner.text("backend.error").is_some());
    let others = spans
        .iter()
        .filter(|seen| seen.attributes.contains_key("demo.fault.injected"));
    assert_eq!(others.count(), 1, "only the tier that did it says so");

    let (status, spans) = ask("backend:error:404").await;
    assert_eq!(status, 502);
    assert_eq!(
        find(&spans, "backend SERVER GET /api/data").status(),
        StatusCode::Unset
    );
    assert_eq!(find(&spans, CLIENT).status(), StatusCode::Error);

    let (status, spans) = ask("backend:abort").await;
    assert_eq!(status, 502);
    let backend = find(&spans, "backend SERVER GET /api/data");
    assert_eq!(
        (backend.status(), backend.text("error.type")),
        (StatusCode::Error, Some("connection_aborted"))
    );
    assert_eq!(backend.int("http.response.status_code"), None);
    assert_eq!(
        find(&spans, CLIENT).text("error.type"),
        Some("connection_closed")
    );

    // Percent-encoded, as baggage may come, and with an entry that means nothing.
    let (status, spans) = ask("middleware%3Adelay%3A20ms/nonsense").await;
    assert_eq!(status, 200);
    let middleware = find(&spans, SERVER);
    assert_eq!(
        middleware.text("demo.fault.injected"),
        Some("middleware:delay:20ms")
    );
    assert!(
        middleware.span.end_time_unix_nano - middleware.span.start_time_unix_nano >= 20_000_000
    );
}

#[tokio::test]
async fn faults_can_be_switched_off_and_set_by_rate() {
    let mut off = idle(Tier::Backend);
    off.faults.enabled = false;
    off.faults.error_rate = 1.0;
    let (backend, _receiver) = lone(off).await;
    assert_eq!(
        get_with(
            backend.address,
            "/api/data",
            &[("baggage", "demo.fault=backend:error")]
        )
        .await
        .status,
        200
    );

    let mut failing = idle(Tier::Backend);
    failing.faults.error_rate = 1.0;
    let (backend, receiver) = lone(failing).await;
    let answer = get(backend.address, "/api/data").await;
    assert_eq!(answer.status, 500);
    let server = receiver
        .span(&answer.trace_id(), "backend SERVER GET /api/data")
        .await;
    assert_eq!(server.text("demo.fault.injected"), Some("backend:error"));
}

#[tokio::test]
async fn more_requests_than_allowed_are_503_with_retry_after() {
    let settings = Settings {
        max_in_flight: 1,
        ..idle(Tier::Backend)
    };
    let (backend, receiver) = lone(settings).await;
    let to = backend.address;
    let slow = [("baggage", "demo.fault=backend:delay:10s")];
    let first = tokio::spawn(async move { get_with(to, "/api/data", &slow).await });
    let busy = async {
        loop {
            let answer = get(to, "/api/data").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let busy = tokio::time::timeout(DEADLINE, busy)
        .await
        .expect("the second request finds the service busy");
    first.abort();
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(busy.json()["status"], "error");
    let server = receiver
        .span(&busy.trace_id(), "backend SERVER GET /api/data")
        .await;
    assert_eq!(
        (
            server.status(),
            server.text("error.type"),
            server.exceptions().len()
        ),
        (StatusCode::Error, Some("503"), 1)
    );
    assert_eq!(get(to, "/health").await.status, 200);
}

#[tokio::test]
async fn what_hyper_refuses_is_counted() {
    let settings = Settings {
        header_timeout: Duration::from_millis(100),
        ..idle(Tier::Backend)
    };
    let (backend, _receiver) = lone(settings).await;
    let to = backend.address;
    assert!(
        raw(to, b"NOT HTTP AT ALL\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    assert!(raw(to, long.as_bytes()).await.starts_with("HTTP/1.1 414 "));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    assert!(raw(to, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(raw(to, b"GET / HTTP/1.1\r\nhos").await, "");
    // An idle connection is closed by the same timer, and that is no refusal.
    assert!(
        raw(to, b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .contains("healthy")
    );
    let metrics = String::from_utf8_lossy(&get(to, "/metrics").await.body).into_owned();
    for line in [
        "tdemo_http_refused_total{reason=\"malformed\"} 1\n",
        "tdemo_http_refused_total{reason=\"too_large\"} 2\n",
        "tdemo_http_refused_total{reason=\"header_timeout\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert_eq!(backend.stopped().await.refused, 4);
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_closes_the_rest() {
    let chain = Chain::start().await;
    let to = chain.frontend.address;
    let slow = [("baggage", "demo.fault=backend:delay:300ms")];
    let asking =
        tokio::spawn(async move { send(to, request("GET", "/api/process", &slow, "")).await });
    let started = async {
        while chain.backend.telemetry.ledger().started == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, started)
        .await
        .expect("the request reaches the backend");
    for service in [&chain.frontend, &chain.middleware, &chain.backend] {
        service.begin_stop();
    }
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("connection")),
        (200, Some("close"))
    );
    let trace_id = answer.trace_id();
    let receiver = chain.stopped().await;
    assert_eq!(receiver.trace(&trace_id, 8).await.len(), 8);
    assert!(
        TcpStream::connect(to).await.is_err(),
        "nothing listens any more"
    );
}

#[tokio::test]
async fn the_deadline_to_stop_cuts_off_what_is_left_and_its_spans_say_so() {
    let settings = Settings {
        drain_deadline: Duration::from_millis(50),
        ..idle(Tier::Backend)
    };
    let (backend, receiver) = lone(settings).await;
    let to = backend.address;
    let ask = "GET /api/data HTTP/1.1\r\nhost: a\r\nbaggage: demo.fault=backend:delay:10s\r\n\r\n";
    let asking = tokio::spawn(async move { raw(to, ask.as_bytes()).await });
    let started = async {
        while backend.telemetry.ledger().started < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, started)
        .await
        .expect("the request is being handled");
    let summary = backend.stopped().await;
    assert_eq!((summary.requests, summary.cut_off), (1, 1));
    assert_eq!(asking.await.unwrap(), "");
    let spans = receiver.all();
    assert_eq!(spans.len(), 2);
    let server = spans
        .iter()
        .find(|seen| seen.label().contains("SERVER"))
        .unwrap();
    assert_eq!(
        (server.status(), server.text("error.type")),
        (StatusCode::Error, Some("caller_gone"))
    );
}
