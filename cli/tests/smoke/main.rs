//! `tdemo smoke` as a user runs it: on its own stack, against services that do
//! something wrong, and from evidence.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

#[path = "../support/mod.rs"]
mod support;

mod mutations;
mod runs;
mod site;
