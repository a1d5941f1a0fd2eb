//! Turns the text of a query into tokens. Called by the parser only; pure.
//!
//! TraceQL's words, numbers and strings are those of Go; an attribute's name (`span.a-b/c`) runs on
//! to white space or one of `{}()=~!<>&|^,`, and may hold quoted parts.

use super::ast::Scope;
use super::error::Pos;
use super::literal::{self, Number};

/// One token; a text the lexer cannot read becomes [`Token::Bad`], which the parser reports when
/// (and only if) it gets there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword, an intrinsic's name or a word nobody knows.
    Word(String),
    /// `span:`, `trace:`, `event:`, `link:` or `instrumentation:`, without the colon.
    Colon(&'static str),
    /// An attribute with its scope.
    Attribute {
        scope: Scope,
        name: String,
    },
    Str(String),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// An operator or bracket, as written.
    Punct(&'static str),
    Bad(String),
    End,
}

/// A token, and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) pos: Pos,
}

/// Longest first, so that the first that fits is the right one.
const PUNCTUATION: [&str; 38] = [
    "!>>", "!<<", "&>>", "&<<", "!=", "!~", "!>", "!<", "=~", ">=", "<=", ">>", "<<", "&&", "&~",
    "&>", "&<", "||", "{", "}", "(", ")", ",", "=", ">", "<", "+", "-", "/", "%", "*", "^", "!",
    "|", "~", "[", "]", "&",
];

/// Words that a `.` makes an attribute's scope.
const SCOPES: [(&str, Scope); 5] = [
    ("resource", Scope::Resource),
    ("span", Scope::Span),
    ("event", Scope::Event),
    ("link", Scope::Link),
    ("instrumentation", Scope::Instrumentation),
];

/// Words that a `:` makes an intrinsic's scope.
const COLON_SCOPES: [&str; 5] = ["trace", "span", "event", "link", "instrumentation"];

/// All tokens of `text`; the last is [`Token::End`] or [`Token::Bad`].
pub(super) fn tokens(text: &str) -> Vec<Spanned> {
    let mut lexer = Lexer {
        rest: text,
        pos: Pos::default(),
    };
    let mut out = Vec::new();
    loop {
        let space = lexer.skip_space();
        let pos = lexer.pos;
        let token = space.and_then(|()| lexer.next()).unwrap_or_else(Token::Bad);
        let last = matches!(token, Token::End | Token::Bad(_));
        out.push(Spanned { token, pos });
        if last {
            return out;
        }
    }
}

/// Whether `c` can stand in an attribute's name outside quotes.
pub(super) fn is_attribute_char(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ','
        )
}

struct Lexer<'a> {
    rest: &'a str,
    pos: Pos,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.pos = Pos {
                line: self.pos.line + 1,
                col: 1,
            };
        } else {
            self.pos.col += 1;
        }
        Some(c)
    }

    /// Steps over `len` bytes, which end at a character.
    fn advance(&mut self, len: usize) {
        let end = self.rest.len() - len;
        while self.rest.len() > end {
            self.bump();
        }
    }

    /// White space and comments, which are Go's: `// …` and `/* … */`.
    fn skip_space(&mut self) -> Result<(), String> {
        loop {
            if self.rest.starts_with("//") {
                let len = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(len);
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(at) => self.advance(at + 2),
                    None => return Err("comment is not closed, expected `*/`".into()),
                }
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        let second = self.rest.chars().nth(1);
        if first.is_alphabetic() || first == '_' {
            return self.word();
        }
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        match first {
            '"' | '`' => {
                let (text, len) = literal::string(self.rest)?;
                self.advance(len);
                Ok(Token::Str(text))
            }
            '.' => {
                self.bump();
                self.attribute(Scope::Any)
            }
            _ => self.punctuation(first),
        }
    }

    fn word(&mut self) -> Result<Token, String> {
        let len = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let word = self.rest[..len].to_owned();
        self.advance(len);
        match self.peek() {
            Some('.') => {
                if let Some((_, scope)) = SCOPES.iter().find(|(name, _)| *name == word) {
                    self.bump();
                    return self.attribute(*scope);
                }
            }
            Some(':') => {
                if let Some(scope) = COLON_SCOPES.iter().find(|name| **name == word) {
                    self.bump();
                    return Ok(Token::Colon(scope));
                }
            }
            _ => {}
        }
        Ok(Token::Word(word))
    }

    /// The name after a scope's dot.
    fn attribute(&mut self, scope: Scope) -> Result<Token, String> {
        if !self.peek().is_some_and(is_attribute_char) {
            return Err("an attribute's name is missing after `.`".into());
        }
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| is_attribute_char(*c)) {
            self.bump();
            if c == '"' {
                self.quoted_part(&mut name)?;
            } else {
                name.push(c);
            }
        }
        Ok(Token::Attribute { scope, name })
    }

    /// The rest of a quoted part of a name; only `\"` and `\\` are escapes.
    fn quoted_part(&mut self, name: &mut String) -> Result<(), String> {
        loop {
            match self.bump() {
                None => return Err("attribute's name is not closed, expected `\"`".into()),
                Some('"') => return Ok(()),
                Some('\\') => match self.bump() {
                    Some(c @ ('"' | '\\')) => name.push(c),
                    _ => {
                        return Err(
                            "unknown escape in an attribute's name, expected `\\\"` or `\\\\`"
                                .into(),
                        );
                    }
                },
                Some(c) => name.push(c),
            }
        }
    }

    /// A number, or a duration such as `1h15m` or `1.5s`.
    fn number(&mut self) -> Result<Token, String> {
        let len = literal::number_len(self.rest);
        let unit = self.rest[len..]
            .find(|c: char| {
                !c.is_numeric()
                    && !matches!(c, 'n' | 's' | 'u' | 'm' | 'h' | 'µ' | 'd' | 'w' | 'y' | '.')
            })
            .unwrap_or(self.rest.len() - len);
        if unit > 0
            && let Some(duration) = literal::duration(&self.rest[..len + unit])
        {
            self.advance(len + unit);
            return Ok(Token::Duration(duration.nanos));
        }
        let number = literal::number(&self.rest[..len])?;
        self.advance(len);
        Ok(match number {
            Number::Int(value) => Token::Int(value),
            Number::Float(value) => Token::Float(value),
        })
    }

    fn punctuation(&mut self, first: char) -> Result<Token, String> {
        let Some(punct) = PUNCTUATION.iter().find(|p| self.rest.starts_with(**p)) else {
            return Err(format!("unexpected character `{first}`"));
        };
        self.advance(punct.len());
        Ok(Token::Punct(punct))
    }
}
