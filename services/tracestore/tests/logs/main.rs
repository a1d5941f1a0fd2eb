//! Logs from outside: LogQL, the log store, the receivers, Loki's HTTP API.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line"
)]

mod http;
mod logql;
mod logql_properties;
mod logql_refused;
mod reader;
mod receiver;
mod recorded;
mod running;
mod store;
mod store_properties;
mod support;
mod tail;
