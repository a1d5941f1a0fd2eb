//! Logs from outside: LogQL, the log store, the receivers, Loki's HTTP API.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line"
)]

mod http;
mod logql;
mod receiver;
mod recorded;
mod running;
mod store;
mod support;
mod tail;
