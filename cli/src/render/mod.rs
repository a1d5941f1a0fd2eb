//! From values to a writer: no logic, no standard streams. Called by `cmd`.

pub mod cells;
pub mod json;
pub mod matches;
pub mod number;
pub mod progress;
pub mod settings;
pub mod text;
pub mod up;
pub mod waterfall;
