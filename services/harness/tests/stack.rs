//! The stack as its users hold it: what it owes arrives, what stops loses
//! nothing, and what cannot start says why.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use tdemo_harness::{
    Addresses, Answer, Caller, Owed, Part, Stack, StackConfig, StartError, Tier, TraceId,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn idle() -> StackConfig {
    let mut config = StackConfig::default();
    config.middleware.work = "0".parse().unwrap();
    config.backend.work = "0".parse().unwrap();
    config
}

fn client() -> reqwest::Client {
    // Already installed, by another test, is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// What a 2xx of the main route owes: the eight spans of the demo.
fn owed() -> Owed {
    Owed::demo(&Answer {
        tier: Some(Tier::Frontend),
        method: "GET",
        path: "/api/process",
        status: 200,
        sampled: true,
        caller: Caller::Silent,
    })
}

/// Sends one request, which must succeed, and gives the trace it named.
async fn process(client: &reqwest::Client, stack_url: &str) -> TraceId {
    let answer = client
        .get(format!("{stack_url}/api/process"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let named = answer.headers()["traceresponse"].to_str().unwrap();
    named.split('-').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_whole_trace_arrives_even_on_one_thread() {
    let stack = Stack::start(idle()).await.unwrap();
    let id = process(&client(), &stack.urls().frontend).await;
    let trace = stack.await_trace(id, &owed(), PATIENCE).await.unwrap();
    assert_eq!(trace.spans.len(), 8);
    assert_eq!(trace.services(), ["frontend", "middleware", "backend"]);
    let ledgers = stack.ledgers();
    let ended = [ledgers.frontend, ledgers.middleware, ledgers.backend].map(|ledger| ledger.ended);
    assert_eq!(ended, [3, 3, 2]);
    let summary = stack.shutdown().await;
    assert_eq!((summary.requests, summary.traces, summary.spans), (1, 1, 8));
    assert_eq!((summary.own.exported, summary.own.lost()), (8, 0));
}

#[tokio::test]
async fn what_does_not_come_is_named_at_the_deadline() {
    let stack = Stack::start(idle()).await.unwrap();
    let nobodys = TraceId([7; 16]);
    let late = stack
        .await_trace(nobodys, &owed(), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(late.judged.missing().count(), 8);
    assert_eq!(
        late.to_string(),
        "trace 07070707070707070707070707070707 is not complete after 50ms: missing frontend \
         SERVER GET /api/process, and 7 more"
    );
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_last_answer_loses_nothing() {
    let stack = Stack::start(idle()).await.unwrap();
    let client = client();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, url) = (client.clone(), stack.urls().frontend.clone());
        senders.spawn(async move {
            for _ in 0..50 {
                process(&client, &url).await;
            }
        });
    }
    senders.join_all().await;
    let summary = stack.shutdown().await;
    assert_eq!(summary.requests, 400);
    assert_eq!((summary.traces, summary.spans), (400, 3_200));
    assert_eq!((summary.own.exported, summary.own.lost()), (3_200, 0));
    // Every tier logs every request.
    assert_eq!((summary.logs.exported, summary.logs.lost()), (1_200, 0));
    assert_eq!(summary.records, 1_200);
    assert_eq!(summary.cut_off, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_stop() {
    let mut config = idle();
    config.backend.work = "300ms".parse().unwrap();
    let stack = Stack::start(config).await.unwrap();
    let (client, url) = (client(), stack.urls().frontend.clone());
    let asked = tokio::spawn(async move { process(&client, &url).await });
    // The backend has begun: the request is in flight in all three tiers.
    let begun = async {
        while stack.ledgers().backend.started == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    let summary = stack.shutdown().await;
    asked.await.unwrap();
    assert_eq!(
        (summary.requests, summary.spans, summary.cut_off),
        (1, 8, 0)
    );
}

#[tokio::test]
async fn a_port_in_use_names_the_part_and_leaves_nothing_bound() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut config = idle();
    config.addresses = Addresses {
        frontend: free,
        tempo: taken.local_addr().unwrap(),
        ..Addresses::default()
    };
    let error = Stack::start(config).await.unwrap_err();
    let StartError::Bind { part, address, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (*part, *address),
        (Part::Tempo, taken.local_addr().unwrap())
    );
    std::net::TcpListener::bind(free).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_share_a_process_and_a_mirror_gets_every_span() {
    let copy = Stack::start(idle()).await.unwrap();
    let mut config = idle();
    config
        .export_also_to("copy", &copy.urls().otlp_grpc)
        .unwrap();
    let first = Stack::start(config).await.unwrap();
    let other = Stack::start(idle()).await.unwrap();
    let client = client();
    let id = process(&client, &first.urls().frontend).await;
    let apart = process(&client, &other.urls().frontend).await;
    first.await_trace(id, &owed(), PATIENCE).await.unwrap();
    copy.await_trace(id, &owed(), PATIENCE).await.unwrap();
    other.await_trace(apart, &owed(), PATIENCE).await.unwrap();
    let summary = first.shutdown().await;
    assert_eq!((summary.own.exported, summary.mirrors.exported), (8, 8));
    assert_eq!(other.shutdown().await.traces, 1);
    assert_eq!(copy.shutdown().await.traces, 1);
}
