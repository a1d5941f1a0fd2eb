//! Label filters, parsed. Called by `parser`.

use super::ast::{CompareOp, LabelFilter, Literal, MatchOp, Matcher};
use super::error::LogqlError;
use super::lexer::Token;
use super::parser::Parser;
use super::words::is_reserved;

impl Parser<'_> {
    /// Everything after a `|` that is no other stage.
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, LogqlError> {
        let mut either = vec![self.label_filter_and()?];
        while self.accept_word("or") {
            either.push(self.label_filter_and()?);
        }
        Ok(one_or(either, LabelFilter::Or))
    }

    fn label_filter_and(&mut self) -> Result<LabelFilter, LogqlError> {
        let mut all = vec![self.label_operand()?];
        loop {
            if self.accept_word("and") {
                all.push(self.label_operand()?);
            } else if self.accept(",") || self.operand_follows() {
                all.push(self.deeper(Self::label_filter)?);
            } else {
                return Ok(one_or(all, LabelFilter::And));
            }
        }
    }

    fn operand_follows(&self) -> bool {
        match self.peek() {
            Token::Ident(name) => !is_reserved(name),
            Token::Symbol("(") => true,
            _ => false,
        }
    }

    fn label_operand(&mut self) -> Result<LabelFilter, LogqlError> {
        if self.accept("(") {
            let inner = self.deeper(Self::label_filter)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.label_name()?;
        let compare = match self.peek() {
            Token::Symbol("=" | "==") => CompareOp::Equal,
            Token::Symbol("!=") => CompareOp::NotEqual,
            Token::Symbol(">") => CompareOp::Greater,
            Token::Symbol(">=") => CompareOp::GreaterOrEqual,
            Token::Symbol("<") => CompareOp::Less,
            Token::Symbol("<=") => CompareOp::LessOrEqual,
            Token::Symbol("=~" | "!~") => {
                let op = self
                    .match_op()
                    .expect("the token was just seen to be a match operator");
                let value = self.text()?;
                return Ok(LabelFilter::Match(Matcher { name, op, value }));
            }
            _ => return Err(self.unexpected("a comparison")),
        };
        let doubled = matches!(self.peek(), Token::Symbol("=="));
        self.advance();
        let stringy = match compare {
            CompareOp::Equal if !doubled => Some(MatchOp::Equal),
            CompareOp::NotEqual => Some(MatchOp::NotEqual),
            _ => None,
        };
        if let Some(op) = stringy
            && matches!(self.peek(), Token::Text(_) | Token::Ident(_))
        {
            let value = self.text()?;
            return Ok(LabelFilter::Match(Matcher { name, op, value }));
        }
        let value = self.literal()?;
        Ok(LabelFilter::Compare {
            name,
            op: compare,
            value,
        })
    }

    fn literal(&mut self) -> Result<Literal, LogqlError> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let literal = match *self.peek() {
            Token::Number(n) => Literal::Number(if negative { -n } else { n }),
            Token::Duration(d) => Literal::Duration(if negative { -d } else { d }),
            _ => return Err(self.unexpected("a string, a number or a duration")),
        };
        self.advance();
        Ok(literal)
    }
}

/// The only item as it is, or several as one.
fn one_or(
    mut items: Vec<LabelFilter>,
    several: fn(Vec<LabelFilter>) -> LabelFilter,
) -> LabelFilter {
    if items.len() == 1 {
        items.remove(0)
    } else {
        several(items)
    }
}
