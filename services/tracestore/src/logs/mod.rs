//! Logs beside the traces: OTLP log records in, Loki's answers out.
pub(crate) mod ids;
pub mod logql;
