//! A bounded in-memory trace store with the logs beside it: OTLP in, Tempo's and Loki's HTTP APIs out.
//!
//! For whoever wants to keep traces for a while without a backend: the `tracestore` binary, and the harness, which runs
//! it in the process of the demo. Make a [`Store`], bind listeners, and give both to [`run_otlp_grpc`], [`run_otlp_http`]
//! and [`run_api`].
//!
//! - [`model`]: how traces lie in memory.
//! - [`wire`]: from the bytes of a request to checked records.
//! - [`store`]: filling, evicting, snapshots.
//! - [`tenants`]: which store a request is about.
//! - [`traceql`]: the query language, and how it runs on the model.
//! - [`logs`]: log records, as Loki keeps them, and LogQL.
//! - [`byid`]: a trace put together again.
//! - `receiver`, `api`, `server`: OTLP in, Tempo's API out, and what both need of HTTP.
//! - [`settings`]: flags and variables of the binary.

pub mod byid;
pub mod logs;
pub mod model;
pub mod settings;
pub mod store;
pub mod tenants;
pub mod traceql;
pub mod wire;

mod api;
mod re2;
mod receiver;
mod search;
mod server;

pub use api::run_api;
pub use receiver::{MAX_REQUEST_BYTES, run_otlp_grpc, run_otlp_http};
pub use store::{Limits, Stats, Store};
pub use tenants::Tenants;
