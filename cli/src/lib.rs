//! The `tdemo` command-line tool as a library: everything but `main`.
//!
//! - [`args`], [`cmd`]: what can be typed, and what each subcommand does.
//! - [`ctx`], [`exit`]: the process around a command, and what it ends with.
//! - [`load`]: the load generator, from plan to report.
//! - [`audit`], [`tempo`]: whether the traces of a run arrived whole.
//! - [`runtime_dir`]: where a running `tdemo up` says where it listens.
//! - [`config`]: where everything is, by flag, variable or profile.
//! - [`backend`]: where a trace is looked for; [`saved`]: the runs that are over;
//!   [`import`]: back into a store.
//! - [`links`], [`grafana`]: where to click.
//! - [`verify`]: the smoke test, from requests to verdict.
//! - [`render`]: reports as text, JSON and a progress bar; traces as waterfalls.

pub mod args;
pub mod audit;
pub mod backend;
pub mod cmd;
pub mod config;
pub mod ctx;
pub mod exit;
pub mod grafana;
pub mod import;
pub mod links;
pub mod load;
pub mod render;
pub mod runtime_dir;
pub mod saved;
pub mod tempo;
pub mod verify;

#[cfg(test)]
mod testing;
