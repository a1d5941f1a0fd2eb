//! A tail and its client with hardly a buffer between them, on a clock that the test moves.

use super::*;
use crate::logs::LogLimits;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Long enough for everything that is ready to run: time only moves when nothing is.
const MOMENT: Duration = Duration::from_millis(50);

fn store(logs: &LogStore, lines: &[String]) {
    let record = |line: &String| LogRecord {
        time_unix_nano: 1,
        body: Some(AnyValue {
            value: Some(Value::StringValue(line.clone())),
        }),
        ..LogRecord::default()
    };
    let log_records = lines.iter().map(record).collect();
    let scope_logs = vec![ScopeLogs {
        log_records,
        ..ScopeLogs::default()
    }];
    let resource_logs = vec![ResourceLogs {
        scope_logs,
        ..ResourceLogs::default()
    }];
    logs.export(&ExportLogsServiceRequest { resource_logs })
        .unwrap();
}

/// A tail and its client, with hardly a buffer between them.
async fn open(logs: &Arc<LogStore>) -> (WebSocketStream<DuplexStream>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(256);
    let server = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
    let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    let query = "{service_name=\"unknown_service\"}";
    let wanted = Wanted {
        pipeline: logql::compile(query).unwrap(),
        options: TailOptions {
            delay: Duration::ZERO,
            max_lag: MAX_LAG,
        },
        start: 0,
        limit: 10,
        form: LabelForm::Merged,
    };
    let task = tokio::spawn(follow(
        server,
        Arc::clone(logs),
        logs.subscribe(),
        logs.snapshot(),
        wanted,
        CancellationToken::new(),
    ));
    (client, task)
}

async fn frame(client: &mut WebSocketStream<DuplexStream>) -> serde_json::Value {
    loop {
        let message = client.next().await.unwrap().unwrap();
        if message.is_text() {
            return serde_json::from_str(message.to_text().unwrap()).unwrap();
        }
    }
}

fn line(frame: &serde_json::Value) -> &str {
    frame["streams"][0]["values"][0][1].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_told_what_it_missed() {
    let logs = Arc::new(LogStore::new(LogLimits::default()));
    let (mut client, task) = open(&logs).await;
    store(&logs, &["x".repeat(100_000)]);
    sleep(MOMENT).await; // the first line is being sent, and waits for the client
    store(&logs, &["missed 1".to_owned(), "missed 2".to_owned()]);
    sleep(MAX_LAG + MOMENT).await;
    store(&logs, &["in time".to_owned()]);
    sleep(MOMENT).await;

    assert_eq!(line(&frame(&mut client).await).len(), 100_000);
    let second = frame(&mut client).await;
    assert_eq!(line(&second), "in time");
    assert_eq!(second["dropped_total"], 2);
    let dropped = second["dropped_entries"].as_array().unwrap();
    assert_eq!(dropped.len(), 2);
    assert_eq!(dropped[0]["timestamp"], "1");
    assert_eq!(dropped[0]["labels"]["service_name"], "unknown_service");

    store(&logs, &["later".to_owned()]);
    let third = frame(&mut client).await;
    assert_eq!((line(&third), third.get("dropped_total")), ("later", None));
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_given_up() {
    let logs = Arc::new(LogStore::new(LogLimits::default()));
    let (client, task) = open(&logs).await;
    store(&logs, &["x".repeat(100_000)]);
    sleep(SEND_TIMEOUT / 2).await;
    assert!(!task.is_finished());
    sleep(SEND_TIMEOUT / 2 + MOMENT).await;
    assert!(task.is_finished());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_sign_of_life_is_given_up() {
    let logs = Arc::new(LogStore::new(LogLimits::default()));
    let (mut client, task) = open(&logs).await;
    // Reading answers the ping.
    let reading = timeout(PING_PERIOD + MOMENT, client.next()).await;
    assert!(matches!(reading, Ok(Some(Ok(Message::Ping(_))))));
    assert!(timeout(MOMENT, client.next()).await.is_err());
    sleep(PING_PERIOD).await;
    assert!(!task.is_finished());
    sleep(PING_PERIOD * 2).await;
    assert!(task.is_finished());
}
