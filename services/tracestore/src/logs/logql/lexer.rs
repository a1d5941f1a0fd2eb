//! Text to tokens, each with its place. Called by the parser and by `constant`.

use super::error::{LogqlError, Position};
use super::{MAX_QUERY_BYTES, units};

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword, as written.
    Ident(String),
    /// A string, unquoted.
    Text(String),
    /// A number.
    Number(f64),
    /// A duration, in nanoseconds.
    Duration(i64),
    /// `--strict`, `--keep-empty`: a parser's flag, without the dashes.
    Flag(String),
    /// Punctuation and operators, by their spelling.
    Symbol(&'static str),
    /// The end of the query.
    End,
}

impl Token {
    /// How an error names this token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Ident(name) => format!("`{name}`"),
            Self::Text(_) => "a string".to_owned(),
            Self::Number(_) => "a number".to_owned(),
            Self::Duration(_) => "a duration".to_owned(),
            Self::Flag(name) => format!("`--{name}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end of the query".to_owned(),
        }
    }
}

/// A token and where it starts.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) position: Position,
}

/// Longest first, so that `|=` is not read as `|` and `=`.
const SYMBOLS: [&str; 32] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",",
    ".", "=", "|", ">", "<", "+", "-", "*", "/", "%", "^", "@", ":", "!", "~",
];

/// Splits a query into tokens; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, LogqlError> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(LogqlError::unplaced(format!(
            "the query is {} bytes long; at most {MAX_QUERY_BYTES} are read",
            text.len()
        )));
    }
    let mut lexer = Lexer {
        rest: text,
        position: Position { line: 1, col: 1 },
    };
    let mut out = Vec::new();
    loop {
        let placed = lexer.next()?;
        let end = placed.token == Token::End;
        out.push(placed);
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    position: Position,
}

impl<'a> Lexer<'a> {
    /// Takes `bytes` bytes, which end on a character boundary, and moves the place along.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                self.position.line += 1;
                self.position.col = 1;
            } else {
                self.position.col += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn next(&mut self) -> Result<Placed, LogqlError> {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                break;
            }
            self.take_while(|c| c != '\n');
        }
        let position = self.position;
        let placed = |token| Ok(Placed { token, position });
        let Some(first) = self.rest.chars().next() else {
            return placed(Token::End);
        };
        if first.is_alphabetic() || first == '_' {
            let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
            return placed(Token::Ident(name.to_owned()));
        }
        if first.is_ascii_digit() || self.starts_with_fraction() {
            return self.number(position);
        }
        if first == '"' || first == '`' {
            return placed(Token::Text(self.string(first)?));
        }
        if let Some(flag) = self.rest.strip_prefix("--") {
            let end = flag
                .find(|c: char| !c.is_ascii_alphabetic() && c != '-')
                .unwrap_or(flag.len());
            if end > 0 {
                let name = self.take(end + 2)[2..].to_owned();
                return placed(Token::Flag(name));
            }
        }
        for symbol in SYMBOLS {
            if self.rest.starts_with(symbol) {
                self.take(symbol.len());
                return placed(Token::Symbol(symbol));
            }
        }
        Err(LogqlError::at(
            position,
            format!("syntax error: unexpected character {first:?}"),
        ))
    }

    fn starts_with_fraction(&self) -> bool {
        let mut chars = self.rest.chars();
        chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
    }

    /// A number, or a duration if units follow it without a space.
    fn number(&mut self, position: Position) -> Result<Placed, LogqlError> {
        let word = self.take_while(|c| c.is_alphanumeric() || c == '.' || c == '_');
        // `1e-3`: a sign belongs to the number only after its exponent's letter.
        let signed = word.ends_with(['e', 'E']) && self.rest.starts_with(['+', '-']);
        let word = if signed {
            let tail = 1 + self.rest[1..]
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(self.rest.len() - 1);
            format!("{word}{}", self.take(tail))
        } else {
            word.to_owned()
        };
        let number = word.parse::<f64>().ok().filter(|n| n.is_finite());
        let token = if let Some(number) = number {
            Token::Number(number)
        } else if let Some(duration) = units::literal_duration(&word) {
            Token::Duration(duration)
        } else {
            return Err(LogqlError::at(
                position,
                format!(
                    "syntax error: `{word}` is neither a number nor a duration (sizes in bytes are not supported)"
                ),
            ));
        };
        Ok(Placed { token, position })
    }

    /// A string in double quotes (with Go's escapes) or in back quotes (as it stands).
    fn string(&mut self, quote: char) -> Result<String, LogqlError> {
        let start = self.position;
        let unterminated = || LogqlError::at(start, "syntax error: the string is not closed");
        if quote == '`' {
            let end = self.rest[1..].find('`').ok_or_else(unterminated)?;
            let whole = self.take(end + 2);
            return Ok(whole[1..=end].to_owned());
        }
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                '\n' => return Err(unterminated()),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let whole = self.take(at + 1);
                    return units::unquote(&whole[1..at]).ok_or_else(|| {
                        LogqlError::at(start, "syntax error: the string has an invalid escape")
                    });
                }
                _ => {}
            }
        }
        Err(unterminated())
    }
}
