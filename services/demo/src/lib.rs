//! The three services of the tracing demo: frontend, middleware and backend.
//!
//! Each is [`run`] on a listener that the caller binds, with its own [`Settings`] and its own
//! [`Telemetry`](tdemo_telemetry::Telemetry): nothing here is global, so all three can share a process. The three
//! binaries of this package and `tdemo-harness` are the callers.
//!
//! A request's way: `server` accepts and routes, `instrument` opens the SERVER span, `tier` does the work inside an
//! INTERNAL span, `client` calls the next tier inside a CLIENT span.

mod answer;
mod app;
mod base_url;
mod body;
mod client;
mod conventions;
mod fault;
mod instrument;
mod metrics;
mod peer;
pub mod program;
mod redact;
mod route;
mod server;
pub mod settings;
mod tier;
mod work;

pub use base_url::{BaseUrl, BaseUrlError};
pub use fault::{BAGGAGE_KEY, Faults, LONGEST_DELAY};
pub use route::Tier;
pub use server::{RunSummary, run};
pub use settings::{Settings, SettingsError};
pub use work::{LONGEST_WORK, Work, WorkError};
