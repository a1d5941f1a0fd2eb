//! Tokens to a [`Query`], by recursive descent. Called by `logql::parse`.
//!
//! Where Loki's grammar is ambiguous this follows what its generated parser does: `and` binds
//! tighter than `or`, while the right side of a comma (or of two filters that simply follow each
//! other) reaches as far as it can: `a, b or c` is `a and (b or c)`.

use super::ast::{
    Dropped, LabelFormat, LineFilter, LineOp, LogfmtFlags, MatchOp, Matcher, Query, Stage,
};
use super::error::{LogqlError, Position};
use super::lexer::{Placed, Token, tokens};
use super::template::Template;
use super::words::{is_metric, is_reserved};

/// Nesting (parentheses, filters in a row) deeper than this is refused rather than risk the stack.
const MAX_DEPTH: usize = 64;

/// Reads a whole query.
pub(super) fn query(text: &str) -> Result<Query, LogqlError> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
    };
    let query = parser.log_query()?;
    match parser.peek() {
        Token::End => Ok(query),
        Token::Symbol("[") => {
            Err(parser.unsupported("a range (`[5m]`), as metric queries have it,"))
        }
        Token::Symbol("+" | "-" | "*" | "/" | "%" | "^" | "==" | ">" | ">=" | "<" | "<=") => {
            Err(parser.unsupported("arithmetic between queries"))
        }
        _ => Err(parser.unexpected("a line filter, `|` or the end of the query")),
    }
}

pub(super) struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    pub(super) fn peek_second(&self) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + 1).min(last)].token
    }

    pub(super) fn position(&self) -> Position {
        self.tokens[self.at].position
    }

    /// Moves past the current token; the end is never passed.
    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &'static str) -> Result<(), LogqlError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{symbol}`")))
        }
    }

    /// The current token as a lower-case word, if it is one.
    fn word(&self) -> Option<String> {
        match self.peek() {
            Token::Ident(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        }
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.word().is_some_and(|w| w == word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn unexpected(&self, expected: &str) -> LogqlError {
        LogqlError::at(
            self.position(),
            format!(
                "syntax error: unexpected {}, expecting {expected}",
                self.peek().describe()
            ),
        )
    }

    fn unsupported(&self, what: &str) -> LogqlError {
        LogqlError::at(
            self.position(),
            format!("{what} is not supported by this log store"),
        )
    }

    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, LogqlError>,
    ) -> Result<T, LogqlError> {
        if self.depth == MAX_DEPTH {
            return Err(LogqlError::at(
                self.position(),
                format!("the query is nested more than {MAX_DEPTH} deep"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn log_query(&mut self) -> Result<Query, LogqlError> {
        if let Some(word) = self.word().filter(|word| is_metric(word)) {
            return Err(self.unsupported(&format!("the metric query `{word}`")));
        }
        if matches!(self.peek(), Token::Number(_)) {
            return Err(self.unsupported("a metric query (a bare number)"));
        }
        if self.accept("(") {
            let query = self.deeper(Self::log_query)?;
            self.expect(")")?;
            return Ok(query);
        }
        let selector = self.selector()?;
        let mut stages = Vec::new();
        while let Some(stage) = self.stage()? {
            stages.push(stage);
        }
        Ok(Query { selector, stages })
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, LogqlError> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        if self.accept("}") {
            return Ok(matchers);
        }
        loop {
            let name = self.label_name()?;
            let Some(op) = self.match_op() else {
                return Err(self.unexpected("`=`, `!=`, `=~` or `!~`"));
            };
            let value = self.text()?;
            matchers.push(Matcher { name, op, value });
            if self.accept("}") {
                return Ok(matchers);
            }
            if !self.accept(",") {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    pub(super) fn label_name(&mut self) -> Result<String, LogqlError> {
        match self.peek() {
            Token::Ident(name) if !is_reserved(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected("a label's name")),
        }
    }

    pub(super) fn match_op(&mut self) -> Option<MatchOp> {
        let op = match self.peek() {
            Token::Symbol("=") => MatchOp::Equal,
            Token::Symbol("!=") => MatchOp::NotEqual,
            Token::Symbol("=~") => MatchOp::Regex,
            Token::Symbol("!~") => MatchOp::NotRegex,
            _ => return None,
        };
        self.advance();
        Some(op)
    }

    pub(super) fn text(&mut self) -> Result<String, LogqlError> {
        if let Token::Text(text) = self.peek() {
            let text = text.clone();
            self.advance();
            return Ok(text);
        }
        if self.word().is_some_and(|w| w == "ip") && *self.peek_second() == Token::Symbol("(") {
            return Err(self.unsupported("matching addresses with `ip(...)`"));
        }
        Err(self.unexpected("a string"))
    }

    fn stage(&mut self) -> Result<Option<Stage>, LogqlError> {
        let op = match self.peek() {
            Token::Symbol("|=") => LineOp::Contains,
            Token::Symbol("!=") => LineOp::Lacks,
            Token::Symbol("|~") => LineOp::Matches,
            Token::Symbol("!~") => LineOp::MatchesNot,
            Token::Symbol("|>" | "!>") => {
                return Err(self.unsupported("a pattern line filter (`|>`, `!>`)"));
            }
            Token::Symbol("|") => {
                self.advance();
                return self.pipe_stage().map(Some);
            }
            _ => return Ok(None),
        };
        self.advance();
        let mut texts = vec![self.text()?];
        while self.accept_word("or") {
            texts.push(self.text()?);
        }
        Ok(Some(Stage::Line(LineFilter { op, texts })))
    }

    /// What follows a `|`.
    fn pipe_stage(&mut self) -> Result<Stage, LogqlError> {
        let word = self.word();
        match word.as_deref() {
            Some("json") => {
                self.advance();
                if matches!(self.peek(), Token::Ident(_)) {
                    return Err(self.unsupported("`json` with a list of fields"));
                }
                Ok(Stage::Json)
            }
            Some("logfmt") => {
                self.advance();
                self.logfmt()
            }
            Some("label_format") => {
                self.advance();
                self.label_format()
            }
            Some("drop") => {
                self.advance();
                self.drop_labels()
            }
            Some(
                word @ ("line_format" | "regexp" | "pattern" | "unpack" | "unwrap" | "keep"
                | "decolorize"),
            ) => {
                let what = format!("`| {word}`");
                Err(self.unsupported(&what))
            }
            Some(_) => Ok(Stage::Label(self.label_filter()?)),
            None if matches!(self.peek(), Token::Symbol("(")) => {
                Ok(Stage::Label(self.label_filter()?))
            }
            None => Err(self.unexpected("a parser, a label filter or another stage")),
        }
    }

    fn logfmt(&mut self) -> Result<Stage, LogqlError> {
        let mut flags = LogfmtFlags::default();
        while let Token::Flag(name) = self.peek() {
            match name.as_str() {
                "strict" => flags.strict = true,
                "keep-empty" => flags.keep_empty = true,
                _ => return Err(self.unexpected("`--strict` or `--keep-empty`")),
            }
            self.advance();
        }
        if matches!(self.peek(), Token::Ident(_)) {
            return Err(self.unsupported("`logfmt` with a list of fields"));
        }
        Ok(Stage::Logfmt(flags))
    }

    fn label_format(&mut self) -> Result<Stage, LogqlError> {
        let mut formats = Vec::new();
        loop {
            let to = self.label_name()?;
            self.expect("=")?;
            formats.push(if let Token::Text(template) = self.peek() {
                let template = template.clone();
                Template::parse(&template)
                    .map_err(|error| LogqlError::at(self.position(), error))?;
                self.advance();
                LabelFormat::Template { to, template }
            } else {
                let from = self.label_name()?;
                LabelFormat::Rename { to, from }
            });
            if !self.accept(",") {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    fn drop_labels(&mut self) -> Result<Stage, LogqlError> {
        let mut dropped = Vec::new();
        loop {
            let name = self.label_name()?;
            dropped.push(match self.match_op() {
                None => Dropped::Name(name),
                Some(op) => Dropped::Match(Matcher {
                    name,
                    op,
                    value: self.text()?,
                }),
            });
            if !self.accept(",") {
                return Ok(Stage::Drop(dropped));
            }
        }
    }
}
