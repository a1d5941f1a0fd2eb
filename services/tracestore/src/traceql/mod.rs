//! TraceQL, the query language of Tempo's search: `{ span.http.route = "/x" && duration > 1s } | count() > 2`.
//!
//! Text -> `lexer` -> `parser` -> `check` -> [`Query`]. Each step is pure and separate; the query API calls [`compile`].
//! The language is Tempo's (its documentation and its observed behaviour); metrics functions are
//! recognised and refused by name.

pub mod ast;
mod check;
pub mod error;
pub mod eval;
mod lenient;
mod lexer;
pub(crate) mod literal;
mod parse_expr;
mod parse_pipeline;
mod parser;
mod print;

pub use ast::Query;
pub use error::{ErrorKind, Pos, QueryError};
pub(crate) use lenient::compile_unfinished;
pub use parser::{MAX_NESTING, MAX_OPERATORS, MAX_QUERY_BYTES, parse, parse_attribute};

/// Parses and checks the text of a query.
///
/// # Errors
/// The text is not TraceQL, its types do not fit, or it is a metrics query; the error says where.
pub fn compile(text: &str) -> Result<Query, QueryError> {
    let query = parse(text)?;
    check::check(&query)?;
    Ok(query)
}
