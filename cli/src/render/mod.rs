//! From values to a writer: no logic, no standard streams. Called by `cmd`.

pub mod cells;
pub mod json;
pub mod number;
pub mod progress;
pub mod text;
pub mod waterfall;
