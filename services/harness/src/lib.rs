//! The whole tracing demo in one process: three services, an OTLP receiver and
//! a trace store, on free ports of the loopback interface. For the `tdemo`
//! command, and for anyone's tests of code that sends to, reads from or judges
//! a tracing pipeline.
//!
//! [`Stack::start`] binds everything before it returns, so there is nothing to
//! wait for; [`Stack::await_trace`] waits for a trace by events, never by
//! sleeping; [`Stack::shutdown`] stops in the order in which nothing is lost.
//!
//! ```
//! use std::time::Duration;
//! use tdemo_harness::{Answer, Caller, Owed, Stack, StackConfig, Tier, TraceId};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let mut config = StackConfig::default();
//! config.middleware.work = "0".parse()?;
//! config.backend.work = "0".parse()?;
//! let stack = Stack::start(config).await?;
//!
//! let url = format!("{}/api/process", stack.urls().frontend);
//! let answer = reqwest::get(&url).await?;
//! assert_eq!(answer.status(), 200);
//! let named = answer.headers()["traceresponse"].to_str()?;
//! let id: TraceId = named.split('-').nth(1).ok_or("no id")?.parse()?;
//!
//! // What a good answer of that route owes: eight spans, each in its place.
//! let owed = Owed::demo(&Answer {
//!     tier: Some(Tier::Frontend),
//!     method: "GET",
//!     path: "/api/process",
//!     status: 200,
//!     sampled: true,
//!     caller: Caller::Silent,
//! });
//! let trace = stack.await_trace(id, &owed, Duration::from_secs(10)).await?;
//! assert_eq!(trace.spans.len(), 8);
//!
//! let summary = stack.shutdown().await;
//! assert_eq!((summary.traces, summary.spans, summary.own.lost()), (1, 8, 0));
//! # Ok(()) }
//! ```

mod config;
mod stack;

pub use config::{Addresses, ConfigError, StackConfig};
pub use stack::{Incomplete, Ledgers, Part, Settled, Stack, StartError, Summary, Urls};

pub use tdemo_services::{Settings, Work};
pub use tdemo_telemetry::{LedgerSnapshot, TelemetrySettings};
pub use tdemo_trace::{Answer, Caller, Completeness, Owed, Tier, Trace, TraceId};
pub use tdemo_tracestore::Limits;
