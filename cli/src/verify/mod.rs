//! The smoke test: `gather` sends requests and reads back all that they left,
//! as [`evidence`]; `judge` makes a [`report`] of it, purely, so that the same
//! evidence can be judged again, offline. Called by `cmd::smoke`.

pub mod ask;
pub mod errand;
pub mod evidence;
pub mod report;
pub mod wait;
