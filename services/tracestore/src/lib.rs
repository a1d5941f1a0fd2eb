//! A bounded in-memory trace store: OTLP in, Tempo's HTTP API out.

pub mod model;
