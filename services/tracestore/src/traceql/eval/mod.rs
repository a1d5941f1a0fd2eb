//! Evaluates a checked query on the store's chunks.
//!
//! [`Plan`] (once a query) -> `tables` (once a chunk: every test becomes a table over a dictionary) ->
//! bit masks over rows -> `pipeline` (trace by trace, for those that can match) -> [`FoundTrace`].
//! Semantics are Tempo's; where its engine and its storage disagree, what a user of Tempo sees counts.

mod bits;
mod condition;
mod fold;
mod masks;
mod pipeline;
mod plan;
mod relate;
mod row_test;
mod run;
mod shown;
mod tables;
mod tree;
mod value;
mod values;
mod view;

pub use plan::Plan;
pub use run::{Bounds, FoundSpan, FoundSpanset, FoundTrace, ServiceStats, search};
pub use value::Value;
pub(crate) use values::{FilterPlan, each_value};

/// Why a sound query fails on the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A structural operator met a trace whose spans were split by `by(…)`.
    #[error(
        "structural operators need one spanset a trace on either side: join the groups of by() with coalesce()"
    )]
    SeveralSpansets,
}
