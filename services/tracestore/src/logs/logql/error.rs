//! What went wrong with a query, and where. Made by every part of `logql`, shown by the API.

/// A query that cannot be run. Its text is what Loki's API answers in kind:
/// `parse error at line 1, col 6: ...`, or `parse error : ...` where no place can be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse error {}{message}", place(*.position))]
pub struct LogqlError {
    position: Option<Position>,
    message: String,
}

/// A place in a query; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub col: u32,
}

impl LogqlError {
    /// An error at a place in the query.
    pub(crate) fn at(position: Position, message: impl Into<String>) -> Self {
        Self {
            position: Some(position),
            message: message.into(),
        }
    }

    /// An error of the query as a whole.
    pub(crate) fn unplaced(message: impl Into<String>) -> Self {
        Self {
            position: None,
            message: message.into(),
        }
    }

    /// Where the query is wrong, if one place is to blame.
    pub fn position(&self) -> Option<Position> {
        self.position
    }
}

fn place(position: Option<Position>) -> String {
    match position {
        Some(Position { line, col }) => format!("at line {line}, col {col}: "),
        None => ": ".to_owned(),
    }
}
