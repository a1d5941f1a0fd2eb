//! What callers see: the exact body of every route, and the answer to every kind of bad input.

use crate::common::{Chain, get, get_with, idle, lone, post, raw, request, send};
use serde_json::{Value, json};
use tdemo_services::{Settings, Tier};

#[tokio::test]
async fn the_bodies_are_those_of_the_contract() {
    let chain = Chain::start().await;
    let version = env!("CARGO_PKG_VERSION");

    assert_eq!(
        get(chain.frontend.address, "/").await.json(),
        json!({"service": "frontend", "version": version, "message": "Tracing demo frontend service",
            "trace_enabled": true, "middleware_url": format!("http://{}", chain.middleware.address)})
    );
    assert_eq!(
        get(chain.middleware.address, "/").await.json(),
        json!({"service": "middleware", "version": version, "message": "Tracing demo middleware service",
            "backend_url": format!("http://{}", chain.backend.address)})
    );
    assert_eq!(
        get(chain.backend.address, "/").await.json(),
        json!({"service": "backend", "version": version, "message": "Tracing demo backend service"})
    );

    let data = get(chain.backend.address, "/api/data").await.json();
    let time: jiff::Timestamp = data["data"]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(
        time.duration_until(jiff::Timestamp::now()).abs() < jiff::SignedDuration::from_secs(60)
    );
    assert_eq!(
        data,
        json!({"service": "backend", "data": {"id": 12345, "value": "Sample data from backend service",
            "timestamp": data["data"]["timestamp"], "query_time_ms": 0.0}})
    );

    let transformed = post(
        chain.middleware.address,
        "/api/transform",
        r#"{"a":[1,null]}"#,
    )
    .await
    .json();
    assert_eq!(
        transformed,
        json!({"middleware_processed": true, "original_data": {"a": [1, null]},
            "backend_data": transformed["backend_data"], "transformation_time_ms": 0})
    );
    assert_eq!(transformed["backend_data"]["data"]["id"], 12345);

    for (answer, sent) in [
        (
            get(chain.frontend.address, "/api/process").await,
            json!({"source": "GET request"}),
        ),
        (
            post(chain.frontend.address, "/api/process", "[1, 2]").await,
            json!([1, 2]),
        ),
        (
            post(chain.frontend.address, "/api/process?x=1", " \"é\" ").await,
            json!("é"),
        ),
    ] {
        let body = answer.json();
        assert_eq!(
            body,
            json!({"service": "frontend", "status": "success", "request_data": sent,
                "middleware_response": body["middleware_response"]})
        );
        assert_eq!(body["middleware_response"]["original_data"], sent);
        assert_eq!(
            body["middleware_response"]["backend_data"]["service"],
            "backend"
        );
    }
}

#[tokio::test]
async fn simulated_work_takes_its_time_and_is_told() {
    let settings = Settings {
        work: "30ms".parse().unwrap(),
        ..Settings::new(Tier::Backend)
    };
    let (backend, _receiver) = lone(settings).await;
    let started = std::time::Instant::now();
    let body = get(backend.address, "/api/data").await.json();
    assert!(started.elapsed().as_millis() >= 30);
    assert_eq!(body["data"]["query_time_ms"], json!(30.0));
    assert_eq!(Settings::new(Tier::Backend).work.to_string(), "100ms");
    assert_eq!(Settings::new(Tier::Middleware).work.to_string(), "50ms");
}

#[tokio::test]
async fn probes_are_neither_traced_nor_refused() {
    let settings = Settings {
        max_in_flight: 1,
        ..idle(Tier::Backend)
    };
    let (backend, receiver) = lone(settings).await;
    let health = get(backend.address, "/health").await;
    assert_eq!(health.body, r#"{"status":"healthy"}"#);
    assert_eq!(health.header("traceresponse"), None);
    assert_eq!(
        get(backend.address, "/metrics")
            .await
            .header("traceresponse"),
        None
    );
    let wrong = send(backend.address, request("POST", "/health", &[], "")).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("allow")),
        (405, Some("GET"))
    );
    backend.stopped().await;
    assert!(receiver.all().is_empty());
}

/// Status, `error` and `trace_id` of a JSON error.
fn refused(answer: &crate::common::Answer) -> (u16, String) {
    let Value::Object(body) = answer.json() else {
        panic!("an error is an object")
    };
    let keys: Vec<_> = body.keys().map(String::as_str).collect();
    assert_eq!(keys, ["error", "service", "status", "trace_id"]);
    assert_eq!(body["status"], "error");
    assert_eq!(body["service"], "middleware");
    assert_eq!(
        body["trace_id"],
        answer.trace_id(),
        "the body names the trace that the header names"
    );
    (
        answer.status.as_u16(),
        body["error"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn bad_input_is_a_json_error_that_says_why() {
    let (middleware, receiver) = lone(idle(Tier::Middleware)).await;
    let to = middleware.address;
    let json_type = [("content-type", "application/json")];
    let limit = 1 << 20;

    let (status, why) = refused(&post(to, "/api/transform", "{").await);
    assert!(status == 400 && why.contains("line 1"), "{status} {why}");
    assert_eq!(refused(&post(to, "/api/transform", "").await).0, 400);
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "\t")],
    ] {
        assert_eq!(
            refused(&send(to, request("POST", "/api/transform", headers, "{}")).await).0,
            415
        );
    }
    let too_large = format!("\"{}\"", "a".repeat(limit - 1));
    let (status, why) = refused(
        &send(
            to,
            request("POST", "/api/transform", &json_type, &too_large),
        )
        .await,
    );
    assert!(status == 413 && why.contains("1048576"), "{status} {why}");
    for path in ["/nope", "/api/process", "/api/transform/", "//", "/%00"] {
        assert_eq!(refused(&get(to, path).await).0, 404, "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = send(to, request(method, "/api/transform", &[], "")).await;
        assert_eq!(
            (refused(&answer).0, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    let head = send(to, request("HEAD", "/", &[], "")).await;
    assert_eq!(
        (head.status.as_u16(), head.header("allow"), head.body.len()),
        (405, Some("GET"), 0)
    );

    // Each of them left one SERVER span with its status, and none is an error of the server.
    let trace = post(to, "/api/transform", "{").await.trace_id();
    let spans = receiver.trace(&trace, 1).await;
    assert_eq!(spans[0].int("http.response.status_code"), Some(400));
    assert_eq!(spans[0].text("error.type"), None);
    middleware.stopped().await;
    assert!(
        receiver.all().iter().all(|seen| seen.status()
            == opentelemetry_proto::tonic::trace::v1::status::StatusCode::Unset)
    );
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes_through_the_whole_chain() {
    let chain = Chain::start().await;
    let largest = format!("\"{}\"", "a".repeat((1 << 20) - 2));
    let answer = post(chain.frontend.address, "/api/process", &largest).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["middleware_response"]["original_data"]
            .as_str()
            .unwrap()
            .len(),
        (1 << 20) - 2
    );
    let larger = format!("{largest} ");
    assert_eq!(
        post(chain.frontend.address, "/api/process", &larger)
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn chunked_and_pipelined_requests_and_http_1_0() {
    let (middleware, _receiver) = lone(idle(Tier::Middleware)).await;
    let (backend, _receiver2) = lone(idle(Tier::Backend)).await;
    let to = backend.address;

    let chunked = "POST /api/transform HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n3\r\n\":x\r\n0\r\n\r\n";
    let answer = raw(middleware.address, chunked.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("not JSON"),
        "{answer}"
    );
    let broken = chunked.replace("\r\n3\r\n", "\r\nzz\r\n");
    let answer = raw(middleware.address, broken.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("broken"),
        "{answer}"
    );

    let pipelined = "GET /api/data HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20)
        + "GET /nope HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = raw(to, pipelined.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 20, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found").count(), 1);

    let old = raw(to, b"GET /api/data HTTP/1.0\r\n\r\n").await;
    assert!(
        old.starts_with("HTTP/1.0 200 ") && old.contains("query_time_ms"),
        "{old}"
    );
}

#[tokio::test]
async fn a_large_body_that_is_not_wanted_still_gets_its_answer() {
    let (backend, _receiver) = lone(idle(Tier::Backend)).await;
    let body = "x".repeat(3 << 20);
    for (method, path, status) in [
        ("POST", "/nope", 404),
        ("PUT", "/api/data", 405),
        ("GET", "/api/data", 200),
    ] {
        let answer = send(
            backend.address,
            request(method, path, &[("content-type", "application/json")], &body),
        )
        .await;
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn a_caller_that_expects_100_continue_is_told_before_it_sends() {
    let (middleware, _receiver) = lone(idle(Tier::Middleware)).await;
    let head =
        "POST /api/transform HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\n";
    let refused = raw(
        middleware.address,
        format!("{head}content-type: text/plain\r\ncontent-length: 9\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(refused.starts_with("HTTP/1.1 415 "), "{refused}");
    let asked = format!("{head}content-type: application/json\r\ncontent-length: 1\r\n\r\n{{");
    let asked = raw(middleware.address, asked.as_bytes()).await;
    assert!(
        asked.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 "),
        "{asked}"
    );
}

#[tokio::test]
async fn with_the_sdk_switched_off_the_chain_works_and_nothing_is_traced() {
    let off = tdemo_telemetry::TelemetrySettings {
        disabled: true,
        ..tdemo_telemetry::TelemetrySettings::default()
    };
    let backend = crate::common::Service::start(idle(Tier::Backend), off.clone()).await;
    let middleware = crate::common::Service::start(
        crate::common::calling(Tier::Middleware, backend.address),
        off.clone(),
    )
    .await;
    let frontend = crate::common::Service::start(
        crate::common::calling(Tier::Frontend, middleware.address),
        off,
    )
    .await;
    let answer = get_with(
        frontend.address,
        "/api/process",
        &[("traceparent", crate::common::PARENT)],
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("traceresponse")),
        (200, None)
    );
    assert_eq!(
        get(frontend.address, "/").await.json()["trace_enabled"],
        json!(false)
    );
    assert_eq!(
        get(frontend.address, "/nope").await.json()["trace_id"],
        "0".repeat(32)
    );
}
