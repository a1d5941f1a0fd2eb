//! Flags and variables of the `tracestore` binary; a flag wins over its variable, that over the default.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::logs::LogLimits;
use crate::store::{Limits, Store};
use crate::tenants::Tenants;

/// Less than this holds no useful number of traces.
const MIN_BYTES: u64 = 1024 * 1024;

/// A bounded in-memory trace store: OTLP in, Tempo's HTTP API out.
#[derive(Debug, Clone, Parser)]
#[command(name = "tracestore", version)]
pub struct Settings {
    /// Where OTLP/gRPC is received
    #[arg(
        long,
        env = "TRACESTORE_OTLP_GRPC_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:4317"
    )]
    pub otlp_grpc_addr: SocketAddr,

    /// Where OTLP/HTTP is received (POST /v1/traces and /v1/logs)
    #[arg(
        long,
        env = "TRACESTORE_OTLP_HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:4318"
    )]
    pub otlp_http_addr: SocketAddr,

    /// Where Tempo's HTTP API is answered, and Loki's under /loki/
    #[arg(
        long,
        env = "TRACESTORE_TEMPO_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:3200"
    )]
    pub tempo_addr: SocketAddr,

    /// Traces held at a time; beyond, the oldest goes
    #[arg(
        long,
        env = "TRACESTORE_MAX_TRACES",
        value_name = "N",
        default_value_t = Limits::DEFAULT_MAX_TRACES,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub max_traces: usize,

    /// Bytes that traces and their index may take; beyond, the oldest go
    #[arg(
        long,
        env = "TRACESTORE_MAX_BYTES",
        value_name = "BYTES",
        default_value_t = Limits::DEFAULT_MAX_BYTES,
        value_parser = RangedU64ValueParser::<usize>::new().range(MIN_BYTES..)
    )]
    pub max_bytes: usize,

    /// Bytes of one trace's spans on the wire; spans beyond are refused and counted
    #[arg(
        long,
        env = "TRACESTORE_MAX_TRACE_BYTES",
        value_name = "BYTES",
        default_value_t = Limits::DEFAULT_MAX_TRACE_BYTES,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_trace_bytes: u32,

    /// Log records held at a time; beyond, the oldest go
    #[arg(
        long,
        env = "TRACESTORE_MAX_LOG_RECORDS",
        value_name = "N",
        default_value_t = LogLimits::DEFAULT_MAX_RECORDS,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub max_log_records: usize,

    /// Bytes that log records and their index may take; beyond, the oldest go
    #[arg(
        long,
        env = "TRACESTORE_MAX_LOG_BYTES",
        value_name = "BYTES",
        default_value_t = LogLimits::DEFAULT_MAX_BYTES,
        value_parser = RangedU64ValueParser::<usize>::new().range(MIN_BYTES..)
    )]
    pub max_log_bytes: usize,

    /// Bytes of one log record's line and metadata; a larger one is refused and counted
    #[arg(
        long,
        env = "TRACESTORE_MAX_LOG_RECORD_BYTES",
        value_name = "BYTES",
        default_value_t = LogLimits::DEFAULT_MAX_RECORD_BYTES,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub max_log_record_bytes: usize,

    /// Keep the data of tenants apart: every request must name its tenant in X-Scope-OrgID. The
    /// limits then are those of each tenant, of which there may be 16
    #[arg(long, env = "TRACESTORE_MULTITENANCY")]
    pub multitenancy: bool,
}

impl Settings {
    /// The stores, empty: one for each tenant, or one for all.
    pub fn stores(&self) -> Tenants {
        if self.multitenancy {
            Tenants::many(self.limits(), self.log_limits())
        } else {
            Arc::new(Store::with_logs(self.limits(), self.log_limits())).into()
        }
    }

    /// The bounds of the store.
    pub fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.max_bytes,
            max_traces: self.max_traces,
            max_trace_bytes: self.max_trace_bytes,
        }
    }
    /// The bounds of its logs.
    pub fn log_limits(&self) -> LogLimits {
        LogLimits {
            max_bytes: self.max_log_bytes,
            max_records: self.max_log_records,
            max_record_bytes: self.max_log_record_bytes,
        }
    }
}
