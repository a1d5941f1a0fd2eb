//! Context in and out, as a caller and as the next tier see it: strict about `traceparent`, whole for the rest.

use std::net::SocketAddr;

use http::HeaderMap;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tdemo_services::Tier;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::common::{Chain, PARENT, calling, get_with, idle, lone, raw};

/// A next tier that answers `{}` and hands over the headers of each request.
async fn recorder() -> (SocketAddr, mpsc::UnboundedReceiver<HeaderMap>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                sender.send(request.headers().clone()).unwrap();
                std::future::ready(Ok::<_, hyper::Error>(Response::new(Full::new(
                    Bytes::from("{}"),
                ))))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_bad_traceparent_starts_a_new_trace() {
    let (backend, receiver) = lone(idle(Tier::Backend)).await;
    let trace = &PARENT[3..35];
    for bad in [
        String::new(),
        PARENT.to_uppercase(),
        PARENT.replace("00-", "ff-"),
        PARENT.replace(trace, &"0".repeat(32)),
        PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        PARENT.replace(trace, "1"),
        format!("{PARENT}-"),
        format!("{PARENT}-00"),
        format!("+{}", &PARENT[1..]),
        PARENT.replace("-01", "-1"),
        format!("{PARENT},{PARENT}"),
    ] {
        let answer = get_with(backend.address, "/", &[("traceparent", &bad)]).await;
        assert_ne!(answer.trace_id(), trace, "{bad}");
        let spans = receiver.trace(&answer.trace_id(), 1).await;
        assert_eq!(spans[0].parent(), "", "{bad}");
    }
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    assert_ne!(
        get_with(backend.address, "/", &twice).await.trace_id(),
        trace
    );
}

#[tokio::test]
async fn a_good_one_is_continued_a_later_version_too() {
    let (backend, receiver) = lone(idle(Tier::Backend)).await;
    for (n, good) in [
        PARENT.to_owned(),
        PARENT.replace("00-", "cc-") + "-what-comes-later",
        format!(" {PARENT} "),
    ]
    .iter()
    .enumerate()
    {
        let answer = get_with(backend.address, "/", &[("traceparent", good)]).await;
        assert_eq!(answer.trace_id(), PARENT[3..35], "{good}");
        let spans = receiver.trace(&answer.trace_id(), n + 1).await;
        assert!(
            spans.iter().all(|seen| seen.parent() == PARENT[36..52]),
            "{good}"
        );
    }
}

#[tokio::test]
async fn the_next_tier_gets_the_client_span_and_the_rest_whole() {
    let (next, mut recorded) = recorder().await;
    let (frontend, receiver) = lone(calling(Tier::Frontend, next)).await;
    let random = PARENT.replace("-01", "-03");
    let answer = get_with(
        frontend.address,
        "/api/process",
        &[
            ("traceparent", &random),
            ("tracestate", "a=1"),
            ("tracestate", "b=2,c@d=3"),
            ("baggage", "key=a=b==;prop=1;flag , two=%20%F0%9F%A6%80"),
            ("baggage", "three=!#$&'()*+-./:<=>?@[]^_`{|}~"),
        ],
    )
    .await;
    assert_eq!(answer.status, 200);
    let sent = recorded.recv().await.unwrap();
    let client = receiver
        .span(&answer.trace_id(), "frontend CLIENT POST")
        .await;
    assert_eq!(
        sent["traceparent"],
        format!("00-{}-{}-03", &PARENT[3..35], client.id())
    );
    assert_eq!(sent["tracestate"], "a=1,b=2,c@d=3");
    let baggage = sent["baggage"].to_str().unwrap().replace(' ', "");
    assert_eq!(
        baggage,
        "key=a=b==;prop=1;flag,two=%20%F0%9F%A6%80,three=!#$&'()*+-./:<=>?@[]^_`{|}~"
    );
    assert_eq!(
        answer.trace().2,
        "03",
        "the random flag is kept in traceresponse too"
    );
    assert_eq!(client.span.trace_state, "a=1,b=2,c@d=3");
    assert_eq!(sent["content-type"], "application/json");
    assert_eq!(sent["host"], next.to_string());
    assert_eq!(sent.get_all("traceparent").iter().count(), 1);
}

#[tokio::test]
async fn no_empty_header_is_sent_and_an_unsampled_context_goes_on() {
    let (next, mut recorded) = recorder().await;
    let (frontend, _receiver) = lone(calling(Tier::Frontend, next)).await;
    for flags in ["-00", "-02"] {
        let unsampled = PARENT.replace("-01", flags);
        get_with(
            frontend.address,
            "/api/process",
            &[("traceparent", &unsampled), ("tracestate", "")],
        )
        .await;
        let sent = recorded.recv().await.unwrap();
        let traceparent = sent["traceparent"].to_str().unwrap();
        assert!(
            traceparent.starts_with(&PARENT[..35]) && traceparent.ends_with(flags),
            "{traceparent}"
        );
        assert!(
            !traceparent.contains(&PARENT[36..52]),
            "the parent is the frontend's span: {traceparent}"
        );
        assert!(
            !sent.contains_key("tracestate") && !sent.contains_key("baggage"),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn baggage_and_tracestate_reach_the_last_tier() {
    let chain = Chain::start().await;
    let fault = "other=1,demo.fault=backend:delay:1ms;x=y";
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "vendor=a:b"),
        ("baggage", fault),
    ];
    let answer = get_with(chain.frontend.address, "/api/process", &headers).await;
    let spans = chain.receiver.trace(&answer.trace_id(), 8).await;
    assert!(
        spans
            .iter()
            .all(|seen| seen.span.trace_state == "vendor=a:b")
    );
    let backend = chain
        .receiver
        .span(&answer.trace_id(), "backend SERVER GET /api/data")
        .await;
    assert_eq!(
        backend.text("demo.fault.injected"),
        Some("backend:delay:1ms")
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm() {
    let chain = Chain::start().await;
    let mut ask = b"GET /api/process HTTP/1.1\r\nhost: \xff\xfe\r\nuser-agent: \xe9\r\ntraceparent: \xff\r\ntracestate: \x80=\x81\r\nbaggage: \xff=\xff,demo.fault=%FF%00\r\n".to_vec();
    ask.extend_from_slice(
        format!(
            "tracestate: {}\r\nbaggage: {}\r\nconnection: close\r\n\r\n",
            "a=b,".repeat(2000),
            "k=v,".repeat(3000)
        )
        .as_bytes(),
    );
    let answer = raw(chain.frontend.address, &ask).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
