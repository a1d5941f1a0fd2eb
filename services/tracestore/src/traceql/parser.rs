//! Parses the text of a search query into the syntax tree. Called by [`super::compile`]; pure.
//!
//! Recursive descent for the pipeline, precedence climbing for expressions. The grammar is Tempo's,
//! with its habits: `&&` and `||` bind alike, a unary `-` binds like a binary one, and a pipeline in
//! parentheses can only be joined with other things in parentheses.

use super::ast::{Attribute, Query};
use super::error::{ErrorKind, Pos, QueryError};
use super::lexer::{self, Spanned, Token};

/// Longest query text, in bytes. Tempo's default for `max_query_expression_size_bytes`.
pub const MAX_QUERY_BYTES: usize = 128 * 1024;
/// How deep parentheses and unary operators may be nested.
pub const MAX_NESTING: usize = 100;
/// How many operators a query may have: a chain of them is as deep a tree.
pub const MAX_OPERATORS: usize = 500;

type Result<T> = std::result::Result<T, QueryError>;

/// Parses `text`; the types are not yet checked.
pub fn parse(text: &str) -> Result<Query> {
    if text.len() > MAX_QUERY_BYTES {
        let message = format!(
            "the query has {} bytes, at most {MAX_QUERY_BYTES} are read",
            text.len()
        );
        return Err(QueryError::new(
            ErrorKind::TooLarge,
            Pos::default(),
            message,
        ));
    }
    let mut parser = Parser {
        tokens: lexer::tokens(text),
        at: 0,
        nesting: 0,
        operators: 0,
    };
    let pipeline = parser.pipeline()?;
    let hints = parser.hints()?;
    match parser.peek() {
        Token::End => Ok(Query { pipeline, hints }),
        _ => Err(parser.unexpected("`|`, `with(…)` or the end of the query")),
    }
}
/// The tokens of a query, and how far they are read. The other parser files add what they read.
pub(super) struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    nesting: usize,
    operators: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    pub(super) fn pos(&self) -> Pos {
        self.tokens[self.at].pos
    }

    /// Takes the next token; the last one (the end) stays.
    pub(super) fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// The tokens from here on.
    pub(super) fn ahead(&self) -> impl Iterator<Item = &Token> {
        self.tokens[self.at..].iter().map(|spanned| &spanned.token)
    }

    /// How far the tokens are read, to come [`back`](Self::back) to or to compare.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.at, self.operators)
    }

    pub(super) fn back(&mut self, mark: (usize, usize)) {
        (self.at, self.operators) = mark;
    }

    pub(super) fn is(&self, punct: &str) -> bool {
        matches!(self.peek(), Token::Punct(p) if *p == punct)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w == word)
    }

    pub(super) fn eat(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        if found {
            self.bump();
        }
        found
    }

    pub(super) fn expect(&mut self, punct: &str) -> Result<()> {
        if self.eat(punct) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{punct}`")))
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> QueryError {
        let found = match self.peek() {
            Token::Bad(message) => return QueryError::syntax(self.pos(), message.clone()),
            Token::End => "end of the query".to_owned(),
            Token::Word(word) => format!("`{word}`"),
            Token::Colon(scope) => format!("`{scope}:`"),
            Token::Attribute { scope, name } => {
                format!(
                    "`{}`",
                    Attribute::Custom {
                        scope: *scope,
                        name: name.clone()
                    }
                )
            }
            Token::Str(_) => "string".to_owned(),
            Token::Int(_) | Token::Float(_) => "number".to_owned(),
            Token::Duration(_) => "duration".to_owned(),
            Token::Punct(p) => format!("`{p}`"),
        };
        QueryError::syntax(
            self.pos(),
            format!("unexpected {found}, expected {expected}"),
        )
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting == MAX_NESTING {
            let message = format!("nested too deeply, at most {MAX_NESTING} levels are read");
            return Err(QueryError::new(ErrorKind::TooLarge, self.pos(), message));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    pub(super) fn count_operator(&mut self) -> Result<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            let message = format!("too many operators, at most {MAX_OPERATORS} are read");
            return Err(QueryError::new(ErrorKind::TooLarge, self.pos(), message));
        }
        Ok(())
    }
}

/// Parses an attribute or intrinsic as it stands in a URL (`span.foo`, `.foo`, `name`, `span:status`).
pub fn parse_attribute(text: &str) -> Result<Attribute> {
    let mut parser = Parser {
        tokens: lexer::tokens(text),
        at: 0,
        nesting: 0,
        operators: 0,
    };
    let attribute = parser.attribute()?;
    match parser.peek() {
        Token::End => Ok(attribute),
        _ => Err(parser.unexpected("the end of the attribute")),
    }
}
