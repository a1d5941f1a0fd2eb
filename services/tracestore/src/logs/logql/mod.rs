//! LogQL, as far as a log query goes: text to [`Query`] to [`Pipeline`]. Pure: no store, no clock.
//!
//! `lexer -> parser -> check -> eval`; the printer is [`Query`]'s `Display`. The store's
//! query and tail run the [`Pipeline`] over records; `constant` evaluates what Grafana's
//! health check of a data source sends. What is left out (metric queries, `line_format`, ...)
//! is refused with a [`LogqlError`] that names it.

pub mod ast;
mod check;
pub mod constant;
mod error;
pub mod eval;
mod filter;
mod hint;
pub(super) mod json;
mod lexer;
pub(super) mod logfmt;
mod matcher;
mod parse_filter;
mod parser;
mod print;
pub mod template;
mod units;
mod words;

pub use ast::Query;
pub use error::LogqlError;
pub use eval::{Fields, Pipeline, Record};
pub use hint::TraceHint;

/// Longest query taken, in bytes (Loki's bound as well).
pub const MAX_QUERY_BYTES: usize = 128 * 1024;

/// Reads a log query.
///
/// # Errors
/// [`LogqlError`] when the text is not LogQL, or uses something that is not supported.
pub fn parse(text: &str) -> Result<Query, LogqlError> {
    let query = parser::query(text)?;
    check::query(&query)?;
    Ok(query)
}

/// Reads the stream selector of a `match[]` parameter: matchers and nothing after them.
///
/// # Errors
/// As [`parse`], and when anything follows the closing brace.
pub fn parse_selector(text: &str) -> Result<Vec<ast::Matcher>, LogqlError> {
    let query = parse(text)?;
    if query.stages.is_empty() {
        Ok(query.selector)
    } else {
        Err(LogqlError::unplaced(
            "only a stream selector is allowed here, without a pipeline",
        ))
    }
}

/// Reads and compiles a log query.
///
/// # Errors
/// As [`parse`] and [`Pipeline::new`].
pub fn compile(text: &str) -> Result<Pipeline, LogqlError> {
    Pipeline::new(&parse(text)?)
}

/// Reads a duration such as `5m` or `1h30m`, in nanoseconds.
pub fn duration(text: &str) -> Option<i64> {
    units::literal_duration(text)
}
