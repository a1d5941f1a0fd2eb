//! The load engine against small servers of every temper: what each does must
//! be counted as what it is, and none may hang the run.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use tdemo::load::engine::{self, Progress, Run};
use tdemo::load::plan::Plan;
use tdemo::load::sample::ErrorClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    traceparents: AtomicU64,
}

/// A server that treats each connection with `handle` until the test ends.
async fn serve<F, Fut>(handle: F) -> (SocketAddr, Arc<Seen>)
where
    F: Fn(Client) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(handle(Client {
                stream,
                seen: Arc::clone(&counted),
            }));
        }
    });
    (address, seen)
}

struct Client {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Client {
    /// Reads one request; `false` where the client has gone.
    async fn request(&mut self) -> bool {
        let mut head = Vec::new();
        let mut byte = [0; 1];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => return false,
            }
        }
        self.seen.requests.fetch_add(1, Ordering::Relaxed);
        if head
            .windows(11)
            .any(|name| name.eq_ignore_ascii_case(b"traceparent"))
        {
            self.seen.traceparents.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    async fn answer(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has gone is what some tests are about.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }
}

/// Answers every request on a kept connection with the same bytes.
async fn always(answer: &'static str) -> (SocketAddr, Arc<Seen>) {
    serve(move |mut client| async move {
        while client.request().await {
            client.answer(answer).await;
        }
    })
    .await
}

fn plan(address: SocketAddr, count: u64) -> Plan {
    Plan {
        count: Some(count),
        connections: 4,
        threads: 2,
        timeout: Duration::from_secs(10),
        ..Plan::new(format!("http://{address}/x").parse().unwrap())
    }
}

async fn run(plan: &Plan) -> Run {
    let progress = Arc::new(Progress::new(plan));
    let run = engine::run(plan, &progress, &CancellationToken::new())
        .await
        .unwrap();
    let cancelled = run
        .tally
        .errors
        .get(&ErrorClass::Cancelled)
        .map_or(0, |error| error.count);
    let (done, failed) = progress.read();
    assert_eq!(done + cancelled, run.tally.sent());
    assert_eq!(failed + cancelled, run.tally.failed());
    run
}

/// Runs 12 requests that must all fail in one class.
async fn all_fail(plan: &Plan, class: ErrorClass) -> Run {
    let run = run(plan).await;
    assert_eq!(run.tally.sent(), plan.count.unwrap());
    let classes: Vec<_> = run
        .tally
        .errors
        .iter()
        .map(|(class, error)| (*class, error.count))
        .collect();
    assert_eq!(
        classes,
        [(class, plan.count.unwrap())],
        "{:?}",
        run.tally.errors
    );
    assert!(!run.tally.errors[&class].first.is_empty());
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_connections_carry_exactly_the_requests_asked_for() {
    let (address, seen) = always(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntraceresponse: \
         00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\nok",
    )
    .await;
    let run = run(&plan(address, 1_000)).await;
    assert_eq!((run.tally.sent(), run.tally.ok.count()), (1_000, 1_000));
    assert_eq!(run.tally.by_status[&StatusCode::OK], 1_000);
    assert_eq!(run.tally.body_bytes, 2_000);
    assert_eq!(run.tally.traces.seen(), 1_000);
    assert_eq!(run.tally.untraced, 0);
    assert!(!run.stopped);
    assert_eq!((run.connections, run.tally.connections_opened), (4, 4));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 4);
    assert_eq!(seen.requests.load(Ordering::Relaxed), 1_000);
    assert_eq!(seen.traceparents.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_other_than_2xx_is_a_failure_with_its_own_latency() {
    let (address, _) =
        always("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    let run = all_fail(&plan(address, 12), ErrorClass::Status).await;
    assert_eq!(run.tally.by_status[&StatusCode::SERVICE_UNAVAILABLE], 12);
    assert_eq!((run.tally.ok.count(), run.tally.not_ok.count()), (0, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_each_connection_is_connected_to_again() {
    for answer in [
        OK,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\n\r\nok",
    ] {
        let (address, seen) = serve(move |mut client| async move {
            if client.request().await {
                client.answer(answer).await;
            }
        })
        .await;
        let run = run(&plan(address, 200)).await;
        assert_eq!(
            (run.tally.sent(), run.tally.failed()),
            (200, 0),
            "{answer}: {:?}",
            run.tally.errors
        );
        assert_eq!(run.tally.body_bytes, 400);
        assert_eq!(run.tally.connections_opened, 200);
        assert_eq!(seen.requests.load(Ordering::Relaxed), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_interim_answers_and_empty_ones_are_whole_answers() {
    for (answer, status, bytes) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
            200,
            7,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            200,
            1,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, 0),
    ] {
        let (address, _) = always(answer).await;
        let run = run(&plan(address, 20)).await;
        assert_eq!(run.tally.failed(), 0, "{answer}: {:?}", run.tally.errors);
        assert_eq!(
            run.tally.by_status[&StatusCode::from_u16(status).unwrap()],
            20
        );
        assert_eq!(run.tally.body_bytes, 20 * bytes, "{answer}");
        assert_eq!(run.tally.connections_opened, 4, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_body_whatever_its_length_says() {
    let (address, _) = always("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
    let plan = Plan {
        method: Method::HEAD,
        ..plan(address, 20)
    };
    let run = run(&plan).await;
    assert_eq!((run.tally.ok.count(), run.tally.body_bytes), (20, 0));
    assert_eq!(run.tally.connections_opened, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_read_to_its_end() {
    const MIB: usize = 1 << 20;
    let (address, _) = serve(|mut client| async move {
        while client.request().await {
            client
                .answer(format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    8 * MIB
                ))
                .await;
            for _ in 0..8 {
                client.answer(vec![b'x'; MIB]).await;
            }
        }
    })
    .await;
    let run = run(&plan(address, 8)).await;
    assert_eq!(
        (run.tally.ok.count(), run.tally.body_bytes),
        (8, 64 * MIB as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_a_protocol_error() {
    let (address, _) = always("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    all_fail(&plan(address, 12), ErrorClass::Protocol).await;
    let (address, _) = serve(|mut client| async move {
        if client.request().await {
            client.answer("HTTP/1.1 200 OK\r\n").await;
            client
                .answer(format!("x: {}\r\n\r\n", "y".repeat(4 << 20)))
                .await;
        }
    })
    .await;
    all_fail(&plan(address, 12), ErrorClass::Protocol).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_before_the_answer_is_a_reset() {
    let (address, _) = serve(|mut client| async move {
        client.request().await;
    })
    .await;
    all_fail(&plan(address, 12), ErrorClass::Reset).await;
    let (address, _) = serve(|mut client| async move {
        if client.request().await {
            client.answer("HTTP/1.1 200 O").await;
        }
    })
    .await;
    all_fail(&plan(address, 12), ErrorClass::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_a_body_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    ] {
        let (address, _) = serve(move |mut client| async move {
            if client.request().await {
                client.answer(answer).await;
            }
        })
        .await;
        let run = all_fail(&plan(address, 12), ErrorClass::Body).await;
        assert!(run.tally.by_status.is_empty(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_dribble_end_at_the_time_out() {
    let (silent, _) = serve(|mut client| async move { while client.request().await {} }).await;
    let (dribbling, _) = serve(|mut client| async move {
        if client.request().await {
            client
                .answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
                .await;
            while client.request().await {}
        }
    })
    .await;
    for address in [silent, dribbling] {
        let plan = Plan {
            timeout: Duration::from_millis(60),
            ..plan(address, 8)
        };
        let run = all_fail(&plan, ErrorClass::Timeout).await;
        assert!(
            run.elapsed >= Duration::from_millis(120),
            "{:?}",
            run.elapsed
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_refuses() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let run = all_fail(&plan(address, 12), ErrorClass::Refused).await;
    assert_eq!(run.tally.connections_opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_to_a_plain_server_is_a_tls_error() {
    let (address, _) = always("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let plan = Plan {
        target: format!("https://{address}/x").parse().unwrap(),
        ..plan(address, 12)
    };
    // The server waits for a blank line that a handshake does not have.
    let plan = Plan {
        timeout: Duration::from_millis(200),
        ..plan
    };
    let silent = run(&plan).await;
    assert_eq!(silent.tally.failed(), 12);
    assert!(silent.tally.by_status.is_empty());
    let (address, _) = serve(|mut client| async move {
        client
            .answer("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        client.request().await;
    })
    .await;
    let plan = Plan {
        target: format!("https://{address}/x").parse().unwrap(),
        ..plan
    };
    all_fail(&plan, ErrorClass::Tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_address_is_known_before_anything_is_sent() {
    let plan = Plan::new("http://nobody.invalid/".parse().unwrap());
    let progress = Arc::new(Progress::new(&plan));
    let error = engine::run(&plan, &progress, &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("nobody.invalid cannot be resolved"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_duration_ends_in_time_and_finishes_what_it_began() {
    let (address, seen) = always(OK).await;
    let plan = Plan {
        count: None,
        duration: Some(Duration::from_millis(300)),
        ..plan(address, 1)
    };
    let run = run(&plan).await;
    assert!(run.tally.sent() > 0 && run.tally.failed() == 0);
    assert_eq!(seen.requests.load(Ordering::Relaxed), run.tally.sent());
    assert!(!run.stopped);
    assert!(run.elapsed < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_what_is_in_flight() {
    let stop = CancellationToken::new();
    let (stopper, release) = (stop.clone(), CancellationToken::new());
    let (address, seen) = serve(move |mut client| {
        let (stopper, release) = (stopper.clone(), release.clone());
        async move {
            while client.request().await {
                // All four connections are waiting: stop the run, then answer.
                if client.seen.requests.load(Ordering::Relaxed) == 4 {
                    stopper.cancel();
                    release.cancel();
                }
                release.cancelled().await;
                client.answer(OK).await;
            }
        }
    })
    .await;
    let plan = plan(address, 1_000_000);
    let run = engine::run(&plan, &Arc::new(Progress::new(&plan)), &stop)
        .await
        .unwrap();
    assert!(run.stopped);
    assert_eq!(run.tally.failed(), 0, "{:?}", run.tally.errors);
    assert!(run.tally.sent() >= 4 && run.tally.sent() < 1_000_000);
    assert_eq!(run.tally.sent(), seen.requests.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_drain_is_cancelled_and_counted() {
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    let (address, _) = serve(move |mut client| {
        let stopper = stopper.clone();
        async move {
            while client.request().await {
                if client.seen.requests.load(Ordering::Relaxed) == 4 {
                    stopper.cancel();
                }
            }
        }
    })
    .await;
    let plan = Plan {
        drain: Duration::from_millis(50),
        ..plan(address, 1_000_000)
    };
    let run = engine::run(&plan, &Arc::new(Progress::new(&plan)), &stop)
        .await
        .unwrap();
    assert!(run.stopped);
    assert_eq!(run.tally.sent(), 4);
    assert_eq!(run.tally.errors[&ErrorClass::Cancelled].count, 4);
}
