//! The arithmetic of constant vectors, `vector(1)+vector(1)`, which Grafana's health check of
//! a Loki data source sends. Called by the API's instant query.

use super::error::LogqlError;
use super::lexer::{Placed, Token, tokens};

/// Parentheses deeper than this are refused rather than risk the stack.
const MAX_DEPTH: usize = 64;

/// Evaluates `vector(n)` joined by `+ - * /` and parentheses.
///
/// # Errors
/// [`LogqlError`] for anything else.
pub fn evaluate(text: &str) -> Result<f64, LogqlError> {
    let tokens = tokens(text)?;
    let mut terms = Terms {
        tokens: &tokens,
        depth: 0,
    };
    let value = terms.sum()?;
    if *terms.peek() == Token::End {
        Ok(value)
    } else {
        Err(terms.unexpected("an operator or the end of the query"))
    }
}

struct Terms<'a> {
    /// Never empty: the last one is the end of the query.
    tokens: &'a [Placed],
    depth: usize,
}

impl Terms<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[0].token
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), LogqlError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{symbol}`")))
        }
    }

    fn unexpected(&self, expected: &str) -> LogqlError {
        let found = self.peek().describe();
        LogqlError::at(
            self.tokens[0].position,
            format!("syntax error: unexpected {found}, expecting {expected}"),
        )
    }

    fn sum(&mut self) -> Result<f64, LogqlError> {
        let mut value = self.product()?;
        loop {
            if self.accept("+") {
                value += self.product()?;
            } else if self.accept("-") {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, LogqlError> {
        let mut value = self.vector()?;
        loop {
            if self.accept("*") {
                value *= self.vector()?;
            } else if self.accept("/") {
                let by = self.vector()?;
                // As in Loki: what is divided by nothing is no number.
                value = if by == 0.0 { f64::NAN } else { value / by };
            } else {
                return Ok(value);
            }
        }
    }

    fn vector(&mut self) -> Result<f64, LogqlError> {
        if self.accept("(") {
            if self.depth == MAX_DEPTH {
                return Err(self.unexpected("fewer parentheses"));
            }
            self.depth += 1;
            let value = self.sum()?;
            self.depth -= 1;
            self.expect(")")?;
            return Ok(value);
        }
        if !matches!(self.peek(), Token::Ident(name) if name.eq_ignore_ascii_case("vector")) {
            return Err(LogqlError::at(
                self.tokens[0].position,
                "an instant query other than the arithmetic of `vector(n)` is not supported by \
                 this log store; use query_range for logs",
            ));
        }
        self.tokens = &self.tokens[1..];
        self.expect("(")?;
        let negative = self.accept("-");
        let Token::Number(number) = *self.peek() else {
            return Err(self.unexpected("a number"));
        };
        self.tokens = &self.tokens[1..];
        self.expect(")")?;
        Ok(if negative { -number } else { number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_vectors_are_added_up() {
        let value = |text| evaluate(text).map_err(|error| error.to_string());
        assert_eq!(value("vector(1)+vector(1)"), Ok(2.0));
        assert_eq!(
            value("vector(2) * (Vector(3) - vector(-1)) / vector(4)"),
            Ok(2.0)
        );
        assert_eq!(
            value("vector(1)+"),
            Err(
                "parse error at line 1, col 11: an instant query other than the arithmetic of \
                 `vector(n)` is not supported by this log store; use query_range for logs"
                    .to_owned()
            )
        );
        assert!(value("{app=\"x\"}").is_err());
        assert!(value("vector(1)/vector(0)").is_ok_and(f64::is_nan));
        assert!(value("vector(x)").is_err());
        assert!(value("vector(1) vector(1)").is_err());
        assert!(value(&"(".repeat(10_000)).is_err());
    }
}
