//! Where and why a query was refused. Made by the lexer, the parser and the checker; the API turns
//! it into a 400 body.

use std::fmt;

/// A place in the query text, both counted from 1; columns count characters, not bytes.
///
/// Two places are always equal, so that two syntax trees compare by meaning and not by layout.
#[derive(Clone, Copy, Debug)]
pub struct Pos {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub col: u32,
}

impl Default for Pos {
    fn default() -> Self {
        Pos { line: 1, col: 1 }
    }
}

impl PartialEq for Pos {
    fn eq(&self, _: &Pos) -> bool {
        true
    }
}

/// What kind of refusal it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is not TraceQL.
    Syntax,
    /// The text is TraceQL, but its types do not fit or a part of it is not supported (by Tempo neither).
    Invalid,
    /// The query uses a metrics function (`rate()` and its like), which a search does not answer.
    Metrics,
    /// The query is longer or more deeply nested than the limits in the parser allow.
    TooLarge,
}

/// A refused query: what was wrong, where, and what was expected.
#[derive(Clone, Debug, thiserror::Error)]
pub struct QueryError {
    /// What kind of refusal it was.
    pub kind: ErrorKind,
    /// The first place where the text is wrong.
    pub pos: Pos,
    /// What is wrong there, and what was expected.
    pub message: String,
}

impl QueryError {
    pub(super) fn new(kind: ErrorKind, pos: Pos, message: impl Into<String>) -> Self {
        QueryError {
            kind,
            pos,
            message: message.into(),
        }
    }

    pub(super) fn syntax(pos: Pos, message: impl Into<String>) -> Self {
        QueryError::new(ErrorKind::Syntax, pos, message)
    }

    pub(super) fn invalid(pos: Pos, message: impl Into<String>) -> Self {
        QueryError::new(ErrorKind::Invalid, pos, message)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.kind == ErrorKind::Syntax {
            "parse error at line"
        } else {
            "error at line"
        };
        write!(
            f,
            "{what} {}, col {}: {}",
            self.pos.line, self.pos.col, self.message
        )
    }
}
