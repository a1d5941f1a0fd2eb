//! A bounded in-memory trace store: OTLP in, Tempo's HTTP API out.

pub mod logs;
pub mod model;
pub mod store;
pub mod wire;
