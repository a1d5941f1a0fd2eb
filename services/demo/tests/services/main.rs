//! The services seen from outside: real sockets, a real OTLP receiver, in this process and as programs.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper that unwraps fails the test with its line"
)]

mod common;
mod failures;
mod observed;
mod program;
mod propagation;
mod routes;
mod spans;
mod wire;
