//! From values to a writer: no logic, no standard streams. Called by `cmd`.

pub mod cells;
pub mod github;
pub mod json;
pub mod junit;
pub mod matches;
pub mod number;
pub mod progress;
pub mod settings;
pub mod smoke;
pub mod text;
pub mod up;
pub mod waterfall;
