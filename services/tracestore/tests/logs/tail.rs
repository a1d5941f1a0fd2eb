//! The tail over the network: what a client is sent, when, and what it cannot do to others.
//! Slow and dead clients are tested beside the code, where time can be moved.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tdemo_tracestore::logs::LogLimits;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::running::{DEADLINE, Running};
use crate::support::{record, request, traced};

type Client = WebSocketStream<TcpStream>;

const QUERY: &str = "{service_name=\"a\"}";

/// Opens a tail; the status if it is refused.
async fn open(
    running: &Running,
    params: &[(&str, &str)],
    headers: &[(&'static str, &str)],
) -> Result<Client, u16> {
    let mut url = running.url("tail", params);
    url.set_scheme("ws").unwrap();
    let mut request = url.as_str().into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(running.api).await.unwrap();
    match timeout(DEADLINE, tokio_tungstenite::client_async(request, stream))
        .await
        .unwrap()
    {
        Ok((client, _)) => Ok(client),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn message(client: &mut Client) -> Message {
    timeout(DEADLINE, client.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

async fn frame(client: &mut Client) -> Value {
    serde_json::from_str(message(client).await.to_text().unwrap()).unwrap()
}

/// The lines of as many frames as it takes to have so many.
async fn read_lines(client: &mut Client, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let frame = frame(client).await;
        assert_eq!(frame.get("dropped_entries"), None);
        for stream in frame["streams"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                lines.push(value[1].as_str().unwrap().to_owned());
            }
        }
    }
    lines
}

#[tokio::test]
async fn a_line_is_sent_the_moment_it_is_stored() {
    let running = Running::start(LogLimits::default()).await;
    running.export(&request(
        "a",
        (1..5).map(|n| record(n, &format!("old {n}"))).collect(),
    ));
    let params = [("query", QUERY), ("limit", "2"), ("start", "0")];
    let mut client = open(&running, &params, &[]).await.unwrap();
    assert_eq!(read_lines(&mut client, 2).await, ["old 3", "old 4"]);

    running.export(&request("b", vec![record(5, "of another service")]));
    running.export(&request("a", vec![traced(6, "new", 1)]));
    assert_eq!(
        frame(&mut client).await,
        json!({ "streams": [{
            "stream": { "detected_level": "unknown", "scope_name": "demo", "service_name": "a",
                        "span_id": "0707070707070707", "trace_id": format!("{:032x}", 1) },
            "values": [["6", "new"]],
        }] })
    );

    client
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    assert_eq!(
        message(&mut client).await,
        Message::Pong("are you there".into())
    );
    client.close(None).await.unwrap();
    assert!(matches!(message(&mut client).await, Message::Close(_)));
    running.stop().await;
}

#[tokio::test]
async fn a_tail_runs_the_whole_query_and_shows_labels_as_asked() {
    let running = Running::start(LogLimits::default()).await;
    let params = [("query", "{service_name=~\"a|b\"} |= \"x\" | json | n > 1")];
    let headers = [("x-loki-response-encoding-flags", "categorize-labels")];
    let mut client = open(&running, &params, &headers).await.unwrap();
    let records = vec![
        record(1, "{\"n\":2}"),
        record(2, "{\"x\":1,\"n\":1}"),
        record(3, "{\"x\":1,\"n\":2}"),
    ];
    running.export(&request("b", records));
    assert_eq!(
        frame(&mut client).await,
        json!({
            "streams": [{ "stream": { "service_name": "b" }, "values": [["3", "{\"x\":1,\"n\":2}", {
                "structuredMetadata": { "detected_level": "unknown", "scope_name": "demo" },
                "parsed": { "n": "2", "x": "1" },
            }]] }],
            "encodingFlags": ["categorize-labels"],
        })
    );
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let running = Running::start(LogLimits::default()).await;
    let silent = open(&running, &[("query", QUERY)], &[]).await.unwrap();
    let other = "{service_name=\"b\"}";
    let mut reader = open(&running, &[("query", other)], &[]).await.unwrap();
    // More than all buffers between the store and a client hold.
    let line = "x".repeat(100_000);
    let mut expected = Vec::new();
    for n in 0..200_u64 {
        running.export(&request("a", vec![record(n + 1, &format!("{n} {line}"))]));
        running.export(&request("b", vec![record(n + 1, &n.to_string())]));
        expected.push(n.to_string());
    }
    assert_eq!(read_lines(&mut reader, 200).await, expected);
    let params = [("query", QUERY), ("start", "0"), ("limit", "1")];
    assert_eq!(running.get("query_range", &params).await.0, 200);
    drop(silent);
    running.stop().await;
}

#[tokio::test]
async fn stopping_says_goodbye() {
    let running = Running::start(LogLimits::default()).await;
    let mut client = open(&running, &[("query", QUERY)], &[]).await.unwrap();
    running.export(&request("a", vec![record(1, "one")]));
    assert_eq!(read_lines(&mut client, 1).await, ["one"]);
    running.stop.cancel();
    let Message::Close(Some(goodbye)) = message(&mut client).await else {
        panic!("no goodbye");
    };
    assert_eq!(goodbye.code, CloseCode::Away);
    assert_eq!(goodbye.reason.as_str(), "the store is stopping");
    running.stop().await;
}

#[tokio::test]
async fn tails_are_bounded_and_not_for_the_pages_of_others() {
    let running = Running::start(LogLimits::default()).await;
    let params = [("query", QUERY)];
    for header in [
        ("origin", "http://evil.example"),
        ("sec-websocket-version", "8"),
    ] {
        assert_eq!(
            open(&running, &params, &[header]).await.unwrap_err(),
            400,
            "{header:?}"
        );
    }
    let own = format!("http://{}", running.api);
    let mut open_tails = vec![open(&running, &params, &[("origin", &own)]).await.unwrap()];

    let status = loop {
        match open(&running, &params, &[]).await {
            Ok(client) => open_tails.push(client),
            Err(status) => break status,
        }
    };
    assert_eq!((open_tails.len(), status), (64, 429));
    // One that goes makes room.
    let mut gone = open_tails.pop().unwrap();
    gone.close(None).await.unwrap();
    assert!(matches!(message(&mut gone).await, Message::Close(_)));
    while let Some(left) = timeout(DEADLINE, gone.next()).await.unwrap() {
        assert!(left.is_err() || left.unwrap().is_close());
    }
    let again = async {
        while open(&running, &params, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, again)
        .await
        .expect("a place becomes free");
    running.stop().await;
}
