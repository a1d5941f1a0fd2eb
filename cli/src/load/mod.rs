//! The load generator: `Plan -> engine::run -> Tally -> Report`, with no
//! printing and no clap. Called by `cmd::load`; `render` prints its report.
//!
//! Directions between the files: `target, sample <- plan, pace <- http <-
//! engine`, and `report` reads what the engine hands back.

pub mod engine;
pub mod http;
pub mod latency;
pub mod pace;
pub mod plan;
pub mod report;
pub mod reservoir;
pub mod sample;
pub mod slowest;
pub mod target;
pub mod tls;
pub mod traceresponse;
