//! The smoke test: [`gather`] sends requests and reads back all that they left,
//! as [`evidence`]; [`judge`] makes a [`report`] of it, purely, so that the same
//! evidence can be judged again, offline. Called by `cmd::smoke`.
//!
//! [`checks`] is the table of everything that is asserted.

pub mod ask;
pub mod asked;
mod body;
mod caller;
pub mod checks;
mod counters;
pub mod errand;
pub mod evidence;
pub mod gather;
pub mod judge;
pub mod logs;
pub mod report;
mod search;
pub mod wait;
