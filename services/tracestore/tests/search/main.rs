//! Searching from outside: the query language, what queries find, the API's answers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod language;
mod recorded;
mod roundtrip;
#[expect(dead_code, reason = "shared with tests that use all of it")]
#[path = "../store/running.rs"]
mod running;
mod semantics;
mod traces;
