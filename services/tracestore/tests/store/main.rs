//! The store from outside: its decoder, its bounds, its receivers, its by-id API, its binary.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod binary;
mod bounds;
#[path = "../../benches/demo/mod.rs"]
mod demo;
mod generated;
mod json;
mod model;
mod receiver;
mod recorded;
mod running;
mod wire;
