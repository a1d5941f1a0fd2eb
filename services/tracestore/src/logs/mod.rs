//! Logs beside the traces: OTLP log records in, Loki's answers out. A plain value, [`LogStore`],
//! that the caller makes as many of as there are tenants.
//!
//! `{names, level} <- otlp <- chunk <- store <- {query, streams, tail} <- api`, and `logql` beside
//! them. The receiver calls [`LogStore::export`]; the Loki routes of `api` call [`query`],
//! [`streams`] and [`tail`], and waiters use [`LogStore::subscribe`].

mod chunk;
pub(crate) mod ids;
mod level;
pub mod logql;
mod names;
mod otlp;
pub mod query;
mod store;
pub mod streams;
pub mod tail;

pub use chunk::RecordRef;
pub use otlp::OtlpLogsError;
pub use store::{ExportReport, LogLimits, LogStats, LogStore, Snapshot};
